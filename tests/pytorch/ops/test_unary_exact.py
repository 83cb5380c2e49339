"""Functions of one quantized tensor, judged by LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import litert, run
from tests.pytorch.quantized_models import (
    Tensor,
    agree_exactly,
    output,
    quantized_operator,
    random_integers,
    random_scale,
    random_zero_point,
)

import unlite

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

TYPES = {
    "ABS": ("INT8", "INT16", "INT32"),
    "NEG": ("INT8", "INT16", "INT32"),
    "SIGN": ("INT32",),
    "EXP": ("INT8", "INT16"),
    "LOG": ("INT8",),
    "ZEROS_LIKE": ("INT32",),
}


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, dtypes in TYPES.items() for dtype in dtypes])
@pytest.mark.parametrize("seed", range(2))
def test_function(name: str, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = random_scale(rng, 0.01, 0.1) / (128 if dtype == "INT16" else 1)
    x = Tensor(random_integers(rng, dtype, (40, 50)), scale, random_zero_point(rng, dtype))
    if name == "NEG" and dtype == "INT32":
        x.values = np.maximum(x.values, -(2**31) + 1)  # of the smallest number there is no opposite
    y_scale = scale * (1 if seed else 1.7) if name == "ABS" else random_scale(rng, 0.01, 0.1)
    y = output(dtype, x.shape, y_scale, random_zero_point(rng, dtype))
    agree_exactly(name, [x], y, resized=[random_integers(rng, dtype, (3, 50)) // 2])


@pytest.mark.parametrize(("dtype", "zero_point"), [("INT8", -128), ("INT8", 3), ("INT16", 0)])
@pytest.mark.parametrize("seed", range(2))
def test_root_of_all_numbers_that_have_one(dtype: str, zero_point: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = Tensor(np.arange(zero_point, np.iinfo(dtype.lower()).max + 1).astype(dtype.lower()), 0.001, zero_point)
    y = output(dtype, x.shape, random_scale(rng, 0.0002, 0.02), random_zero_point(rng, dtype))
    agree_exactly("SQRT", [x], y)


@pytest.mark.parametrize("dtype", ["INT8", "INT16"])
@pytest.mark.parametrize("seed", range(3))
def test_inverse_root_of_positive_numbers(dtype: str, seed: int) -> None:
    """LiteRT refuses numbers below the zero point."""
    rng = np.random.default_rng(seed)
    zero_point = -128 + 20 * seed if dtype == "INT8" else 0
    high = 127 if dtype == "INT8" else 32767
    values = rng.integers(zero_point + 1, high + 1, (40, 50)).astype(dtype.lower())
    x = Tensor(values, random_scale(rng, 0.001, 0.1), zero_point)
    agree_exactly("RSQRT", [x], output(dtype, x.shape, random_scale(rng, 0.01, 0.2), 5 if dtype == "INT8" else 0))


@pytest.mark.parametrize(("name", "scale", "zero_point"), [("EXP", 1.2, -3), ("LOG", 0.01, -128)])
def test_integer_ends_of_real_numbers_hold_infinities(name: str, scale: float, zero_point: int) -> None:
    """The kernels' tables end at the largest and the smallest integer; e^156 and the logarithm of 0 are infinite."""
    x = Tensor(np.arange(-128, 128).astype(np.int8), scale, zero_point)
    data = quantized_operator(name, [x], [output("INT8", x.shape, 0.06, -101)])
    (result,) = run(unlite.to_torch(data, integer_io=True), x.values)
    (wanted,) = litert(data, x.values)
    assert np.abs(result.numpy().astype(int) - wanted).max() <= 1
