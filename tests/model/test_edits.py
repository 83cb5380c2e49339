"""Every change is seen by every handle, can be undone, and is what is saved."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.model import independent as api
from tests.model.small import Builder, dense_layer
from tests.strategies import tree

import unlite
from unlite.errors import InvalidTypeError, InvalidValueError, NotFoundError, UnliteError
from unlite.flatbuffers.flexbuffers import decode, encode
from unlite.flatbuffers.write import build
from unlite.model.model import open_model
from unlite.schema import load


def described(**fields: Any) -> bytes:
    return build(load("metadata").root, {"name": "old", **fields}, b"M001")


def rich() -> bytes:
    """A model with something of everything that can be changed."""
    made = Builder()
    main = made.graph()
    x = made.tensor(main, "x", [1, 2], quantization={"scale": [0.5], "zero_point": [1]})
    w = made.constant(main, "w", np.arange(6, dtype="<f4").reshape(3, 2))
    b = made.constant(main, "b", np.array([1, 2, 3], "<f4"))
    y = made.tensor(main, "y", [1, 3])
    z = made.tensor(main, "z", [1, 3])
    made.operator(
        main,
        "FULLY_CONNECTED",
        [x, w, b],
        [y],
        builtin_options_type="FullyConnectedOptions",
        builtin_options={"fused_activation_function": "RELU"},
    )
    main["operators"].append(
        {"opcode_index": 1, "inputs": [y], "outputs": [z], "custom_options": encode({"k": 3, "list": [1, 2], "s": "t"})}
    )
    main["inputs"], main["outputs"] = [x], [z]
    made.rest = {
        "description": "rich",
        "metadata": [
            {"name": "TFLITE_METADATA", "buffer": made.buffer(described())},
            {"name": "note", "buffer": made.buffer(b"text")},
        ],
        "signature_defs": [
            {
                "signature_key": "serve",
                "inputs": [{"name": "in", "tensor_index": x}],
                "outputs": [{"name": "out", "tensor_index": z}],
            }
        ],
    }
    codes = [
        {"builtin_code": "FULLY_CONNECTED", "deprecated_builtin_code": 9, "version": 1},
        {"builtin_code": "CUSTOM", "deprecated_builtin_code": 32, "custom_code": "Mine", "version": 1},
    ]
    model = {"version": 3, "operator_codes": codes, "subgraphs": made.graphs, "buffers": made.buffers, **made.rest}
    return build(load().root, model, b"TFL3")


def saved(model: Any, path: Path) -> bytes:
    model.save(path)
    return path.read_bytes()


# -- what was lost, or seen differently ------------------------------------------------------------------------------


def test_quantization_by_field(tmp_path: Path) -> None:
    model = open_model(rich())
    early = model.main.tensors["x"].quantization
    model.main.tensors["x"].quantization.scale = [0.25]
    model.root.subgraphs[0].tensors[0].quantization.zero_point = [7]
    assert early is not None
    assert (early.scale, early.zero_point) == ((0.25,), (7,))
    found = api.plain(api.unpacked(saved(model, tmp_path / "new")))["subgraphs"][0]["tensors"][0]["quantization"]
    assert (found["scale"], found["zeroPoint"]) == ([0.25], [7])
    with pytest.raises(InvalidValueError, match="1 entries of zero_point"):
        model.main.tensors["x"].quantization.scale = [1.0, 2.0]
    model.main.tensors["x"].quantization = None
    assert model.main.tensors["x"].quantization is None
    with pytest.raises(NotFoundError):
        _ = early.scale


def test_custom_options_by_key(tmp_path: Path) -> None:
    model = open_model(rich())
    operator = model.main.operators[1]
    before, inner = operator.custom_options, operator.custom_options["list"]
    operator.custom_options["k"] = 9
    inner.append(5)
    inner[0] = -1
    del operator.custom_options["s"]
    assert before == {"k": 9, "list": [-1, 2, 5]} == dict(model.main.operators[1].custom_options)
    found = api.plain(api.unpacked(saved(model, tmp_path / "new")))["subgraphs"][0]["operators"][1]["customOptions"]
    assert decode(bytes(found)) == {"k": 9, "list": [-1, 2, 5]}
    assert [edit.path.rpartition("custom_options")[2] for edit in model.edits] == [
        "['k']",
        "['list'][2]",
        "['list'][0]",
        "['s']",
    ]
    assert (model.edits[0].old, model.edits[0].new) == (3, 9)
    with pytest.raises(NotFoundError, match="no key 'nose'"):
        _ = before["nose"]
    with pytest.raises(InvalidTypeError):
        before[3] = 3  # type: ignore[index]
    while model.undo():
        pass
    assert before == {"k": 3, "list": [1, 2], "s": "t"}


def test_decoded_metadata_goes_back(tmp_path: Path) -> None:
    model = open_model(rich())
    first, second = (model.metadata.decoded("TFLITE_METADATA") for _ in "12")
    first.name = "new and longer than before"
    assert second.name == first.name
    second.subgraph_metadata = [{"name": "g"}]
    graph = first.subgraph_metadata[0]
    graph.description = "d"
    assert second.subgraph_metadata[0].description == "d"
    data = saved(model, tmp_path / "new")
    again = open_model(data).metadata.decoded("TFLITE_METADATA")
    assert (again.name, again.subgraph_metadata[0].description) == (first.name, "d")
    assert bytes(open_model(data).metadata["TFLITE_METADATA"])[4:8] == b"M001"
    assert b"old" not in data
    assert model.edits[0][:3] == ("metadata['TFLITE_METADATA'].name", "old", "new and longer than before")
    assert [edit.path for edit in model.edits][2] == "metadata['TFLITE_METADATA'].subgraph_metadata[0].description"
    model.undo()
    assert graph.description is None
    model.undo()
    with pytest.raises(NotFoundError, match="Read it again"):
        _ = graph.name
    model.undo()
    assert (first.name, second.name, model.is_changed) == ("old", "old", False)


def test_options_through_the_root() -> None:
    model = open_model(rich())
    operator = model.main.operators[0]
    options = operator.options
    model.root.subgraphs[0].operators[0].builtin_options.fused_activation_function = "TANH"
    assert options.fused_activation_function == operator.options.fused_activation_function == "TANH"
    operator.options.fused_activation_function = "NONE"
    assert model.root.subgraphs[0].operators[0].builtin_options.fused_activation_function == "NONE"


def test_ends_names_shapes_and_inputs() -> None:
    model = open_model(rich())
    graph = model.main
    assert [tensor.name for tensor in graph.outputs] == ["z"]
    y, z = graph.tensors["y"], graph.tensors["z"]
    model.root.subgraphs[0].outputs = [3]
    assert graph.outputs == (y,)
    graph.outputs = [z, "y"]
    assert list(model.root.subgraphs[0].outputs) == [4, 3]
    graph.inputs = [graph.tensors[0], 3]
    assert [tensor.index for tensor in graph.inputs] == [0, 3]
    model.root.subgraphs[0].tensors[3].name = "why"
    assert (y.name, graph.tensors["why"]) == ("why", y)
    with pytest.raises(NotFoundError):
        _ = graph.tensors["y"]
    y.shape, y.shape_signature, y.dtype = (2, 3), (-1, 3), "INT8"
    assert (y.shape, y.shape_signature, y.dtype) == ((2, 3), (-1, 3), "INT8")
    model.root.subgraphs[0].tensors[3].shape = [5, 3]
    assert y.shape == (5, 3)
    operator = graph.operators[1]
    operator.inputs = [graph.tensors[0], None]
    assert operator.inputs == (graph.tensors[0], None)
    assert (graph.tensors[0].consumers, y.consumers) == (tuple(graph.operators), ())
    model.root.subgraphs[0].operators[1].outputs = [3]
    assert (operator.outputs, z.producer) == ((y,), None)


def test_what_cannot_be_assigned_says_what_can() -> None:
    model = open_model(rich())
    weights, x = model.main.tensors["w"], model.main.tensors["x"]
    for assign, hint in [
        (lambda: setattr(weights, "dtype", "INT8"), "without data"),
        (lambda: setattr(weights, "shape", (7,)), "6 elements"),
        (lambda: setattr(x, "shape", (-1, 2)), "impossible"),
        (lambda: setattr(x, "shape_signature", (1,)), "2 dimensions"),
        (lambda: setattr(x, "shape", 5), "list of sizes"),
        (lambda: setattr(model.main, "inputs", [None]), "cannot be absent"),
        (lambda: setattr(model.main, "inputs", "x"), "list of tensors"),
        (lambda: setattr(model.main, "inputs", [99]), "no entry 99"),
        (lambda: setattr(model.main.operators[0], "inputs", [open_model(rich()).main.tensors[0]]), "tensor of"),
        (lambda: setattr(model.main.operators[0], "custom_options", {}), "builtin operator"),
        (lambda: setattr(model, "signatures", [{"key": "a"}]), "key, inputs and outputs"),
        (lambda: setattr(x, "quantization", 5), "Quantization"),
    ]:
        with pytest.raises(UnliteError, match=hint):
            assign()
    assert (model.is_changed, model.edits) == (False, ())
    weights.shape = (2, 3)
    assert weights.numpy().shape == (2, 3)


REFUSED = [
    (lambda m: setattr(m, "root", None), "root cannot be assigned"),
    (lambda m: setattr(m, "main", None), "subgraphs = "),
    (lambda m: setattr(m, "buffers", []), "buffers = "),
    (lambda m: setattr(m, "metadata", {}), r"metadata\[NAME\]"),
    (lambda m: setattr(m, "nose", 1), "Assignable are: description"),
    (lambda m: setattr(m.main, "tensors", []), r"tensors = \[...\]"),
    (lambda m: setattr(m.main, "operators", 5), r"operators = \[...\]"),
    (lambda m: setattr(m.main.tensors[0], "index", 3), "index cannot be assigned"),
    (lambda m: setattr(m.main.tensors[0], "subgraph", None), "subgraph cannot be assigned"),
    (lambda m: setattr(m.main.tensors[0], "buffer", 3), "Assign data"),
    (lambda m: setattr(m.main.tensors[0], "is_variable", True), "model.root"),
    (lambda m: setattr(m.main.operators[0], "options", {}), "one by one"),
    (lambda m: setattr(m.main.operators[0], "name", "ADD"), "opcode_index"),
    (lambda m: setattr(m.operator_codes[0], "builtin_code", 3), "deprecated_builtin_code"),
    (lambda m: setattr(m.buffers[1], "index", 2), "index cannot be assigned"),
    (lambda m: setattr(m.signatures[0], "index", 2), "index cannot be assigned"),
    (lambda m: delattr(m, "description"), "cannot be deleted"),
    (lambda m: m.signatures.__delitem__("serve"), "signature_defs = "),
    (lambda m: m.main.tensors.__setitem__(0, {}), r"model.root.subgraphs\[0\].tensors = "),
    (lambda m: setattr(m, "signatures", 5), "list of signatures"),
    (lambda m: setattr(m.main, "inputs", {1: 2}), "list of tensors"),
    (lambda m: setattr(m.main, "inputs", b"y"), "list of tensors"),
    (lambda m: setattr(m.buffers[1], "data", m.main.tensors[0]), "list of numbers"),
    (lambda m: setattr(m.root.subgraphs[0].tensors[0], "is_variable", np.zeros(3)), "true or false"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_refused_names_the_form_that_works(number: int) -> None:
    model = open_model(rich())
    assign, hint = REFUSED[number]
    with pytest.raises(UnliteError, match=hint):
        assign(model)
    assert (model.is_changed, model.main.tensors[0].name, model.signatures[0].key) == (False, "x", "serve")


def test_signatures_by_key(tmp_path: Path) -> None:
    model = open_model(rich())
    early = model.signatures["serve"].inputs
    model.signatures["serve"].inputs["more"] = "y"
    assert early == {"in": model.main.tensors["x"], "more": model.main.tensors["y"]}
    del early["in"]
    found = api.plain(api.unpacked(saved(model, tmp_path / "new")))["signatureDefs"][0]["inputs"]
    assert [(one["name"], one["tensorIndex"]) for one in found] == [(b"more", 3)]
    with pytest.raises(NotFoundError, match="nothing called 'nose'"):
        _ = early["nose"]


def test_copies_are_their_own() -> None:
    model = open_model(rich())
    model.description = "a"
    for twin in (copy.copy(model), copy.deepcopy(model)):
        twin.description = "b"
        assert (model.description, len(model.edits), len(twin.edits)) == ("a", 1, 2)
        twin.undo()
        twin.undo()
        assert (twin.description, twin.is_changed, model.is_changed) == ("rich", False, True)


def test_metadata_is_pickled_with_its_history() -> None:
    model = open_model(rich())
    model.metadata["note"] = memoryview(b"one")
    model.metadata["more"] = bytearray(b"two")
    del model.metadata["note"]
    again = pickle.loads(pickle.dumps(model))
    assert bytes(again.edits[0].old.memoryview()) == b"text"
    again.undo()
    assert bytes(again.metadata["note"]) == b"one"


def test_signatures(tmp_path: Path) -> None:
    model = open_model(rich())
    first = model.signatures["serve"]
    first.inputs = {"a": model.main.tensors["x"], "b": "y"}
    first.key = "run"
    assert list(model.signatures["run"].inputs) == ["a", "b"]
    model.signatures = [first, {"key": "more", "inputs": {"x": 0}, "outputs": {"y": "y"}}]
    assert [signature.key for signature in model.signatures] == ["run", "more"]
    found = api.plain(api.unpacked(saved(model, tmp_path / "new")))["signatureDefs"]
    assert [one["signatureKey"] for one in found] == [b"run", b"more"]
    assert [one["tensorIndex"] for one in found[0]["inputs"]] == [0, 3]
    assert (found[1]["outputs"][0]["name"], found[1]["outputs"][0]["tensorIndex"]) == (b"y", 3)


def test_entries_of_vectors() -> None:
    model = open_model(rich())
    shape = model.root.subgraphs[0].tensors[0].shape
    shape[1] = 9
    assert list(shape) == [1, 9] == list(model.main.tensors[0].shape)
    model.root.subgraphs[0].tensors[1] = {"name": "put", "shape": [4]}
    assert model.main.tensors[1].name == "put"
    with pytest.raises(NotFoundError, match="no entry 5"):
        shape[5] = 1
    model.undo()
    model.undo()
    assert not model.is_changed


def test_places_that_share_a_table_are_edited_apart(tmp_path: Path) -> None:
    shared = {"scale": [0.5], "zero_point": [1]}
    made = api.model([api.tensor("a", [1]), api.tensor("b", [1])], [])
    root = open_model(made).root
    root.subgraphs[0].tensors[0].quantization = shared
    data = bytearray(saved(open_model_with(root), tmp_path / "a"))
    model = open_model(bytes(data))
    tensors = model.root.subgraphs[0].tensors
    tensors[1].quantization = tensors[0].quantization
    again = open_model(saved(model, tmp_path / "b"))
    one, other = (tensor.quantization for tensor in again.main.tensors)
    assert one is not None
    assert other is not None
    where = [again.root.subgraphs[0].tensors[i].quantization._position for i in (0, 1)]
    assert where[0] == where[1]  # one table in the file
    one.scale = [4.0]
    assert (one.scale, other.scale) == ((4.0,), (0.5,))
    found = api.plain(api.unpacked(saved(again, tmp_path / "c")))["subgraphs"][0]["tensors"]
    assert [tensor["quantization"]["scale"] for tensor in found] == [[4.0], [0.5]]


def open_model_with(root: Any) -> Any:
    from unlite.flatbuffers.saving import to_bytes

    return open_model(to_bytes(root))


# -- history ---------------------------------------------------------------------------------------------------------


def test_undo_and_redo(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(rich())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    model = open_model(path)
    model.description = "one"
    model.main.tensors["w"].data = np.ones((3, 2), np.float32)
    del model.metadata["note"]
    assert [edit.path for edit in model.edits] == ["description", "buffers[1].data", "metadata['note']"]
    assert (model.edits[0].old, model.edits[0].new) == ("rich", "one")
    assert len(model.edits[1].old) == len(model.edits[1].new) == 24
    after = saved(model, tmp_path / "after")
    assert model.undo().path == "metadata['note']"
    assert bytes(model.metadata["note"]) == b"text"
    assert model.undo().path == "buffers[1].data"
    assert model.main.tensors["w"].numpy()[2, 1] == 5
    assert model.undo().path == "description"
    assert (model.undo(), model.description, model.is_changed, model.edits) == (None, "rich", False, ())
    report = model.save(tmp_path / "same")
    assert report.how == "copied"
    assert hashlib.sha256((tmp_path / "same").read_bytes()).hexdigest() == digest
    while model.redo():
        pass
    assert saved(model, tmp_path / "again") == after
    model.undo()
    model.description = "other"
    assert model.redo() is None


def test_what_fails_changes_nothing() -> None:
    model = open_model(rich())

    def both() -> None:
        with model.root._edits.change("both"):
            model.description = "half"
            model.root.subgraphs[0].tensors[0].shape = [2**40]

    with pytest.raises(InvalidValueError):
        both()
    assert (model.description, model.edits) == ("rich", ())


def test_past_values_stay_and_take_nothing() -> None:
    model = open_model(rich())
    model.root.subgraphs[0].tensors[0].quantization = {"scale": [4.0], "zero_point": [2]}
    old, new = model.edits[0].old, model.edits[0].new
    model.root.subgraphs[0].tensors[0].quantization.scale = [8.0]
    assert (list(old.scale), list(new.scale)) == ([0.5], [4.0])
    with pytest.raises(InvalidTypeError, match="past"):
        old.scale = [1.0]
    model.root.subgraphs[0].tensors[0].quantization = old
    assert model.main.tensors[0].quantization.scale == (0.5,)


LINES = [
    lambda model: setattr(model, "description", 'it\'s "mine" ü'),
    lambda model: setattr(model.main.tensors[0], "name", "x y"),
    lambda model: setattr(model.main.tensors[0], "shape", (4, 2)),
    lambda model: setattr(model.main.operators[0].options, "fused_activation_function", "RELU6"),
    lambda model: setattr(model.main, "outputs", [3, 4]),
    lambda model: setattr(model.main.tensors[0].quantization, "scale", [0.1]),
    lambda model: setattr(model.main.operators[0].options, "keep_num_dims", True),
]


@pytest.mark.parametrize("number", range(len(LINES)))
def test_the_command_that_does_it(number: int, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(rich())
    model = open_model(path)
    LINES[number](model)
    (edit,) = model.edits
    assert edit.line is not None
    program, *words = shlex.split(edit.line.replace("MODEL", str(path)).replace("OUT", str(tmp_path / "out")))
    assert program == "unlite"
    subprocess.run([sys.executable, "-m", "unlite", *words], check=True, capture_output=True)
    assert tree(open_model(tmp_path / "out").root) == tree(open_model(saved(model, tmp_path / "own")).root)


def test_no_line_for_bulk_data() -> None:
    model = open_model(rich())
    model.main.tensors["w"].data = np.ones((3, 2), np.float32)
    model.metadata["note"] = b"else"
    assert [edit.line for edit in model.edits] == [None, None]


# -- every reader sees the same --------------------------------------------------------------------------------------


def test_verify_json_and_torch_see_changes() -> None:
    torch = pytest.importorskip("torch")
    model = open_model(dense_layer())
    model.main.tensors["weights"].data = np.zeros((3, 2), np.float32)
    assert json.loads(unlite.to_json(model))["buffers"][1]["data"] == [0] * 24
    net = unlite.to_torch(model)
    assert net(torch.ones(1, 2)).tolist() == [[1, 2, 3]]
    model.main.outputs = ["x"]
    assert net is not None
    assert unlite.to_torch(model)(torch.ones(1, 2)).tolist() == [[1, 1]]
    model.root.subgraphs[0].operators[0].inputs = [99]
    assert any("99" in finding.message for finding in model.verify())


# -- what is taken away leaves nothing behind ----------------------------------------------------------------------


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    made = Builder()
    main = made.graph()
    secret = b"SECRET-CONTENT-0123456789"
    made.constant(main, "w", np.frombuffer(secret, np.uint8), "UINT8")
    made.rest["metadata"] = [{"name": "note", "buffer": made.buffer(b"NOTE" + secret)}]
    model = open_model(made.data())
    del model.metadata["note"]
    assert b"NOTE" not in saved(model, tmp_path / "a")
    model.buffers[1].data = b"short"
    data = saved(model, tmp_path / "b")
    assert secret not in data
    assert len(open_model(data).buffers) == 3


def test_weights_behind_the_flatbuffer_go_with_their_buffer(shared: Path, tmp_path: Path) -> None:
    model = open_model(shared / "external_buffer/offset_fc_float.tflite")
    (number,) = [b.index for b in model.buffers if b.span is not None and b.span.length > 1000][:1]
    content = bytes(model.buffers[number].data)
    model.buffers[number].data = None
    data = saved(model, tmp_path / "new")
    assert model.buffers[number].data is None
    assert content not in data
    assert open_model(data).buffers[number].data is None


# -- other schemas, pickling, in-place -------------------------------------------------------------------------------


def test_another_schema_is_saved(tmp_path: Path) -> None:
    from unlite import flatbuffers

    data = described(author="me", version="one")
    path = tmp_path / "meta.bin"
    path.write_bytes(data)
    root = flatbuffers.open(path, "metadata")
    assert root.save(tmp_path / "copy").how == "copied"
    root.version = "two"
    assert root.save(tmp_path / "patch").how == "patched"
    root.version = "three and more"
    early = flatbuffers.edits_of(root).history
    assert root.save(tmp_path / "new").how == "rewritten"
    assert flatbuffers.open(tmp_path / "new", "metadata").version == "three and more"
    assert flatbuffers.open(tmp_path / "patch", "metadata").version == "two"
    assert len(early) == 2
    flatbuffers.edits_of(root).undo()
    flatbuffers.edits_of(root).undo()
    assert root.save(path).how == "copied"
    assert path.read_bytes() == data
    with pytest.raises(InvalidValueError, match="root"):
        open_model(rich()).root.subgraphs[0].save(tmp_path / "x")


def test_a_size_prefix_stays(tmp_path: Path) -> None:
    from unlite import flatbuffers

    data = described(version="one")
    root = flatbuffers.open(len(data).to_bytes(4, "little") + data, "metadata")
    for version in ("two", "three and more"):
        root.version = version
        root.save(tmp_path / "new")
        found = (tmp_path / "new").read_bytes()
        assert int.from_bytes(found[:4], "little") == len(found) - 4
        assert flatbuffers.open(tmp_path / "new", "metadata").version == version


def test_a_changed_model_is_pickled(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(rich())
    model = open_model(path)
    model.description = "changed"
    model.main.tensors["w"].data = np.ones((3, 2), np.float32)
    model.main.tensors[0].quantization.scale = [0.75]
    model.metadata.decoded("TFLITE_METADATA").name = "new"
    again = pickle.loads(pickle.dumps(model))
    assert [edit[:1] + edit[3:] for edit in again.edits] == [edit[:1] + edit[3:] for edit in model.edits]
    assert saved(again, tmp_path / "a") == saved(model, tmp_path / "b")
    assert list(again.edits[2].old) == [0.5]
    again.undo()
    again.main.tensors[0].name = "later"
    assert (again.main.tensors["later"].index, model.main.tensors[0].name) == (0, "x")
    while again.undo():
        pass
    assert again.save(tmp_path / "c").how == "copied"


def test_a_save_in_place_is_the_new_beginning(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(rich())
    model = open_model(path)
    early = model.main.tensors["w"]
    early.data = np.ones((3, 2), np.float32)
    model.save(in_place=True)
    assert (model.is_changed, model.undo()) == (False, None)
    assert early.numpy().tolist() == [[1, 1]] * 3
    assert model.save(tmp_path / "copy").how == "copied"
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
