"""Rewrites: everything that a file carries arrives, and every offset leads to it."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import flatbuffers.flexbuffers as flexbuffers
import numpy as np
import pytest
from tests.flatbuffers.flatc_judge import Flatc
from tests.model.independent import buffer, code, metadata, model, operator, plain, tensor, unpacked
from tests.model.test_patch import PLENTY, offset_model
from tests.strategies import rewritten, tree

import unlite.schema
from unlite.errors import CorruptFileError, LostFieldsError
from unlite.model.model import open_model

SCHEMA = Path(unlite.schema.__file__).parent / "bundled/tflite.fbs"


def test_an_independent_reader_finds_the_same(tmp_path: Path) -> None:
    again = rewritten(open_model(PLENTY))
    assert plain(unpacked(again)) == plain(unpacked(PLENTY))
    assert rewritten(open_model(again)) == again
    for entry in open_model(again).buffers:
        if entry.data is not None and len(entry.data):
            span = entry.span
            assert span is not None
            assert span.start % 16 == 0


def test_rewrite_is_asked_for(tmp_path: Path) -> None:
    assert open_model(PLENTY).save(tmp_path / "out", rewrite=True).how == "rewritten"
    assert plain(unpacked((tmp_path / "out").read_bytes())) == plain(unpacked(PLENTY))


# -- fields of tomorrow ----------------------------------------------------------------------------

FUTURE: dict[str, Any] = {
    "version": 3,
    "operator_codes": [{"builtin_code": 250, "deprecated_builtin_code": 127}],
    "description": "future",
    "subgraphs": [
        {
            "tensors": [
                {"name": "a", "shape": [1], "type": 77, "future_text": "kept", "future_number": 7},
                {"name": "b", "shape": [1], "type": "INT8", "buffer": 1},
            ],
            "operators": [
                {
                    "inputs": [0],
                    "outputs": [1],
                    "builtin_options_type": "FutureOptions",
                    "builtin_options": {"answer": 42},
                }
            ],
        }
    ],
    "buffers": [{}, {"data": [5]}],
}


@pytest.fixture(scope="module")
def future(tmp_path_factory: pytest.TempPathFactory) -> tuple[Flatc, bytes]:
    """A schema with two more fields in Tensor and one more member in BuiltinOptions, and a file of it."""
    folder = tmp_path_factory.mktemp("future")
    text = SCHEMA.read_text()
    tensor_table = text.index("table Tensor {")
    end = text.index("}", tensor_table)
    text = f"{text[:end]}  future_text: string;\n  future_number: int;\n{text[end:]}"
    union = text.index("union BuiltinOptions {")
    end = text.index("}", union)
    text = f"{text[:end]}  FutureOptions,\n{text[end:]}\ntable FutureOptions {{ answer: int; }}\n"
    flatc = Flatc.of(folder, text)
    return flatc, flatc.to_binary(json.dumps(FUTURE).encode())


def test_the_future_can_be_read(future: tuple[Flatc, bytes]) -> None:
    opened = open_model(future[1])
    first = opened.main.tensors[0]
    assert (first.name, first.dtype, first.shape) == ("a", "UNKNOWN_77", (1,))
    used = opened.main.operators[0]
    assert (used.name, str(used.options)) == ("UNKNOWN_250", "a value of unknown type")


def test_the_future_survives_a_copy_and_a_patch(future: tuple[Flatc, bytes], tmp_path: Path) -> None:
    flatc, data = future
    opened = open_model(data)
    assert opened.save(tmp_path / "copy").how == "copied"
    opened.description = "FUTURE"
    opened.main.tensors[0].name = "A"
    opened.main.tensors[1].data = np.array([6], "i1")
    assert opened.save(tmp_path / "patch").how == "patched"
    read = json.loads(flatc.to_text((tmp_path / "patch").read_bytes(), "--strict-json"))
    expected = json.loads(json.dumps(FUTURE))
    expected["description"] = "FUTURE"
    expected["subgraphs"][0]["tensors"][0]["name"] = "A"
    expected["buffers"][1]["data"] = [6]
    assert read == expected


def test_the_future_is_refused_by_a_rewrite(future: tuple[Flatc, bytes], tmp_path: Path) -> None:
    opened = open_model(future[1])
    opened.description = "a longer one"
    with pytest.raises(LostFieldsError) as caught:
        opened.save(tmp_path / "out")
    known = len(unlite.schema.load().named("Tensor").fields)
    assert sorted(caught.value.fields) == [
        "subgraphs[0].operators[0].builtin_options, union type 127",
        f"subgraphs[0].tensors[0], field id {known}",
        f"subgraphs[0].tensors[0], field id {known + 1}",
    ]
    assert "drop_unknown=True" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_future_is_dropped_where_that_is_wanted(future: tuple[Flatc, bytes], tmp_path: Path) -> None:
    flatc, data = future
    assert open_model(data).save(tmp_path / "out", rewrite=True, drop_unknown=True).how == "rewritten"
    read = json.loads(flatc.to_text((tmp_path / "out").read_bytes(), "--strict-json"))
    expected = json.loads(json.dumps(FUTURE))
    del expected["subgraphs"][0]["tensors"][0]["future_text"]
    del expected["subgraphs"][0]["tensors"][0]["future_number"]
    del expected["subgraphs"][0]["operators"][0]["builtin_options"]
    del expected["subgraphs"][0]["operators"][0]["builtin_options_type"]
    assert read == expected  # the unknown type of tensor and operator among them


# -- bytecode of accelerators ----------------------------------------------------------------------

BYTECODE = bytes(range(1, 101)) * 3


def dispatch_options(offset: int, size: int, name: str) -> bytes:
    """As LiteRT's compiler plugins write them; 64 bits wide, so that they can be changed in place."""
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Key("bytecode_offset")
        builder.UInt(offset, 8)
        builder.Key("bytecode_size")
        builder.UInt(size, 8)
        builder.Key("name")
        builder.String(name)
    return bytes(builder.Finish())


def dispatching(*places: tuple[int, int], behind: bytes = BYTECODE, description: str = "d") -> bytes:
    """A model of DISPATCH_OPs whose bytecode lies behind it, at (start, length) each."""

    def made(base: int) -> bytes:
        operators = [
            operator([0], [1], customOptions=list(dispatch_options(base + start, length, f"f{i}")))
            for i, (start, length) in enumerate(places)
        ]
        return model(
            [tensor("in", [1]), tensor("out", [1])],
            [buffer(b"weights")],
            operators,
            [code("CUSTOM", custom="DISPATCH_OP")],
            [0],
            [1],
            description=description,
        )

    base = len(made(1000))
    base += -base % 64
    data = made(base)
    return data + bytes(base - len(data)) + behind


def codes_of(data: bytes) -> list[bytes]:
    """What an independent reader finds behind the offsets."""
    found = []
    for each in unpacked(data).subgraphs[0].operators:
        options = flexbuffers.Loads(bytes(each.customOptions))
        found.append(data[options["bytecode_offset"] :][: options["bytecode_size"]])
    return found


@pytest.mark.parametrize("places", [[(0, 300)], [(0, 100), (100, 200)], [(0, 300), (0, 300)], [(200, 100), (0, 100)]])
def test_bytecode_moves_along(places: list[tuple[int, int]], tmp_path: Path) -> None:
    data = dispatching(*places)
    opened = open_model(data)
    opened.description = "a much longer description, so that all that follows moves by more than a little" * 3
    assert opened.save(tmp_path / "out").how == "rewritten"
    again = (tmp_path / "out").read_bytes()
    assert codes_of(again) == codes_of(data) == [BYTECODE[start : start + length] for start, length in places]
    names = [flexbuffers.Loads(bytes(each.customOptions))["name"] for each in unpacked(again).subgraphs[0].operators]
    assert names == [f"f{i}" for i in range(len(places))]
    for each in unpacked(again).subgraphs[0].operators:
        assert flexbuffers.Loads(bytes(each.customOptions))["bytecode_offset"] % 16 == 0
    assert rewritten(open_model(again)) == again


def test_placeholders_of_bytecode_stay() -> None:
    data = model(
        [tensor("in", [1])],
        [],
        [operator([0], [0], customOptions=list(dispatch_options(1, 1, "x")))],
        [code("CUSTOM", custom="DISPATCH_OP")],
    )
    options = bytes(unpacked(rewritten(open_model(data))).subgraphs[0].operators[0].customOptions)
    assert options == dispatch_options(1, 1, "x")


def test_bytecode_outside_the_file_is_refused() -> None:
    with pytest.raises(CorruptFileError) as caught:
        rewritten(open_model(dispatching((0, 301))))
    assert caught.value.path


# -- data behind the FlatBuffer --------------------------------------------------------------------


def test_weights_behind_the_flatbuffer(tmp_path: Path) -> None:
    behind = bytes(range(100))
    data = offset_model((0, 20), (20, 13), (0, 20), (33, 40), behind=behind)
    opened = open_model(data)
    opened.description = "longer " * 20
    opened.save(tmp_path / "out")
    again = (tmp_path / "out").read_bytes()
    read = unpacked(again).buffers[1:]
    assert [again[b.offset :][: b.size] for b in read] == [behind[0:20], behind[20:33], behind[0:20], behind[33:73]]
    assert all(b.offset % 16 == 0 and b.data is None for b in read)
    assert read[0].offset == read[2].offset
    last = max(read, key=lambda each: each.offset)
    assert again[last.offset + last.size :][:16] == bytes(16)  # runtimes read past the last weight
    assert rewritten(open_model(again)) == again


def test_replaced_weights_stay_behind(tmp_path: Path) -> None:
    data = offset_model((0, 20), (20, 13), behind=b"\x11" * 20 + b"\x22" * 13)
    opened = open_model(data)
    opened.buffers[1].data = b"\x33" * 50
    opened.save(tmp_path / "out")
    again = (tmp_path / "out").read_bytes()
    first, second = unpacked(again).buffers[1:]
    assert again[first.offset :][: first.size] == b"\x33" * 50
    assert again[second.offset :][: second.size] == b"\x22" * 13
    assert b"\x11" not in again  # what was replaced is not carried along


def test_inline_data_wins_over_an_offset() -> None:
    data = model([], [buffer(b"inline", offset=30, size=4)])
    read = unpacked(rewritten(open_model(data))).buffers[1]
    assert (bytes(read.data), read.offset, read.size) == (b"inline", 0, 0)


@pytest.mark.parametrize("place", [(0, 1000), (50, 2**63), (2**64 - 2, 4)])
def test_weights_outside_the_file(place: tuple[int, int]) -> None:
    data = model([], [buffer(offset=100 + place[0] if place[0] < 2**60 else place[0], size=place[1])])
    opened = open_model(data)
    for question in (lambda: opened.buffers[1].data, lambda: rewritten(opened)):
        with pytest.raises(CorruptFileError) as caught:
            question()
        assert caught.value.path
        assert "buffers[1]" in caught.value.path


def test_models_too_large_for_a_flatbuffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past 2 GiB (here: past 2 kB) the weights go behind the FlatBuffer."""
    rows = [np.full(1000, i, "u1") for i in range(1, 5)]
    data = model([tensor(f"t{i}", [1000], "UINT8", i + 1) for i in range(4)], [buffer(row) for row in rows])
    monkeypatch.setattr("unlite.model.saving.rewrite.LIMIT", 2000)
    again = rewritten(open_model(data))
    read = unpacked(again).buffers
    assert [b.data for b in read] == [None] * 5
    assert [again[b.offset :][: b.size] for b in read[1:]] == [row.tobytes() for row in rows]
    opened = open_model(again)
    assert [int(t.numpy()[0]) for t in opened.main.tensors] == [1, 2, 3, 4]
    assert read[0].offset == 0


def test_large_custom_options(tmp_path: Path) -> None:
    def made(base: int) -> bytes:
        operators = [
            operator([0], [0], largeCustomOptionsOffset=base, largeCustomOptionsSize=30),
            operator([0], [0], largeCustomOptionsOffset=base + 30, largeCustomOptionsSize=20),
        ]
        return model([tensor("in", [1])], [], operators, [code("CUSTOM", custom="Mine")])

    base = len(made(99)) + 64
    data = made(base) + b"\0" * 64 + b"A" * 30 + b"B" * 20
    opened = open_model(data)
    assert [bytes(each.custom_options_bytes) for each in opened.main.operators] == [b"A" * 30, b"B" * 20]
    opened.description = "longer"
    opened.save(tmp_path / "out")
    again = (tmp_path / "out").read_bytes()
    read = unpacked(again).subgraphs[0].operators
    found = [again[o.largeCustomOptionsOffset :][: o.largeCustomOptionsSize] for o in read]
    assert found == [b"A" * 30, b"B" * 20]
    assert all(o.largeCustomOptionsOffset % 16 == 0 for o in read)
    opened.main.operators[0].custom_options = b"mine now"
    opened.save(tmp_path / "out")
    read = unpacked((tmp_path / "out").read_bytes()).subgraphs[0].operators
    assert (bytes(read[0].customOptions), read[0].largeCustomOptionsOffset) == (b"mine now", 0)


# -- what nothing points to ------------------------------------------------------------------------


def test_leftovers_are_carried_along(tmp_path: Path) -> None:
    tail = b"SOMETHING THAT NO TOOL KNOWS" * 3
    data = PLENTY + bytes(8) + tail
    opened = open_model(data)
    opened.description = "longer than before"
    opened.save(tmp_path / "out")
    again = (tmp_path / "out").read_bytes()
    assert tail in again
    assert rewritten(open_model(again)).endswith(tail) or tail in rewritten(open_model(again))


def test_a_table_that_claims_to_end_behind_the_file() -> None:
    """The length of a table, in its vtable, is no offset, and nobody needs it to be right."""
    opened = open_model(PLENTY)
    vtable = opened.root._position - struct.unpack_from("<i", PLENTY, opened.root._position)[0]
    data = bytearray(PLENTY)
    struct.pack_into("<H", data, vtable + 2, 0xFFFF)
    assert tree(open_model(rewritten(open_model(bytes(data)))).root) == tree(opened.root)


def test_padding_is_not_carried_along() -> None:
    assert len(rewritten(open_model(PLENTY + bytes(100_000)))) < len(PLENTY) + 1000


def archive(behind: bytes, **files: bytes) -> bytes:
    file = io.BytesIO(behind)
    with zipfile.ZipFile(file, "a") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return file.getvalue()


def test_a_zip_stays_last_and_readable(tmp_path: Path) -> None:
    files = {"labels.txt": b"cat\ndog\n" * 100, "vocab": b"", "x.json": b"{}"}
    data = archive(PLENTY, **files)
    opened = open_model(data)
    assert dict(opened.associated_files) == files
    opened.description = "a longer description " * 10
    opened.main.tensors[1].data = np.array([9, 9, 9, 9], "i1")
    opened.save(tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out") as found:
        assert found.testzip() is None
        assert {name: found.read(name) for name in found.namelist()} == files
    again = open_model(tmp_path / "out")
    assert dict(again.associated_files) == files
    assert again.main.tensors[1].numpy().tolist() == [9, 9, 9, 9]
    assert rewritten(again) == (tmp_path / "out").read_bytes()


def test_everything_at_once(tmp_path: Path) -> None:
    """Bytecode, bytes that nobody knows, and a ZIP behind one model."""
    data = archive(dispatching((0, 300)) + b"unknown bytes here", labels=b"one\ntwo\n")
    opened = open_model(data)
    opened.description = "longer " * 50
    opened.metadata["note"] = b"and an entry"
    opened.save(tmp_path / "out")
    again = (tmp_path / "out").read_bytes()
    assert codes_of(again) == [BYTECODE]
    assert b"unknown bytes here" in again
    with zipfile.ZipFile(tmp_path / "out") as found:
        assert found.read("labels") == b"one\ntwo\n"
    assert bytes(unpacked(again).buffers[2].data) == b"and an entry"


# -- sizes -----------------------------------------------------------------------------------------


def test_overlapping_weights_do_not_fill_the_disk() -> None:
    """Each buffer is nearly all of the file, beginning one byte later."""
    places = [(i, 20_000 - i) for i in range(200)]
    data = offset_model(*places, behind=bytes([1]) * 20_000)
    with pytest.raises(CorruptFileError, match="overlap") as caught:
        rewritten(open_model(data))
    assert caught.value.path


def test_a_damaged_model_is_not_written(tmp_path: Path) -> None:
    data = bytearray(PLENTY)
    root = open_model(PLENTY).root
    at = root["subgraphs"][0]["tensors"]._start
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    opened = open_model(bytes(data))
    assert opened.save(tmp_path / "copy").how == "copied"
    with pytest.raises(CorruptFileError, match="can't be written anew"):
        opened.save(tmp_path / "out", rewrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["copy"]


def test_metadata_keeps_its_buffers() -> None:
    data = model([], [buffer(b"a"), buffer(b"bb")], metadata=[metadata("x", 2), metadata("y", 1), metadata("z", 2)])
    again = open_model(rewritten(open_model(data)))
    assert {name: bytes(again.metadata[name]) for name in again.metadata} == {"x": b"bb", "y": b"a", "z": b"bb"}
    assert tree(again.root) == tree(open_model(data).root)
