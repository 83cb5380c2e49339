"""Shapes against the operator suite and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Constant, Made, agree, convert, one_operator, run


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def i32(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


def reshape(*sizes: int) -> tuple[str, dict[str, Any]]:
    return "ReshapeOptions", {"new_shape": list(sizes)}


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "float16", "bool"])
def test_reshape_types(dtype: str) -> None:
    agree(
        "RESHAPE",
        [numbers(2, 6, dtype=dtype), Constant(i32(3, -1))],
        Made(DTYPES[dtype], (3, 4)),
        export=dtype == "float32",
    )


@pytest.mark.parametrize(
    ("x", "sizes"), [((2, 6), (4, 3)), ((1, 1), ()), ((1,), (0,)), ((2, 3), (-1,)), ((0, 4), (2, 0, -1)), ((), (1, 1))]
)
def test_reshape_by_option(x: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    agree("RESHAPE", [numbers(*x)], Made("FLOAT32", ()), reshape(*sizes))


def test_reshape_is_told_while_it_runs() -> None:
    agree("RESHAPE", [numbers(2, 6), i32(3, -1)], Made("FLOAT32", (1, 1)))


def test_reshape_keeps_other_sizes_free() -> None:
    agree(
        "RESHAPE", [numbers(2, 6), Constant(i32(-1, 3))], Made("FLOAT32", (4, 3)), resized=[numbers(5, 9)], export=True
    )


@pytest.mark.parametrize("axes", [[], [0], [-1, 1], [0, 1, 3], [1, 1, -3]])
def test_squeeze(axes: list[int]) -> None:
    options = ("SqueezeOptions", {"squeeze_dims": axes})
    agree("SQUEEZE", [numbers(1, 1, 3, 1)], Made("FLOAT32", (3,)), options, export=True)


@pytest.mark.parametrize("axis", [0, 2, -1, -3])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_expand_dims(axis: int, dtype: str) -> None:
    agree("EXPAND_DIMS", [numbers(2, 3, dtype=dtype), Constant(i32(axis))], Made(DTYPES[dtype], (1, 2, 3)))


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0), (0, 2, 1)])
def test_transpose(axes: tuple[int, ...]) -> None:
    agree("TRANSPOSE", [numbers(2, 3, 4), Constant(i32(*axes))], Made("FLOAT32", (1, 1, 1)), resized=[numbers(4, 1, 5)])


def test_transpose_of_six_axes_told_while_it_runs() -> None:
    agree("TRANSPOSE", [numbers(2, 1, 3, 1, 2, 2), i32(5, 3, 1, 0, 2, 4)], Made("FLOAT32", (1,) * 6))


@pytest.mark.parametrize("kind", ["INT32", "INT64"])
def test_shape(kind: str) -> None:
    options = ("ShapeOptions", {"out_type": kind})
    agree("SHAPE", [numbers(2, 0, 3)], Made(kind, (3,)), options, resized=[numbers(4, 5, 6)], export=True)


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3)])
def test_rank(shape: tuple[int, ...]) -> None:
    agree("RANK", [numbers(*shape)], Made("INT32", ()), ("RankOptions", {}))


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "bool"])
def test_broadcast_to(dtype: str) -> None:
    x = numbers(3, 1, 2, dtype=dtype)
    agree(
        "BROADCAST_TO",
        [x, Constant(i32(2, 3, 4, 2))],
        Made(DTYPES[dtype], (2, 3, 4, 2)),
        version=2,
        export=dtype == "float32",
    )
    agree("BROADCAST_TO", [x, np.array([5, 3, 1, 2], np.int64)], Made(DTYPES[dtype], (1, 1, 1, 1)), version=2)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize(("x", "y"), [([2, 1, 3], [4, 1]), ([], [4, 1]), ([1], [0]), ([5, 1], [5, 7])])
def test_broadcast_args(x: list[int], y: list[int], dtype: type) -> None:
    given: list[Any] = [np.array(x, dtype), np.array(y, dtype)]
    agree("BROADCAST_ARGS", given, Made(DTYPES[np.dtype(dtype).name], (max(len(x), len(y)),)), export=True)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int32", "int64", "bool"])
def test_tile(dtype: str) -> None:
    x = numbers(2, 3, dtype=dtype)
    agree(
        "TILE",
        [x, Constant(i32(2, 1))],
        Made(DTYPES[dtype], (4, 3)),
        resized=[numbers(1, 4, dtype=dtype)],
        export=dtype == "float32",
    )
    agree("TILE", [x, np.array([1, 3], np.int64)], Made(DTYPES[dtype], (1, 1)))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int16", "int32", "int64", "bool"])
def test_fill(dtype: str) -> None:
    value = np.array(1, dtype)
    agree(
        "FILL",
        [Constant(i32(2, 3)), value],
        Made(DTYPES[dtype], (2, 3)),
        ("FillOptions", {}),
        export=dtype == "float32",
    )
    agree("FILL", [np.array([4, 1, 2], np.int64), value], Made(DTYPES[dtype], (1, 1, 1)), ("FillOptions", {}))


@pytest.mark.parametrize(
    ("start", "limit", "delta", "dtype"),
    [
        (0, 5, 1, "int32"),
        (10, 3, -3, "int32"),
        (2, 7, 2, "int64"),
        (0, 0.3, 0.1, "float32"),  # 0.3 / 0.1 is 3 in float32, but 3.0000000745 of the same numbers in float64
        (5, -5, -2.5, "float32"),
    ],
)
@pytest.mark.parametrize("constant", [True, False])
def test_range(start: float, limit: float, delta: float, dtype: str, constant: bool) -> None:
    values = [np.array(value, dtype) for value in (start, limit, delta)]
    given: list[Any] = [values[0], *map(Constant, values[1:])] if constant else [*values]
    agree("RANGE", given, Made(DTYPES[dtype], (1,)), ("RangeOptions", {}))


def test_range_of_constants_that_is_too_long_to_fold() -> None:
    values = [Constant(i32(value)[0]) for value in (0, 40000, 1)]
    data = one_operator("RANGE", values, [Made("INT32", (40000,))], ("RangeOptions", {}))
    assert np.array_equal(run(convert(data))[0].numpy(), np.arange(40000, dtype=np.int32))
