"""A part of a source, which is a source of its own."""

from __future__ import annotations

from unlite.storage.abstract_source import Source

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Iterator
    from struct import Struct
    from typing import Any


class Window(Source):
    """A part of another source: a FlatBuffer behind its size prefix, a section of a bundle.

    Nothing outside the part can be reached through it. Offsets count from its first byte; those in errors from that of
    the outermost file. A window on a window reads straight from the source below both.

    Args:
        source: The whole.
        start: Where the part begins in it.
        length: Its length in bytes; None for all that follows.
        owned: Whether ``close`` closes the whole as well; else it does nothing.

    Raises:
        CorruptFileError: the part does not lie inside the whole.
    """

    def __init__(self, source: Source, start: int, length: int | None = None, *, owned: bool = False) -> None:
        self.size = source.size - start if length is None else length
        source.check(start, self.size)
        self.name = source.name
        self.base = source.base + start
        self._whole = source
        self._owned = owned
        if isinstance(source, Window):
            start, source = start + source._start, source._source
        self._start: int = start
        self._source: Source = source

    @property
    def whole(self) -> Source:
        """What it is a part of."""
        return self._whole

    def unpack(self, layout: Struct, offset: int) -> tuple[Any, ...]:
        if offset < 0 or offset + layout.size > self.size:
            self.check(offset, layout.size)
        return self._source.unpack(layout, self._start + offset)

    def view(self, offset: int, length: int) -> memoryview:
        if offset < 0 or length < 0 or offset + length > self.size:
            self.check(offset, length)
        return self._source.view(self._start + offset, length)

    def chunks(self, offset: int, length: int) -> Iterator[memoryview]:
        self.check(offset, length)
        return self._source.chunks(self._start + offset, length)

    def descriptor_at(self, offset: int) -> tuple[int, int] | None:
        return self._source.descriptor_at(self._start + offset)

    def __reduce__(self) -> tuple[Any, ...]:
        return Window, (self._whole, self.base - self._whole.base, self.size), {"_owned": self._owned}

    def trim(self) -> None:
        self._source.trim()

    def close(self) -> None:
        if self._owned:
            self._whole.close()
