"""What is wrong with models: the judge is LiteRT, which loads each file and allocates its tensors, or refuses."""

from __future__ import annotations

import copy
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.flatbuffers.test_verify import mutated
from tests.model.litert_judge import answers

from unlite.flatbuffers.findings import Finding
from unlite.flatbuffers.verify import verify
from unlite.flatbuffers.write import build
from unlite.model.checking.verify import verify_file
from unlite.model.model import open_model
from unlite.schema import load
from unlite.storage.source import MemorySource

Plain = dict[str, Any]

# Two fully connected layers, a resource, a sparse constant and strings that nobody reads, and an IF over two subgraphs.
# Stored strings: count 2, offsets 16, 17, 19 (4 * (2 + 2) = 16 bytes of them), then "a" and "bc".
STRINGS = struct.pack("<4i", 2, 16, 17, 19) + b"abc"
SPARSE: Plain = {
    "traversal_order": [0, 1],
    "dim_metadata": [
        {"format": "DENSE", "dense_size": 2},
        {
            "format": "SPARSE_CSR",
            "array_segments_type": "Uint8Vector",
            "array_segments": {"values": [0, 1, 3]},
            "array_indices_type": "Uint8Vector",
            "array_indices": {"values": [1, 0, 2]},
        },
    ],
}
BRANCH: Plain = {
    "name": "branch",
    "inputs": [0],
    "outputs": [1],
    "tensors": [{"shape": [1, 4]}, {"shape": [1, 4]}],
    "operators": [{"opcode_index": 1, "inputs": [0], "outputs": [1]}],
}
SOUND: Plain = {
    "version": 3,
    "operator_codes": [
        {"builtin_code": "FULLY_CONNECTED", "deprecated_builtin_code": 9, "version": 1},
        {"builtin_code": "TANH", "deprecated_builtin_code": 28, "version": 1},
        {"builtin_code": "IF", "deprecated_builtin_code": 118, "version": 1},
    ],
    "subgraphs": [
        {
            "name": "main",
            "inputs": [0, 6],
            "outputs": [4, 7],
            "tensors": [
                {"name": "in", "shape": [1, 3], "shape_signature": [-1, 3]},
                {"name": "w1", "shape": [2, 3], "buffer": 1},
                {"name": "hidden", "shape": [1, 2]},
                {"name": "w2", "shape": [4, 2], "buffer": 2},
                {"name": "out", "shape": [1, 4]},
                {"name": "texts", "shape": [2], "type": "STRING", "buffer": 3},
                {"name": "which", "shape": [1], "type": "BOOL"},
                {"name": "branched", "shape": [1, 4]},
                {"name": "sparse", "shape": [2, 3], "buffer": 4, "sparsity": SPARSE},
                {
                    "name": "bytes",
                    "shape": [2, 2],
                    "type": "INT8",
                    "buffer": 5,
                    "quantization": {"scale": [0.5, 0.25], "zero_point": [0, 1], "quantized_dimension": 1},
                },
                {"name": "state", "shape": [3], "is_variable": True},
                {"name": "packed", "shape": [3], "type": "INT4", "buffer": 6},
            ],
            "operators": [
                {
                    "inputs": [0, 1, -1],
                    "outputs": [2],
                    "builtin_options_type": "FullyConnectedOptions",
                    "builtin_options": {},
                },
                {
                    "inputs": [2, 3, -1],
                    "outputs": [4],
                    "builtin_options_type": "FullyConnectedOptions",
                    "builtin_options": {},
                },
                {
                    "opcode_index": 2,
                    "inputs": [6, 4],
                    "outputs": [7],
                    "builtin_options_type": "IfOptions",
                    "builtin_options": {"then_subgraph_index": 1, "else_subgraph_index": 2},
                },
            ],
        },
        BRANCH,
        BRANCH,
    ],
    "buffers": [
        {},
        {"data": bytes(24)},
        {"data": bytes(32)},
        {"data": STRINGS},
        {"data": bytes(12)},
        {"data": bytes(4)},
        {"data": bytes(2)},
    ],
    "metadata": [{"name": "note", "buffer": 0}],
    "signature_defs": [
        {
            "signature_key": "serve",
            "subgraph_index": 0,
            "inputs": [{"name": "x", "tensor_index": 0}, {"name": "which", "tensor_index": 6}],
            "outputs": [{"name": "y", "tensor_index": 4}, {"name": "z", "tensor_index": 7}],
        }
    ],
}


def check(data: bytes) -> list[Finding]:
    return verify_file(MemorySource(data))


def errors(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == "error"]


def made(damage: Callable[[Plain], object]) -> bytes:
    model = copy.deepcopy(SOUND)
    damage(model)
    return build(load().root, model, b"TFL3")


def tensor(number: int, **fields: Any) -> Callable[[Plain], object]:
    return lambda m: m["subgraphs"][0]["tensors"][number].update(fields)


def operator(number: int, **fields: Any) -> Callable[[Plain], object]:
    return lambda m: m["subgraphs"][0]["operators"][number].update(fields)


def graph(**fields: Any) -> Callable[[Plain], object]:
    return lambda m: m["subgraphs"][0].update(fields)


def top(**fields: Any) -> Callable[[Plain], object]:
    return lambda m: m.update(fields)


def code(number: int, **fields: Any) -> Callable[[Plain], object]:
    return lambda m: m["operator_codes"][number].update(fields)


def quantized(**fields: Any) -> Callable[[Plain], object]:
    return lambda m: m["subgraphs"][0]["tensors"][9]["quantization"].update(fields)


def buffer(number: int, **fields: Any) -> Callable[[Plain], object]:
    return lambda m: m["buffers"].__setitem__(number, fields)


def details(kind: str, **fields: Any) -> Callable[[Plain], object]:
    table = {"scales": 1, "zero_points": -1, "block_size": 2} | fields
    return quantized(details_type=kind, details=table)


def signature(**fields: Any) -> Callable[[Plain], object]:
    return lambda m: m["signature_defs"][0].update(fields)


def level(number: int, **fields: Any) -> Callable[[Plain], object]:
    return lambda m: m["subgraphs"][0]["tensors"][8]["sparsity"]["dim_metadata"][number].update(fields)


T, O = "subgraphs[0].tensors", "subgraphs[0].operators"  # noqa: E741 - as short as the table below wants it

# What is done to the sound model, and where the error must be. LiteRT refuses every one of these.
REFUSED: dict[str, tuple[Callable[[Plain], object], str]] = {
    "version": (top(version=4), "version"),
    "no subgraph": (top(subgraphs=[]), "subgraphs"),
    "no buffers": (top(buffers=None), "buffers"),
    "no tensors": (graph(tensors=None), "subgraphs[0].tensors"),
    "unknown operator": (code(0, builtin_code=9999), "operator_codes[0].builtin_code"),
    "negative operator": (code(0, builtin_code=-3, deprecated_builtin_code=-3), "operator_codes[0].builtin_code"),
    "placeholder": (code(0, builtin_code=127, deprecated_builtin_code=127), "operator_codes[0].builtin_code"),
    "version of operator": (code(1, version=99), "operator_codes[1].version"),
    "version 0 of operator": (code(1, version=0), "operator_codes[1].version"),
    "custom without name": (code(0, builtin_code=32, deprecated_builtin_code=32), "operator_codes[0].custom_code"),
    "operator code": (operator(0, opcode_index=3), f"{O}[0].opcode_index"),
    "input": (operator(1, inputs=[2, 99, -1]), f"{O}[1].inputs[1]"),
    "input -2": (operator(1, inputs=[2, -2, -1]), f"{O}[1].inputs[1]"),
    "output": (operator(1, outputs=[12]), f"{O}[1].outputs[0]"),
    "no inputs": (operator(1, inputs=[]), f"{O}[1].inputs"),
    "in place": (operator(1, outputs=[2]), f"{O}[1].outputs[0]"),
    "subgraph input": (graph(inputs=[0, 12]), "subgraphs[0].inputs[1]"),
    "subgraph output": (graph(outputs=[-2]), "subgraphs[0].outputs[0]"),
    "subgraph of IF": (
        operator(2, builtin_options={"then_subgraph_index": 3, "else_subgraph_index": 2}),
        f"{O}[2].builtin_options.then_subgraph_index",
    ),
    "subgraph -1 of IF": (
        operator(2, builtin_options={"then_subgraph_index": 1, "else_subgraph_index": -1}),
        f"{O}[2].builtin_options.else_subgraph_index",
    ),
    "recursion": (
        operator(2, builtin_options={"then_subgraph_index": 0, "else_subgraph_index": 0}),
        f"{O}[2]",
    ),
    "type": (tensor(0, type=77), f"{T}[0].type"),
    "buffer index": (tensor(1, buffer=7), f"{T}[1].buffer"),
    "negative size": (tensor(0, shape=[1, -3]), f"{T}[0].shape"),
    "elements overflow": (tensor(10, shape=[1 << 30, 1 << 30, 1 << 30]), f"{T}[10].shape"),
    "bytes overflow": (tensor(10, shape=[1 << 30, 1 << 30, 4]), f"{T}[10].shape"),
    "data too short": (tensor(1, shape=[2, 4]), f"{T}[1].buffer"),
    "data empty": (buffer(1, data=b""), f"{T}[1].buffer"),
    "packed data too short": (tensor(11, shape=[5]), f"{T}[11].buffer"),
    "offset outside": (buffer(1, offset=5000, size=24), "buffers[1].offset"),
    "size outside": (buffer(1, offset=100, size=1 << 63), "buffers[1].offset"),
    "too short behind": (buffer(1, offset=100, size=20), f"{T}[1].buffer"),
    "variable with data": (tensor(1, is_variable=True), f"{T}[1].buffer"),
    "external with data": (tensor(1, external_buffer=5), f"{T}[1].buffer"),
    "string variable": (tensor(10, type="STRING"), f"{T}[10].is_variable"),
    "zero points absent": (quantized(zero_point=None), f"{T}[9].quantization.zero_point"),
    "zero points too few": (quantized(zero_point=[0]), f"{T}[9].quantization.zero_point"),
    "dimension": (quantized(quantized_dimension=2), f"{T}[9].quantization.quantized_dimension"),
    "dimension -1": (quantized(quantized_dimension=-1), f"{T}[9].quantization.quantized_dimension"),
    "scales": (quantized(scale=[1.0] * 3, zero_point=[0] * 3), f"{T}[9].quantization.scale"),
    "blocks absent": (quantized(details_type="BlockwiseQuantization"), f"{T}[9].quantization.details"),
    "axes absent": (details("MultiAxisQuantization"), f"{T}[9].quantization.details.quantized_dimensions"),
    "axes' scales": (
        details("MultiAxisQuantization", quantized_dimensions=[0], scales=12),
        f"{T}[9].quantization.details.scales",
    ),
    "axes' zero points": (
        details("MultiAxisQuantization", quantized_dimensions=[0], zero_points=-2),
        f"{T}[9].quantization.details.zero_points",
    ),
    "axes' block size": (
        details("MultiAxisQuantization", quantized_dimensions=[0], block_size=-1),
        f"{T}[9].quantization.details.block_size",
    ),
    "axis": (
        details("MultiAxisQuantization", quantized_dimensions=[0, 2]),
        f"{T}[9].quantization.details.quantized_dimensions[1]",
    ),
    "sparsity empty": (tensor(8, sparsity={}), f"{T}[8].sparsity.dim_metadata"),
    "level format": (level(0, format=5), f"{T}[8].sparsity.dim_metadata[0].format"),
    "indices absent": (
        level(1, array_indices_type="Uint8Vector", array_indices={}),
        f"{T}[8].sparsity.dim_metadata[1].array_indices",
    ),
    "signature key": (signature(signature_key=None), "signature_defs[0].signature_key"),
    "no kernel": (
        lambda m: m["operator_codes"].append({"builtin_code": "STABLEHLO_SORT", "deprecated_builtin_code": 127}),
        "operator_codes[3].builtin_code",
    ),
    "dimension of a bias": (
        tensor(9, shape=[2], quantization={"scale": [0.5, 0.25], "zero_point": [0, 0], "quantized_dimension": 1}),
        f"{T}[9].quantization.quantized_dimension",
    ),
    "too few inputs": (operator(0, inputs=[0]), f"{O}[0].inputs"),
    "too many inputs": (operator(0, inputs=[0, 1, -1, -1]), f"{O}[0].inputs"),
    "absent input": (operator(0, inputs=[0, -1, -1]), f"{O}[0].inputs[1]"),
    "no outputs": (operator(1, outputs=[]), f"{O}[1].outputs"),
    "absent output": (operator(1, outputs=[-1], inputs=[2, 3]), f"{O}[1].outputs[0]"),
    "absent input and output": (operator(1, outputs=[-1]), f"{O}[1].outputs[0]"),
    "second output": (operator(1, outputs=[4, 10]), f"{O}[1].outputs"),
    "options of IF": (operator(2, builtin_options_type="NONE", builtin_options=None), f"{O}[2].builtin_options"),
    "inputs of IF": (operator(2, inputs=[6]), f"{O}[2].inputs"),
    "outputs of IF": (operator(2, outputs=[7, 8]), f"{O}[2].outputs"),
    "weights format": (
        operator(0, builtin_options={"weights_format": 5}),
        f"{O}[0].builtin_options.weights_format",
    ),
    "type of bias": (
        operator(0, builtin_options={"quantized_bias_type": 77}),
        f"{O}[0].builtin_options.quantized_bias_type",
    ),
}

# What cannot be read although LiteRT loads it: it does not look, or not before the operator runs.
UNREADABLE: dict[str, tuple[Callable[[Plain], object], str]] = {
    "signature's subgraph": (signature(subgraph_index=3), "signature_defs[0].subgraph_index"),
    "signature's tensor": (
        signature(inputs=[{"name": "x", "tensor_index": 12}]),
        "signature_defs[0].inputs[0].tensor_index",
    ),
    "signature's input is a constant": (
        signature(inputs=[{"name": "x", "tensor_index": 1}]),
        "signature_defs[0].inputs[0].tensor_index",
    ),
    "signature's output lies inside": (
        signature(outputs=[{"name": "y", "tensor_index": 2}]),
        "signature_defs[0].outputs[0].tensor_index",
    ),
    "metadata's buffer": (top(metadata=[{"name": "a", "buffer": 7}]), "metadata[0].buffer"),
    "intermediates": (operator(0, intermediates=[12]), f"{O}[0].intermediates[0]"),
    "external buffer": (tensor(10, is_variable=False, external_buffer=5), f"{T}[10].external_buffer"),
    "external group": (top(external_buffers=[{"id": 1, "group": 2}]), "external_buffers[0].group"),
    "block scales": (details("BlockwiseQuantization", scales=-1), f"{T}[9].quantization.details.scales"),
    "offset wraps": (buffer(1, offset=(1 << 64) - 10, size=40), "buffers[1].offset"),
    "absent input of the graph": (graph(inputs=[0, -1]), "subgraphs[0].inputs[1]"),
    "traversal order": (
        lambda m: m["subgraphs"][0]["tensors"][8]["sparsity"].update(traversal_order=[0, 2]),
        f"{T}[8].sparsity.traversal_order",
    ),
    "levels": (
        lambda m: m["subgraphs"][0]["tensors"][8]["sparsity"]["dim_metadata"].pop(),
        f"{T}[8].sparsity.dim_metadata",
    ),
    "dense size": (level(0, dense_size=3), f"{T}[8].sparsity.dim_metadata[0].dense_size"),
    "segments": (
        level(1, array_segments={"values": [0, 4, 3]}),
        f"{T}[8].sparsity.dim_metadata[1].array_segments",
    ),
    "indices outside": (
        level(1, array_indices={"values": [1, 0, 3]}),
        f"{T}[8].sparsity.dim_metadata[1].array_indices",
    ),
    "leaves": (buffer(4, data=bytes(8)), f"{T}[8].buffer"),
    "strings' count": (buffer(3, data=struct.pack("<i", 1 << 20) + STRINGS[4:]), f"{T}[5].buffer"),
    "strings' first offset": (buffer(3, data=struct.pack("<2i", 2, 12) + STRINGS[8:]), f"{T}[5].buffer"),
    "strings' order": (buffer(3, data=struct.pack("<4i", 2, 16, 19, 17) + b"abc"), f"{T}[5].buffer"),
    "strings' end": (buffer(3, data=STRINGS + b"d"), f"{T}[5].buffer"),
}

# What LiteRT loads; its separate verifier, or good sense, has doubts.
DOUBTFUL: dict[str, tuple[Callable[[Plain], object], str, str]] = {
    "two makers": (operator(2, outputs=[2]), f"{O}[2].outputs[0]", "operators[0] writes too"),
    "order": (lambda m: m["subgraphs"][0]["operators"].reverse(), f"{O}[1].inputs[0]", "before operators[2] writes"),
    "nobody writes": (graph(operators=[]), "subgraphs[0].outputs", "nothing writes it"),
    "writes a constant": (operator(2, outputs=[1]), f"{O}[2].outputs[0]", "is a constant"),
    "buffer 0": (buffer(0, data=b"abc"), "buffers[0]", "must be empty"),
    "data too long": (buffer(1, data=bytes(28)), f"{T}[1].buffer", "takes only 24"),
    "scale 0": (quantized(scale=[0.5, 0.0]), f"{T}[9].quantization.scale[1]", "0.0"),
    "scale NaN": (quantized(scale=[float("nan"), 1.0]), f"{T}[9].quantization.scale[0]", "nan"),
    "zero point": (quantized(zero_point=[0, 128]), f"{T}[9].quantization.zero_point[1]", "128"),
    "shape_signature": (tensor(0, shape_signature=[-1]), f"{T}[0].shape_signature", "1 dimensions"),
    "variants": (tensor(0, variant_tensors=[{}, {}]), f"{T}[0].variant_tensors", "2 entries"),
    "many elements": (
        tensor(10, shape=[1 << 20, 1 << 20], is_variable=False),
        f"{T}[10].shape",
        "more than 2147483647",
    ),
    "other options": (
        operator(0, builtin_options_type="AddOptions", builtin_options={}),
        f"{O}[0].builtin_options",
        "FULLY_CONNECTED takes FullyConnectedOptions",
    ),
    "custom options": (operator(0, custom_options=b"1"), f"{O}[0].custom_options", "only custom operators"),
    "signature key twice": (
        lambda m: m["signature_defs"].append(m["signature_defs"][0]),
        "signature_defs[1].signature_key",
        "several",
    ),
    "signature's name twice": (
        signature(inputs=[{"name": "x", "tensor_index": 0}, {"name": "x", "tensor_index": 6}]),
        "signature_defs[0].inputs[1].name",
        "'x' is the name of several",
    ),
    "signature lacks an input": (
        signature(inputs=[{"name": "x", "tensor_index": 0}]),
        "signature_defs[0].inputs",
        "none for tensor 6",
    ),
    "input names": (tensor(6, name="in"), "subgraphs[0].inputs[1]", "'in' is the name of inputs[0] too"),
    "output names": (tensor(7, name="out"), "subgraphs[0].outputs[1]", "'out' is the name of outputs[0] too"),
    "fixed size": (tensor(0, shape_signature=[-1, 4]), f"{T}[0].shape_signature", "4 along axis 1"),
    "metadata's name twice": (top(metadata=[{"name": "a"}, {"name": "a"}]), "metadata[1].name", "of several"),
    "metadata is JSON": (
        lambda m: (
            m["buffers"].append({"data": b'{"name": "face"}'}),
            m.update(metadata=[{"name": "TFLITE_METADATA", "buffer": 7}]),
        ),
        "metadata[0].buffer",
        "no FlatBuffer of its schema",
    ),
    "empty metadata": (top(metadata=[{"name": "TFLITE_METADATA"}]), "metadata[0].buffer", "is empty"),
    "nobody calls": (
        lambda m: m["subgraphs"].append({**BRANCH, "operators": [{"opcode_index": 1, "inputs": [], "outputs": [1]}]}),
        "subgraphs[3].operators[0].inputs",
        "Nothing calls this subgraph",
    ),
    "group's path": (top(external_buffer_groups=[{"name": "../w"}]), "external_buffer_groups[0].name", "'../w'"),
    "strings' shape": (tensor(5, shape=[3]), f"{T}[5].shape", "2 strings are stored"),
}


def test_the_sound_model_is_sound(tmp_path: Path) -> None:
    data = made(lambda m: m)
    assert check(data) == []
    assert answers(tmp_path, [data]) == ["ok"]


@pytest.mark.parametrize("name", [*REFUSED, *UNREADABLE])
def test_error(name: str) -> None:
    damage, path = {**REFUSED, **UNREADABLE}[name]
    assert path in [finding.path for finding in errors(check(made(damage)))]


@pytest.mark.parametrize("name", DOUBTFUL)
def test_warning(name: str) -> None:
    damage, path, message = DOUBTFUL[name]
    findings = check(made(damage))
    assert not errors(findings)
    assert any(path == finding.path and message in finding.message for finding in findings), findings


def test_litert_refuses_what_is_refused_here(tmp_path: Path) -> None:
    found = answers(tmp_path, [made(damage) for damage, _ in REFUSED.values()])
    assert [name for name, answer in zip(REFUSED, found, strict=True) if answer == "ok"] == []


# Kernels have more to say: the operator itself is at fault there.
KERNEL = re.compile("failed to prepare|unresolved custom op")


def test_litert_loads_the_rest(tmp_path: Path) -> None:
    cases = {name: made(damage) for name, (damage, _) in UNREADABLE.items()}
    cases |= {name: made(damage) for name, (damage, *_) in DOUBTFUL.items()}
    found = dict(zip(cases, answers(tmp_path, list(cases.values())), strict=True))
    assert {name: text for name, text in found.items() if text != "ok" and not KERNEL.search(text)} == {}


# -- real files, whole and damaged ------------------------------------------------------------------------------------


# Whose operators LiteRT has no kernels for, and one of early converters; LiteRT refuses each when it builds.
EXPECTED = re.compile(
    r"LiteRT 2.3 has no kernel for STABLEHLO_|quantized_dimension: is 3, 0 is meant; LiteRT refuses it"
)


def test_real_files_have_errors_only_where_litert_refuses(shared: Path, tmp_path: Path) -> None:
    folders = "models", "opsuite", "golden_int16", "external_buffer", "bundles"
    paths = [path for folder in folders for path in sorted((shared / folder).rglob("*.tflite"))]
    assert len(paths) > 800
    found = {path: errors(check(path.read_bytes())) for path in paths}
    found = {path: findings for path, findings in found.items() if findings}
    assert len(found) == 33
    assert all(EXPECTED.search(str(finding)) for findings in found.values() for finding in findings)
    said = answers(tmp_path, [path.read_bytes() for path in found])
    assert [answer for answer in said if not answer.startswith("building: ")] == []


# Answers that are not about the file: how it was run, or what one kernel wants of its operator's shapes.
ABOUT_SOMETHING_ELSE = re.compile("Tensor data is null|'bool' object has no|NumDimensions|crash: signal")


def test_malformed_files(shared: Path) -> None:
    rows = json.loads((shared / "malformed/manifest.json").read_bytes())
    missed, false_alarms = [], []
    for row in rows:
        found = errors(check((shared / "malformed" / row["file"]).read_bytes()))
        if row["runtime"] == "runs" and found:
            false_alarms.append((row["file"], found))
        if row["runtime"] != "runs" and not ABOUT_SOMETHING_ELSE.search(row["runtime"]) and not found:
            missed.append((row["file"], row["runtime"]))
    assert (missed, false_alarms) == ([], [])


BASES = (
    "models/hello_world_int8",
    "external_buffer/offset_fc_float",
    "opsuite/models/h_if_true",
    "opsuite/models/h_lstm_basic",
    "opsuite/models/h_hashtable_str_i64",
    "opsuite/models/h_sparse_fully_connected",
    "opsuite/models/h_shlo_composite",
    "opsuite/models/h_while_loop",
)
# LiteRT's Python wrapper decodes names of signatures, which the format does not ask for.
BESIDE_THE_POINT = re.compile("codec can't decode")


def test_random_damage_is_found_where_litert_refuses(shared: Path, tmp_path: Path) -> None:
    bases = {name: (shared / f"{name}.tflite").read_bytes() for name in BASES}
    cases = {(name, seed): mutated(data, seed) for name, data in bases.items() for seed in range(40)}
    cases = {case: data for case, data in cases.items() if data}
    found = dict(zip(cases, answers(tmp_path, list(cases.values())), strict=True))
    refused = {
        case: text
        for case, text in found.items()
        if text.startswith("building: ") or "called on inconsistent model" in text
    }
    assert len(refused) > 100
    missed = {
        case: text
        for case, text in refused.items()
        if not BESIDE_THE_POINT.search(text) and not errors(check(cases[case]))
    }
    assert missed == {}
    # The FlatBuffers verifier inside LiteRT takes an entry that leads to itself, and a table with a vtable of no size.
    for case, text in found.items():
        if "not a valid Flatbuffer" not in text:
            structure = errors(verify(MemorySource(cases[case]), load(), identifier=b"TFL3"))
            assert all(re.search(r"impossible size, [02]\.|offset is 0", one.message) for one in structure), case


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32), name=st.sampled_from(BASES))
def test_damage_never_raises(shared: Path, seed: int, name: str) -> None:
    for finding in check(mutated((shared / f"{name}.tflite").read_bytes(), seed)):
        assert finding.message


@given(data=st.binary(max_size=300))
def test_bytes_never_raise(data: bytes) -> None:
    assert errors(check(data))
    assert errors(check(data[:4] + b"TFL3" + data[4:]))


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_a_file_of_version_1_is_read_with_its_own_schema() -> None:
    model = {
        "version": 1,
        "operator_codes": [{"builtin_code": "ADD"}],
        "subgraphs": [
            {
                "tensors": [{"shape": [1]}, {"shape": [1]}],
                "inputs": [0],
                "outputs": [1],
                "operators": [{"inputs": [0, 0], "outputs": [9]}],
            }
        ],
    }
    findings = check(build(load("tflite_v1").root, model))
    assert [(finding.severity, finding.path) for finding in findings][:1] == [("error", f"{O}[0].outputs[0]")]
    assert "schema version 1" in str(findings)


def test_what_was_assigned_is_judged() -> None:
    model = open_model(made(lambda m: m))
    model.main.tensors[0].name = "renamed"
    assert model.verify() == []
    model.root.metadata = [{"name": "x", "buffer": 999}]
    (found,) = model.verify()
    assert (found.severity, found.path) == ("error", "metadata[0].buffer")
    model.undo()
    assert model.verify() == []


def test_no_model_at_all() -> None:
    (found,) = check(b"PK\3\4" + bytes(100))
    assert found.severity == "error"


def test_all_entries_the_same_subgraph_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlite.flatbuffers.walk.MAX_TABLES", 20_000)
    data = bytearray(made(lambda m: m["subgraphs"].extend([BRANCH] * 2000)))
    root = open_model(bytes(data)).root
    start = root.subgraphs._start
    first = start + struct.unpack_from("<I", data, start)[0]
    for entry in range(start, start + 4 * len(root.subgraphs), 4):
        struct.pack_into("<I", data, entry, first - entry)  # offsets of the file's writer lead forward only
    found = errors(check(bytes(data)))[0]
    assert "more than 20000 tables" in found.message
