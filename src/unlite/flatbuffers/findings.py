"""What a check of a file found, and bounds on what a check says and does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
TOO_MANY = 100_000
Place = tuple[Any, "str | int"]
"""Where something stands: the place around it (None: the root), and a field's name or an entry's index."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        severity: ``error``: readers refuse the file, or a part of it cannot be read; ``warning``: it can, but is not
            as the format wants it; ``note``: unusual, and harmless.
        path: Where inside the file, such as ``subgraphs[0].operators[3].inputs``.
        offset: Byte offset in the file; None where there is no one place.
        message: What is wrong.
    """

    severity: Severity
    path: str
    offset: int | None
    message: str

    def __str__(self) -> str:
        place = "" if self.offset is None else f" (byte 0x{self.offset:X})"
        return f"{self.severity}: {self.path}: {self.message}{place}"


def words(place: Place | None) -> str:
    """A place as a path, such as ``subgraphs[0].operators[3]``; ``root`` for the root."""
    steps: list[str] = []
    while place is not None:
        place, key = place
        steps.append(f"[{key}]" if isinstance(key, int) else f".{key}")
    return "".join(reversed(steps)).lstrip(".") or "root"


class OutOfWorkError(Exception):
    """A check has said or done all that it may; caught where the check began."""


class Findings:
    """Collects findings, at most ``limit`` of each severity; the rest is counted.

    Attributes:
        is_cut_short: Whether the check ended before it had seen everything.
    """

    def __init__(self, limit: int = 100) -> None:
        self._limit = limit
        self._kept: dict[Severity, list[Finding]] = {"error": [], "warning": [], "note": []}
        self._left_out: dict[Severity, int] = {"error": 0, "warning": 0, "note": 0}
        self._alike: dict[str, tuple[str, int | None, int]] = {}
        self._end: list[Finding] = []

    def add(self, severity: Severity, path: str, offset: int | None, message: str) -> None:
        """Keeps or counts one finding. Raises OutOfWorkError where there are too many to go on."""
        kept = self._kept[severity]
        if len(kept) < self._limit:
            kept.append(Finding(severity, path, offset, message))
        else:
            self._left_out[severity] += 1
            if self._left_out[severity] > TOO_MANY:
                raise OutOfWorkError(f"there are more than {TOO_MANY} findings.")

    def full(self, severity: Severity) -> bool:
        """Whether further findings are only counted, so that nobody needs to word them."""
        return len(self._kept[severity]) >= self._limit

    def alike(self, message: str, path: str, offset: int | None) -> None:
        """A note that many places share: it is said once, with the first place and their number."""
        path, offset, count = self._alike.get(message, (path, offset, 0))
        if count or len(self._alike) < self._limit:
            self._alike[message] = path, offset, count + 1

    def end(self, error: OutOfWorkError, offset: int | None) -> None:
        """Records that the check ends early."""
        self._end.append(Finding("error", "root", offset, f"{error} The check ends here."))

    @property
    def is_cut_short(self) -> bool:
        return bool(self._end)

    def listed(self) -> list[Finding]:
        """All that was kept: errors, then warnings, then notes, each in the order in which they were found."""
        result = list(self._end)
        for severity, kept in self._kept.items():
            result += kept
            if self._left_out[severity]:
                result.append(Finding(severity, "", None, f"and {self._left_out[severity]} more of this severity."))
        for message, (path, offset, count) in self._alike.items():
            text = message if count == 1 else f"{message} The same in {count - 1} more places."
            result.append(Finding("note", path, offset, text))
        return result


class Work:
    """A bound on what one check does, so that a small file which unfolds without end cannot hold it up.

    Args:
        units: How much may be spent.
        message: What to say when it is.
    """

    __slots__ = ("_left", "_message")

    def __init__(self, units: int, message: str) -> None:
        self._left = units
        self._message = message

    def spend(self, units: int = 1) -> None:
        """Raises OutOfWorkError where nothing is left."""
        self._left -= units
        if self._left < 0:
            raise OutOfWorkError(self._message)
