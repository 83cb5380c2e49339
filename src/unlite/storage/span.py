"""A stretch of bytes in a source."""

from __future__ import annotations

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from unlite.storage.source import Source


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
