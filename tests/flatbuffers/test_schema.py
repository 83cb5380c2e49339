"""Compiled schemas: what flatc says about them, and damaged ones."""

from __future__ import annotations

import json
import random
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.flatbuffers.flatc_judge import Flatc
from tests.flatbuffers.zoo import FULL

from unlite.errors import CorruptFileError, NotFoundError, UnliteError, UnsupportedFormatError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.schema import Schema
from unlite.flatbuffers.wire import Wire
from unlite.flatbuffers.write import build
from unlite.storage.source import MemorySource

BASES = (
    "None UType Bool Byte UByte Short UShort Int UInt Long ULong Float Double String Vector Obj Union Array Vector64"
)


@pytest.fixture(scope="module")
def compiled(flatc: Flatc) -> bytes:
    return (flatc._folder / "judged.bfbs").read_bytes()


@pytest.fixture(scope="module")
def told(flatc: Flatc, shared: Path) -> Any:
    """The schema as flatc prints it."""
    reflection = shared / "schemas/reflection.fbs"
    subprocess.run(
        [
            *(flatc._program, "--json", "--strict-json", "--defaults-json", "--raw-binary"),
            *("-o", str(flatc._folder), str(reflection), "--", str(flatc._folder / "judged.bfbs")),
        ],
        check=True,
        capture_output=True,
    )
    return json.loads((flatc._folder / "judged.json").read_text())


def test_objects_and_fields(flatc: Flatc, told: Any) -> None:
    for index, theirs in enumerate(told["objects"]):
        ours = flatc.schema.object(index)
        assert (ours.name, ours.is_struct) == (theirs["name"], theirs["is_struct"])
        assert flatc.schema.find(theirs["name"]) is ours
        if ours.is_struct:
            assert (ours.minalign, ours.bytesize) == (theirs["minalign"], theirs["bytesize"])
        assert sorted(ours.by_name) == [field["name"] for field in theirs["fields"]]
        assert [field.id for field in ours.fields] == list(range(len(ours.fields)))
        for field in theirs["fields"]:
            check_field(ours.by_name[field["name"]], field)


def check_field(ours: s.Field, theirs: Any) -> None:
    assert ours.id == theirs["id"]
    assert BASES.split()[ours.type.base] == theirs["type"]["base_type"]
    assert BASES.split()[ours.type.element] == theirs["type"]["element"]
    assert ours.type.index == theirs["type"]["index"]
    assert ours.type.fixed_length == theirs["type"]["fixed_length"]
    assert (ours.deprecated, ours.required, ours.offset64) == tuple(
        theirs[n] for n in ("deprecated", "required", "offset64")
    )
    attributes = {entry["key"]: entry.get("value") for entry in theirs.get("attributes", ())}
    assert ours.align == int(attributes.get("force_align", 0))
    assert ours.nested == attributes.get("nested_flatbuffer", "")
    if ours.type.base in s.SCALARS:
        real = ours.type.base in (s.FLOAT, s.DOUBLE)
        default = theirs["default_real"] if real else theirs["default_integer"]
        assert ours.default == (None if theirs["optional"] else default)


def test_enums(flatc: Flatc, told: Any) -> None:
    for index, theirs in enumerate(told["enums"]):
        ours = flatc.schema.enum(index)
        assert (ours.name, ours.is_union) == (theirs["name"], theirs["is_union"])
        wrap = 2**64 if ours.base == s.U_LONG else 0
        expected = {value["name"]: value["value"] + (wrap if value["value"] < 0 else 0) for value in theirs["values"]}
        assert ours.values == expected
    legs = flatc.schema.enum_named("Legs")
    assert legs.bit_flags
    assert [legs.label(n) for n in (1, 3, 8, 16, 0)] == ["Front", "Front Back", "Right", 16, 0]
    assert [legs.number(name) for name in ("Front", "Front Right", "Legs.Back", "4", 4)] == [1, 9, 2, 4, 4]
    assert [legs.number(name) for name in ("", "Nose", "Front Nose")] == [None, None, None]


def test_identifier_and_root(flatc: Flatc) -> None:
    assert (flatc.schema.root.name, flatc.schema.file_identifier) == ("zoo.animals.Cage", "ZOO1")
    assert flatc.schema.named("Leaf") is flatc.schema.named("zoo.animals.Leaf")
    assert flatc.schema.enum_named("zoo.animals.Kind") is flatc.schema.enum_named("Kind")
    for name in ("Nose", "animals.Leaf", ""):
        with pytest.raises(NotFoundError):
            flatc.schema.named(name)
    with pytest.raises(NotFoundError):
        flatc.schema.enum_named("Nose")


def test_a_schema_without_root(tmp_path: Path) -> None:
    flatc = Flatc.of(tmp_path, "table A { b: int; } namespace other; table A { c: int; }")
    with pytest.raises(UnsupportedFormatError, match="root_type"):
        _ = flatc.schema.root
    with pytest.raises(NotFoundError):
        flatc.schema.object_names() and flatc.schema.named("B")
    assert flatc.schema.named("A").by_name.keys() == {"b"}  # the full name; other.A has it as its end only


def test_out_of_range(flatc: Flatc) -> None:
    for index in (-1, 10**6):
        with pytest.raises(CorruptFileError):
            flatc.schema.object(index)
        with pytest.raises(CorruptFileError):
            flatc.schema.enum(index)


def use_everything(data: bytes, sample: bytes) -> None:
    """Reads a schema whole, and a file through it."""
    schema = Schema(data)
    for index in range(min(len(schema.object_names()), 50)):
        for field in schema.object(index).fields:
            _ = (field.enum, field.object, field.nested_object)
    root = v.root_view(Wire(MemorySource(sample)), schema.root)
    for field in list(v.present(root)):
        value = v.get(root, field)
        if isinstance(value, v.Vector) and len(value):
            _ = value[0]
    str(root)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_schemas_are_read_or_refused(seed: int, flatc: Flatc, compiled: bytes) -> None:
    sample = flatc.to_binary(json.dumps(FULL).encode())
    use_everything(compiled, sample)
    chance = random.Random(seed)
    for _ in range(250):
        data = bytearray(compiled)
        for _ in range(chance.randint(1, 4)):
            if chance.random() < 0.5:
                data[chance.randrange(len(data))] = chance.randrange(256)
            else:
                word = chance.choice((0, 1, 4, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, chance.randrange(2**32)))
                struct.pack_into("<I", data, chance.randrange(len(data) // 4) * 4, word)
        try:
            use_everything(bytes(data), sample)
        except UnliteError as error:
            assert str(error)


def test_every_cut_of_a_schema(compiled: bytes) -> None:
    for length in range(0, len(compiled), 7):
        try:
            schema = Schema(compiled[:length])
            for index in range(len(schema.object_names())):
                schema.object(index)
        except UnliteError as error:
            assert str(error)


def test_a_root_that_is_no_object(shared: Path) -> None:
    """Reflection data whose root table stands apart from its list of objects."""
    reflection = Schema((shared / "schemas/reflection.bfbs").read_bytes())
    lonely = {"name": "A", "fields": []}
    made = build(reflection.root, {"objects": [{**lonely, "name": "B"}], "enums": [], "root_table": lonely}, b"BFBS")
    with pytest.raises(CorruptFileError, match="root table"):
        _ = Schema(made).root
