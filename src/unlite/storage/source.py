"""Where bytes come from: memory, a mapped file, or blocks fetched on demand.

A reader asks a source for the bytes it needs, at absolute offsets, and for nothing else. Every request is
checked against the source's size first.
"""

from __future__ import annotations

import os
from functools import partial
from struct import error as StructError  # noqa: N812 - a class, whatever its name

from unlite.errors import CorruptFileError, InvalidTypeError, UnliteError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from struct import Struct
    from typing import Any, BinaryIO

    from typing_extensions import Buffer

CHUNK = 1 << 20


class Source:
    """Bytes at absolute offsets.

    Attributes:
        size: Length in bytes.
        name: What messages call it: a path, a URL, or ``<memory>``.
        base: Where its first byte lies in the outermost file, for the offsets that errors tell: 0, but for a part of
            another source.
    """

    size: int
    name: str
    base: int = 0

    def unpack(self, layout: Struct, offset: int) -> tuple[Any, ...]:
        """The values of ``layout`` at ``offset`` (0 or more). Raises CorruptFileError where they do not lie inside."""
        raise NotImplementedError

    def view(self, offset: int, length: int) -> memoryview:
        """``length`` bytes, read-only; no copy where they are in memory or mapped."""
        raise NotImplementedError

    def chunks(self, offset: int, length: int) -> Iterator[memoryview]:
        """The same bytes in pieces of at most 1 MiB, for bulk work in flat memory."""
        self.check(offset, length)
        for start in range(offset, offset + length, CHUNK):
            yield self.view(start, min(CHUNK, offset + length - start))

    def descriptor_at(self, offset: int) -> tuple[int, int] | None:  # noqa: ARG002 - for those that have one
        """Descriptor of the underlying file, and the place in it of byte ``offset``, for copies inside the kernel.

        None where there is no such file.
        """
        return None

    def trim(self) -> None:
        """Lets go of mapped pages; whoever reads them again gets them again. Walks over large files call it."""

    def check(self, offset: int, length: int) -> None:
        """Raises CorruptFileError unless ``length`` bytes lie at ``offset``."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise CorruptFileError(
                f"{length} bytes wanted at byte 0x{self.base + offset:X}, file ends at 0x{self.base + self.size:X}.",
                file=self.name,
                offset=self.base + offset,
                hint="The file looks cut short or damaged: compare its size with the source and fetch it again.",
            )

    def close(self) -> None:
        """Lets go of files and connections."""


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


class MappedFile(MemorySource):
    """A file mapped into memory: only the pages that are read are loaded."""

    _trim: Callable[[], object] | None = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import mmap

        try:
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - kept open for kernel copies, closed in close()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else error
            raise UnliteError(f"cannot be opened: {reason}.", file=os.fsdecode(path)) from error
        size = os.fstat(self._file.fileno()).st_size
        mapped: mmap.mmap | bytes = b""
        if size:
            mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            if hasattr(mmap, "MADV_RANDOM"):
                # Listing reads here and there; the kernel's read-ahead would load megabytes for it.
                mapped.madvise(mmap.MADV_RANDOM)
            if hasattr(mmap, "MADV_DONTNEED"):
                self._trim = partial(mapped.madvise, mmap.MADV_DONTNEED)
        super().__init__(mapped, os.fsdecode(path))

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
