"""Sources in memory and mapped files; and which kind of source a path, bytes, a file object or a URL needs."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from struct import error as StructError  # noqa: N812 - a class, whatever its name

from unlite.errors import InvalidTypeError, SaveError, TransferError, UnliteError
from unlite.storage.abstract_source import CHUNK, Source

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterator
    from struct import Struct
    from typing import Any, BinaryIO

    from typing_extensions import Buffer

__all__ = ["CHUNK", "MappedFile", "MemorySource", "Source", "open_source"]


class MemorySource(Source):
    """Bytes in memory; never copied."""

    def __init__(self, data: Buffer, name: str = "<memory>") -> None:
        self._data = memoryview(data).cast("B").toreadonly()
        self.size = len(self._data)
        self.name = name

    def unpack(self, layout: Struct, offset: int) -> tuple[Any, ...]:
        if offset < 0:  # Python would count from the end
            self.check(offset, layout.size)
        try:
            return layout.unpack_from(self._data, offset)
        except (StructError, OverflowError):
            self.check(offset, layout.size)
            raise

    def view(self, offset: int, length: int) -> memoryview:
        if offset < 0 or length < 0 or offset + length > self.size:
            self.check(offset, length)
        return self._data[offset : offset + length]

    def __reduce__(self) -> tuple[Any, ...]:
        return MemorySource, (bytes(self._data), self.name)


class MappedFile(MemorySource):
    """A file mapped into memory: only the pages that are read are loaded."""

    _trim: Callable[[], object] | None = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        name = os.fsdecode(path)
        try:
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - kept open for kernel copies, closed in close()
            mapped = self._mapped(name)
        except (TypeError, ValueError):  # a NUL, or text that no name can hold
            from unlite.storage.paths import checked_path

            checked_path(path)
            raise
        except OSError as error:
            raise UnliteError(f"cannot be opened: {error.strerror or error}.", file=name) from error
        super().__init__(mapped, name)

    def _mapped(self, name: str) -> mmap.mmap | bytes:
        """The file in memory: mapped, or read where it is none that can be mapped; it is closed then."""
        import mmap

        found = os.fstat(self._file.fileno())
        self._version = found.st_size, found.st_mtime_ns
        mapped: mmap.mmap | None = None
        if found.st_size:
            # A file system may map nothing, and a file may have become shorter: it is read below.
            with suppress(OSError, ValueError):
                mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        if mapped is None:
            from unlite.storage.paths import read_unmapped

            with self._file:
                return read_unmapped(self._file, name)
        if hasattr(mmap, "MADV_RANDOM"):
            # Listing reads here and there; the kernel's read-ahead would load megabytes for it.
            mapped.madvise(mmap.MADV_RANDOM)
        if hasattr(mmap, "MADV_DONTNEED"):
            self._trim = partial(mapped.madvise, mmap.MADV_DONTNEED)
        return mapped

    def is_file(self, path: str) -> bool:
        """Whether a path leads to the file that is mapped, and not to one that took its name since."""
        opened = self.descriptor_at(0)
        try:
            return opened is not None and os.path.samestat(os.fstat(opened[0]), os.stat(path))
        except OSError:
            return False

    def detach(self) -> None:
        """Reads from a copy in a temporary file from now on, so that a system that does not replace mapped files does.

        Raises:
            SaveError: arrays that were handed out still use the mapped file, or there is no space for the copy.
        """
        from unlite.storage.temporary_file import open_temporary

        old: Any = self._data.obj  # the mapping, or bytes
        file = open_temporary()
        try:
            for chunk in self.chunks(0, self.size):
                while chunk:
                    chunk = chunk[file.write(chunk) :]  # noqa: PLW2901 - what is left of it
        except OSError as error:
            raise SaveError(f"cannot be copied: {error.strerror}.", file=self.name) from error
        before, self._file = self._file, file
        self._data = memoryview(self._mapped(self.name)).cast("B").toreadonly()
        before.close()
        if hasattr(old, "close"):
            try:
                old.close()
            except BufferError as error:
                raise SaveError(
                    "arrays of the opened file are in use, and the system does not replace a file that is.",
                    file=self.name,
                    hint="Save to another path, or let go of the arrays.",
                ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        found = None if self._file.closed else os.fstat(self._file.fileno())  # an in-place save changes it
        version = self._version if found is None else (found.st_size, found.st_mtime_ns)
        return _mapped_again, (os.path.abspath(self.name), self.name, version)

    def trim(self) -> None:
        if self._trim is not None:
            self._trim()

    def descriptor_at(self, offset: int) -> tuple[int, int] | None:
        return None if self._file.closed else (self._file.fileno(), offset)

    def chunks(self, offset: int, length: int) -> Iterator[memoryview]:
        """Plain reads: mapped pages that bulk work touched would stay resident."""
        self.check(offset, length)
        end, file = offset + length, self.descriptor_at(0) if hasattr(os, "pread") else None
        while offset < end:
            piece = b"" if file is None else os.pread(file[0], min(CHUNK, end - offset), offset)
            if not piece:
                piece = bytes(self.view(offset, min(CHUNK, end - offset)))
            yield memoryview(piece)
            offset += len(piece)

    def close(self) -> None:
        self._file.close()

    def __del__(self) -> None:
        # Models are rarely closed by hand; that is no mistake to warn about.
        if hasattr(self, "_file"):
            self._file.close()


class Span:
    """Bytes in a source.

    Attributes:
        where: ``inline`` (in the FlatBuffer), ``offset`` (behind it), ``external`` (another file), ``new`` (assigned).
    """

    __slots__ = ("length", "source", "start", "where")

    def __init__(self, where: str, source: Source, start: int, length: int) -> None:
        self.where, self.source, self.start, self.length = where, source, start, length

    def view(self) -> memoryview:
        """The bytes, read-only, without a copy where the source is in memory or mapped."""
        return self.source.view(self.start, self.length)

    def holds(self, other: Span) -> bool:
        """Whether both hold the same bytes; they are read in pieces."""
        theirs = other.source.chunks(other.start, other.length)
        return self.length == other.length and all(
            bytes(a) == bytes(b) for a, b in zip(self.source.chunks(self.start, self.length), theirs, strict=True)
        )


def _mapped_again(path: str, name: str, version: tuple[int, int]) -> MappedFile:
    """The file that was pickled elsewhere. Raises TransferError where it is another by now."""
    source = MappedFile(path)
    source.name = name
    if source._version != version:
        source.close()
        raise TransferError("the file has changed since it was opened.", file=name, hint="Open it again.")
    return source


def open_source(file: object) -> Source:
    """A source for a path, bytes, a file object, a URL, or a source (returned as it is).

    URLs are ``http:`` and ``https:``, and what fsspec knows (``s3:``, ``gs:``, ``hf:``) with the ``remote`` extra.
    """
    if isinstance(file, Source):
        return file
    if isinstance(file, (str, os.PathLike)):
        path = os.fspath(file)
        if isinstance(path, str) and "://" in path:
            from unlite.storage.remote import open_url

            return open_url(path)
        return MappedFile(path)
    try:
        return MemorySource(file)  # type: ignore[arg-type]  # anything with a buffer; refused below
    except TypeError:
        pass
    if hasattr(file, "read") and hasattr(file, "seek"):
        from unlite.storage.remote import FileObjectSource

        return FileObjectSource(file)  # type: ignore[arg-type]  # duck-typed above
    raise InvalidTypeError(
        f"a path, bytes, a binary file object or a URL is wanted, not {type(file).__name__}.",
    )
