"""Resizing against the operator suite and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.check import Constant, Made, check_operator, random

SIZES = [(7, 5), (3, 9), (1, 1), (12, 10), (4, 2), (13, 29)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("aligned", "centred"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("name", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_variants(name: str, aligned: bool, centred: bool, size: tuple[int, int]) -> None:
    table = "ResizeBilinearOptions" if name == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    options = (table, {"align_corners": aligned, "half_pixel_centers": centred})
    inputs = [random(2, 6, 5, 3), Constant(np.array(size, "i4"))]
    resized = ((1, 11, 4, 3), (1, 1, 7, 3), (1, 23, 31, 3))
    check_operator(name, inputs, (2, *size, 3), options, resized=resized, tolerance=2e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize(("aligned", "centred"), [(False, False), (True, False), (False, True), (True, True)])
def test_nearest_neighbor_of_integers(dtype: str, aligned: bool, centred: bool) -> None:
    options = ("ResizeNearestNeighborOptions", {"align_corners": aligned, "half_pixel_centers": centred})
    inputs = [random(1, 6, 5, 2, dtype=dtype), Constant(np.array((9, 4), "i4"))]
    check_operator("RESIZE_NEAREST_NEIGHBOR", inputs, (1, 9, 4, 2), options)


@pytest.mark.parametrize(("aligned", "centred"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("name", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_export(name: str, aligned: bool, centred: bool) -> None:
    table = "ResizeBilinearOptions" if name == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    options = (table, {"align_corners": aligned, "half_pixel_centers": centred})
    inputs = [random(1, 3, 4, 2), Constant(np.array((5, 6), "i4"))]
    check_operator(name, inputs, (1, 5, 6, 2), options, exports=True)


def test_a_size_given_when_it_runs() -> None:
    options = ("ResizeBilinearOptions", {"half_pixel_centers": True})
    inputs = [random(1, 3, 4, 2), np.array((5, 6), "i4")]
    check_operator("RESIZE_BILINEAR", inputs, [Made("FLOAT32", (1, 5, 6, 2))], options)
