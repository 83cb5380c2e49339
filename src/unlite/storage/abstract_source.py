"""What every source is: bytes at absolute offsets.

A reader asks a source for the bytes it needs, at absolute offsets, and for nothing else. Every request is
checked against the source's size first. Several threads may read one source, and a forked process may go on reading it.
What has a path, a URL, or its bytes can be pickled: whoever loads it opens the same file, or is told that it changed.
"""

from __future__ import annotations

from unlite.errors import CorruptFileError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Iterator
    from struct import Struct
    from typing import Any

CHUNK = 1 << 20


class Source:
    """Bytes at absolute offsets.

    Attributes:
        size: Length in bytes.
        name: What messages call it: a path, a URL, or ``<memory>``.
        base: Where its first byte lies in the outermost file, for the offsets that errors tell: 0, but for a part of
            another source.
    """

    size: int
    name: str
    base: int = 0

    def unpack(self, layout: Struct, offset: int) -> tuple[Any, ...]:
        """The values of ``layout`` at ``offset`` (0 or more). Raises CorruptFileError where they do not lie inside."""
        raise NotImplementedError

    def view(self, offset: int, length: int) -> memoryview:
        """``length`` bytes, read-only; no copy where they are in memory or mapped."""
        raise NotImplementedError

    def chunks(self, offset: int, length: int) -> Iterator[memoryview]:
        """The same bytes in pieces of at most 1 MiB, for bulk work in flat memory."""
        self.check(offset, length)
        for start in range(offset, offset + length, CHUNK):
            yield self.view(start, min(CHUNK, offset + length - start))

    def descriptor_at(self, offset: int) -> tuple[int, int] | None:  # noqa: ARG002 - for those that have one
        """Descriptor of the underlying file, and the place in it of byte ``offset``, for copies inside the kernel.

        None where there is no such file.
        """
        return None

    def trim(self) -> None:
        """Lets go of mapped pages; whoever reads them again gets them again. Walks over large files call it."""

    def check(self, offset: int, length: int) -> None:
        """Raises CorruptFileError unless ``length`` bytes lie at ``offset``."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise CorruptFileError(
                f"{length} bytes wanted at byte 0x{self.base + offset:X}, file ends at 0x{self.base + self.size:X}.",
                file=self.name,
                offset=self.base + offset,
                hint="The file looks cut short or damaged: compare its size with the source and fetch it again.",
            )

    def close(self) -> None:
        """Lets go of files and connections."""
