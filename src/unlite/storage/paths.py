"""Paths that people and files give, checked before the system sees them; and files that cannot be mapped."""

from __future__ import annotations

import os

from unlite.errors import InvalidTypeError, InvalidValueError, UnsupportedFormatError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import BinaryIO

UNMAPPED_MOST = 1 << 30
"""Bytes that are read out of a pipe or a device; it may have no end."""


def checked_path(path: object) -> str:
    """The path as text.

    Raises:
        InvalidTypeError: it is no path.
        InvalidValueError: no file can have this name: it holds a NUL, or text that the file system cannot encode.
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise InvalidTypeError(f"a path is wanted, not {type(path).__name__}.")
    given = os.fspath(path)
    try:
        text = os.fsdecode(given)
        encoded = os.fsencode(text)
    except UnicodeError as error:
        raise _impossible(given, str(error)) from None
    if b"\0" in encoded:
        raise _impossible(given, "it holds a NUL")
    return text


def _impossible(path: str | bytes, reason: str) -> InvalidValueError:
    return InvalidValueError(
        f"cannot be opened: no file can have this name: {reason}.",
        file=ascii(path).strip("b'\"")[:200],  # no terminal should get it as it is
        hint="Name another path.",
    )


def read_unmapped(file: BinaryIO, name: str) -> bytes:
    """All bytes of a pipe, a device, or a file that gives no length (as those in ``/proc``).

    Raises:
        UnsupportedFormatError: there are more than ``UNMAPPED_MOST``.
    """
    data = bytearray()
    while piece := file.read(1 << 20):
        data += piece
        if len(data) > UNMAPPED_MOST:
            raise UnsupportedFormatError(
                f"more than {UNMAPPED_MOST} bytes come out of it, and it cannot be mapped into memory.",
                file=name,
                hint="Write them to a file first, and open that.",
            )
    return bytes(data)
