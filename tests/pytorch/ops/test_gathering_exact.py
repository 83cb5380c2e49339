"""Indices of and into quantized integers, judged by LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.quantized_models import Tensor, agree_exactly, constant, output, random_integers


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT32"])
@pytest.mark.parametrize("axis", [-1, 0])
def test_one_hot(dtype: str, axis: int) -> None:
    on, off = (constant(np.array(value, dtype=dtype.lower()), 0.1) for value in (4, 1))
    indices, depth = Tensor(np.array([1, 2, 5], dtype=np.int32)), constant(np.array(4, dtype=np.int32))
    target = output(dtype, (3, 4) if axis else (4, 3), 0.1)
    agree_exactly("ONE_HOT", [indices, depth, on, off], target, ("OneHotOptions", {"axis": axis}))


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT32"])
def test_where(dtype: str) -> None:
    x = Tensor(np.array([[0, 5, 3], [0, 0, 1]], dtype=dtype.lower()), 0.1, 0 if dtype == "INT32" else 5)
    agree_exactly("WHERE", [x], output("INT64", (1, 2)), ("WhereOptions", {}))


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16", "INT32"])
def test_unique(dtype: str) -> None:
    rng = np.random.default_rng(1)
    x = Tensor(rng.integers(0, 9, 40).astype(dtype.lower()), 0.1)
    targets = [output(dtype, (40,), 0.1), output("INT32", (40,))]
    agree_exactly("UNIQUE", [x], targets, ("UniqueOptions", {"idx_out_type": "INT32"}))


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
@pytest.mark.parametrize("name", ["BITWISE_XOR", "RIGHT_SHIFT"])
def test_bits(name: str, dtype: str) -> None:
    rng = np.random.default_rng(2)
    x, y = random_integers(rng, dtype, (4, 30)), rng.integers(0, 9, (4, 30)).astype(dtype.lower())
    table = "BitwiseXorOptions" if name == "BITWISE_XOR" else "RightShiftOptions"
    agree_exactly(name, [Tensor(x, 0.1, 3), Tensor(y, 0.2, 1)], output(dtype, (4, 30), 0.1), (table, {}))
