"""Views of other schemas than TFLite's: data made by flatc, and bytes laid out by hand."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from tests.flatbuffers.flatc_judge import Flatc
from tests.flatbuffers.zoo import DECLARATIONS, FULL

import unlite
from unlite.errors import CorruptFileError, InvalidTypeError, NoSuchIndexError, UnknownFieldError, UnliteError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.schema import Schema
from unlite.flatbuffers.wire import Wire
from unlite.storage.source import MemorySource


def test_scalars(cage: Any) -> None:
    assert cage.flag is False
    assert cage.optional_flag is False
    assert (cage.optional_int, cage.optional_float, cage.optional_kind) == (0, 0.0, "Bird")
    assert (cage.small, cage.wide, cage.real) == (1, 18446744073709551614, -0.5)
    assert (cage.kind, cage.legs, cage.big) == ("Cat", "Front Right", "Huge")


def test_defaults(flatc: Flatc) -> None:
    empty = flatc.root(flatc.to_binary(b"{}"))
    assert empty.flag is True
    assert empty.optional_flag is empty.optional_int is empty.optional_float is empty.optional_kind is None
    # Defaults of an unsigned field from 2^63 up are lost on the way into a .bfbs: flatc 25.12 writes 0 there.
    assert (empty.small, empty.wide, empty.real) == (-5, 9223372036854775807, 2.5)
    assert (empty.kind, empty.legs, empty.big) == ("Dog", "Back", "Small")
    assert empty.box is empty.inner is empty.name is empty.any is empty.many is empty.numbers is empty.nested is None
    assert empty.any_type == "NONE"
    assert list(v.present(empty)) == []


def test_flags_of_a_mask_that_is_not_named(flatc: Flatc) -> None:
    assert flatc.root(flatc.to_binary(b'{"legs": 0}')).legs == 0
    assert flatc.root(flatc.to_binary(b'{"legs": 15}')).legs == "Front Back Left Right"
    assert flatc.root(flatc.to_binary(b'{"legs": 17}')).legs == 17  # 16 has no name


def test_unknown_enum_value_is_its_number(flatc: Flatc) -> None:
    root = flatc.root(flatc.to_binary(b'{"kind": 99, "kinds": [3, 98]}'))
    assert root.kind == 99
    assert list(root.kinds) == ["Dog", 98]


def test_structs(cage: Any) -> None:
    assert [(corner.x, corner.y) for corner in cage.box.corners] == [(1, 2.0), (-3, 4.5)]
    assert cage.box.weights.tolist() == [7, 8, 255]
    assert cage.box.kind == "Bird"
    assert [(point.x, point["y"]) for point in cage.points] == [(1, 1.5), (2, 2.5)]
    assert v.path(cage.box.corners[1]) == "box.corners[1]"
    with pytest.raises(UnknownFieldError):
        _ = cage.box.z
    with pytest.raises(UnknownFieldError):
        cage.box["__class__"]
    with pytest.raises(InvalidTypeError):
        cage.box.kind = "Dog"


def test_tables_and_their_paths(cage: Any) -> None:
    assert cage.inner.next.next.number == 3
    assert cage.inner.next.next.next is None
    assert v.path(cage.inner.next.next) == "inner.next.next"
    assert v.path(cage.inners[2].next) == "inners[2].next"
    assert v.path(cage) == ""


def test_unions(cage: Any, flatc: Flatc) -> None:
    assert (cage.any_type, cage.any.number) == ("Alias", 9)
    assert cage.many_type.tolist() == ["Text", "Leaf", "Point", "Alias"]
    text, leaf, point, inner = cage.many
    assert (text, leaf.value, (point.x, point.y), inner.number) == ("roar", -1, (5, 6.0), 4)
    assert flatc.root(flatc.to_binary(b'{"any_type": "Text", "any": "x"}')).any == "x"
    assert flatc.root(flatc.to_binary(b'{"any_type": "Point", "any": {"x": 1, "y": 2}}')).any.y == 2.0


def test_vectors(cage: Any) -> None:
    assert list(cage.names) == ["a", "", "ü"]
    assert cage.numbers.tolist() == list(cage.numbers) == [1, -2, 2147483647]
    assert cage.floats == [0.5, -1.25]
    assert list(cage.flags) == [True, False, True]
    assert list(cage.kinds) == ["Dog", "Cat"]
    assert [entry.number for entry in cage.inners] == [5, 0, 0]
    assert (len(cage.shorts), cage.shorts.tolist(), list(cage.shorts)) == (0, [], [])


def test_sequences_behave(cage: Any) -> None:
    numbers = cage.numbers
    assert (numbers[-1], numbers[1:], numbers[::-1]) == (2147483647, [-2, 2147483647], [2147483647, -2, 1])
    assert -2 in numbers
    assert numbers.index(-2) == 1
    assert numbers != [1]
    for index in (3, -4, 10**20):
        with pytest.raises(NoSuchIndexError) as caught:
            numbers[index]
        assert isinstance(caught.value, IndexError)
        assert caught.value.path == "numbers"
    with pytest.raises(InvalidTypeError):
        numbers["0"]


def test_bulk_access(cage: Any, full: bytes) -> None:
    import numpy as np

    array = cage.numbers.numpy()
    assert (array.dtype, array.tolist()) == (np.dtype("<i4"), [1, -2, 2147483647])
    assert not array.flags.writeable
    assert np.shares_memory(array, np.frombuffer(full, "u1"))
    start, length = cage.numbers.span()
    assert full[start : start + length] == struct.pack("<3i", 1, -2, 2147483647)
    assert cage.numbers.memoryview() == full[start : start + length]


def test_nested_flatbuffer(cage: Any) -> None:
    assert cage.nested.root.number == 77
    with pytest.raises(UnknownFieldError):
        _ = cage.aligned.root


def test_keywords_and_deprecated_fields(cage: Any) -> None:
    assert (cage["class"], getattr(cage, "import")) == (12, "keyword")
    assert cage.old == 0  # deprecated; flatc does not write it
    assert [field.name for field in v.present(cage)] == [name for name in order() if name in FULL]


def order() -> list[str]:
    """The fields in the order of their ids: each union's type before its value."""
    names = [
        line.split(":")[0].strip()
        for line in DECLARATIONS.split("table Cage {")[1].split("}", maxsplit=1)[0].split(";")
    ][:-1]
    return [each for name in names for each in ((f"{name}_type", name) if name in ("any", "many") else (name,))]


def test_unknown_names(cage: Any) -> None:
    with pytest.raises(UnknownFieldError, match=r"zoo\.animals\.Cage has no field 'nose'") as caught:
        _ = cage.nose
    assert isinstance(caught.value, AttributeError)
    with pytest.raises(UnknownFieldError):
        cage["nose"]
    assert not hasattr(cage, "nose")


def test_text_of_a_table(cage: Any) -> None:
    assert str(cage.inner.next) == "Inner(number=2, next=Inner(number=3))"
    assert str(cage.box).startswith("Box(corners=<2 entries>, weights=[7, 8, 255], kind='Bird'")
    assert repr(cage.inner) == "<zoo.animals.Inner inner>"


def chain(length: int) -> bytes:
    """Inner tables by hand, each pointing to the next: a vtable with `next` at 4 for all, an empty one for the last."""
    vtables = struct.pack("<4H", 8, 8, 0, 4) + struct.pack("<2H", 4, 4)
    first = 4 + len(vtables)
    tables = [struct.pack("<iI", first + 8 * i - 4, 4) for i in range(length - 1)]
    return struct.pack("<I", first) + vtables + b"".join(tables) + struct.pack("<i", first + 8 * (length - 1) - 12)


def test_deep_chains(flatc: Flatc) -> None:
    """A table in a table, 5000 times: no recursion without bounds."""
    root = v.root_view(Wire(MemorySource(chain(5000))), flatc.schema.named("Inner"))
    assert len(str(root)) < 300
    at = root
    for _ in range(4990):
        at = at.next
    assert at.number == 0
    at.number = 4
    assert v.path(at).count("next") == 4990
    again = root
    for _ in range(4990):
        again = again.next
    assert again.number == 4


# -- the wire by hand ------------------------------------------------------------------------------


def test_vtable_behind_its_table(flatc: Flatc) -> None:
    # root offset 4; at 4 the table: soffset = 4 - 12 = -8 puts the vtable to 12; number (id 0) at 4 + 4 would need
    # 8 bytes, so the table is: i32 soffset, then u64 at offset 4. The vtable follows at 4 + 12 = 16: soffset -12.
    data = struct.pack("<Ii", 4, -12) + struct.pack("<Q", 99) + struct.pack("<3H", 6, 12, 4)
    assert v.root_view(Wire(MemorySource(data)), flatc.schema.named("Inner")).number == 99


def test_shared_vtable_of_other_types(flatc: Flatc) -> None:
    # One vtable (4 + 2 slots) at 8 for an Inner at 16 whose `next` (slot 1) leads to another Inner at 32 with it.
    data = struct.pack("<II", 16, 0) + struct.pack("<4H", 8, 16, 8, 4)
    data += struct.pack("<iIQ", 16 - 8, 12, 5) + struct.pack("<iIQ", 32 - 8, 0, 6)
    root = v.root_view(Wire(MemorySource(data)), flatc.schema.named("Inner"))
    assert (root.number, root.next.number) == (5, 6)


def test_fields_of_a_newer_schema(flatc: Flatc, full: bytes) -> None:
    older = flatc.schema.named("Leaf")
    assert v.unknown_fields(flatc.root(full)) == []
    data = struct.pack("<I", 14) + struct.pack("<5H", 10, 12, 4, 0, 8) + struct.pack("<iii", 10, 7, 8)
    leaf = v.root_view(Wire(MemorySource(data)), older)
    assert leaf.value == 7
    assert v.unknown_fields(leaf) == [2]


HOSTILE = {
    "nothing": b"",
    "four bytes": b"\4\0\0\0",
    "root outside": struct.pack("<IIII", 1000, 0, 0, 0),
    "root of zero": struct.pack("<IIII", 0, 0, 0, 0),
    "vtable before the file": struct.pack("<IiII", 4, 1000, 0, 0),
    "vtable behind the file": struct.pack("<IiII", 4, -1000, 0, 0),
    "vtable of odd size": struct.pack("<IiHHI", 4, -4, 5, 4, 0),
    "vtable of size 0": struct.pack("<IiHHI", 4, -4, 0, 4, 0),
    "vtable too long": struct.pack("<IiHHI", 4, -4, 60000, 4, 0),
    "root at the last byte": struct.pack("<III", 11, 0, 0),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_roots(data: bytes, flatc: Flatc) -> None:
    with pytest.raises(CorruptFileError) as caught:
        v.root_view(Wire(MemorySource(data)), flatc.schema.named("Inner"))
    assert caught.value.path == "root"


def test_every_cut_is_read_or_refused(flatc: Flatc, full: bytes) -> None:
    for length in range(len(full)):
        read_all(flatc, full[:length])


def test_every_word_overwritten_is_read_or_refused(flatc: Flatc, full: bytes) -> None:
    for position in range(0, len(full) - 4, 4):
        for word in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x10):
            data = bytearray(full)
            struct.pack_into("<I", data, position, word)
            read_all(flatc, bytes(data))


def read_all(flatc: Flatc, data: bytes) -> None:
    def read(value: Any, depth: int = 0) -> None:
        if depth > 12:
            return
        try:
            if isinstance(value, v.Table):
                for field in v.present(value):
                    read_field(value, field.name, depth)
            elif isinstance(value, v.Struct):
                for field in value._object.fields:
                    read_field(value, field.name, depth)
            elif isinstance(value, v.Vector):
                for index in range(min(len(value), 5)):
                    read_entry(value, index, depth)
        except UnliteError as error:
            raise AssertionError("fields fail one by one") from error

    def read_field(value: Any, name: str, depth: int) -> None:
        try:
            found = value[name]
        except UnliteError as error:
            assert error.path
            return
        read(found, depth + 1)

    def read_entry(value: Any, index: int, depth: int) -> None:
        try:
            found = value[index]
        except UnliteError as error:
            assert error.path
            return
        read(found, depth + 1)

    try:
        root = flatc.root(data)
    except UnliteError as error:
        assert error.path == "root"
        return
    read(root)
    try:
        str(root)
    except UnliteError as error:
        assert error.path


def test_overlapping_vtables_take_no_memory(flatc: Flatc) -> None:
    """Each table of a vector with a long vtable of its own, all overlapping: refused before they fill the memory."""
    count = 2000
    # Words of value 8000: as vtable: 8000 bytes of it; as soffset: the vtable lies 8000 bytes before.
    word = struct.pack("<I", 8000)
    data = bytearray(word * (8 * count))
    owner = flatc.schema.named("Inner")
    wire = Wire(MemorySource(bytes(data)))
    with pytest.raises(CorruptFileError, match="overlap"):
        _ = [v.view_type(owner)(wire, 8000 + 4 * i, None, "") for i in range(count)]
    assert sum(map(len, wire._vtables.values())) <= len(data)


# -- the front door --------------------------------------------------------------------------------


def test_open_any_flatbuffer(flatc: Flatc, full: bytes, tmp_path: Path) -> None:
    file = tmp_path / "cage.bin"
    file.write_bytes(full)
    compiled = flatc._folder / "judged.bfbs"
    for schema in (str(compiled), compiled, compiled.read_bytes(), flatc.schema, flatc._declarations):
        assert unlite.flatbuffers.open(file, schema).name == "Löwe"
    assert unlite.flatbuffers.open(full, compiled).name == "Löwe"


def test_open_with_another_root(flatc: Flatc, full: bytes) -> None:
    nested = bytes(flatc.root(full).nested)
    assert unlite.flatbuffers.open(nested, flatc.schema, root="Inner").number == 77
    assert unlite.flatbuffers.open(nested, flatc.schema, root="zoo.animals.Inner").number == 77
    with pytest.raises(unlite.UnliteError, match="identifier"):
        unlite.flatbuffers.open(nested, flatc.schema)
    with pytest.raises(unlite.UnliteError, match="no table 'Nope'"):
        unlite.flatbuffers.open(nested, flatc.schema, root="Nope")


def test_size_prefix(flatc: Flatc, full: bytes, tmp_path: Path) -> None:
    (flatc._folder / "prefixed.json").write_bytes(json.dumps(FULL).encode())
    flatc._run("--binary", "--size-prefixed", str(flatc._declarations), str(flatc._folder / "prefixed.json"))
    (prefixed,) = (path.read_bytes() for path in flatc._folder.glob("prefixed.bin"))
    assert struct.unpack_from("<I", prefixed) == (len(prefixed) - 4,)
    assert unlite.flatbuffers.open(prefixed, flatc.schema).inner.next.next.number == 3
    assert unlite.flatbuffers.open(prefixed, flatc.schema, size_prefixed=True).name == "Löwe"
    assert unlite.flatbuffers.open(full, flatc.schema, size_prefixed=False).name == "Löwe"


def test_what_is_no_schema(flatc: Flatc, tmp_path: Path) -> None:
    for wrong in (b"", b"x" * 100, b"BFBS" * 4):
        with pytest.raises(unlite.UnliteError):
            unlite.flatbuffers.open(b"\0" * 64, wrong)
    with pytest.raises(unlite.UnliteError, match="opened"):
        unlite.flatbuffers.open(b"\0" * 64, tmp_path / "missing.bfbs")
    bad = tmp_path / "bad.fbs"
    bad.write_text("table {")
    with pytest.raises(unlite.UnliteError, match="does not compile"):
        unlite.flatbuffers.open(b"\0" * 64, bad)
    assert isinstance(flatc.schema, Schema)


@pytest.fixture
def wide(tmp_path: Path) -> Flatc:
    return Flatc.of(
        tmp_path,
        """
        table Wide { numbers: [ubyte] (vector64); far: [int] (offset64); text: string (offset64); near: int; }
        root_type Wide;
        """,
    )


def test_64_bit_offsets(wide: Flatc) -> None:
    root = wide.root(wide.to_binary(b'{"far": [-1, 2], "text": "far away", "near": 4}'))
    assert (root.far.tolist(), root.text, root.near, root.numbers) == ([-1, 2], "far away", 4, None)


def test_64_bit_vectors(wide: Flatc) -> None:
    # By hand, because flatc 25.12 leaves four bytes between count and elements when it reads them from JSON.
    # At 4 the vtable: 6 bytes, a table of 12, numbers at 4; at 12 the table: soffset 8, u64 offset 8 from byte 16 to
    # 24; there a u64 count of 3 and the elements.
    data = struct.pack("<I3HH", 12, 6, 12, 4, 0) + struct.pack("<iQ", 8, 8) + struct.pack("<Q3B", 3, 1, 2, 3)
    assert wide.root(data).numbers.tolist() == [1, 2, 3]
    for length in range(len(data)):
        read_all(wide, data[:length])
    huge = data[:24] + struct.pack("<Q", 2**64 - 8) + data[32:]
    with pytest.raises(CorruptFileError):
        _ = wide.root(huge).numbers


@pytest.mark.parametrize("name", ["name", "inner", "numbers", "any", "many", "names", "nested"])
def test_an_offset_of_zero_leads_nowhere(name: str, flatc: Flatc, full: bytes) -> None:
    data = bytearray(full)
    root: Any = flatc.root(full)
    at = root._position + root._slots[root._object.by_name[name].id]
    struct.pack_into("<I", data, at, 0)
    with pytest.raises(CorruptFileError, match="offset 0") as caught:
        flatc.root(bytes(data))[name]
    assert (caught.value.path, caught.value.offset) == (name, at)
