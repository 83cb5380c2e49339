"""Reductions against the operator suite and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Constant, Made, agree, convert, one_operator, run

NUMBERS = ["SUM", "MEAN", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN"]
TRUTHS = ["REDUCE_ANY", "REDUCE_ALL"]


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    drawn = np.random.default_rng(0).integers(-9, 10, shape)
    return (drawn > 0).astype(dtype) if dtype == "bool" else drawn.astype(dtype)


def i32(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


def reduce(name: str, x: np.ndarray, axes: Any, *, keep: bool, constant: bool = True, **rest: Any) -> None:
    axes = np.array(axes, np.int32)
    reduced = {int(axis) % x.ndim for axis in axes.reshape(-1)} if x.ndim else set()
    rank = x.ndim if keep else x.ndim - len(reduced)
    output = Made(DTYPES[x.dtype.name], (1,) * rank)
    given = [x, Constant(axes) if constant else axes]
    agree(name, given, output, ("ReducerOptions", {"keep_dims": keep}), allowed=1e-5, **rest)


@pytest.mark.parametrize("name", NUMBERS + TRUTHS)
@pytest.mark.parametrize("axes", [1, [0], [-1, 1], [2, -1, 0, 0], [0, 1, 2], []])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("constant", [True, False])
def test_axes(name: str, axes: Any, keep: bool, constant: bool) -> None:
    x = numbers(2, 3, 4, dtype="bool" if name in TRUTHS else "float32")
    resized = [numbers(5, 1, 2, dtype=x.dtype.name)] if constant else None
    reduce(name, x, axes, keep=keep, constant=constant, resized=resized, export=constant)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers(name: str, dtype: str) -> None:
    reduce(name, numbers(3, 5, dtype=dtype), [1], keep=False, export=dtype == "float32")
    reduce(name, numbers(3, 5, dtype=dtype), [0, 1], keep=True, export=dtype == "float32")


@pytest.mark.parametrize("name", ["SUM", "REDUCE_PROD"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers_wrap_around(name: str, dtype: str) -> None:
    reduce(name, np.full((2, 3), np.iinfo(dtype).max, dtype), [1], keep=False)


@pytest.mark.parametrize("name", ["REDUCE_MAX", "REDUCE_MIN"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
def test_small_integers(name: str, dtype: str) -> None:
    reduce(name, numbers(3, 5, dtype=dtype), [1], keep=True)


@pytest.mark.parametrize("name", ["SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", *TRUTHS])
@pytest.mark.parametrize("keep", [True, False])
def test_of_nothing(name: str, keep: bool) -> None:
    kind = "bool" if name in TRUTHS else "float32"
    reduce(name, np.zeros((2, 0, 3), kind), [1], keep=keep)


@pytest.mark.parametrize("name", NUMBERS + TRUTHS)
def test_scalars(name: str) -> None:
    reduce(name, np.array(1, "bool" if name in TRUTHS else "float32"), [0], keep=False)


@pytest.mark.parametrize("name", NUMBERS)
def test_six_dimensions(name: str) -> None:
    reduce(name, numbers(2, 1, 3, 2, 1, 2), [0, 2, -1], keep=False)


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
def test_cumsum(dtype: str, axis: int, exclusive: bool, reverse: bool) -> None:
    x = numbers(3, 2, 4, dtype=dtype)
    options = ("CumsumOptions", {"exclusive": exclusive, "reverse": reverse})
    resized = [numbers(1, 5, 2, dtype=dtype)]
    agree(
        "CUMSUM",
        [x, Constant(i32(axis)[0])],
        Made(DTYPES[dtype], x.shape),
        options,
        resized=resized,
        export=dtype == "float32",
    )


@pytest.mark.parametrize("name", ["ARG_MAX", "ARG_MIN"])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int32", "bool"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("kind", ["INT32", "INT64"])
def test_place_of_the_extreme(name: str, dtype: str, axis: int, kind: str) -> None:
    x = numbers(6, 7, dtype=dtype) // 4 if dtype != "bool" else numbers(6, 7, dtype=dtype)  # many equals
    table = "ArgMaxOptions" if name == "ARG_MAX" else "ArgMinOptions"
    given = [x, Constant(i32(axis)[0])]
    agree(
        name,
        given,
        Made(kind, (1,)),
        (table, {"output_type": kind}),
        resized=[numbers(2, 40, dtype=dtype)],
        export=dtype == "float32",
    )


def test_place_of_the_extreme_along_an_axis_told_while_it_runs() -> None:
    given = [numbers(3, 4), np.array(1, np.int64)]
    agree("ARG_MAX", given, Made("INT32", (1,)), ("ArgMaxOptions", {"output_type": "INT32"}))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("k", [0, 1, 5, 40])
@pytest.mark.parametrize("constant", [True, False])
def test_top_k(dtype: str, k: int, constant: bool) -> None:
    x = (np.random.default_rng(2).integers(0, 9, (2, 40))).astype(dtype)  # many equals: the first comes first
    outputs = [Made(DTYPES[dtype], (2, k)), Made("INT32", (2, k))]
    count = np.array(k, np.int32)
    if k == 0 and not constant:
        return  # LiteRT refuses to make tensors of no size while it runs
    agree(
        "TOPK_V2",
        [x, Constant(count) if constant else count],
        outputs,
        ("TopKV2Options", {}),
        export=constant and dtype == "float32",
    )


def test_top_k_in_int16() -> None:
    outputs = [Made("FLOAT32", (3,)), Made("INT16", (3,))]
    agree("TOPK_V2", [numbers(10), Constant(np.array(3, np.int16))], outputs, ("TopKV2Options", {}))


@pytest.mark.parametrize(
    ("x", "y", "first", "second"),
    [
        ([2, 3], [2, 3], [], []),
        ([2, 1, 3], [4, 1], [1], [0, 2]),  # [2, 1, 3] and [1, 4, 1]
        ([3], [2, 3], [0], []),
        ([1, 1], [1, 5], [0, 1], [0]),  # of size 1 in both: counts for both
    ],
)
def test_broadcast_gradient_axes(x: list[int], y: list[int], first: list[int], second: list[int]) -> None:
    """By hand: the shapes aligned at their ends, an axis belongs to whoever has size 1 there."""
    data = one_operator("BroadcastGradientArgs", [i32(*x), i32(*y)], [Made("INT32", (1,))] * 2, custom=True)
    results = run(convert(data), i32(*x), i32(*y))
    assert [result.tolist() for result in results] == [first, second]
