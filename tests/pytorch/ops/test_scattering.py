"""Putting at places against the operator suite and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Constant, Made, agree

UNSORTED = [f"UNSORTED_SEGMENT_{how}" for how in ("SUM", "PROD", "MAX", "MIN")]


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.arange(1, np.prod(shape) + 1).reshape(shape).astype(dtype)


def i32(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int32", "int64", "bool"])
@pytest.mark.parametrize(
    ("indices", "updates", "shape"),
    [
        ([[4], [1], [4]], (3,), (6,)),  # what falls on the same place is added up
        ([[0], [2]], (2, 3), (3, 3)),
        ([[0, 1], [2, 0]], (2,), (3, 2)),
        ([[[0, 1]], [[2, 0]]], (2, 1, 2), (3, 2, 2)),
    ],
)
@pytest.mark.parametrize("constant", [True, False])
def test_scatter_nd(dtype: str, indices: Any, updates: Any, shape: Any, constant: bool) -> None:
    sizes = i32(*shape)
    given = [i32(*indices), numbers(*updates, dtype=dtype), Constant(sizes) if constant else sizes]
    agree(
        "SCATTER_ND",
        given,
        Made(DTYPES[dtype], (1,) * len(shape)),
        ("ScatterNdOptions", {}),
        export=constant and dtype == "float32",
    )


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int32", "int64"])
@pytest.mark.parametrize(
    ("indices", "values", "shape"),
    [
        (3, 7, (5,)),
        ([1, 3], [7, 8], (5,)),
        ([1, 3], 7, (5,)),
        ([[0, 1], [2, 3]], [7, 8], (3, 4)),
        ([[0, 1]], 7, (3, 4)),
    ],
)
@pytest.mark.parametrize("constant", [True, False])
def test_sparse_to_dense(dtype: str, indices: Any, values: Any, shape: Any, constant: bool) -> None:
    rest = [np.array(shape, np.int64), np.array(values, dtype), np.array(1, dtype)]
    given = [np.array(indices, np.int64), *(map(Constant, rest) if constant else rest)]
    output = Made(DTYPES[dtype], (1,) * len(shape))
    agree("SPARSE_TO_DENSE", given, output, ("SparseToDenseOptions", {}), export=constant and dtype == "float32")


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 1)])
def test_matrix_diag(dtype: str, shape: tuple[int, ...]) -> None:
    x = numbers(*shape, dtype=dtype)
    agree(
        "MATRIX_DIAG",
        [x],
        Made(DTYPES[dtype], (*shape, shape[-1])),
        ("MatrixDiagOptions", {}),
        export=dtype == "float32",
    )


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (2, 3, 2)])
def test_matrix_set_diag(dtype: str, shape: tuple[int, ...]) -> None:
    x = numbers(*shape, dtype=dtype)
    diagonal = -numbers(*shape[:-2], min(shape[-2:])).astype(dtype)
    agree(
        "MATRIX_SET_DIAG",
        [x, diagonal],
        Made(DTYPES[dtype], shape),
        ("MatrixSetDiagOptions", {}),
        export=dtype == "float32",
    )


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 1, 3)])
@pytest.mark.parametrize("constant", [True, False])
def test_segment_sum(dtype: str, shape: tuple[int, ...], constant: bool) -> None:
    segments = i32(0, 0, 1, 2, 2)
    given = [numbers(*shape, dtype=dtype), Constant(segments) if constant else segments]
    output = Made(DTYPES[dtype], (1,) * len(shape))
    agree("SEGMENT_SUM", given, output, ("SegmentSumOptions", {}), export=constant and dtype == "float32")


@pytest.mark.parametrize("name", UNSORTED)
@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize(
    ("shape", "segments"), [((5, 2), [2, 0, -1, 2, 0]), ((2, 3), [[0, 2, 2], [-1, 0, 2]]), ((3,), [0, 0, 2])]
)
@pytest.mark.parametrize("constant", [True, False])
def test_unsorted_segments(name: str, dtype: str, shape: Any, segments: Any, constant: bool) -> None:
    rest = [i32(*segments), np.array(4, np.int32)]  # 1 and 3 stay empty
    given = [numbers(*shape, dtype=dtype), *(map(Constant, rest) if constant else rest)]
    table = "UnsortedSegment" + name.rsplit("_", 1)[1].capitalize() + "Options"
    agree(
        name,
        given,
        Made(DTYPES[dtype], (1,) * (1 + len(shape) - rest[0].ndim)),
        (table, {}),
        export=constant and dtype == "float32",
    )
