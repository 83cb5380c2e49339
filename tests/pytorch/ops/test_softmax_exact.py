"""Softmax of integers, judged by LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.quantized_models import (
    Tensor,
    agree_exactly,
    output,
    random_integers,
    random_scale,
    random_zero_point,
)

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")


@pytest.mark.parametrize("beta", [1.0, 0.4])
@pytest.mark.parametrize("shape", [(40, 10), (2, 5, 4, 33)])
@pytest.mark.parametrize(
    ("dtype", "made"), [("INT8", "INT8"), ("UINT8", "UINT8"), ("INT8", "INT16"), ("INT16", "INT16")]
)
def test_softmax(dtype: str, made: str, shape: tuple[int, ...], beta: float) -> None:
    rng = np.random.default_rng(len(shape))
    scale = random_scale(rng, 0.01, 0.3) / (128 if dtype == "INT16" else 1)
    x = Tensor(random_integers(rng, dtype, shape), scale, random_zero_point(rng, dtype))
    ends = {"INT8": (1 / 256, -128), "UINT8": (1 / 256, 0), "INT16": (1 / 32768, 0)}
    resized = [random_integers(rng, dtype, (3, *shape[1:]))]
    agree_exactly("SOFTMAX", [x], output(made, shape, *ends[made]), ("SoftmaxOptions", {"beta": beta}), resized=resized)


@pytest.mark.parametrize("dtype", ["INT8", "UINT8"])
@pytest.mark.parametrize("seed", range(4))
def test_log_softmax(seed: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    x = Tensor(random_integers(rng, dtype, (50, 3 + 9 * seed)), random_scale(rng, 0.01, 0.5), 3)
    agree_exactly("LOG_SOFTMAX", [x], output(dtype, x.shape, 1 / 16, 127 if dtype == "INT8" else 255))
