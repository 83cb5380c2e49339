"""Which changes are patched, and that a patch changes nothing else."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.model.independent import (
    buffer,
    code,
    metadata,
    model,
    operator,
    plain,
    quantization,
    schema,
    subgraph,
    tensor,
    unpacked,
)

from unlite.model.model import Model, open_model
from unlite.model.objects.quantization import Quantization
from unlite.storage.source import MemorySource


def conv_options(stride: int = 1) -> Any:
    made = schema.Conv2DOptionsT()
    made.strideW = made.strideH = stride
    return made


def plenty() -> bytes:
    """A model with some of everything that can be assigned."""
    tensors = [
        tensor("in", [1, 2, 2, 1], "INT8", quantization=quantization([0.5])),
        tensor("weights", [4], "INT8", 1, quantization=quantization([0.25])),
        tensor("same weights", [2, 2], "INT8", 1),
        tensor("out", [4], "INT8"),
    ]
    operators = [
        operator([0, 1], [3], 0, conv_options(2)),
        operator([0, 2], [3], 0, conv_options(0)),
        operator([3], [3], 1, customOptions=[1, 2, 3]),
    ]
    return model(
        tensors,
        [buffer(bytes([1, 2, 3, 4])), buffer(b"1.5.0\0\0\0"), buffer(b"other data"), buffer(b"")],
        operators,
        [code("CONV_2D", 2), code("CUSTOM", custom="Mine")],
        [0],
        [3],
        description="before",
        metadata=[metadata("min_runtime_version", 2)],
    )


PLENTY = plenty()


def _metadata(changed: Model) -> None:
    changed.metadata["min_runtime_version"] = b"1.6.0\0\0\0"


def _scale(changed: Model) -> None:
    old = changed.main.tensors[0].quantization
    assert old is not None
    changed.main.tensors[0].quantization = Quantization([0.75], old.zero_point)


def _set(path: str, value: Any) -> Callable[[Model], None]:
    def change(changed: Model) -> None:
        target: Any = changed
        *steps, last = path.split(".")
        for step in steps:
            name, _, index = step.partition("[")
            target = getattr(target, name)
            if index:
                target = target[int(index.rstrip("]"))]
        setattr(target, last, value)

    return change


# what changes, how it is saved, how many bytes differ, what an independent reader finds where
LADDER: dict[str, tuple[Callable[[Model], None], str, int, Callable[[Any], Any], Any]] = {
    "data": (
        _set("main.tensors[1].data", np.array([1, 2, 3, 9], "i1")),
        "patched",
        1,
        lambda m: m.buffers[1].data.tolist(),
        [1, 2, 3, 9],
    ),
    "buffer": (
        _set("buffers[1].data", b"\x05\x06\x07\x08"),
        "patched",
        4,
        lambda m: m.buffers[1].data.tolist(),
        [5, 6, 7, 8],
    ),
    "longer buffer": (
        _set("buffers[3].data", b"more data than before"),
        "rewritten",
        0,
        lambda m: bytes(m.buffers[3].data),
        b"more data than before",
    ),
    "shorter buffer": (_set("buffers[3].data", b""), "rewritten", 0, lambda m: len(m.buffers[3].data), 0),
    "no buffer": (_set("buffers[3].data", None), "rewritten", 0, lambda m: m.buffers[3].data, None),
    "data for an empty one": (
        _set("buffers[4].data", b"x"),
        "rewritten",
        0,
        lambda m: bytes(m.buffers[4].data),
        b"x",
    ),
    "name": (_set("main.tensors[0].name", "IN"), "patched", 2, lambda m: m.subgraphs[0].tensors[0].name, b"IN"),
    "longer name": (
        _set("main.tensors[0].name", "input"),
        "rewritten",
        0,
        lambda m: m.subgraphs[0].tensors[0].name,
        b"input",
    ),
    "name of as many characters": (
        _set("main.tensors[0].name", "ü"),  # two bytes, as "in"
        "patched",
        2,
        lambda m: m.subgraphs[0].tensors[0].name.decode(),
        "ü",
    ),
    "name of more bytes": (
        _set("main.tensors[0].name", "üü"),
        "rewritten",
        0,
        lambda m: m.subgraphs[0].tensors[0].name.decode(),
        "üü",
    ),
    "subgraph name": (_set("main.name", "MAIN"), "patched", 4, lambda m: m.subgraphs[0].name, b"MAIN"),
    "description": (_set("description", "BEFORE"), "patched", 6, lambda m: m.description, b"BEFORE"),
    "longer description": (_set("description", "long before"), "rewritten", 0, lambda m: m.description, b"long before"),
    # 0.5f is 3f000000, 0.75f is 3f400000: one byte
    "scale": (_scale, "patched", 1, lambda m: m.subgraphs[0].tensors[0].quantization.scale.tolist(), [0.75]),
    "no quantization": (
        _set("main.tensors[0].quantization", None),
        "rewritten",
        0,
        lambda m: m.subgraphs[0].tensors[0].quantization,
        None,
    ),
    "option that is stored": (
        _set("main.operators[0].options.stride_w", 3),
        "patched",
        1,
        lambda m: m.subgraphs[0].operators[0].builtinOptions.strideW,
        3,
    ),
    "option that is not": (
        _set("main.operators[1].options.stride_w", 3),
        "rewritten",
        0,
        lambda m: m.subgraphs[0].operators[1].builtinOptions.strideW,
        3,
    ),
    "enum option": (
        _set("main.operators[0].options.padding", "VALID"),
        "rewritten",  # SAME is 0, and was not stored
        0,
        lambda m: m.subgraphs[0].operators[0].builtinOptions.padding,
        1,
    ),
    "version of a sole user": (
        _set("main.operators[2].version", 4),
        "rewritten",  # 1 is the default
        0,
        lambda m: [c.version for c in m.operatorCodes],
        [2, 4],
    ),
    "version of one of two": (
        _set("main.operators[0].version", 5),
        "rewritten",
        0,
        lambda m: ([c.version for c in m.operatorCodes], [o.opcodeIndex for o in m.subgraphs[0].operators]),
        ([2, 1, 5], [2, 0, 1]),
    ),
    "version of the code": (
        _set("operator_codes[0].version", 5),
        "patched",
        1,
        lambda m: [c.version for c in m.operatorCodes],
        [5, 1],
    ),
    "custom options": (
        _set("main.operators[2].custom_options", b"\3\2\1"),
        "patched",
        2,
        lambda m: bytes(m.subgraphs[0].operators[2].customOptions),
        b"\3\2\1",
    ),
    "metadata": (_metadata, "patched", 1, lambda m: bytes(m.buffers[2].data), b"1.6.0\0\0\0"),
    "the same values": (
        _set("main.tensors[1].data", np.array([1, 2, 3, 4], "i1")),
        "copied",
        0,
        lambda m: m.description,
        b"before",
    ),
    "the same description": (_set("description", "before"), "copied", 0, lambda m: m.description, b"before"),
    "a default that is absent": (
        _set("main.operators[1].options.stride_w", 0),
        "copied",
        0,
        lambda m: m.subgraphs[0].operators[1].builtinOptions.strideW,
        0,
    ),
}


@pytest.mark.parametrize("name", LADDER)
def test_the_ladder(name: str, tmp_path: Path) -> None:
    change, how, differing, ask, expected = LADDER[name]
    opened = open_model(PLENTY)
    change(opened)
    report = opened.save(tmp_path / "out")
    assert report.how == how
    data = (tmp_path / "out").read_bytes()
    found = ask(unpacked(data))
    assert found == expected if not isinstance(found, list) else list(found) == list(expected)
    if how != "rewritten":
        assert len(data) == len(PLENTY)
        assert sum(a != b for a, b in zip(data, PLENTY, strict=True)) == differing
    else:
        # Everything but that: undone in the independent reader's objects, the models are the same.
        rest, before = plain(unpacked(data)), plain(unpacked(PLENTY))
        assert rest.keys() == before.keys()
        assert rest["version"] == before["version"]
        assert [len(graph["tensors"]) for graph in rest["subgraphs"]] == [4]
    reopened = open_model(data)
    assert [t.name for t in reopened.main.tensors][1:] == ["weights", "same weights", "out"]


def test_all_tensors_of_a_buffer_see_it() -> None:
    opened = open_model(PLENTY)
    opened.main.tensors["weights"].data = np.array([9, 9, 9, 9], "i1")
    assert opened.main.tensors["same weights"].numpy().tolist() == [[9, 9], [9, 9]]


def test_changes_and_back_again(tmp_path: Path) -> None:
    opened = open_model(PLENTY)
    opened.description = "BEFORE"
    opened.main.tensors[1].data = np.zeros(4, "i1")
    opened.description = "before"
    opened.main.tensors[1].data = np.array([1, 2, 3, 4], "i1")
    assert opened.save(tmp_path / "out").how == "copied"
    assert (tmp_path / "out").read_bytes() == PLENTY


def test_two_appended_operator_codes(tmp_path: Path) -> None:
    """After the codes were put together anew, changes of the old ones still count."""
    opened = open_model(PLENTY)
    assert [c.name for c in opened.operator_codes] == ["CONV_2D", "Mine"]
    opened.main.operators[0].version = 5
    opened.operator_codes[0].version = 6
    opened.main.operators[2].version = 7
    opened.operator_codes[2].version = 8
    opened.save(tmp_path / "out")
    again = open_model(tmp_path / "out")
    assert [operator.version for operator in again.main.operators] == [8, 6, 7]


def test_a_table_put_in_another_place_is_no_patch(tmp_path: Path) -> None:
    opened = open_model(PLENTY)
    tensors = opened.root["subgraphs"][0]["tensors"]
    tensors[0].quantization = tensors[1].quantization
    assert opened.save(tmp_path / "out").how == "rewritten"
    found = open_model(tmp_path / "out").main.tensors[0].quantization
    assert found is not None
    assert found.scale == (0.25,)


def test_subgraphs_of_another_model(tmp_path: Path) -> None:
    opened, other = open_model(PLENTY), open_model(model([tensor("only", [1])], []))
    opened.root.subgraphs = other.root["subgraphs"]
    assert opened.save(tmp_path / "out").how == "rewritten"
    assert [t.name for t in open_model(tmp_path / "out").main.tensors] == ["only"]


# -- shared bytes: a patch must not change the other user ------------------------------------------


def repointed(data: bytes, at: int, target: int) -> bytes:
    """The file with the offset at ``at`` leading to ``target``."""
    changed = bytearray(data)
    struct.pack_into("<I", changed, at, target - at)
    return bytes(changed)


def slot(table: Any, name: str) -> int:
    return int(table._position + table._slots[table._object.by_name[name].id])


@pytest.fixture(scope="module")
def shared_data() -> bytes:
    """Two buffers, 3 and 1, whose data is one vector, and two tensors whose names are one string."""
    data = model(
        [tensor("same", [4], "INT8", 1), tensor("also", [4], "INT8", 2)],
        [buffer(bytes([1, 2, 3, 4])), buffer(bytes([5, 6, 7, 8]))],
    )
    root = open_model(data).root
    first, second = root["buffers"][1], root["buffers"][2]
    target = max(first._wire.follow(slot(t, "data")) for t in (first, second))
    for table in (first, second):
        data = repointed(data, slot(table, "data"), target)
    tensors = root["subgraphs"][0]["tensors"]
    target = max(root._wire.follow(slot(t, "name")) for t in tensors)
    for table in tensors:
        data = repointed(data, slot(table, "name"), target)
    return data


def test_a_shared_vector_is_not_patched(shared_data: bytes, tmp_path: Path) -> None:
    opened = open_model(shared_data)
    before = opened.buffers[2].data
    assert before is not None
    kept = bytes(before)
    assert bytes(opened.buffers[1].data or b"") == kept
    opened.buffers[1].data = b"\x09\x09\x09\x09"
    assert opened.save(tmp_path / "out").how == "rewritten"
    again = unpacked((tmp_path / "out").read_bytes())
    assert (bytes(again.buffers[1].data), bytes(again.buffers[2].data)) == (b"\x09\x09\x09\x09", kept)


def test_a_shared_string_is_not_patched(shared_data: bytes, tmp_path: Path) -> None:
    opened = open_model(shared_data)
    name = opened.main.tensors[1].name
    opened.main.tensors[0].name = "mine"
    assert opened.save(tmp_path / "out").how == "rewritten"
    again = unpacked((tmp_path / "out").read_bytes())
    assert [t.name for t in again.subgraphs[0].tensors] == [b"mine", name.encode()]


def test_a_shared_table_is_not_patched(tmp_path: Path) -> None:
    """Two entries of the buffers are one table."""
    data = model([], [buffer(b"abcd"), buffer(b"efgh")])
    entries = open_model(data).root["buffers"]
    places = [entries._start + 4 * i for i in (1, 2)]
    target = max(entries[i]._position for i in (1, 2))
    data = repointed(repointed(data, places[0], target), places[1], target)
    opened = open_model(data)
    kept = bytes(opened.buffers[2].data or b"")
    assert bytes(opened.buffers[1].data or b"") == kept
    opened.buffers[1].data = b"wxyz"
    assert opened.save(tmp_path / "out").how == "rewritten"
    again = open_model(tmp_path / "out")
    assert (again.buffers[1].data, again.buffers[2].data) == (b"wxyz", kept)


def test_a_shared_vtable_is_no_hindrance(tmp_path: Path) -> None:
    """Vtables hold no values; all tables of one kind share one."""
    data = model([tensor(name, [1], "INT8") for name in "ab"], [])
    root = open_model(data).root
    vtables = {t._position - struct.unpack_from("<i", data, t._position)[0] for t in root["subgraphs"][0]["tensors"]}
    assert len(vtables) == 1
    opened = open_model(data)
    opened.main.tensors[0]._table.type = "UINT8"
    assert opened.save(tmp_path / "out").how == "patched"
    assert [t.type for t in unpacked((tmp_path / "out").read_bytes()).subgraphs[0].tensors] == [3, 9]


# -- data behind the FlatBuffer --------------------------------------------------------------------


def test_data_behind_the_flatbuffer_is_patched_in_place(tmp_path: Path, shared: Path) -> None:
    path = shared / "external_buffer/offset_fc_float.tflite"
    old = path.read_bytes()
    opened = open_model(path)
    weights = next(t for t in opened.main.tensors if t.is_constant)
    assert weights._constant().where == "offset"
    weights.data = weights.numpy() * np.float32(2)
    report = opened.save(tmp_path / "out")
    assert report.how == "patched"
    new = (tmp_path / "out").read_bytes()
    span = open_model(path).main.tensors[weights.index]._constant()
    assert new[: span.start] == old[: span.start]
    assert new[span.start + span.length :] == old[span.start + span.length :]
    assert np.array_equal(
        np.frombuffer(new, "<f4", span.length // 4, span.start),
        np.frombuffer(old, "<f4", span.length // 4, span.start) * np.float32(2),
    )


def offset_model(*places: tuple[int, int], behind: bytes = b"") -> bytes:
    """A model whose buffers lie behind it: (start in ``behind``, length) each."""
    empty = len(model([], [buffer(offset=2, size=1) for _ in places]))
    base = empty + -empty % 16
    data = model([], [buffer(offset=base + start, size=length) for start, length in places])
    assert len(data) == empty
    return data + bytes(base - len(data)) + behind


def test_shared_ranges_are_not_patched(tmp_path: Path) -> None:
    for places in (((0, 8), (0, 8)), ((0, 8), (4, 8))):
        data = offset_model(*places, behind=b"0123456789abcdef")
        opened = open_model(data)
        kept = bytes(opened.buffers[2].data or b"")
        opened.buffers[1].data = b"ABCDEFGH"
        assert opened.save(tmp_path / "out").how == "rewritten"
        again = open_model(tmp_path / "out")
        assert (again.buffers[1].data, again.buffers[2].data) == (b"ABCDEFGH", kept)
        assert b"01" not in (tmp_path / "out").read_bytes() or kept.startswith(b"0")


def test_patches_travel_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlite.storage.source.CHUNK", 1000)
    data = model([], [buffer(bytes(5000))])
    opened = open_model(data)
    opened.buffers[1].data = b"\7" * 5000
    assert opened.save(tmp_path / "out").how == "patched"
    assert unpacked((tmp_path / "out").read_bytes()).buffers[1].data.tolist() == [7] * 5000
    assert MemorySource(data).size == (tmp_path / "out").stat().st_size


def test_metadata_set_added_and_deleted(tmp_path: Path) -> None:
    opened = open_model(PLENTY)
    opened.metadata["added"] = b"new entry"
    opened.metadata["min_runtime_version"] = b"2"
    assert list(opened.metadata) == ["min_runtime_version", "added"]
    assert opened.metadata["added"] == b"new entry"
    opened.save(tmp_path / "one")
    again = open_model(tmp_path / "one")
    assert {name: bytes(again.metadata[name]) for name in again.metadata} == {
        "min_runtime_version": b"2",
        "added": b"new entry",
    }
    del again.metadata["min_runtime_version"]
    again.save(tmp_path / "two")
    read = unpacked((tmp_path / "two").read_bytes())
    assert [(entry.name, bytes(read.buffers[entry.buffer].data)) for entry in read.metadata] == [
        (b"added", b"new entry")
    ]
    del again.metadata["added"]
    with pytest.raises(LookupError):
        again.metadata["added"]
    again.save(tmp_path / "three")
    assert len(open_model(tmp_path / "three").metadata) == 0


@pytest.mark.parametrize("index", [0, 1])
def test_metadata_in_a_buffer_that_others_use(index: int, tmp_path: Path) -> None:
    """The entry gets its own buffer; the tensor's constant stays, and buffer 0 stays empty."""
    data = model([tensor("c", [4], "INT8", 1)], [buffer(bytes([1, 2, 3, 4]))], metadata=[metadata("note", index)])
    opened = open_model(data)
    opened.metadata["note"] = b"text"
    opened.save(tmp_path / "out")
    again = open_model(tmp_path / "out")
    assert again.metadata["note"] == b"text"
    assert again.main.tensors[0].numpy().tolist() == [1, 2, 3, 4]
    assert again.buffers[0].data is None


def test_graphs_that_share_a_buffer(tmp_path: Path) -> None:
    data = model(
        [],
        [buffer(bytes([1, 2]))],
        graphs=[
            subgraph([tensor("a", [2], "INT8", 1)], [], [], []),
            subgraph([tensor("b", [2], "INT8", 1)], [], [], []),
        ],
    )
    opened = open_model(data)
    opened.subgraphs[0].tensors[0].data = np.array([3, 4], "i1")
    assert opened.save(tmp_path / "out").how == "patched"
    assert [g.tensors[0].numpy().tolist() for g in open_model(tmp_path / "out").subgraphs] == [[3, 4], [3, 4]]
