"""Sources that tell how far they were read."""

from __future__ import annotations

from unlite.cli.progress import Watched
from unlite.storage.source import MemorySource


class Piecewise(MemorySource):
    """Gives bulk bytes three at a time, and none as a view."""

    def view(self, offset: int, length: int) -> memoryview:
        raise AssertionError("bulk bytes are read in pieces")

    def chunks(self, offset: int, length: int):
        for start in range(offset, offset + length, 3):
            yield memoryview(b"0123456789")[start : min(start + 3, offset + length)]


def test_bulk_bytes_are_read_as_the_source_reads_them_and_counted_once() -> None:
    told: list[int] = []
    source = Watched(Piecewise(b"0123456789"), told.append)
    assert [bytes(piece) for piece in source.chunks(1, 7)] == [b"123", b"456", b"7"]
    assert told == [4, 3, 1]  # up to byte 4, 7 and 8
    list(source.chunks(0, 10))
    assert sum(told) == 10


def test_views_are_counted() -> None:
    told: list[int] = []
    source = Watched(MemorySource(b"0123456789"), told.append)
    assert bytes(source.view(2, 3)) == b"234"
    source.view(0, 5)
    assert told == [5]
