"""Lines of written source, and how long statements are broken into several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlite.pytorch.source.layers import Place

WIDTH = 120  # characters of a line


@dataclass
class Line:
    """A line of source.

    Attributes:
        text: Without the indentation of its class.
        places: The operators that it stands for.
    """

    text: str
    places: list[Place] = field(default_factory=list)


def wrapped(text: str, indent: int = 8) -> list[str]:
    """A statement as lines that are not too long: what its longest brackets hold, cut at the commas.

    Args:
        text: The statement; one without commas in brackets stays as it is.
        indent: Characters that are put before each line.
    """
    if len(text) + indent <= WIDTH:
        return [text]
    start, cuts = max(_groups(text), key=lambda group: group[1][-1] - group[0], default=(0, []))
    if not cuts or cuts[-1] == start + 1:
        return [text]
    parts = [text[a + 1 : b].strip() for a, b in zip([start, *cuts[:-1]], cuts, strict=True)]
    lines: list[str] = [text[: start + 1]]
    for part in filter(None, parts):
        is_end = lines[-1].lstrip()[:1] in (")", "]", "}")
        if len(lines) > 1 and not is_end and len(lines[-1]) + len(part) + indent + 2 <= WIDTH:
            lines[-1] += f" {part},"
        else:
            lines += [f"    {line}" for line in wrapped(part, indent + 5)]
            lines[-1] += ","
    if len(lines) == 2 and len(parts) > 1:
        lines[1] = lines[1].removesuffix(",")
    return [*lines, text[cuts[-1] :]]


def _groups(text: str) -> list[tuple[int, list[int]]]:
    """The outermost brackets: where they open; where the commas inside and the end are. None inside strings."""
    groups: list[tuple[int, list[int]]] = []
    depth, quote, is_escaped = 0, "", False
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote and not is_escaped else quote
            is_escaped = char == "\\" and not is_escaped
        elif char in "\"'":
            quote = char
        elif char in "([{":
            if not depth:
                groups.append((place, []))
            depth += 1
        elif char in ")]}":
            depth -= 1
            if not depth:
                groups[-1][1].append(place)
        elif char == "," and depth == 1:
            groups[-1][1].append(place)
    return [group for group in groups if group[1]]
