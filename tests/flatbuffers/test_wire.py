"""Bounds on what a walk over tables keeps, and threads that read the same tables."""

from __future__ import annotations

import struct

import pytest

from unlite.errors import CorruptFileError
from unlite.flatbuffers.wire import Wire
from unlite.storage.source import MemorySource

VTABLE = struct.pack("<HH", 4 + 2 * 4, 4) + bytes(2 * 4)  # four absent fields
FILE = struct.pack("<I", 4 + 4 + len(VTABLE)) + b"ABCD" + VTABLE + struct.pack("<i", len(VTABLE))


def test_a_vtable_that_threads_read_at_once_is_counted_once() -> None:
    """Both find it absent, and both count it: as often as that, it would be longer than the file."""
    wire = Wire(MemorySource(FILE))
    root = wire.root()
    assert wire.slots(root) == (0, 0, 0, 0)
    for _ in range(10):
        assert wire._read_vtable(root - len(VTABLE), root) == (0, 0, 0, 0)
    wire._vtables.clear()
    assert wire.slots(root) == (0, 0, 0, 0)


def test_vtables_that_overlap_are_refused() -> None:
    """Vtables of 16 bytes each, 4 bytes apart: before long, they are more than the file."""
    data = bytearray(400)
    for place in range(0, 384, 4):
        struct.pack_into("<HH", data, place, 16, 4)
    wire = Wire(MemorySource(bytes(data)))

    def read_all() -> None:
        for place in range(0, 384, 4):
            wire._vtables[place] = wire._read_vtable(place, place)

    with pytest.raises(CorruptFileError, match="the vtables overlap"):
        read_all()
    assert 20 < len(wire._vtables) <= 25  # 25 times 16 bytes are the file
