"""Normalization against the operator suite and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.check import check_operator, random


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5), (1, 1, 1, 1), (3, 2, 4)])
def test_l2_normalization(shape: tuple[int, ...]) -> None:
    check_operator("L2_NORMALIZATION", [random(*shape)], shape, ("L2NormOptions", {}))
    check_operator("L2_NORMALIZATION", [np.zeros(shape, "f4")], shape, ("L2NormOptions", {}))
    check_operator("L2_NORMALIZATION", [random(*shape) * 1e-8], shape, ("L2NormOptions", {}))


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("numbers", [(1.0, 1.0, 0.5), (2.0, 0.1, 0.75), (1.0, 0.5, -1.0), (0.5, 3.0, 2.0)])
def test_local_response_normalization(radius: int, numbers: tuple[float, float, float]) -> None:
    options = {"radius": radius, **dict(zip(("bias", "alpha", "beta"), numbers, strict=True))}
    table = ("LocalResponseNormalizationOptions", options)
    shape = (2, 2, 3, 6)
    name = "LOCAL_RESPONSE_NORMALIZATION"
    check_operator(name, [random(*shape)], shape, table, resized=((1, 4, 1, 7),), exports=radius == 2, tolerance=2e-6)
