"""Byte ranges fetched on demand, kept in blocks, with read-ahead that follows the reader.

The metadata of a FlatBuffer lies in a few long stretches, read upwards or downwards: a builder that writes back to
front puts the first table of a vector at the highest address. Weights lie between or behind. Hence the rule: a miss
close to a stretch that is held extends it, away from what is held, by up to twice its length, and takes the gap along;
a miss on its own brings its blocks alone. So requests double what is held of a stretch and more, in both directions,
up to the longest read-ahead, and no more than that is fetched in vain at each end of it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Any

from unlite.errors import TransferError
from unlite.storage.abstract_source import CHUNK, Source
from unlite.storage.forks import tell_after_fork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from struct import Struct

BLOCK = 16 << 10
HEAD = 64 << 10
"""The first request. A small model is whole with it."""
REACH = 256 << 10
"""The longest read-ahead, about what a connection carries while one more request would be under way."""
EXACT = 64 << 10
"""A longer view is taken for weights: fetched alone, to the byte, and not kept."""
BULK = 8 << 20
CACHE = 64 << 20


class BlockSource(Source):
    """Base of the sources that fetch byte ranges.

    Several threads may read: what is held is given without waiting, one fetch goes on at a time. In a forked process
    what is held stays, and a fetch never uses what the parent uses, such as a socket: ``_inherited`` sees to that.

    A subclass sets ``size``, keeps the head with ``_keep``, and says how a range is fetched.

    Args:
        name: What messages call the source.
        cache: Bytes of blocks to keep; the ones used longest ago go first.

    Attributes:
        requests: Requests made so far, those that failed or redirected among them.
        transferred: Bytes received for them, headers not counted.
    """

    def __init__(self, name: str, *, cache: int = CACHE) -> None:
        self.size = 0
        self.name = name
        self.requests = 0
        self.transferred = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._most_blocks = max(cache // BLOCK, 1)
        self._lock = RLock()  # for all that a fetch uses, and for what it adds to the blocks
        tell_after_fork(self)

    def _fetch(self, offset: int, length: int) -> bytes | bytearray:
        """Exactly ``length`` bytes of the file at ``offset``, which lie inside; counts requests and bytes.

        Raises:
            TransferError: they do not come.
        """
        raise NotImplementedError

    def _inherited(self) -> None:
        """Called in a forked process; see ``tell_after_fork``."""
        self._lock = RLock()

    def _touch(self, index: int) -> None:
        """Makes a block the one used last; another thread may have let go of it meanwhile."""
        with suppress(KeyError):
            self._blocks.move_to_end(index)

    def unpack(self, layout: Struct, offset: int) -> tuple[Any, ...]:
        index, start = divmod(offset, BLOCK)
        block = self._blocks.get(index)
        if block is None or start + layout.size > len(block):
            return layout.unpack(self.view(offset, layout.size))
        self._touch(index)
        return layout.unpack_from(block, start)

    def view(self, offset: int, length: int) -> memoryview:
        """``length`` bytes, read-only; a copy where they span blocks."""
        first, start = divmod(offset, BLOCK)
        block = self._blocks.get(first)
        if block is not None and 0 <= length <= len(block) - start:
            self._touch(first)
            return memoryview(block)[start : start + length]
        self.check(offset, length)
        with self._lock:
            return self._fetched(offset, length)

    def _fetched(self, offset: int, length: int) -> memoryview:
        """The bytes of a view that are not in one block that is held."""
        first, start = divmod(offset, BLOCK)
        last = (offset + length - 1) // BLOCK
        try:
            if length > EXACT and any(index not in self._blocks for index in range(first, last + 1)):
                return memoryview(self._fetch(offset, length)).toreadonly()
            self._load(first, last + 1)
            data = b"".join(map(self._blocks.__getitem__, range(first, last + 1)))
        except MemoryError as error:
            raise TransferError(
                f"{length} bytes do not fit into memory.", file=self.name, offset=offset, hint="Read it in chunks."
            ) from error
        for index in range(first, last + 1):
            self._blocks.move_to_end(index)
        while len(self._blocks) > self._most_blocks:
            self._blocks.popitem(last=False)
        return memoryview(data)[start : start + length]

    def chunks(self, offset: int, length: int) -> Iterator[memoryview]:
        """The same bytes in pieces of at most 1 MiB, asked for 8 MiB at a time: each request costs a round trip."""
        self.check(offset, length)
        for start in range(offset, offset + length, BULK):
            bulk = self.view(start, min(BULK, offset + length - start))
            for piece in range(0, len(bulk), CHUNK):
                yield bulk[piece : piece + CHUNK]

    def _keep(self, first: int, data: bytes | bytearray) -> None:
        """Puts fetched bytes into the cache; they start at block ``first`` and end with a block or the file."""
        pieces = memoryview(data)
        for start in range(0, len(data), BLOCK):
            self._blocks[first + start // BLOCK] = bytes(pieces[start : start + BLOCK])

    def _load(self, index: int, stop: int) -> None:
        """Fetches what is missing of blocks ``index`` to ``stop - 1``; nothing that is held is fetched again."""
        while index < stop:
            end = index
            while end < stop and end not in self._blocks:
                end += 1
            if end > index:
                low, high = self._widened(index, end)
                self._keep(low, self._fetch(low * BLOCK, min(high * BLOCK, self.size) - low * BLOCK))
            index = end + 1

    def _widened(self, low: int, high: int) -> tuple[int, int]:
        """The blocks to fetch where ``low`` to ``high - 1`` are missing: these, with gap and read-ahead."""
        wanted = high - low
        gap_below, reach_below = self._neighbour(low - 1, -1)
        gap_above, reach_above = self._neighbour(high, 1)
        upwards = gap_below + wanted <= reach_below
        downwards = gap_above + wanted <= reach_above
        if upwards and (gap_below <= gap_above or not downwards):
            low -= gap_below
            limit = low + reach_below
            while high < limit and high not in self._blocks:
                high += 1
        elif downwards:
            high += gap_above
            limit = max(high - reach_above, 0)
            while low > limit and low - 1 not in self._blocks:
                low -= 1
        return low, high

    def _neighbour(self, index: int, step: int) -> tuple[int, int]:
        """Going from ``index`` by ``step``: blocks missing before the next stretch that is held, and its read-ahead."""
        most = REACH // BLOCK
        gap = length = 0
        while gap < most and index not in self._blocks:
            gap, index = gap + 1, index + step
        while length < most and index in self._blocks:
            length, index = length + 1, index + step
        return gap, min(2 * length, most)


def public_name(url: str) -> str:
    """The URL for messages: without user, password, query and fragment, any of which may be a secret."""
    return re.sub(r"(?<=//)[^/?#]*@", "", re.split(r"[?#]", url, maxsplit=1)[0])
