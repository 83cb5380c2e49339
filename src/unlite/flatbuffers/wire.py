"""FlatBuffers on the wire: tables, vtables, offsets, vectors and strings, every step checked.

Knows positions only: no schema, no names. Positions count from the start of the source, where the buffer begins; those
in errors from the start of the file (``Source.base``).
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

from unlite.errors import CorruptFileError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from unlite.storage.source import Source

I32, U32, U64 = Struct("<i"), Struct("<I"), Struct("<Q")
TABLE = Struct("<HH")
VISITS = 64  # tables between two calls of Source.trim

DAMAGED = "The file is damaged: fetch it again, or ask 'unlite verify' for all that is wrong with it."


@lru_cache(256)
def vector_layout(count: int, code: str) -> Struct:
    """So many elements of a type as in ``struct``; the usual ones are kept."""
    return Struct(f"<{count}{code}")


class Wire:
    """Checked steps over one FlatBuffer.

    Args:
        source: Its bytes, from the first; other things may follow them. For a buffer that begins elsewhere: a Window.
    """

    __slots__ = ("_visits", "_vtable_bytes", "_vtables", "size", "source", "unpack")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.size = source.size
        self.unpack = source.unpack
        self._vtables: dict[int, tuple[int, ...]] = {}
        self._vtable_bytes = 0
        self._visits = 0

    def __reduce__(self) -> tuple[type[Wire], tuple[Source]]:
        return Wire, (self.source,)

    def __deepcopy__(self, memo: dict[int, object]) -> Wire:
        return self  # bytes never change

    def corrupt(self, message: str, offset: int) -> CorruptFileError:
        """An error at ``offset``, for the caller to raise. Places that ``message`` tells are those ``in_file``."""
        return CorruptFileError(message, file=self.source.name, offset=self.in_file(offset), hint=DAMAGED)

    def in_file(self, offset: int) -> int:
        """Where a byte of the source lies in the whole file."""
        return self.source.base + offset

    def root(self) -> int:
        """Position of the root table."""
        if self.size < 8:
            raise CorruptFileError(
                f"{self.size} bytes are too few for a FlatBuffer.", file=self.source.name, offset=self.source.base
            )
        return self.follow(0)

    def identifier(self) -> bytes:
        """The four bytes behind the root offset; they mean something only where the schema has an identifier."""
        return bytes(self.source.view(4, 4)) if self.size >= 8 else b""

    def follow(self, position: int) -> int:
        """Target of the 32-bit offset stored at ``position``."""
        (offset,) = self.unpack(U32, position)
        target: int = position + offset
        if offset == 0 or target >= self.size:
            raise self._astray(offset, position)
        return target

    def follow64(self, position: int) -> int:
        """Target of the 64-bit offset stored at ``position``."""
        (offset,) = self.unpack(U64, position)
        target: int = position + offset
        if offset == 0 or target >= self.size:
            raise self._astray(offset, position)
        return target

    def _astray(self, offset: int, position: int) -> CorruptFileError:
        place = self.in_file(position)
        return self.corrupt(f"offset {offset} at byte 0x{place:X} leads outside the file.", position)

    def slots(self, position: int) -> tuple[int, ...]:
        """Where the fields of the table at ``position`` lie, by field id, relative to it; 0 = absent."""
        self._visits += 1
        if not self._visits % VISITS:
            # Around each page that is read the kernel maps fifteen more: a walk would have the whole file resident.
            self.source.trim()
        (back,) = self.unpack(I32, position)
        vtable: int = position - back
        slots = self._vtables.get(vtable)
        if slots is None:
            slots = self._vtables[vtable] = self._read_vtable(vtable, position)
        return slots

    def _read_vtable(self, vtable: int, position: int) -> tuple[int, ...]:
        if vtable < 0 or vtable + 4 > self.size:
            place = self.in_file(position)
            raise self.corrupt(f"the table at byte 0x{place:X} has its vtable outside the file.", position)
        vtable_bytes, _ = self.unpack(TABLE, vtable)
        if vtable_bytes < 4 or vtable_bytes % 2 or vtable + vtable_bytes > self.size:
            place = self.in_file(vtable)
            raise self.corrupt(f"the vtable at byte 0x{place:X} has an impossible size, {vtable_bytes}.", vtable)
        # Kept for later: without this bound, overlapping vtables would fill many times the file's size in memory.
        self._vtable_bytes += vtable_bytes
        if self._vtable_bytes > self.size:
            # Threads that read one vtable at the same time counted it twice: count what is kept.
            kept = [4 + 2 * len(slots) for at, slots in list(self._vtables.items()) if at != vtable]
            self._vtable_bytes = vtable_bytes + sum(kept)
        if self._vtable_bytes > self.size:
            raise self.corrupt("the vtables overlap: together they are longer than the file.", vtable)
        return self.unpack(Struct(f"<{(vtable_bytes - 4) // 2}H"), vtable + 4)

    def vector(self, position: int, element_size: int) -> tuple[int, int]:
        """First byte and number of elements of the vector at ``position``."""
        (count,) = self.unpack(U32, position)
        if position + 4 + count * element_size > self.size:
            raise self._too_long(count, position)
        return position + 4, count

    def vector64(self, position: int, element_size: int) -> tuple[int, int]:
        """The same where the count has 64 bits."""
        (count,) = self.unpack(U64, position)
        if position + 8 + count * element_size > self.size:
            raise self._too_long(count, position)
        return position + 8, count

    def _too_long(self, count: int, position: int) -> CorruptFileError:
        place, end = self.in_file(position), self.in_file(self.size)
        return self.corrupt(f"vector claims {count} entries at byte 0x{place:X}, file ends at 0x{end:X}.", position)

    def string(self, position: int) -> str:
        """The string at ``position``. Bytes that are not UTF-8 come as lone surrogates and survive a rewrite."""
        start, count = self.vector(position, 1)
        return str(self.source.view(start, count), "utf-8", "surrogateescape")
