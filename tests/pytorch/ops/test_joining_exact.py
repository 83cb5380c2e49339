"""Joining of quantized integers, judged by LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.quantized_models import (
    Tensor,
    agree_exactly,
    constant,
    output,
    random_integers,
    random_scale,
    random_zero_point,
)


@pytest.mark.parametrize("seed", range(6))
def test_bytes_are_brought_onto_the_outputs_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grids = [(random_scale(rng), random_zero_point(rng, "UINT8")) for _ in range(3)]
    parts = [Tensor(random_integers(rng, "UINT8", (2, 40, 7)), *grid) for grid in grids[:2]]
    parts.append(constant(random_integers(rng, "UINT8", (2, 40, 7)), *grids[2]))
    agree_exactly(
        "CONCATENATION", parts, output("UINT8", (2, 120, 7), *grids[0]), ("ConcatenationOptions", {"axis": 1})
    )


@pytest.mark.parametrize("dtype", ["INT8", "INT16", "INT32"])
def test_others_stay_as_they_are(dtype: str) -> None:
    rng = np.random.default_rng(1)
    scales = (0.1, 0.1) if dtype == "INT8" else (0.1, 0.3)  # LiteRT refuses several scales for INT8 alone
    parts = [Tensor(random_integers(rng, dtype, (2, 4, 3)), scale) for scale in scales]
    agree_exactly("CONCATENATION", parts, output(dtype, (2, 4, 6), 0.1), ("ConcatenationOptions", {"axis": -1}))
