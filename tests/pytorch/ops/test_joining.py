"""Joining and splitting against the operator suite and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Constant, Made, agree


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(0).integers(-50, 50, shape).astype(dtype)


def i32(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("axis", [1, -2])
def test_concatenation(dtype: str, axis: int) -> None:
    parts = [numbers(2, n, 3, dtype=dtype) for n in (1, 0, 4)]
    options = ("ConcatenationOptions", {"axis": axis})
    resized = [numbers(1, n, 3, dtype=dtype) for n in (2, 1, 4)]
    agree("CONCATENATION", parts, Made(DTYPES[dtype], (2, 5, 3)), options, resized=resized, export=dtype == "float32")


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("axis", [0, 2, -1])
def test_pack(dtype: str, axis: int) -> None:
    parts = [numbers(2, 3, dtype=dtype)] * 3
    shape = np.stack(parts, axis).shape
    options = ("PackOptions", {"axis": axis, "values_count": 3})
    agree(
        "PACK",
        [*parts],
        Made(DTYPES[dtype], shape),
        options,
        resized=[numbers(4, 1, dtype=dtype)] * 3,
        export=dtype == "float32",
    )


def test_pack_of_scalars() -> None:
    agree(
        "PACK",
        [np.array(1, np.int32), np.array(2, np.int32)],
        Made("INT32", (2,)),
        ("PackOptions", {"values_count": 2}),
    )


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "bool"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unpack(dtype: str, axis: int) -> None:
    x = numbers(3, 2, 4, dtype=dtype)
    count = x.shape[axis]
    outputs = [Made(DTYPES[dtype], tuple(np.delete(x.shape, axis)))] * count
    agree("UNPACK", [x], outputs, ("UnpackOptions", {"axis": axis, "num": count}), export=dtype == "float32")


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32"])
@pytest.mark.parametrize("axis", [1, -3])
def test_split(dtype: str, axis: int) -> None:
    x = numbers(2, 4, 3, dtype=dtype)
    outputs = [Made(DTYPES[dtype], (1, 1, 1))] * 2
    other = numbers(6, 2, 1, dtype=dtype)
    options = ("SplitOptions", {"num_splits": 2})
    agree("SPLIT", [Constant(i32(axis)[0]), x], outputs, options, resized=[other], export=dtype == "float32")


def test_split_told_the_axis_while_it_runs() -> None:
    agree("SPLIT", [i32(1), numbers(3, 4)], [Made("FLOAT32", (1, 1))] * 4, ("SplitOptions", {"num_splits": 4}))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("sizes", [(1, 2, 4), (2, -1, 1), (0, 7, 0)])
def test_split_v(dtype: str, sizes: tuple[int, ...]) -> None:
    x = numbers(2, 7, 3, dtype=dtype)
    given = [x, Constant(np.array(sizes, np.int64)), Constant(i32(-2)[0])]
    outputs = [Made(DTYPES[dtype], (1, 1, 1))] * 3
    resized = [numbers(1, 7, 5, dtype=dtype)]
    agree("SPLIT_V", given, outputs, ("SplitVOptions", {"num_splits": 3}), resized=resized, export=dtype == "float32")


def test_split_v_with_a_rest_that_grows() -> None:
    given = [numbers(7), Constant(i32(2, -1)), Constant(i32(0)[0])]
    agree("SPLIT_V", given, [Made("FLOAT32", (1,))] * 2, ("SplitVOptions", {"num_splits": 2}), resized=[numbers(11)])


@pytest.mark.parametrize("sizes", [(2, -1, 1), (3, 3, 1)])
def test_split_v_told_the_sizes_while_it_runs(sizes: tuple[int, ...]) -> None:
    given = [numbers(7, 2), i32(*sizes), Constant(i32(0)[0])]
    options = ("SplitVOptions", {"num_splits": 3})
    agree("SPLIT_V", given, [Made("FLOAT32", (1, 1))] * 3, options, resized=[numbers(7, 2), i32(-1, 1, 5)], export=True)
