"""New bytes for a place in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from unlite.storage.source import Source


class Patch(NamedTuple):
    """New bytes for a place in the file.

    Attributes:
        offset: Position in the file.
        source, start, length: Where the new bytes are.
    """

    offset: int
    source: Source
    start: int
    length: int
