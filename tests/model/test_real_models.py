"""Every real model: its facts, each tensor and operator, constants as LiteRT has them, and what saving does to it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.model.independent import plain, unpacked
from tests.model.litert_digests import ask, digest
from tests.strategies import rewritten, tree

from unlite.errors import NoDataError, NotQuantizedError
from unlite.model.facts.summary import summarize
from unlite.model.model import Model, open_model
from unlite.model.values.dtypes import stored_bytes

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROWS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parents[1] / "models.toml").read_text("utf-8"))["model"]
KINDS = ["models", "external_buffer", *(f"golden_int16/{i}" for i in range(2)), *(f"opsuite/{i}" for i in range(8))]

# What the rows' words for quantization are in ours.
WORDS = {
    "float16 weights": "FLOAT16 weights",
    "full int8": "INT8 activations",
    "full uint8": "UINT8 activations",
    "16x8": "INT16 activations, INT8 weights",
    "per-tensor": "per-tensor",
    "per-channel": "per-channel",
    "dynamic-range": "(dynamic range)",
    "DEQUANTIZE": "behind DEQUANTIZE",
    "sparse": "sparse",
    "float32": "none",
}
# No constants at all: nothing tells how the weights are quantized.
WITHOUT_WEIGHTS = ("nl_classifier_customops.tflite", "dynamic_update_slice.tflite", "mobilenet_v2_edgetpu.tflite")
# What LiteRT's Python interface calls them, where NumPy's name for our array is another.
DTYPES = {"STRING": "bytes_", "INT4": "int8", "UINT4": "uint8", "INT2": "int8"}
# Drawn anew in each run; and the last, of which LiteRT's kernel gives another answer each time without being asked to.
RANDOM = ("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL", "BIDIRECTIONAL_SEQUENCE_LSTM")


def files(kind: str, shared: Path) -> list[Path]:
    """The models of one kind; the large kinds in parts, so that several processes can share the work."""
    folder, _, part = kind.partition("/")
    found = sorted((shared / folder).rglob("*.tflite"))
    if not part:
        return found
    parts = sum(each.startswith(folder + "/") for each in KINDS)
    return found[int(part) :: parts]


# -- facts -----------------------------------------------------------------------------------------


def test_every_model_has_a_row(models: list[Path]) -> None:
    assert [path.name for path in models] == [row["file"] for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"].removesuffix(".tflite"))
def test_facts(row: dict[str, Any], shared: Path) -> None:
    path = shared / "models" / row["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
    assert row["licence"].startswith(("Apache-2.0", "MIT"))
    with open_model(path) as model:
        tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
        operators = [operator for graph in model.subgraphs for operator in graph.operators]
        assert model.schema_version == row["schema_version"]
        assert (len(model.subgraphs), len(tensors), len(operators)) == tuple(
            row[name] for name in ("subgraphs", "tensors", "operators")
        )
        names = Counter(f"CUSTOM:{operator.name}" if operator.custom else operator.name for operator in operators)
        assert dict(names) == row["histogram"]
        assert dict(Counter(tensor.dtype for tensor in tensors if tensor.is_constant)) == row["weights"]
        assert dict(Counter(tensor.dtype for tensor in tensors if not tensor.is_constant)) == row["activations"]
        assert [signature.key for signature in model.signatures] == row["signatures"]
        assert list(model.metadata) == row["metadata"]
        assert list(model.associated_files) == row["associated_files"]
        if row["file"] not in WITHOUT_WEIGHTS:
            said = summarize(model, []).quantization
            for word, ours in WORDS.items():
                assert word not in row["quantization"] or ours in said, said


# -- every tensor and operator ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_all_indices_lie_in_range(kind: str, shared: Path) -> None:
    for path in files(kind, shared):
        with open_model(path) as model:
            check_indices(model)


def check_indices(model: Model) -> None:
    for code in model.operator_codes:
        assert not code.name.startswith("UNKNOWN")
    for graph in model.subgraphs:
        count = len(graph.tensors)
        for index, tensor in enumerate(graph.tensors):
            assert tensor is graph.tensors[index]
            assert tensor.index == index
            assert 0 <= tensor.buffer.index < len(model.buffers)
            assert len(tensor.shape_signature) == len(tensor.shape)
            assert tensor.nbytes == (stored_bytes(tensor.dtype, prod(tensor.shape)) or tensor.nbytes)
            assert all(operator.subgraph is graph for operator in tensor.consumers)
        for operator in graph.operators:
            assert str(operator.options)
            assert operator.label.startswith(f"subgraphs[{graph.index}].operators[{operator.index}] {operator.name}")
            for tensor in (*operator.inputs, *operator.outputs, *operator.intermediates):
                assert tensor is None or 0 <= tensor.index < count
            for tensor in operator.inputs:
                assert tensor is None or operator in tensor.consumers
            for tensor in operator.outputs:
                assert tensor is None or tensor.producer is not None
        assert all(0 <= tensor.index < count for tensor in (*graph.inputs, *graph.outputs))
    for signature in model.signatures:
        ends = {tensor.index for tensor in (*signature.subgraph.inputs, *signature.subgraph.outputs)}
        assert ends >= {tensor.index for tensor in (*signature.inputs.values(), *signature.outputs.values())}


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_are_what_litert_says(kind: str, shared: Path, tmp_path: Path) -> None:
    """Names, shapes, types, quantization, and constants bit by bit."""
    pytest.importorskip("ai_edge_litert.interpreter", reason="the judge")
    opened = {str(i): open_model(path) for i, path in enumerate(files(kind, shared))}
    jobs = [{"name": n, "path": model.path, "subgraphs": len(model.subgraphs)} for n, model in opened.items()]
    compared = 0
    for name, answer in ask("details", jobs, tmp_path).items():
        if answer is None or "error" in answer:
            continue  # LiteRT refuses the file
        for graph, theirs in zip(opened[name].subgraphs, answer["tensors"], strict=True):
            for index, said in theirs.items():
                if int(index) < len(graph.tensors):  # behind those stand LiteRT's own
                    compared += compare(graph.tensors[int(index)], said, f"{opened[name].path}: {graph.path}[{index}]")
    assert compared > 10


def compare(tensor: Any, said: dict[str, Any], where: str) -> int:
    """Compares one tensor; 1 where a constant was compared, too."""
    assert tensor.name == said["name"], where
    assert list(tensor.shape) == said["shape"], where
    if tensor.dtype not in ("RESOURCE", "VARIANT"):
        assert DTYPES.get(tensor.dtype, tensor.numpy_dtype.name) == said["dtype"], where
    if tensor._table["shape_signature"]:
        assert list(tensor.shape_signature) == said["signature"], where
    quantization = tensor.quantization
    if quantization is not None and quantization.details is None:
        assert list(quantization.scale) == said["scales"], where
        if quantization.scale:
            assert list(quantization.zero_point) == said["zero_points"], where
            assert quantization.quantized_dimension == said["dimension"], where
    assert tensor.is_sparse == said["sparse"], where
    if not tensor.is_constant or "digest" not in said or tensor.is_sparse:
        return 0  # LiteRT gives the stored values of a sparse tensor
    assert digest(tensor.numpy()) == said["digest"], where
    return 1


@pytest.mark.parametrize("kind", KINDS)
def test_constants_can_be_dequantized(kind: str, shared: Path) -> None:
    for path in files(kind, shared):
        with open_model(path) as model:
            for tensor in (tensor for graph in model.subgraphs for tensor in graph.tensors):
                try:
                    real = tensor.dequantize()
                except (NoDataError, NotQuantizedError):
                    continue
                assert (real.dtype, real.shape) == (np.float32, tensor.shape)
                quantization = tensor.quantization
                if quantization is not None and len(quantization.scale) == 1 and "INT" in tensor.dtype:
                    (scale,), (zero,) = quantization.scale, quantization.zero_point
                    expected = np.float32(scale * (tensor.numpy().astype(np.float64) - zero))
                    assert np.array_equal(real, expected)


# -- saving ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_identical(kind: str, shared: Path, tmp_path: Path) -> None:
    for path in files(kind, shared):
        with open_model(path) as model:
            assert model.save(tmp_path / "copy").how == "copied"
        assert (tmp_path / "copy").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_rewrite_is_the_same_model(kind: str, shared: Path, tmp_path: Path) -> None:
    """The same tree, aligned; nothing more changes the second time; the ZIP behind is still one."""
    for path in files(kind, shared):
        before = open_model(path)
        first = rewritten(before)
        after = open_model(first)
        places = ("offset", "size", "large_custom_options_offset")
        assert tree(after.root, without=places) == tree(before.root, without=places), path
        for old, new in zip(before.buffers, after.buffers, strict=True):
            assert old.data == new.data, path
            span = new.span
            assert span is None or not span.length or span.start % 16 == 0, path
        assert rewritten(after) == first, path
        assert dict(after.associated_files) == dict(before.associated_files)
        if before.associated_files:
            compare_archives(path, first, tmp_path / "archive")


def compare_archives(path: Path, data: bytes, place: Path) -> None:
    place.write_bytes(data)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(place) as new:
        assert new.testzip() is None
        assert [(i.filename, i.date_time, i.CRC) for i in new.infolist()] == [
            (i.filename, i.date_time, i.CRC) for i in old.infolist()
        ]
        assert all(old.read(name) == new.read(name) for name in old.namelist())


@pytest.mark.parametrize("kind", KINDS)
def test_litert_computes_the_same_after_a_rewrite(kind: str, shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert.interpreter", reason="the judge")
    jobs = []
    for number, (path, inputs) in enumerate(runnable(kind, shared)):
        with open_model(path) as model:
            model.save(tmp_path / f"{number}.tflite", rewrite=True)
        paths = [str(path), str(tmp_path / f"{number}.tflite")]
        jobs.append({"name": str(number), "paths": paths, "inputs": inputs})
    answers = ask("outputs", jobs, tmp_path)
    computed = 0
    for job in jobs:
        answer = answers[job["name"]]
        if answer is not None and "error" not in answer:
            assert answer[0] == answer[1], job["paths"][0]
            computed += bool(answer[0])
    assert computed >= 0.8 * len(jobs)


def runnable(kind: str, shared: Path) -> list[tuple[Path, str | None]]:
    """Models that LiteRT runs, the same way each time, and their inputs (None: seeded ones)."""
    found = files(kind, shared)
    if kind == "models":
        runs = {row["file"] for row in ROWS if row["litert"]}
        return [(path, None) for path in found if path.name in runs]
    if kind == "external_buffer":
        return [(path, None) for path in found if path.name != "fc_external.tflite"]
    if not kind.startswith("opsuite"):
        return [(path, None) for path in found]
    cases = json.loads((shared / "opsuite/manifest.json").read_text())["cases"]
    io = {case["model"].removeprefix("models/"): case for case in cases}
    return [
        (path, str(shared / "opsuite" / io[path.name]["io"]))
        for path in found
        if path.name in io and not set(RANDOM) & set(io[path.name]["ops"])
    ]


@pytest.mark.parametrize("row", ROWS[::4], ids=lambda row: row["file"].removesuffix(".tflite"))
def test_an_independent_reader_finds_the_same(row: dict[str, Any], shared: Path) -> None:
    if row["tensors"] > 200 or row["size"] > 600_000:
        pytest.skip("LiteRT's Python classes take long for it")
    data = (shared / "models" / row["file"]).read_bytes()
    assert plain(unpacked(rewritten(open_model(data)))) == plain(unpacked(data))
