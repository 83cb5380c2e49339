"""Resizing of quantized pictures, judged by LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.quantized_models import Tensor, agree_exactly, constant, output, random_integers, random_zero_point

TABLES = {"RESIZE_BILINEAR": "ResizeBilinearOptions", "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions"}
SIZES = [(3, 3), (11, 13), (10, 14), (5, 7), (1, 1), (50, 33)]


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
@pytest.mark.parametrize("variant", ["", "align_corners", "half_pixel_centers"])
@pytest.mark.parametrize("name", TABLES)
def test_resizing(name: str, variant: str, dtype: str) -> None:
    rng = np.random.default_rng(len(variant))
    zero_point = random_zero_point(rng, dtype)
    for size in SIZES:
        agree_exactly(
            name,
            [
                Tensor(random_integers(rng, dtype, (2, 5, 7, 3)), 0.1, zero_point),
                constant(np.array(size, dtype=np.int32)),
            ],
            output(dtype, (2, *size, 3), 0.1, zero_point),
            (TABLES[name], {variant: True} if variant else {}),
            resized=[random_integers(rng, dtype, (1, 6, 4, 3))],
        )
