"""Written FlatBuffers, read by flatc and by Google's library; what was read is written again, sharing kept."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.flatbuffers.flatc_judge import Flatc
from tests.flatbuffers.test_view import chain
from tests.flatbuffers.zoo import DECLARATIONS, FULL
from tests.strategies import tables, tree

from unlite.errors import CorruptFileError, InvalidTypeError, InvalidValueError, LostFieldsError, SaveError, UnliteError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.nodes import Late
from unlite.flatbuffers.schema import Schema
from unlite.flatbuffers.wire import Wire
from unlite.flatbuffers.write import Plan, build
from unlite.storage.sink import MemorySink
from unlite.storage.source import MemorySource


def rewritten(root: v.Table, identifier: bytes = b"", **options: Any) -> bytes:
    sink = MemorySink()
    plan = Plan(root._object, root, identifier=identifier, **options)
    plan.write(sink)
    assert plan.size == len(sink.value())
    return sink.value()


def values(flatc: Flatc) -> dict[str, Any]:
    """FULL as ``build`` takes it: nested buffers as bytes."""
    return {**FULL, "nested": build(flatc.schema.named("Inner"), FULL["nested"])}


def as_json(flatc: Flatc, data: bytes) -> Any:
    return json.loads(flatc.to_text(data, "--strict-json"))


def test_built_from_plain_values(flatc: Flatc, full: bytes) -> None:
    data = build(flatc.schema.root, values(flatc), b"ZOO1")
    assert as_json(flatc, data) == as_json(flatc, full)
    assert data[4:8] == b"ZOO1"


def test_rewritten_from_views(flatc: Flatc, full: bytes) -> None:
    root = flatc.root(full)
    data = rewritten(root, b"ZOO1")
    assert as_json(flatc, data) == as_json(flatc, full)
    assert tree(flatc.root(data)) == tree(root)
    assert rewritten(flatc.root(data), b"ZOO1") == data


def test_views_among_plain_values(flatc: Flatc, full: bytes) -> None:
    root = flatc.root(full)
    mixed = {
        "inner": root.inner,
        "inners": [root.inner.next, {"number": 3}],
        "points": [root.points[1], {"x": 9, "y": 9.0}],
        "numbers": root.numbers,
        "names": root.names,
        "any_type": "Alias",
        "any": root.any,
        "many_type": root.many_type,
        "many": root.many,
        "box": root.box,
    }
    found = as_json(flatc, build(flatc.schema.root, mixed))
    assert found["inners"] == [FULL["inner"]["next"], {"number": 3}]
    assert found["points"] == [FULL["points"][1], {"x": 9, "y": 9.0}]
    for name in ("inner", "numbers", "names", "any", "many", "many_type", "box"):
        assert found[name] == FULL[name], name


def test_alignment(flatc: Flatc) -> None:
    """Elements at multiples of their size, structs of their largest field, force_align of what it says."""
    for length in range(1, 70):
        data = build(flatc.schema.root, {"name": "x" * length, **{k: values(flatc)[k] for k in FULL if k != "name"}})
        root = flatc.root(data)
        assert root.aligned.span()[0] % 32 == 0
        assert root.numbers.span()[0] % 4 == 0
        assert root.points._start % 8 == 0  # a double inside
        assert root.nested.span()[0] % 16 == 0
        assert root.many[2]._position % 8 == 0
        for table in tables(root):
            assert table._position % 4 == 0
            for field in v.present(table):
                assert (table._position + table._slots[field.id]) % field.inline()[1] == 0, field.name


def test_strings_end_with_zero(flatc: Flatc) -> None:
    data = build(flatc.schema.root, {"names": ["", "abc", "four"]})
    for position in (flatc.root(data)._wire.follow(flatc.root(data).names._start + 4 * i) for i in range(3)):
        (length,) = struct.unpack_from("<I", data, position)
        assert data[position + 4 + length] == 0


def test_defaults_are_left_out_unless_stored(flatc: Flatc) -> None:
    assert list(v.present(flatc.root(build(flatc.schema.root, {"small": -5, "kind": "Dog", "flag": True})))) == []
    present = flatc.root(build(flatc.schema.root, {"optional_int": 0, "optional_flag": False, "real": -0.0}))
    assert [field.name for field in v.present(present)] == ["optional_flag", "optional_int", "real"]
    # A default that a file stores all the same stays stored. By hand: vtable of `small` (id 5), table with -5.
    data = struct.pack("<I", 20) + struct.pack("<8H", 16, 8, 0, 0, 0, 0, 0, 4) + struct.pack("<ibxxx", 16, -5)
    assert [field.name for field in v.present(flatc.root(data))] == ["small"]
    assert [field.name for field in v.present(flatc.root(rewritten(flatc.root(data))))] == ["small"]


def test_minus_zero_is_not_the_default_of_zero(tmp_path_factory: pytest.TempPathFactory) -> None:
    flatc = Flatc.of(tmp_path_factory.mktemp("zero"), "table F { f: float; d: double; } root_type F;")
    root: Any = flatc.root(build(flatc.schema.root, {"f": -0.0, "d": 0.0}))
    assert str(root.f) == "-0.0"
    assert [field.name for field in v.present(root)] == ["f"]


def test_text_that_is_no_utf8_survives(flatc: Flatc) -> None:
    data = build(flatc.schema.root, {"name": b"\xff\xfe x", "names": [b"\x80"], "any_type": "Text", "any": b"\xc3"})
    root = flatc.root(data)
    assert root.name == "\udcff\udcfe x"
    again = flatc.root(rewritten(root))
    assert (again.name, again.names[0], again.any) == ("\udcff\udcfe x", "\udc80", "\udcc3")
    assert build(flatc.schema.root, {"name": root.name}) == build(flatc.schema.root, {"name": b"\xff\xfe x"})
    with pytest.raises(InvalidValueError):
        build(flatc.schema.root, {"name": "\ud800"})


# -- sharing: files by hand, in which two offsets lead to one object -------------------------------

SHARED = """
table Part { text: string; numbers: [int]; part: Part; parts: [Part]; texts: [string]; }
table Holder { a: Part; b: Part; text: string; other: string; numbers: [int]; more: [int]; parts: [Part]; again: [Part];
               bytes: [ubyte] (force_align: 16); same_bytes: [ubyte] (force_align: 16); }
root_type Holder;
"""


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Flatc:
    return Flatc.of(tmp_path_factory.mktemp("sharing"), SHARED)


def holder(**targets: int) -> bytes:
    """A Holder whose fields lead to the given ones of a few objects: 0 a Part, 1 a string, 2 numbers, 3 parts, 4 bytes.

    Layout: root offset; vtable (4 + 10 slots); table (soffset, 10 offsets); then the objects.
    """
    names = ["a", "b", "text", "other", "numbers", "more", "parts", "again", "bytes", "same_bytes"]
    vtable_at, table_at = 4, 4 + 24
    vtable = struct.pack("<12H", 24, 44, *(4 + 4 * i if name in targets else 0 for i, name in enumerate(names)))
    part_at = table_at + 44
    # Part: vtable (text only) 6 bytes, padding, table (soffset 8, offset to the string)
    part = struct.pack("<3HH", 6, 8, 4, 0)
    part_table = part_at + 8
    string_at = part_table + 8
    numbers_at = string_at + 12
    parts_at = numbers_at + 12
    bytes_at = parts_at + 12
    places = [part_table, string_at, numbers_at, parts_at, bytes_at]
    offsets = [places[targets[name]] - (table_at + 4 + 4 * i) if name in targets else 0 for i, name in enumerate(names)]
    data = struct.pack("<I", table_at) + vtable + struct.pack("<i10I", table_at - vtable_at, *offsets)
    data += part + struct.pack("<iI", 8, string_at - part_table - 4)
    data += struct.pack("<I6sxx", 6, b"shared") + struct.pack("<Iii", 2, 10, 20)
    # two entries of one vector, both the same Part
    data += struct.pack("<III", 2, 2**32 - (parts_at + 4 - part_table), 2**32 - (parts_at + 8 - part_table))
    return data + struct.pack("<I4B", 4, 1, 2, 3, 4)


def test_sharing_is_kept(sharing: Flatc) -> None:
    data = holder(a=0, b=0, text=1, other=1, numbers=2, more=2, bytes=4, same_bytes=4)
    again = rewritten(sharing.root(data))
    root = sharing.root(again)
    assert tree(root) == tree(sharing.root(data))
    assert root.a._position == root.b._position
    assert root.numbers.span() == root.more.span()
    assert root.bytes.span() == root.same_bytes.span()
    wire = root._wire
    at = {name: wire.follow(root._position + root._slots[root._object.by_name[name].id]) for name in ("text", "other")}
    assert at["text"] == at["other"]
    assert wire.follow(root.a._position + root.a._slots[0]) == at["text"]
    assert again.count(b"shared") == 1
    assert len(again) <= len(data)


def test_sharing_ends_where_one_user_is_changed(sharing: Flatc) -> None:
    root = sharing.root(holder(a=0, b=0, text=1, other=1, numbers=2, more=2))
    root.a.text = "mine"
    root.numbers = [1]
    again = sharing.root(rewritten(root))
    assert (again.a.text, again.b.text, again.text, again.other) == ("mine", "shared", "shared", "shared")
    assert (list(again.numbers), list(again.more)) == ([1], [10, 20])


def test_backward_offsets_are_refused(sharing: Flatc) -> None:
    """An unsigned offset that wraps round leads nowhere; the view says so, and the writer too."""
    root = sharing.root(holder(parts=3))
    with pytest.raises(CorruptFileError) as caught:
        root.parts[0]
    assert caught.value.path == "parts[0]"
    with pytest.raises(CorruptFileError) as caught:
        rewritten(root)
    assert caught.value.path


def test_doubling_takes_no_time(sharing: Flatc) -> None:
    """A DAG of 60 levels, each of which names the next twice: 2^60 paths, 60 tables."""
    levels = 60
    # vtable for `parts` (id 3) alone: 12 bytes. Each level: table (soffset, offset) + vector of two offsets = 20 bytes.
    data = struct.pack("<I", 4 + 12) + struct.pack("<6H", 12, 8, 0, 0, 0, 4)
    for level in range(levels):
        at = 16 + 20 * level
        last = level == levels - 1
        data += struct.pack("<iI", at - 4, 4)
        data += struct.pack("<III", 0 if last else 2, 8, 4)
    root = v.root_view(Wire(MemorySource(data)), sharing.schema.named("Part"))
    again = rewritten(root)
    assert len(again) <= len(data)
    assert len(list(tables(v.root_view(Wire(MemorySource(again)), sharing.schema.named("Part"))))) == levels


def test_depth_is_bounded(flatc: Flatc) -> None:
    inner = flatc.schema.named("Inner")
    shallow = v.root_view(Wire(MemorySource(chain(100))), inner)
    assert len(rewritten(shallow)) > 0
    with pytest.raises(CorruptFileError, match="nested"):
        rewritten(v.root_view(Wire(MemorySource(chain(5000))), inner))
    nested: dict[str, Any] = {}
    for _ in range(5000):
        nested = {"next": nested}
    with pytest.raises(UnliteError, match="nested"):
        build(inner, nested)


def test_overlapping_parts_do_not_fill_the_disk(sharing: Flatc) -> None:
    """Vectors that overlap: 4 kB of them would unfold to megabytes."""
    words = 4000
    # A vector of Parts; Part i has `numbers` (id 1) at word i of a field of counts, each as long as it can be.
    parts = 500
    table = struct.pack("<4H", 8, 8, 0, 4)
    first = 4 + 8 + 12 + 4 + 4 * parts  # root offset, vtable, root table with its vtable, vector
    root_vtable = struct.pack("<6H", 12, 8, 0, 0, 0, 4)
    data = struct.pack("<I", 4 + 8 + 12) + table + root_vtable + struct.pack("<iI", 12, 4)
    vector_at = len(data)
    tables_at = vector_at + 4 + 4 * parts
    data += struct.pack("<I", parts) + b"".join(
        struct.pack("<I", tables_at + 8 * i - (vector_at + 4 + 4 * i)) for i in range(parts)
    )
    field_at = tables_at + 8 * parts
    for i in range(parts):
        at = tables_at + 8 * i
        data += struct.pack("<iI", at - 4, field_at + 4 * i - (at + 4))
    data += b"".join(struct.pack("<I", words - 1 - i) for i in range(words))
    assert first
    root = v.root_view(Wire(MemorySource(data)), sharing.schema.named("Part"))
    assert len(root.parts[499].numbers) == words - 500
    with pytest.raises(CorruptFileError, match="overlap"):
        rewritten(root)


# -- what the schema does not know -----------------------------------------------------------------

NEWER = DECLARATIONS.replace("shorts: [short];", "shorts: [short]; extra: int; extra_text: string;").replace(
    "Text: string }", "Text: string, Leaf2: Leaf }"
)


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Flatc:
    return Flatc.of(tmp_path_factory.mktemp("newer"), NEWER)


def test_unknown_fields_are_refused_or_dropped(flatc: Flatc, newer: Flatc) -> None:
    root = flatc.root(newer.to_binary(b'{"name": "n", "extra": 5, "extra_text": "t"}'))
    known = len(root._object.fields)
    assert v.unknown_fields(root) == [known, known + 1]
    with pytest.raises(LostFieldsError) as caught:
        rewritten(root)
    assert caught.value.fields == [f"root, field id {known}", f"root, field id {known + 1}"]
    assert as_json(newer, rewritten(root, drop_unknown=True)) == {"name": "n"}


def test_unknown_union_members_are_refused_or_dropped(flatc: Flatc, newer: Flatc) -> None:
    text = b"""{"name": "n", "any_type": "Leaf2", "any": {"value": 1},
                "many_type": ["Leaf", "Leaf2", "Text"], "many": [{"value": 2}, {"value": 3}, "x"]}"""
    root = flatc.root(newer.to_binary(text))
    assert root.any_type == 5
    assert isinstance(root.any, v.UnknownUnion)
    assert isinstance(root.many[1], v.UnknownUnion)
    with pytest.raises(LostFieldsError) as caught:
        rewritten(root)
    assert sorted(caught.value.fields) == ["any, union type 5", "many[1], union type 5"]
    data = rewritten(root, drop_unknown=True)
    dropped = flatc.root(data)
    assert (dropped.any_type, dropped.any) == ("NONE", None)
    assert dropped.many_type.tolist() == ["Leaf", "NONE", "Text"]
    assert [entry if entry is None or isinstance(entry, str) else entry.value for entry in dropped.many] == [
        2,
        None,
        "x",
    ]


# -- values that do not fit ------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"small": 128}, InvalidValueError, "small"),
    ({"small": 1.5}, InvalidTypeError, "small"),
    ({"small": "x"}, InvalidTypeError, "small"),
    ({"small": None, "numbers": [1, 2**31]}, InvalidValueError, "numbers[1]"),
    ({"numbers": [1, "x"]}, InvalidTypeError, "numbers[1]"),
    ({"numbers": 5}, InvalidTypeError, "numbers"),
    ({"numbers": b"12345"}, InvalidValueError, "numbers"),
    ({"kind": "Fish"}, InvalidValueError, "kind"),
    ({"kinds": ["Cat", "Fish"]}, InvalidValueError, "kinds[1]"),
    ({"flag": 2}, InvalidTypeError, "flag"),
    ({"real": 10**400}, InvalidValueError, "real"),
    ({"optional_float": 1e300}, InvalidValueError, "optional_float"),
    ({"name": 5}, InvalidTypeError, "name"),
    ({"names": "abc"}, InvalidTypeError, "names"),
    ({"names": ["a", 5]}, InvalidTypeError, "names[1]"),
    ({"inner": 5}, InvalidTypeError, "inner"),
    ({"inner": {"nose": 1}}, InvalidValueError, "inner"),
    ({"inners": [{}, 5]}, InvalidTypeError, "inners[1]"),
    ({"box": {}}, InvalidValueError, "box"),
    ({"points": [{"x": 1}]}, InvalidValueError, "points[0]"),
    ({"any": {"value": 1}}, InvalidValueError, "any"),
    ({"any_type": "Fish", "any": {}}, InvalidValueError, "any"),
    ({"many_type": ["Leaf"], "many": [{}, {}]}, InvalidValueError, "many"),
    ({"many": [{}]}, InvalidValueError, "many"),
    ({"nose": 1}, InvalidValueError, ""),
]


@pytest.mark.parametrize(("value", "kind", "path"), WRONG, ids=lambda value: str(value)[:40])
def test_values_that_do_not_fit(value: dict[str, Any], kind: type[Exception], path: str, flatc: Flatc) -> None:
    with pytest.raises(kind) as caught:
        build(flatc.schema.root, value)
    assert isinstance(caught.value, UnliteError)
    assert (caught.value.path or "").startswith(path)


def test_a_table_of_another_type_is_refused(flatc: Flatc, full: bytes) -> None:
    with pytest.raises(InvalidTypeError, match="Inner"):
        build(flatc.schema.root, {"inner": flatc.root(full)})


def test_required_fields(tmp_path_factory: pytest.TempPathFactory) -> None:
    flatc = Flatc.of(tmp_path_factory.mktemp("required"), "table R { a: string (required); b: int; } root_type R;")
    with pytest.raises(InvalidValueError, match="'a'"):
        build(flatc.schema.root, {"b": 1})
    with pytest.raises(InvalidValueError, match="'a'"):
        flatc.root(build(flatc.schema.root, {"a": "x"})).a = None


# -- the rest --------------------------------------------------------------------------------------


def test_late_values(flatc: Flatc) -> None:
    late = Late()
    plan = Plan(flatc.schema.root, {"wide": late, "name": "x"})
    late.value = 2**63 + 5
    sink = MemorySink()
    plan.write(sink)
    assert flatc.root(sink.value()).wide == 2**63 + 5


def test_bulk_data_stands_last(flatc: Flatc) -> None:
    data = build(flatc.schema.root, {"aligned": bytes(10_000), "name": "listed", "inners": [{"number": 1}] * 50})
    root = flatc.root(data)
    end = max(table._position for table in tables(root))
    assert end < root.aligned.span()[0]
    assert data.index(b"listed") < root.aligned.span()[0]


def test_64_bit_fields(tmp_path_factory: pytest.TempPathFactory) -> None:
    flatc = Flatc.of(
        tmp_path_factory.mktemp("wide"),
        "table W { numbers: [ubyte] (vector64); far: [int] (offset64); text: string (offset64); } root_type W;",
    )
    wanted = {"numbers": [1, 2, 3], "far": [-1, 2], "text": "far away"}
    root = flatc.root(rewritten(flatc.root(build(flatc.schema.root, wanted))))
    assert (root.numbers.tolist(), root.far.tolist(), root.text) == ([1, 2, 3], [-1, 2], "far away")
    assert root.numbers.span()[0] % 8 == 0


def test_files_over_2_gib_are_refused(flatc: Flatc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlite.flatbuffers.nodes.LIMIT", 5000)
    with pytest.raises(SaveError, match="does not fit"):
        build(flatc.schema.root, {"aligned": bytes(10_000), "numbers": bytes(8000)})


def test_a_schema_is_a_flatbuffer_too(shared: Any) -> None:
    """The reflection schema read through itself, and written again, describes the same."""
    raw = (shared / "schemas/reflection.bfbs").read_bytes()
    itself = Schema(raw)
    root = v.root_view(Wire(MemorySource(raw)), itself.root)
    again = rewritten(root, b"BFBS")
    assert Schema(again).object_names() == itself.object_names()
    assert tree(v.root_view(Wire(MemorySource(again)), itself.root)) == tree(root)


@given(number=st.integers(-(2**31), 2**31 - 1), text=st.text(st.characters(codec="utf-8")), data=st.binary(max_size=99))
def test_any_value_comes_back(number: int, text: str, data: bytes) -> None:
    root = _READER.root(build(_READER.schema.root, {"numbers": [number], "name": text, "aligned": data}))
    assert (list(root.numbers), root.name, bytes(root.aligned.memoryview())) == ([number], text, data)


class _Reader:
    """The schema for tests that hypothesis repeats: compiled once."""

    @property
    def schema(self) -> Schema:
        if not hasattr(self, "_schema"):
            import tempfile
            from pathlib import Path

            with tempfile.TemporaryDirectory() as folder:
                self._schema = Flatc.of(Path(folder), DECLARATIONS).schema
        return self._schema

    def root(self, data: bytes) -> v.Table:
        return v.root_view(Wire(MemorySource(data)), self.schema.root)


_READER = _Reader()
