"""Pooling of quantized integers, judged by LiteRT's reference kernels."""

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

WINDOWS = [((2, 2), (2, 2)), ((3, 3), (1, 1)), ((3, 2), (2, 1)), ((1, 4), (1, 3)), ((5, 7), (1, 1))]
"""(height, width) of the window, and its strides: even and odd counts, of which halves are rounded away from 0."""


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("name", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pooling(name: str, padding: str, dtype: str) -> None:
    rng = np.random.default_rng(len(name) + len(dtype))
    for turn, ((height, width), (down, along)) in enumerate(WINDOWS):
        rows, columns = -(-5 // down), -(-7 // along)
        if padding == "VALID":
            rows, columns = (5 - height) // down + 1, (7 - width) // along + 1
        scale, zero_point = random_scale(rng), random_zero_point(rng, dtype)
        fields = {
            "padding": padding,
            "stride_h": down,
            "stride_w": along,
            "filter_height": height,
            "filter_width": width,
            "fused_activation_function": ("NONE", "RELU6", "RELU")[turn % 3],
        }
        agree_exactly(
            name,
            [Tensor(random_integers(rng, dtype, (2, 5, 7, 3)), scale, zero_point)],
            output(dtype, (2, rows, columns, 3), scale, zero_point),
            ("Pool2DOptions", fields),
            resized=[random_integers(rng, dtype, (3, 5, 7, 3))],
        )


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
def test_mean_of_a_large_picture(dtype: str) -> None:
    rng = np.random.default_rng(2)  # more than 2^24 in all, for 16 bits: float32 would not hold the sum
    x = Tensor(random_integers(rng, dtype, (1, 48, 50, 4)), 0.1, 0)
    fields = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "filter_height": 48, "filter_width": 50}
    agree_exactly("AVERAGE_POOL_2D", [x], output(dtype, (1, 1, 1, 4), 0.1), ("Pool2DOptions", fields))
