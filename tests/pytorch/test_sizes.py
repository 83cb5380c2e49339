"""Shapes that a model computes from shapes: followed as numbers, so that export and other input shapes work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, compare, convert, litert, run

from unlite.flatbuffers.write import build
from unlite.schema import load

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

Step = tuple[str, list[Any], Any, dict[str, Any]]
"""Operator, inputs (names of results, or constants), names of the results (with ``:i64`` and the like), options."""

NEWER_VERSION = {"BROADCAST_TO": 2}


def chain(x: np.ndarray, steps: list[Step]) -> bytes:
    """A model of operators in a row on one input ``x``; the last result is its output. Result shapes are not stated."""
    codes = load().enum_named("tflite.BuiltinOperator")
    tables = load().enum_named("tflite.BuiltinOptions").values
    tensors: list[dict[str, Any]] = [{"name": "x", "shape": list(x.shape), "type": "FLOAT32", "buffer": 0}]
    buffers: list[dict[str, Any]] = [{}]
    places = {"x": 0}
    names = list(dict.fromkeys(step[0] for step in steps))
    operators = []
    for name, inputs, results, options in steps:
        indices = []
        for value in inputs:
            if isinstance(value, str):
                indices.append(places[value])
                continue
            array = np.asarray(value)
            array = array.astype(np.int32) if array.dtype == np.int64 else array
            indices.append(len(tensors))
            kind = DTYPES[array.dtype.name]
            tensors.append({"name": "", "shape": list(array.shape), "type": kind, "buffer": len(buffers)})
            buffers.append({"data": array.tobytes()})
        made = []
        for result in results.split():
            label, _, kind = result.partition(":")
            places[label] = len(tensors)
            made.append(len(tensors))
            tensors.append({"name": label, "shape": [], "type": DTYPES[kind or "int32"], "buffer": 0})
        table = name.title().replace("_", "") + "Options"
        table = {"MaximumOptions": "MaximumMinimumOptions", "MinimumOptions": "MaximumMinimumOptions",
                 "ReduceProdOptions": "ReducerOptions"}.get(table, table)  # fmt: skip
        operator = {"opcode_index": names.index(name), "inputs": indices, "outputs": made}
        if table in tables:
            operator |= {"builtin_options_type": table, "builtin_options": options}
        operators.append(operator)
    graph = {
        "name": "main",
        "tensors": tensors,
        "inputs": [0],
        "outputs": operators[-1]["outputs"],
        "operators": operators,
    }
    listed = [
        {
            "builtin_code": name,
            "deprecated_builtin_code": min(codes.values[name], 127),
            "version": NEWER_VERSION.get(name, 1),
        }
        for name in names
    ]
    model = {"version": 3, "operator_codes": listed, "subgraphs": [graph], "buffers": buffers}
    return build(load().root, model, b"TFL3")


SHAPE: Step = ("SHAPE", ["x"], "shape", {"out_type": "INT32"})
MASKS = {"begin_mask": 0, "end_mask": 0, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0}
FIRST: Step = ("STRIDED_SLICE", ["shape", [0], [1], [1]], "n", MASKS | {"shrink_axis_mask": 1})
LAST: Step = ("STRIDED_SLICE", ["shape", [-1], [0], [1]], "c", MASKS | {"shrink_axis_mask": 1})
BACK: Step = ("RESHAPE", ["x", "wanted"], "y:float32", {})

CHAINS: dict[str, list[Step]] = {
    "pack": [SHAPE, FIRST, ("PACK", ["n", -1], "wanted", {"values_count": 2}), BACK],
    "two ends": [SHAPE, FIRST, LAST, ("PACK", ["n", -1, "c"], "wanted", {"values_count": 3}), BACK],
    "slice": [
        SHAPE,
        ("STRIDED_SLICE", ["shape", [0], [2], [1]], "front", MASKS | {"begin_mask": 1}),
        ("CONCATENATION", ["front", [2, -1]], "wanted", {"axis": 0}),
        BACK,
    ],
    "block": [
        SHAPE,
        ("SLICE", ["shape", [0], [2]], "front", {}),
        ("CONCATENATION", ["front", [-1]], "wanted", {}),
        BACK,
    ],
    "product": [
        SHAPE,
        ("GATHER", ["shape", [0, 1]], "front", {}),
        ("REDUCE_PROD", ["front", [0]], "both", {"keep_dims": True}),
        ("CONCATENATION", ["both", [-1]], "wanted", {"axis": 0}),
        BACK,
    ],
    "unpack": [
        SHAPE,
        ("UNPACK", ["shape"], "n h c", {"num": 3, "axis": 0}),
        ("MUL", ["n", "h"], "nh", {}),
        ("PACK", ["c", "nh"], "wanted", {"values_count": 2}),
        BACK,
    ],
    "split": [
        SHAPE,
        ("SPLIT", [0, "shape"], "n h c", {"num_splits": 3}),
        ("SQUEEZE", ["c"], "c0", {"squeeze_dims": [0]}),
        ("EXPAND_DIMS", ["c0", 0], "c1", {}),
        ("CONCATENATION", ["h", "c1", "n"], "wanted", {"axis": 0}),
        BACK,
    ],
    "split in unequal parts": [
        SHAPE,
        ("SPLIT_V", ["shape", [1, -1], 0], "n rest", {"num_splits": 2}),
        ("CONCATENATION", ["rest", "n"], "wanted", {"axis": 0}),
        BACK,
    ],
    "arithmetic": [
        SHAPE,
        FIRST,
        ("ADD", ["n", 3], "more", {}),
        ("SUB", ["more", 1], "less", {}),
        ("FLOOR_DIV", ["less", 2], "half", {}),
        ("MAXIMUM", ["half", 2], "atleast", {}),
        ("MINIMUM", ["atleast", "n"], "count", {}),
        ("PACK", ["count", 1, 1], "wanted", {"values_count": 3}),
        ("TILE", ["x", "wanted"], "y:float32", {}),
    ],
    "64 bits": [
        SHAPE,
        ("CAST", ["shape"], "wide:int64", {}),
        ("CAST", ["wide"], "wanted", {}),
        ("FILL", ["wanted", np.float32(2)], "y:float32", {}),
    ],
    "chosen": [
        SHAPE,
        ("EQUAL", ["shape", 3], "same:bool", {}),
        ("SELECT", ["same", [-1, -1, -1], "shape"], "wanted", {}),
        BACK,
    ],
    "reversed": [SHAPE, ("REVERSE_V2", ["shape", [0]], "wanted", {}), BACK],
    "pad": [SHAPE, ("PAD", ["shape", [[1, 0]]], "front", {}), ("ADD", ["front", [1, 0, 0, 0]], "wanted", {}), BACK],
    "broadcast": [
        SHAPE,
        ("CONCATENATION", [[2], "shape"], "large", {"axis": 0}),
        ("BROADCAST_ARGS", ["large", "shape"], "wanted", {}),
        ("BROADCAST_TO", ["x", "wanted"], "y:float32", {}),
    ],
    "shape of a shape": [
        SHAPE,
        ("SHAPE", ["shape"], "rank", {"out_type": "INT32"}),
        ("ADD", ["rank", "shape"], "y", {}),
    ],
    "all axes": [
        ("RANK", ["x"], "rank", {}),
        ("RANGE", [0, "rank", 1], "axes", {}),
        ("REDUCE_PROD", ["x", "axes"], "y:float32", {"keep_dims": False}),
    ],
    "count": [SHAPE, FIRST, ("RANGE", [0, "n", 1], "y", {})],
}


@pytest.mark.parametrize("name", CHAINS)
def test_follows(name: str) -> None:
    drawn = np.random.default_rng(0)
    x, other = (drawn.uniform(0.5, 1.5, shape).astype("f4") for shape in ((2, 3, 4), (5, 7, 2)))
    data = chain(x, CHAINS[name])
    module = convert(data)
    assert "read_ints" not in module.code
    compare(litert(data, x), run(module, x), 1e-5)
    if name != "chosen":  # LiteRT's answer would have two sizes of -1
        compare(litert(data, other, resize=True), run(module, other), 1e-5)
    exported = torch.export.export(module, (torch.from_numpy(x),)).module()
    compare(litert(data, x), run(exported, x), 1e-5)


def test_export_with_free_sizes() -> None:
    x = np.ones((2, 3, 4), "f4")
    module = convert(chain(x, CHAINS["product"]))
    free = {0: torch.export.Dim("n"), 1: torch.export.Dim("h")}
    exported = torch.export.export(module, (torch.from_numpy(x),), dynamic_shapes=(free,)).module()
    assert run(exported, np.ones((5, 7, 4), "f4"))[0].shape == (35, 4)
