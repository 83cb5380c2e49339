"""Files that are neither in memory nor mapped: file objects, and URLs of any scheme."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from unlite.errors import InvalidTypeError, InvalidValueError, MissingExtraError, TransferError
from unlite.storage.blocks import HEAD, BlockSource, public_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from unlite.storage.source import Source


class FileObjectSource(BlockSource):
    """A seekable binary file object. Its position is left wherever the last read ended.

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
        self._file = file
        self._read: Callable[[int], object] = file.read  # objects of other packages need not keep the types
        self._owned = owned
        try:
            file.seek(0, io.SEEK_END)
            self.size = file.tell()
        except OSError as error:
            raise InvalidValueError(
                "the file object cannot seek.", file=self.name, hint="Read it whole, and pass the bytes."
            ) from error
        except Exception as error:  # what file objects of other packages raise is not known here
            raise self._failure(error) from error
        self._keep(0, self._fetch(0, min(HEAD, self.size)))

    def _fetch(self, offset: int, length: int) -> bytes | bytearray:
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

    def _piece(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes, in one call of the object."""
        try:
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
            self._file.close()


def open_url(url: str) -> Source:
    """A source for ``http:`` and ``https:``, and for every scheme that fsspec knows (``s3:``, ``gs:``, ``hf:``).

    Raises:
        MissingExtraError: the scheme needs fsspec, which is not installed.
        InvalidValueError: not a URL, or a scheme that nobody knows.
        TransferError: the file cannot be fetched.
    """
    scheme = url.partition("://")[0].lower()
    if scheme in ("http", "https"):
        from unlite.storage.http_ranges import HttpSource

        return HttpSource(url)
    try:
        from fsspec.core import url_to_fs  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
    except ImportError as error:
        raise MissingExtraError("fsspec", extra="remote", purpose=f"opening {scheme}: URLs") from error
    name = public_name(url)
    filesystem_of: Callable[[str], tuple[Any, str]] = url_to_fs
    try:
        filesystem, path = filesystem_of(url)
        # Its own cache would fetch megabytes around each block.
        file = filesystem.open(path, "rb", cache_type="none")
    except ImportError as error:  # the package behind the scheme; fsspec's text names it
        raise TransferError(f"no package for {scheme}: URLs is installed.", file=name, hint=f"{error}.") from error
    except ValueError as error:
        raise InvalidValueError(f"not a URL that fsspec can open: {error}.".replace(url, name), file=name) from error
    except Exception as error:  # each filesystem has errors of its own
        text = f"cannot be opened: {type(error).__name__}: {error}."
        raise TransferError(
            text.replace(url, name), file=name, hint="Check the address and the credentials."
        ) from error
    return FileObjectSource(file, name, owned=True)
