"""The records of a ZIP archive: its end records and its central directory, of 32 and 64 bits.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import CorruptFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from unlite.storage.source import Source

# Signature, versions made by and needed (no version made by in the local header), flags, method, time, date, crc,
# sizes compressed and not, lengths of name and extra; in the directory also of the comment, disk, attributes, offset.
LOCAL = Struct("<4s5H3L2H")
CENTRAL = Struct("<4s6H3L5H2L")
# Signature, this disk, the directory's disk, entries here, entries, directory's length and offset, comment's length.
END = Struct("<4s4H2LH")
# Signature, length of what follows, versions made by and needed, the same as above.
END64 = Struct("<4sQ2H2L4Q")
# Signature, disk of the 64-bit end record, its offset, number of disks.
LOCATOR = Struct("<4sLQL")
_EXTRA = Struct("<2H")
U32, U64 = Struct("<L"), Struct("<Q")

ENCRYPTED, UTF8 = 1, 1 << 11
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF


class Record(NamedTuple):
    """One entry of the central directory.

    Attributes:
        place, width: Where in the directory its offset stands, and in how many bits.
        start, end: Where in the directory the entry itself stands.
    """

    name: str
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int
    place: int
    width: Struct
    start: int
    end: int


class EndRecord(NamedTuple):
    """What the end records say, with the directory's true position."""

    directory: int
    length: int
    entries: int
    base: int
    end_record64: int | None


def comment_end(data: Buffer, position: int) -> int:
    """Where the archive ends, its comment included, whose end record stands at ``position`` of ``data``."""
    length: int = END.unpack_from(data, position)[-1]
    return position + END.size + length


def read_end_record(source: Source, position: int) -> EndRecord | None:
    """What the end record at ``position`` says; None if nothing in the file agrees with it."""
    _, *fields, _ = source.unpack(END, position)
    stop = position
    end_record64 = _end_record64(source, position)
    if end_record64:
        stop, fields64 = end_record64
        most = (FULL16,) * 4 + (FULL32,) * 2
        if any(short not in full for short, *full in zip(fields, fields64, most, strict=True)):
            return None
        fields = fields64
    disk, directory_disk, here, count, length, offset = fields
    directory = stop - length
    if disk or directory_disk or here != count or directory < 0 or count * CENTRAL.size > length:
        return None
    if count and bytes(source.view(directory, 4)) != b"PK\1\2":
        return None
    return EndRecord(directory, length, count, directory - offset, stop if end_record64 else None)


def _end_record64(source: Source, position: int) -> tuple[int, list[int]] | None:
    """Position and fields of the 64-bit end record, if its locator stands before the end record at ``position``."""
    locator = position - LOCATOR.size
    if locator < END64.size or bytes(source.view(locator, 4)) != b"PK\6\7":
        return None
    _, _, offset, _ = source.unpack(LOCATOR, locator)
    # It stands just before its locator. If it has fields of the future, only its offset tells how far before.
    for place in (locator - END64.size, offset):
        if place <= locator - END64.size:
            signature, rest, _, _, *fields = source.unpack(END64, place)
            if signature == b"PK\6\6" and place + 12 + rest == locator and fields[-1] + fields[-2] == offset:
                return place, fields
    return None


def read_directory(directory: Buffer, count: int) -> Iterator[Record]:
    """The entries of a central directory. Raises CorruptFileError unless ``count`` entries fill it."""
    view = memoryview(directory)
    position = 0
    for _ in range(count):
        after = position + CENTRAL.size
        if after > len(view):
            break
        (signature, _, _, flags, method, _, _, crc, compressed_size, size, *lengths, _, _, _, offset) = (
            CENTRAL.unpack_from(view, position)
        )
        name, extra = after + lengths[0], after + lengths[0] + lengths[1]
        start, place, width = position, position + 42, U32
        position = extra + lengths[2]
        if signature != b"PK\1\2" or position > len(view):
            break
        wide = _extra64(view, name, extra)
        if size == FULL32:
            _, size = next(wide, (0, size))
        if compressed_size == FULL32:
            _, compressed_size = next(wide, (0, compressed_size))
        if offset == FULL32 and (found := next(wide, None)):
            (place, offset), width = found, U64
        text = _text(bytes(view[after:name]), flags)
        yield Record(text, flags, method, crc, compressed_size, size, offset, place, width, start, position)
    if position != len(view):
        raise CorruptFileError("the ZIP directory does not hold what its end record says.")


def _extra64(view: memoryview, position: int, end: int) -> Iterator[tuple[int, int]]:
    """The 64-bit numbers among the extra fields of an entry, each with its place."""
    while position + _EXTRA.size <= end:
        kind, length = _EXTRA.unpack_from(view, position)
        position += _EXTRA.size
        if kind == 1:
            for place in range(position, min(position + length, end) - U64.size + 1, U64.size):
                yield place, U64.unpack_from(view, place)[0]
            return
        position += length


def _text(name: bytes, flags: int) -> str:
    """A name as text; bytes that are no UTF-8, although the entry says so, become visible escapes."""
    if flags & UTF8 or name.isascii():
        return name.decode(errors="backslashreplace")
    return name.decode("cp437")
