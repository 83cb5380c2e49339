"""Files that are neither in memory nor mapped: file objects, and URLs of any scheme."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from unlite.errors import InvalidTypeError, InvalidValueError, MissingExtraError, TransferError
from unlite.storage.blocks import HEAD, BlockSource, public_name
from unlite.storage.forks import of_the_parent

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from unlite.storage.source import Source


class FileObjectSource(BlockSource):
    """A seekable binary file object.

    Python's own objects for files on the disk are read through their descriptors: their position stays where it was,
    nobody else's use of them disturbs, and a forked process can go on reading. Of others the position is left wherever
    the last read ended; a forked process, which may share it with its parent, reads no more of them than it holds.

    Args:
        file: Anything with ``seek``, ``tell`` and ``read``. It may give fewer bytes than it is asked for.
        name: What messages call it; by default the object's own name.
        owned: Whether ``close`` closes the object; a caller's object stays open.

    Raises:
        InvalidTypeError: it gives text.
        InvalidValueError: it cannot seek.
        TransferError: it cannot be read.
    """

    def __init__(self, file: BinaryIO, name: str | None = None, *, owned: bool = False) -> None:
        own_name = getattr(file, "name", None)
        super().__init__(name or (own_name if isinstance(own_name, str) else "<file object>"))
        self._owned = owned
        self._is_inherited = False
        self._take(file)
        self._keep(0, self._fetch(0, min(HEAD, self.size)))

    def _take(self, file: BinaryIO) -> None:
        """Reads from this object from now on."""
        self._file = file
        self._read: Callable[[int], object] = file.read  # objects of other packages need not keep the types
        self._descriptor = _descriptor_of(file)
        try:
            file.seek(0, io.SEEK_END)
            self.size = file.tell()
        except OSError as error:
            raise InvalidValueError(
                "the file object cannot seek.", file=self.name, hint="Read it whole, and pass the bytes."
            ) from error
        except Exception as error:  # what file objects of other packages raise is not known here
            raise self._failure(error) from error

    def _inherited(self) -> None:
        super()._inherited()
        self._is_inherited = True

    def _fetch(self, offset: int, length: int) -> bytes | bytearray:
        if self._is_inherited:
            self._take_anew()
        self.requests += 1
        data = self._piece(offset, length)
        if len(data) == length:
            return data
        pieces = bytearray(data)
        while len(pieces) < length:
            data = self._piece(offset + len(pieces), length - len(pieces))
            if not data:
                raise TransferError(
                    f"ends at byte 0x{offset + len(pieces):X}, before its own size, 0x{self.size:X}.",
                    file=self.name,
                    offset=offset + len(pieces),
                    hint="It was cut while it was being read: open it again.",
                )
            pieces += data
        return pieces

    def _take_anew(self) -> None:
        """In a forked process, before the first read: makes sure that nothing is shared with the parent."""
        if self._descriptor is None and type(self._file) is not io.BytesIO:
            raise TransferError(
                "cannot be read in this process: the file object was handed over before the process was forked, and "
                "may share its position or its connection with the parent.",
                file=self.name,
                hint="Pass the path or the URL, or open the file in the process that reads it.",
            )
        self._is_inherited = False

    def _piece(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes, in one call of the object."""
        try:
            if self._descriptor is not None and not self._file.closed:
                data: object = os.pread(self._descriptor, length, offset)
            else:
                self._file.seek(offset)
                data = self._read(length)
        except MemoryError:
            raise
        except Exception as error:  # as above
            raise self._failure(error) from error
        if data is None:  # an object that does not block and has nothing yet
            raise TransferError("gives no bytes yet.", file=self.name, offset=offset, hint="Pass one that blocks.")
        if not isinstance(data, bytes):
            raise InvalidTypeError(
                f"the file object gives {type(data).__name__}, not bytes.",
                file=self.name,
                hint="Open it in binary mode: open(path, 'rb').",
            )
        if len(data) > length:
            raise TransferError(
                f"gives {len(data)} bytes where {length} were asked for.", file=self.name, offset=offset
            )
        self.transferred += len(data)
        return data

    def _failure(self, error: Exception) -> TransferError:
        return TransferError(f"cannot be read: {type(error).__name__}: {error}.", file=self.name)

    def close(self) -> None:
        """Closes the object if it is owned."""
        if self._owned:
            with self._lock:
                self._file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        raise InvalidTypeError(
            "cannot be pickled: it is read through a file object, which this process alone has.",
            file=self.name,
            hint="Open the path or the URL, or pass the bytes.",
        )


class OpenedUrl(FileObjectSource):
    """A file behind a URL that fsspec opens. Another process, forked or given it by pickle, opens the URL anew.

    Args:
        url: The URL.
        size: The length that the file had when it was opened elsewhere.

    Raises:
        MissingExtraError: the scheme needs fsspec, which is not installed.
        InvalidValueError: not a URL, or a scheme that nobody knows.
        TransferError: the file cannot be fetched, or has another length by now.
    """

    def __init__(self, url: str, size: int | None = None) -> None:
        self._url = url
        super().__init__(_opened(url), public_name(url), owned=True)
        if size is not None:
            self._hold_to(size)

    def _take_anew(self) -> None:
        size = self.size
        of_the_parent.append(self._file)
        self._take(_opened(self._url))
        self._hold_to(size)
        self._is_inherited = False

    def _hold_to(self, size: int) -> None:
        if self.size != size:
            found, self.size = self.size, size
            raise TransferError(
                f"the file has changed since it was opened: it had {size} bytes, and has {found}.",
                file=self.name,
                hint="Open it again.",
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return OpenedUrl, (self._url, self.size)


def _descriptor_of(file: BinaryIO) -> int | None:
    """The descriptor to read a file object through, where it is one of Python's own for a file on the disk.

    Other objects may have one as well, but what they give is not what it holds: that of a GzipFile is compressed.
    """
    raw = file.raw if type(file) in (io.BufferedReader, io.BufferedRandom) else file  # type: ignore[attr-defined]
    if type(raw) is not io.FileIO or not hasattr(os, "pread"):
        return None
    try:
        file.flush()  # what the caller wrote
        descriptor: int = file.fileno()
        return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except (OSError, ValueError):
        return None


def open_url(url: str) -> Source:
    """A source for ``http:`` and ``https:``, and for every scheme that fsspec knows (``s3:``, ``gs:``, ``hf:``).

    Raises:
        MissingExtraError: the scheme needs fsspec, which is not installed.
        InvalidValueError: not a URL, or a scheme that nobody knows.
        TransferError: the file cannot be fetched.
    """
    if url.partition("://")[0].lower() in ("http", "https"):
        from unlite.storage.http_ranges import HttpSource

        return HttpSource(url)
    return OpenedUrl(url)


def _opened(url: str) -> BinaryIO:
    """The file object that fsspec gives for a URL; errors as in ``open_url``."""
    scheme = url.partition("://")[0].lower()
    try:
        from fsspec.core import url_to_fs  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
    except ImportError as error:
        raise MissingExtraError("fsspec", extra="remote", purpose=f"opening {scheme}: URLs") from error
    name = public_name(url)
    filesystem_of: Callable[[str], tuple[Any, str]] = url_to_fs
    try:
        filesystem, path = filesystem_of(url)
        # Its own cache would fetch megabytes around each block.
        file: BinaryIO = filesystem.open(path, "rb", cache_type="none")
    except ImportError as error:  # the package behind the scheme; fsspec's text names it
        raise TransferError(f"no package for {scheme}: URLs is installed.", file=name, hint=f"{error}.") from error
    except ValueError as error:
        raise InvalidValueError(f"not a URL that fsspec can open: {error}.".replace(url, name), file=name) from error
    except Exception as error:  # each filesystem has errors of its own
        text = f"cannot be opened: {type(error).__name__}: {error}."
        raise TransferError(
            text.replace(url, name), file=name, hint="Check the address and the credentials."
        ) from error
    return file
