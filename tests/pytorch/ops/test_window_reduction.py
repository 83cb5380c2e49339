from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Constant, Made, agree


def values(dtype: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(1, 20, shape).astype(dtype)


def scalar(value: float, dtype: str) -> Constant:
    return Constant(np.array(value, dtype))


@pytest.mark.parametrize("dtype", ["float32", "int8", "int32", "int64", "uint8", "int16"])
@pytest.mark.parametrize(
    ("shape", "factors"), [((3, 2), (2, 3)), ((4,), (1,)), ((2, 3, 2), (1, 3, 1)), ((1, 1), (5, 5))]
)
def test_dilate(dtype, shape, factors):
    result = tuple((s - 1) * d + 1 for s, d in zip(shape, factors, strict=True))
    agree(
        "DILATE",
        [values(dtype, *shape), Constant(np.array(factors, "i4")), scalar(-1 if dtype[0] != "u" else 9, dtype)],
        Made(DTYPES[dtype], result),
        ("DilateOptions", {}),
        resized=[values(dtype, *(s + 1 for s in shape))],
    )


def test_dilate_with_a_computed_value():
    x, value = values("float32", 2, 2), np.array(7, "f4")
    agree("DILATE", [x, Constant(np.array([2, 2], "i4")), value], Made("FLOAT32", (3, 3)), export=True)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int32", "int64"])
@pytest.mark.parametrize(
    ("low", "high", "interior"),
    [((1, 2), (0, 1), (0, 0)), ((-1, 0), (0, -1), (0, 0)), ((1, -1), (-2, 3), (2, 1)), ((0, 0), (0, 0), (1, 0))],
)
def test_pad(dtype, low, high, interior):
    shape = (3, 4)
    result = tuple(s + (s - 1) * i + a + b for s, i, a, b in zip(shape, interior, low, high, strict=True))
    options = {"edge_padding_low": low, "edge_padding_high": high, "interior_padding": interior}
    agree(
        "STABLEHLO_PAD",
        [values(dtype, *shape), scalar(5, dtype)],
        Made(DTYPES[dtype], result),
        ("StablehloPadOptions", options),
        resized=[values(dtype, 5, 4)],
        export=True,
    )


WINDOW = {"shape": (2, 1, 3), "strides": (1, 2, 2), "dilations": (2, 1, 1)}
"""x [4, 3, 7] -> [(4 - 3) / 1 + 1, (3 - 1) / 2 + 1, (7 - 3) / 2 + 1] = [2, 2, 3]."""


@pytest.mark.parametrize("dtype", ["float32", "int32", "int8", "int64", "uint8"])
@pytest.mark.parametrize("function", ["ADD", "MUL", "MINIMUM", "MAXIMUM"])
def test_reduce_window(function, dtype):
    window = [Constant(np.array(numbers, "i8")) for numbers in WINDOW.values()]
    agree(
        "REDUCE_WINDOW",
        [values(dtype, 4, 3, 7), scalar(3, dtype), *window],
        Made(DTYPES[dtype], (2, 2, 3)),
        ("ReduceWindowOptions", {"reduce_function": function}),
        resized=[values(dtype, 5, 4, 9)],
        export=True,
    )


@pytest.mark.parametrize("function", ["ALL", "ANY"])
@pytest.mark.parametrize("init", [False, True])
def test_reduce_window_of_logic(function, init):
    window = [Constant(np.array(numbers, "i8")) for numbers in WINDOW.values()]
    x = values("int32", 4, 3, 7) % 3 > 0
    agree(
        "REDUCE_WINDOW",
        [x, Constant(np.array(init)), *window],
        Made("BOOL", (2, 2, 3)),
        ("ReduceWindowOptions", {"reduce_function": function}),
    )


@pytest.mark.parametrize("body", ["STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "MINIMUM", "ADD"])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("computed", [False, True])
def test_stablehlo_reduce_window(body, dtype, computed):
    options = {
        "window_dimensions": [2, 3],
        "window_strides": [1, 2],
        "base_dilations": [2, 1],
        "window_dilations": [1, 2],
        "padding": [1, 0, -1, 2],
        "body_subgraph_index": 1,
    }
    # [3, 6] dilated [5, 6], padded [6, 7] -> [(6 - 2) / 1 + 1, (7 - 5) / 2 + 1]
    init = np.array(2, dtype) if computed else scalar(2, dtype)
    x = values(dtype, 3, 6)
    agree(
        "STABLEHLO_REDUCE_WINDOW",
        [x, init],
        Made(DTYPES[dtype], (5, 2)),
        ("StablehloReduceWindowOptions", options),
        subgraphs=[(body, DTYPES[dtype])],
        resized=[values(dtype, 4, 8), *([init] if computed else [])],
        export=not computed,
    )
