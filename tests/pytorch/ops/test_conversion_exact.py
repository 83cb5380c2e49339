"""Between real numbers, quantized integers and plain ones, judged by LiteRT's reference kernels."""

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

NARROW = ("INT8", "UINT8", "INT16")
PAIRS = [
    ("INT8", "INT8"),
    ("INT8", "UINT8"),
    ("INT8", "INT16"),
    ("UINT8", "INT8"),
    ("UINT8", "UINT8"),
    ("UINT8", "INT16"),
    ("INT16", "INT8"),
    ("INT16", "INT16"),
    ("INT16", "INT32"),
    ("INT32", "INT8"),
    ("INT32", "INT16"),
]
"""The pairs that LiteRT requantizes."""


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_requantize(source: str, target: str) -> None:
    rng = np.random.default_rng(len(source) + 2 * len(target))
    for _ in range(4):
        x = random_integers(rng, source, (20, 50))
        x = x // 2**10 if source == "INT32" else x
        given = Tensor(
            x,
            random_scale(rng, 0.0001, 0.001) if source == "INT32" else random_scale(rng),
            random_zero_point(rng, source),
        )
        agree_exactly(
            "QUANTIZE",
            [given],
            output(target, (20, 50), random_scale(rng), random_zero_point(rng, target)),
            ("QuantizeOptions", {}),
        )


@pytest.mark.parametrize(("source", "target"), [("INT8", "UINT8"), ("UINT8", "INT8")])
def test_one_grid_moved_by_128(source: str, target: str) -> None:
    x = Tensor(np.arange(*((-128, 128) if source == "INT8" else (0, 256))).astype(source.lower()), 0.1, 5)
    agree_exactly(
        "QUANTIZE", [x], output(target, (256,), 0.1, 133 if source == "INT8" else -123), ("QuantizeOptions", {})
    )


def reals(rng: np.random.Generator) -> np.ndarray:
    """Real numbers, among them halves of steps, infinities and numbers that leave 32 bits."""
    found = (rng.normal(size=(40, 50)) * 20).astype(np.float32)
    found[0, :9] = [np.inf, -np.inf, np.nan, 1e30, -1e30, 3e9, -3e9, 0.5, -0.5]
    found[1:4] = rng.integers(-80, 80, (3, 50)) / 8
    return found


@pytest.mark.parametrize("dtype", NARROW)
def test_quantize(dtype: str) -> None:
    rng = np.random.default_rng(5)
    for scale in (0.25, 0.5, random_scale(rng), random_scale(rng)):
        target = output(dtype, (40, 50), scale, random_zero_point(rng, dtype))
        agree_exactly("QUANTIZE", [Tensor(reals(rng))], target, ("QuantizeOptions", {}))


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("axis", [0, 1])
def test_quantize_with_a_scale_for_each_channel(dtype: str, axis: int) -> None:
    rng = np.random.default_rng(6)
    count = (40, 50)[axis]
    scales, points = [random_scale(rng) for _ in range(count)], [random_zero_point(rng, dtype) for _ in range(count)]
    target = output(dtype, (40, 50), scales, points, axis=axis)
    agree_exactly("QUANTIZE", [Tensor(reals(rng))], target, ("QuantizeOptions", {}))


@pytest.mark.parametrize("dtype", NARROW)
def test_dequantize(dtype: str) -> None:
    rng = np.random.default_rng(7)
    for _ in range(4):
        x = Tensor(random_integers(rng, dtype, (40, 50)), random_scale(rng, 1e-6, 20), random_zero_point(rng, dtype))
        agree_exactly("DEQUANTIZE", [x], output("FLOAT32", (40, 50)), ("DequantizeOptions", {}))


@pytest.mark.parametrize("dtype", ["INT8", "UINT8"])
@pytest.mark.parametrize("axis", [0, 1])
def test_dequantize_with_a_scale_for_each_channel(dtype: str, axis: int) -> None:
    rng = np.random.default_rng(8)
    count = (40, 50)[axis]
    scales, points = [random_scale(rng) for _ in range(count)], [random_zero_point(rng, dtype) for _ in range(count)]
    x = Tensor(random_integers(rng, dtype, (40, 50)), scales, points, axis=axis)
    agree_exactly("DEQUANTIZE", [x], output("FLOAT32", (40, 50)), ("DequantizeOptions", {}))


def test_dequantize_4_bits() -> None:
    x = constant(np.arange(-8, 8, dtype=np.int8).reshape(4, 4), 0.3, dtype="INT4")
    agree_exactly("DEQUANTIZE", [x], output("FLOAT32", (4, 4)), ("DequantizeOptions", {}))


@pytest.mark.parametrize("source", [*NARROW, "INT32", "FLOAT32"])
@pytest.mark.parametrize("target", [*NARROW, "INT32", "FLOAT32"])
def test_cast_of_the_stored_integers(source: str, target: str) -> None:
    rng = np.random.default_rng(9)
    if source == "FLOAT32":
        x = Tensor((rng.normal(size=(20, 30)) * 100).astype(np.float32))
    else:
        x = Tensor(random_integers(rng, source, (20, 30)), 0.1)
    fields = {"in_data_type": source, "out_data_type": target}
    target_scale = None if target == "FLOAT32" else 0.2
    agree_exactly("CAST", [x], output(target, (20, 30), target_scale), ("CastOptions", fields))
