"""A progress bar for work that takes long: on a terminal, on standard error, and not before two seconds have passed."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from unlite.storage.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from struct import Struct

PATIENCE = 2.0  # seconds


class _Bar:
    """Appears late, so that quick work neither shows nor loads it."""

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._done = 0
        self._start = monotonic()
        self._shown: Any = None

    def advance(self, amount: int) -> None:
        self._done += amount
        if self._shown is None and monotonic() - self._start > PATIENCE:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")
            self._shown = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
            self._shown.add_task(self._title, total=self._total)
            self._shown.start()
        if self._shown is not None:
            self._shown.update(self._shown.task_ids[0], completed=self._done)

    def close(self) -> None:
        if self._shown is not None:
            self._shown.stop()


@contextmanager
def progress(title: str, total: int) -> Generator[Callable[[int], None], None, None]:
    """Gives a function that is told how much more of ``total`` is done.

    Args:
        title: What is being done.
        total: How much there is to do, in any unit.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    bar = _Bar(title, total)
    try:
        yield bar.advance
    finally:
        bar.close()


def counted(pieces: Iterable[bytes], source: Source, title: str, growth: float = 1.0) -> Iterator[bytes]:
    """Hands pieces on and shows how far they are.

    Args:
        pieces: What is made from ``source``.
        source: Its size says how much there is to do.
        title: What is being done.
        growth: Bytes of the pieces per byte of the source.
    """
    with progress(title, int(source.size * growth)) as advance:
        for piece in pieces:
            yield piece
            advance(len(piece))


class Watched(Source):
    """A source that tells how far it was read.

    Args:
        source: The bytes.
        advance: Told how many more bytes were reached.
    """

    def __init__(self, source: Source, advance: Callable[[int], object]) -> None:
        self.size, self.name = source.size, source.name
        self._source = source
        self._advance = advance
        self._reached = 0

    def unpack(self, layout: Struct, offset: int) -> tuple[Any, ...]:
        return self._source.unpack(layout, offset)

    def view(self, offset: int, length: int) -> memoryview:
        self._reach(offset + length)
        return self._source.view(offset, length)

    def chunks(self, offset: int, length: int) -> Iterator[memoryview]:
        """The pieces that the source itself gives: views of a mapped file would have all of it resident."""
        for piece in self._source.chunks(offset, length):
            offset += len(piece)
            self._reach(offset)
            yield piece

    def trim(self) -> None:
        self._source.trim()

    def _reach(self, end: int) -> None:
        if end > self._reached:
            self._advance(end - self._reached)
            self._reached = end
