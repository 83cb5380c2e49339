"""Pooling against the operator suite, LiteRT, and loops written out."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from tests.pytorch.check import check_operator, compare, random
from tests.pytorch.suite import all_cases, check_case

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

from unlite.errors import InvalidValueError  # noqa: E402
from unlite.pytorch.ops import pooling  # noqa: E402
from unlite.pytorch.options import Options  # noqa: E402

CUSTOM = ("AvgPool3D", "MaxPool3D", "MaxPoolWithArgmax")


@pytest.mark.parametrize("name", [name for name, case in all_cases().items() if set(case["custom_ops"]) & set(CUSTOM)])
def test_suite_of_custom_operators(name: str) -> None:
    """Expected values by TensorFlow; LiteRT's resolver does not have them."""
    check_case(all_cases()[name])


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("name", ["AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"])
@pytest.mark.parametrize(("size", "stride"), [((3, 3), (1, 1)), ((2, 3), (2, 2)), ((4, 1), (3, 2)), ((1, 1), (2, 1))])
def test_pool_2d(name: str, size: tuple[int, int], stride: tuple[int, int], padding: str) -> None:
    options = {
        "padding": padding,
        "filter_height": size[0],
        "filter_width": size[1],
        "stride_h": stride[0],
        "stride_w": stride[1],
        "fused_activation_function": "RELU_N1_TO_1",
    }
    pairs = zip((7, 6), size, stride, strict=True)
    shape = [-(-n // s) if padding == "SAME" else (n - k) // s + 1 for n, k, s in pairs]
    resized = ((1, 4, 5, 3), (3, 9, 4, 3))
    check_operator(name, [random(2, 7, 6, 3)], (2, *shape, 3), ("Pool2DOptions", options), resized=resized)


@pytest.mark.parametrize("name", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integers_without_a_scale(name: str, dtype: str) -> None:
    options = {"padding": "SAME", "filter_height": 3, "filter_width": 2, "stride_h": 2, "stride_w": 1}
    x = random(1, 5, 4, 2, dtype=dtype)
    check_operator(name, [x], (1, 3, 4, 2), ("Pool2DOptions", options))


def test_export() -> None:
    options = {"padding": "SAME", "filter_height": 2, "filter_width": 3, "stride_h": 2, "stride_w": 2}
    check_operator("AVERAGE_POOL_2D", [random(1, 5, 6, 2)], (1, 3, 3, 2), ("Pool2DOptions", options), exports=True)


def windows(x: np.ndarray, size: list[int], stride: list[int], same: bool) -> Any:
    """Of each window the corner in x and the cells inside x, with where they begin. x: [*sizes, C]."""
    sizes = x.shape[:-1]
    counts = [-(-n // s) if same else (n - k) // s + 1 for n, k, s in zip(sizes, size, stride, strict=True)]
    before = [
        max((count - 1) * s + k - n, 0) // 2 if same else 0
        for n, k, s, count in zip(sizes, size, stride, counts, strict=True)
    ]
    for place in np.ndindex(*counts):
        corner = [i * s - b for i, s, b in zip(place, stride, before, strict=True)]
        cells = tuple(slice(max(c, 0), c + k) for c, k in zip(corner, size, strict=True))
        yield place, corner, [cell.start for cell in cells], x[cells], counts


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("size", "stride"), [([2, 3, 1], [1, 2, 1]), ([3, 3, 3], [1, 1, 1]), ([2, 2, 4], [3, 2, 1])])
def test_pool_3d(size: list[int], stride: list[int], padding: str) -> None:
    x = random(4, 5, 6, 2)
    attributes = {"ksize": [1, *size, 1], "strides": [1, *stride, 1], "padding": padding, "data_format": "NDHWC"}
    found = list(windows(x, size, stride, padding == "SAME"))
    mean, most = (np.zeros((*found[0][4], 2), "f4") for _ in range(2))
    for place, _, _, cells, _ in found:
        mean[place], most[place] = cells.mean((0, 1, 2)), cells.max((0, 1, 2))
    options = Options(custom=attributes)
    given = torch.from_numpy(x[None])
    compare([mean[None]], pooling.average_pool_3d(given, options=options), 1e-6)
    compare([most[None]], pooling.max_pool_3d(given, options=options), 0)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(("size", "stride"), [([2, 3], [2, 2]), ([3, 3], [1, 1]), ([2, 2], [3, 1])])
def test_places_of_the_largest(size: list[int], stride: list[int], same: bool) -> None:
    x = random(2, 5, 6, 2, dtype="int8").astype("f4") // 16  # equal cells occur
    found = [list(windows(picture, size, stride, same)) for picture in x]
    shape = (2, *found[0][0][4], 2)
    values, in_picture, in_window = np.zeros(shape, "f4"), np.zeros(shape, "i8"), np.zeros(shape, "f4")
    for n, c in np.ndindex(2, 2):
        for place, corner, start, cells, _ in found[n]:
            row, column = divmod(int(cells[..., c].argmax()), cells.shape[1])
            values[(n, *place, c)] = cells[row, column, c]
            in_picture[(n, *place, c)] = ((start[0] + row) * 6 + start[1] + column) * 2 + c
            in_window[(n, *place, c)] = (start[0] + row - corner[0]) * size[1] + start[1] + column - corner[1]
    given = torch.from_numpy(x)
    attributes = {"ksize": [1, *size, 1], "strides": [1, *stride, 1], "padding": "SAME" if same else "VALID"}
    result = pooling.max_pool_with_argmax(given, options=Options(custom=attributes))
    compare([values, in_picture], result, 0)
    batched = pooling.max_pool_with_argmax(
        given, options=Options(custom={**attributes, "include_batch_in_index": True})
    )
    compare([values, in_picture + np.arange(2).reshape(2, 1, 1, 1) * 60], batched, 0)
    structure = struct.pack("<6i", 1 if same else 2, stride[1], stride[0], size[1], size[0], 1)  # 1: RELU
    result = pooling.max_pooling_with_argmax_2d(given, options=Options(custom=structure))
    compare([np.maximum(values, 0), (in_window + 0.1).astype("f4")], result, 1e-6)


def test_unpooling_puts_back_what_pooling_took() -> None:
    x = random(2, 6, 8, 3)
    options = Options(custom=struct.pack("<6i", 1, 2, 2, 2, 2, 0))
    given = torch.from_numpy(x)
    largest = x.reshape(2, 3, 2, 4, 2, 3).max((2, 4)).repeat(2, 1).repeat(2, 2)
    expected = np.where(x == largest, x, 0)
    values, places = pooling.max_pooling_with_argmax_2d(given, options=options)
    compare([expected], pooling.max_unpooling_2d(values, places, options=options), 0)
    attributes = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "SAME"}
    values, places = pooling.max_pool_with_argmax(given, options=Options(custom=attributes))
    compare([expected], pooling.max_unpooling_2d(values, places.int(), options=options), 0)


def test_unpooling_drops_what_lies_outside() -> None:
    options = Options(custom=struct.pack("<6i", 1, 2, 2, 2, 2, 0))
    x, places = torch.tensor([[[[5.0], [7.0]]]]), torch.tensor([[[[1.1], [8.1]]]])  # 8: four rows below the window
    result = pooling.max_unpooling_2d(x, places, options=options)
    compare([np.array([[0, 5, 0, 0], [0, 0, 0, 0]], "f4").reshape(1, 2, 4, 1)], result, 0)


@pytest.mark.parametrize(
    "attributes",
    [
        None,
        {},
        {"ksize": [1, 2, 2, 1], "strides": [1, 1, 1, 1], "padding": "FULL"},
        {"ksize": [1, 2, 1], "strides": [1, 1, 1, 1], "padding": "SAME"},
        {"ksize": [1, 2, 2, 1], "strides": [1, 0, 1, 1], "padding": "SAME"},
        {"ksize": [1, 2, 2, 1], "strides": [1, 1, 1, 1], "padding": "SAME", "data_format": "NCHW"},
    ],
)
def test_custom_options_that_say_nothing(attributes: Any) -> None:
    with pytest.raises(InvalidValueError):
        pooling.max_pool_with_argmax(torch.zeros(1, 4, 4, 1), options=Options(custom=attributes))
