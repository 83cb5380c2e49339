"""Cells of quantized pictures that move into the batch, judged by LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.quantized_models import Tensor, agree_exactly, constant, output, random_integers

BLOCK = constant(np.array([2, 3], dtype=np.int32))
EDGES = constant(np.array([[1, 0], [1, 1]], dtype=np.int32))


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
def test_space_to_batch_is_padded_with_the_zero_point(dtype: str) -> None:
    rng = np.random.default_rng(2)
    zero_point = 0 if dtype == "INT16" else 17
    x = Tensor(random_integers(rng, dtype, (2, 5, 7, 3)), 0.1, zero_point)
    target = output(dtype, (12, 3, 3, 3), 0.1, zero_point)
    agree_exactly("SPACE_TO_BATCH_ND", [x, BLOCK, EDGES], target, ("SpaceToBatchNDOptions", {}))
    agree_exactly(
        "BATCH_TO_SPACE_ND",
        [Tensor(random_integers(rng, dtype, (12, 3, 3, 3)), 0.1, zero_point), BLOCK, EDGES],
        output(dtype, (2, 5, 7, 3), 0.1, zero_point),
        ("BatchToSpaceNDOptions", {}),
    )
