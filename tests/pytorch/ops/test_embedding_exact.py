"""Rows of quantized tables, judged by LiteRT's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.quantized_models import Tensor, agree_exactly, constant, output, random_integers

ROWS = Tensor(np.array([1, 0, 3], dtype=np.int32))


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16", "INT32"])
def test_rows_as_they_are(dtype: str) -> None:
    table = constant(random_integers(np.random.default_rng(1), dtype, (4, 6)), 0.1)
    agree_exactly("EMBEDDING_LOOKUP", [ROWS, table], output(dtype, (3, 6), 0.1))


@pytest.mark.parametrize("scale", [0.013, [0.1, 0.2, 0.37, 0.41]])
@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT4"])
def test_rows_as_real_numbers(dtype: str, scale: Any) -> None:
    rng = np.random.default_rng(2)
    values = rng.integers(-8, 8, (4, 5, 3)).astype(np.int8) if dtype == "INT4" else random_integers(rng, dtype, (4, 6))
    values = values.reshape(4, 15)[:, :6].copy() if dtype == "INT4" else values
    table = constant(values, scale, 0, dtype=dtype)
    agree_exactly("EMBEDDING_LOOKUP", [ROWS, table], output("FLOAT32", (3, 6)))


@pytest.mark.parametrize("dtype", ["INT8", "UINT8"])
def test_rows_as_halves(dtype: str) -> None:
    table = constant(random_integers(np.random.default_rng(3), dtype, (4, 6)), 0.02)
    agree_exactly("EMBEDDING_LOOKUP", [ROWS, table], output("FLOAT16", (3, 6)))
