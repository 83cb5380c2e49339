"""Comparison and selection of quantized integers, judged by LiteRT's reference kernels."""

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

OPTIONS = {
    "EQUAL": "EqualOptions",
    "NOT_EQUAL": "NotEqualOptions",
    "LESS": "LessOptions",
    "LESS_EQUAL": "LessEqualOptions",
    "GREATER": "GreaterOptions",
    "GREATER_EQUAL": "GreaterEqualOptions",
}


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16", "INT32"])
@pytest.mark.parametrize("name", OPTIONS)
def test_comparison(name: str, dtype: str) -> None:
    rng = np.random.default_rng(len(name) + len(dtype))
    # Scales above 1 are shifted to the wrong side by the kernel; at 1 itself LiteRT stops.
    for scales in ((random_scale(rng), random_scale(rng)), (0.25, 0.5), (2.5, 0.3), (0.1, 0.1)):
        points = [random_zero_point(rng, dtype) for _ in range(2)]
        points = points[:1] * 2 if scales[0] == scales[1] else points
        x = Tensor(random_integers(rng, dtype, (40, 50)), scales[0], points[0])
        y = Tensor(random_integers(rng, dtype, (1, 50)), scales[1], points[1])
        agree_exactly(name, [x, y], output("BOOL", (40, 50)), (OPTIONS[name], {}))


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
@pytest.mark.parametrize("name", ["SELECT", "SELECT_V2"])
def test_selected_integers_are_not_rescaled(name: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    shape = (4, 5, 6)
    sides = [Tensor(random_integers(rng, dtype, shape), random_scale(rng), random_zero_point(rng, dtype)) for _ in "xy"]
    agree_exactly(
        name,
        [Tensor(rng.random(shape) > 0.5), *sides],
        output(dtype, shape, 0.3),
        ("SelectOptions" if name == "SELECT" else "SelectV2Options", {}),
    )
