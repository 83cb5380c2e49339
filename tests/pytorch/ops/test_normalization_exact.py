"""Normalization of quantized channels, judged by LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.quantized_models import Tensor, agree_exactly, output, random_integers, random_zero_point


@pytest.mark.parametrize("channels", [1, 3, 40, 9000])
@pytest.mark.parametrize("dtype", ["INT8", "UINT8"])
def test_l2_normalization(dtype: str, channels: int) -> None:
    rng = np.random.default_rng(channels)
    rows = 4 if channels == 9000 else 60  # 9000 * 255^2 is more than 2^29, which takes another way
    zero_point = random_zero_point(rng, dtype)
    x = Tensor(random_integers(rng, dtype, (rows, channels)), 0.1, zero_point)
    target = output(dtype, (rows, channels), 1 / 128, 128 if dtype == "UINT8" else 0)
    agree_exactly("L2_NORMALIZATION", [x], target, ("L2NormOptions", {}))


@pytest.mark.parametrize("dtype", ["INT8", "UINT8"])
def test_sums_of_squares_from_0_on(dtype: str) -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 3, (200, 3)).astype(dtype.lower())
    values[:5] = 0
    target = output(dtype, (200, 3), 1 / 128, 128 if dtype == "UINT8" else 0)
    agree_exactly("L2_NORMALIZATION", [Tensor(values, 0.1)], target, ("L2NormOptions", {}))
