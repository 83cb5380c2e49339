"""Rows of the benchmark table, printed for people or as Markdown."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        what: What was measured.
        today: Today's way, measured in the same run.
        ours: What unlite took.
        ratio: Ours against the yardstick that the limit names, or "".
        limit: The most it may be, or "" where the row only informs.
        ok: "yes", "NO", or "" without a limit.
    """

    what: str
    today: str
    ours: str
    ratio: str = ""
    limit: str = ""
    ok: str = ""


def against(what: str, ours: float, yardstick: float, limit: float, *, today: str) -> Row:
    """A row about processor time as a multiple of a yardstick's."""
    ratio = ours / yardstick
    return Row(what, today, seconds(ours), times(ratio), f"<= {times(limit)}", verdict(ratio <= limit))


def within(what: str, ours: float, limit: float, unit: str, *, today: str) -> Row:
    """A row about a plain quantity: ``unit`` is "MiB" or "MB" (of bytes), "s", or the name of what is counted."""
    return Row(what, today, quantity(ours, unit), "", f"<= {quantity(limit, unit)}", verdict(ours <= limit))


def verdict(fine: bool) -> str:
    """How a row says whether its limit is kept."""
    return "yes" if fine else "NO"


def seconds(value: float) -> str:
    """Seconds with three digits."""
    return f"{value:.3g} s"


def times(value: float) -> str:
    """A ratio; below 1 as a fraction of one."""
    return f"{value:.2f}x" if value >= 1 else f"1/{1 / value:.1f}"


def quantity(value: float, unit: str) -> str:
    """A number with its unit; bytes come in the unit asked for."""
    if unit == "s":
        return seconds(value)
    scale = {"MiB": 1 << 20, "MB": 1_000_000}.get(unit, 1)
    return f"{value / scale:.1f} {unit}" if scale > 1 else f"{value:.0f} {unit}"


def markdown(rows: Sequence[Row]) -> str:
    """The rows of a Markdown table, with its head."""
    names = [field.name for field in fields(Row)]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in astuple(row))} |" for row in rows]
    return "\n".join(lines)


def plain(rows: Sequence[Row]) -> str:
    """The rows in columns."""
    cells = [tuple(field.name for field in fields(Row)), *(astuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
