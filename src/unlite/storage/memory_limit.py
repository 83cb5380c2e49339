"""How much memory a file may ask for: the one place that decides.

A few bytes can describe a tensor of many gigabytes. More than 1 GiB that is also more than 256 times the file's own
size is refused, unless the caller allows it with ``limit=`` or ``--limit``.
"""

from __future__ import annotations

from unlite.errors import InvalidTypeError, InvalidValueError, MemoryLimitError

FLOOR = 1 << 30
"""Bytes that any file may ask for."""
FACTOR = 256
"""Bytes in memory for each byte of the file that any file may ask for."""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class MemoryLimit:
    """What one file may ask for.

    Args:
        size: Length of the file, together with the files that belong to it.
        limit: Bytes that the caller allows instead; None for the rule above.
        file: The file's name, for messages.

    Attributes:
        allowed: Bytes that a single value may take.
    """

    __slots__ = ("_file", "_spent", "allowed")

    def __init__(self, size: int, limit: int | None = None, file: str | None = None) -> None:
        self.allowed = max(FLOOR, FACTOR * size) if limit is None else limit
        self._file = file
        self._spent = 0

    def check(self, wanted: int, what: str, path: str | None = None) -> None:
        """Raises MemoryLimitError if ``wanted`` bytes for ``what`` are more than the file may ask for."""
        if wanted > self.allowed:
            raise MemoryLimitError(wanted, self.allowed, what, file=self._file, path=path)

    def spend(self, wanted: int, what: str, path: str | None = None) -> None:
        """The same for values that stay in memory together: their sum counts."""
        self._spent += wanted
        self.check(self._spent, what, path)


def byte_count(value: int | str | None) -> int | None:
    """A limit in bytes, from a number or from text such as ``512M`` or ``8G``; None stays None.

    Raises:
        InvalidTypeError, InvalidValueError: it is something else.
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip().upper()
        unit = text[-1:] if text[-1:].isalpha() else ""
        digits = text[: len(text) - len(unit)]
        if unit not in _UNITS or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            raise InvalidValueError(f"limit={value!r:.40} is not a number of bytes.", hint="Such as 512M or 8G.")
        return int(digits) * _UNITS[unit]
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidTypeError(f"a limit is a number of bytes, not {value!r:.40}.", hint="Such as 8 << 30, or '8G'.")
    if value < 0:
        raise InvalidValueError(f"limit={value} is below 0.", hint="Such as 8 << 30, or '8G'.")
    return value
