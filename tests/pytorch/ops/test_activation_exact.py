"""Activations of integers, judged by LiteRT's reference kernels."""

from __future__ import annotations

from typing import Any

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

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

SHAPE = (2, 5, 6, 20)
EIGHT = ("INT8", "UINT8")
TYPES: dict[str, tuple[str, ...]] = {
    "RELU": (*EIGHT, "INT16"),
    "RELU6": (*EIGHT, "INT16"),
    "RELU_N1_TO_1": EIGHT,
    "RELU_0_TO_1": EIGHT,
    "ELU": ("INT8",),
    "HARD_SWISH": EIGHT,
    "GELU": EIGHT,
    "LEAKY_RELU": (*EIGHT, "INT16"),
}
OPTIONS: dict[str, Any] = {
    "GELU": ("GeluOptions", {"approximate": True}),
    "LEAKY_RELU": ("LeakyReluOptions", {"alpha": 0.3}),
}


def ends(rng: np.random.Generator, dtype: str) -> tuple[Tensor, Tensor]:
    """An input of the whole range, and an output."""
    small = 256 if dtype == "INT16" else 1
    x = Tensor(random_integers(rng, dtype, SHAPE), random_scale(rng) / small, random_zero_point(rng, dtype))
    return x, output(dtype, SHAPE, random_scale(rng) / small, random_zero_point(rng, dtype))


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, dtypes in TYPES.items() for dtype in dtypes])
def test_activation(name: str, dtype: str) -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        x, y = ends(rng, dtype)
        agree_exactly(name, [x], y, OPTIONS.get(name), resized=[random_integers(rng, dtype, (1, *SHAPE[1:]))])


@pytest.mark.parametrize("options", [{"approximate": False}, {"approximate": True}], ids=str)
def test_gelu(options: dict[str, bool]) -> None:
    x, y = ends(np.random.default_rng(3), "INT8")
    agree_exactly("GELU", [x], y, ("GeluOptions", options))


@pytest.mark.parametrize("dtype", [*EIGHT, "INT16"])
@pytest.mark.parametrize("alpha", [-0.4, 0.01, 1.5])
def test_leaky_relu(alpha: float, dtype: str) -> None:
    x, y = ends(np.random.default_rng(4), dtype)
    agree_exactly("LEAKY_RELU", [x], y, ("LeakyReluOptions", {"alpha": alpha}))


@pytest.mark.parametrize("shape", [(1, 1, 20), (5, 6, 20), (1,)])
@pytest.mark.parametrize(("dtype", "slopes"), [("INT8", "INT8"), ("UINT8", "UINT8"), ("INT16", "INT8")])
def test_prelu(dtype: str, slopes: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    x, y = ends(rng, dtype)
    alpha = constant(
        random_integers(rng, slopes, shape), random_scale(rng, 0.001, 0.02), random_zero_point(rng, slopes)
    )
    agree_exactly("PRELU", [x, alpha], y)


@pytest.mark.parametrize(
    ("name", "dtype", "scale", "zero_point"),
    [
        ("LOGISTIC", "INT8", 1 / 256, -128),
        ("LOGISTIC", "UINT8", 1 / 256, 0),
        ("LOGISTIC", "INT16", 1 / 32768, 0),
        ("TANH", "INT8", 1 / 128, 0),
        ("TANH", "UINT8", 1 / 128, 128),
        ("TANH", "INT16", 1 / 32768, 0),
    ],
)
def test_sigmoid(name: str, dtype: str, scale: float, zero_point: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x, _ = ends(rng, dtype)
        if dtype == "INT16":
            x.scale = (8 / 32768, 1 / 4096 / 2, 0.37 / 4096)[seed]  # powers of two have a path of their own
        agree_exactly(name, [x], output(dtype, SHAPE, scale, zero_point))
