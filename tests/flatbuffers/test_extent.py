"""What a FlatBuffer occupies, and how often each of its objects is pointed to."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from tests.flatbuffers.flatc_judge import Flatc
from tests.flatbuffers.test_write import SHARED, holder
from tests.flatbuffers.zoo import DECLARATIONS, FULL

from unlite.errors import CorruptFileError
from unlite.flatbuffers.extent import Extent
from unlite.flatbuffers.view import root_view
from unlite.flatbuffers.wire import Wire
from unlite.storage.source import MemorySource


@pytest.mark.parametrize("behind", [b"", b"\xff" * 100])
def test_end_of_what_flatc_wrote(behind: bytes, tmp_path: Path) -> None:
    flatc = Flatc.of(tmp_path, DECLARATIONS)
    data = flatc.to_binary(json.dumps(FULL).encode())
    end = Extent(flatc.root(data + behind)).end
    assert data[end:].count(0) == len(data) - end  # nothing but padding behind it
    assert len(data) - end < 32


@pytest.mark.parametrize("name", ["aligned", "name", "numbers", "points", "names"])
def test_each_kind_may_stand_last(name: str, tmp_path: Path) -> None:
    """One object alone, so that it is the last: the end is where it ends."""
    flatc = Flatc.of(tmp_path, DECLARATIONS)
    data = flatc.to_binary(json.dumps({name: FULL[name]}).encode())
    assert 0 <= len(data) - Extent(flatc.root(data)).end < (32 if name == "aligned" else 4)


def test_references(tmp_path: Path) -> None:
    flatc = Flatc.of(tmp_path, SHARED)
    root = flatc.root(holder(a=0, b=0, text=1, other=1, numbers=2, more=2, bytes=4))
    references = Extent(root).references
    assert references[root.a._position] == 2
    assert references[root.numbers.span()[0] - 4] == 2
    assert references[root.bytes.span()[0] - 4] == 1
    string = root._wire.follow(root.a._position + 4)
    assert references[string] == 3  # twice here, once in the part, which is one table however often it is named


def test_entries_of_a_shared_vector_are_pointed_to_once(tmp_path: Path) -> None:
    flatc = Flatc.of(tmp_path, SHARED)
    data = bytearray(flatc.to_binary(b'{"parts": [{"text": "x"}], "again": []}'))
    root = flatc.root(bytes(data))
    slots = root._slots
    of = {name: root._position + slots[root._object.by_name[name].id] for name in ("parts", "again")}
    (offset,) = struct.unpack_from("<I", data, of["parts"])
    struct.pack_into("<I", data, of["again"], offset + of["parts"] - of["again"])
    root = flatc.root(bytes(data))
    assert root.again[0].text == "x"
    references = Extent(root).references
    assert references[of["parts"] + offset] == 2
    # As `parts` and as `again` the entries are looked at: the same table, named by one place of the file.
    assert references[root.parts[0]._position] in (1, 2)


def test_overlapping_vectors_end(tmp_path: Path) -> None:
    """Every word is an offset, a count and a table at once: the work stays in proportion to the file."""
    flatc = Flatc.of(tmp_path, SHARED)
    data = struct.pack("<I", 64) * 200_000
    with pytest.raises(CorruptFileError) as caught:
        Extent(root_view(Wire(MemorySource(data)), flatc.schema.root))
    assert caught.value.path
