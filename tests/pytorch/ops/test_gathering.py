"""Choosing by index against the operator suite and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Constant, Made, agree, convert, one_operator, run


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def i32(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("index", ["int16", "int32", "int64"])
def test_gather_types(dtype: str, index: str) -> None:
    given = [numbers(4, 3, dtype=dtype), np.array([2, 0, 3], index)]
    agree("GATHER", given, Made(DTYPES[dtype], (3, 3)), ("GatherOptions", {}), export=dtype == "float32")


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("indices", [1, [0, 1, 1], [[1, 0], [0, 0], [1, 1]], []])
@pytest.mark.parametrize("constant", [True, False])
def test_gather(axis: int, indices: Any, constant: bool) -> None:
    places = np.array(indices, np.int32)
    given = [numbers(2, 3, 2), Constant(places) if constant else places]
    rank = 2 + places.ndim
    agree("GATHER", given, Made("FLOAT32", (1,) * rank), ("GatherOptions", {"axis": axis}), export=True)


@pytest.mark.parametrize(
    ("x", "indices", "axis", "batch_dims"),
    [
        ((2, 3), (2, 4), 1, 1),
        ((2, 5, 3), (2, 4), 1, 1),
        ((2, 5, 3), (2,), 2, 1),
        ((2, 4, 3, 5), (2, 6, 2), -2, 1),
        ((2, 3, 4, 5), (2, 3, 2), 3, 2),
        ((2, 3, 4), (2, 3), 2, -1),
        ((2, 3), (2, 3, 2), -1, 1),
    ],
)
def test_gather_with_batches(x: tuple[int, ...], indices: tuple[int, ...], axis: int, batch_dims: int) -> None:
    places = np.random.default_rng(0).integers(0, x[axis], indices).astype(np.int32)
    batches = batch_dims % len(indices)
    output = Made("FLOAT32", (1,) * (len(x) + len(indices) - 1 - batches))
    agree(
        "GATHER",
        [numbers(*x), places],
        output,
        ("GatherOptions", {"axis": axis, "batch_dims": batch_dims}),
        export=True,
    )


def test_gather_from_a_table_in_the_file_with_other_numbers_of_indices() -> None:
    given = [Constant(numbers(5, 2)), i32(4, 1)]
    agree("GATHER", given, Made("FLOAT32", (2, 2)), ("GatherOptions", {}), resized=[i32(0, 1, 2, 3)], export=True)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("indices", [[[1, 2], [0, 0]], [[1], [0]], [1, 0], [[[1, 1, 2]], [[0, 2, 0]]]])
def test_gather_nd(dtype: str, indices: list[Any]) -> None:
    places = i32(*indices)
    given = [numbers(2, 3, 4, dtype=dtype), places]
    output = Made(DTYPES[dtype], (1,) * (3 + places.ndim - 1 - places.shape[-1]))
    agree("GATHER_ND", given, output, ("GatherNdOptions", {}), export=dtype == "float32")


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int32", "int64", "bool"])
@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
@pytest.mark.parametrize("constant", [True, False])
def test_one_hot(dtype: str, axis: int, constant: bool) -> None:
    depth, on, off = np.array(4, np.int32), np.array(1, dtype), np.array([0], dtype)
    rest = [Constant(depth), Constant(on), Constant(off)] if constant else [depth, on, off]
    indices = np.array([[0, 3, -1], [4, 2, 1]], np.int64)
    agree(
        "ONE_HOT",
        [indices, *rest],
        Made(DTYPES[dtype], (1, 1, 1)),
        ("OneHotOptions", {"axis": axis}),
        export=constant and dtype == "float32",
    )


@pytest.mark.parametrize("dtype", ["bool", "float32", "uint8", "int8", "int32", "uint32", "int64"])
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 1, 3, 2)])
def test_where(dtype: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).integers(0, 2, shape).astype(dtype)
    agree("WHERE", [x], Made("INT64", (1, len(shape))), ("WhereOptions", {}))


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("index", ["INT32", "INT64"])
def test_unique(dtype: str, index: str) -> None:
    x = np.array([3, 1, 3, 2, 1, 7], dtype)
    outputs = [Made(DTYPES[dtype], (1,)), Made(index, (6,))]
    agree("UNIQUE", [x], outputs, ("UniqueOptions", {"idx_out_type": index}))


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "float64"])
def test_bucketize(dtype: str) -> None:
    x = np.array([[-9, 0, 1], [2, 10, 11]], dtype)
    boundaries = [0.0, 1.5, 10.0]
    data = one_operator("BUCKETIZE", [x], [Made("INT32", (2, 3))], ("BucketizeOptions", {"boundaries": boundaries}))
    # Boundaries at most x: -9 none; 0 and 1 one; 2 two; 10 and 11 all three.
    assert run(convert(data), x)[0].tolist() == [[0, 1, 1], [2, 3, 3]]
    agree(
        "BUCKETIZE",
        [x],
        Made("INT32", (2, 3)),
        ("BucketizeOptions", {"boundaries": boundaries}),
        export=dtype == "float32",
    )
