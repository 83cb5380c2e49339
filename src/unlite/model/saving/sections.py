"""Data behind a FlatBuffer: pieces that get their offsets once the FlatBuffer's own length is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlite.errors import CorruptFileError
from unlite.flatbuffers.nodes import Late
from unlite.flatbuffers.write import UNFOLDING

if TYPE_CHECKING:
    from unlite.storage.sink import Sink
    from unlite.storage.source import Source

ALIGN = 16
OVERREAD = 16  # XNNPACK reads past the last weight; the converter leaves as many zeros there


class Pieces:
    """Stretches of sources, in order, equal ones kept once.

    Attributes:
        spans: Source, start and length of each.
    """

    def __init__(self) -> None:
        self.spans: dict[tuple[int, int, int], tuple[Source, int, int]] = {}
        self._late: dict[tuple[int, int, int], Late] = {}
        self._taken: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.spans)

    def add(self, source: Source, start: int, length: int) -> Late:
        """Takes a stretch; its offset in the new file is in the result once ``place`` was called."""
        key = (id(source), start, length)
        if key not in self.spans:
            source.check(start, length)
            taken = self._taken[id(source)] = self._taken.get(id(source), 0) + length
            if taken > UNFOLDING * source.size:
                message = "the data behind the FlatBuffer overlaps many times."
                raise CorruptFileError(message, file=source.name, path="buffers", offset=source.base + start)
            self.spans[key] = source, start, length
            self._late[key] = Late()
        return self._late[key]

    def place(self, at: int) -> int:
        """Gives every piece its offset, from ``at`` on, each a multiple of 16; returns the end."""
        for key, (_, _, length) in self.spans.items():
            at += -at % ALIGN
            self._late[key].value = at
            at += length
        return at

    def write(self, sink: Sink) -> None:
        """Streams the pieces to the places that they were given."""
        for key, (source, start, length) in self.spans.items():
            sink.write(bytes(self._late[key].value - sink.position))
            sink.copy(source, start, length)
