from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Made, agree, convert, one_operator, run

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")


def integers(dtype: str, *shape: int) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.random.default_rng(1).integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_xor(dtype):
    x, y = integers(dtype, 3, 4), integers(dtype, 2, 1, 4)
    agree("BITWISE_XOR", [x, y], Made(DTYPES[dtype], (2, 3, 4)), resized=[x[:1], y], export=True)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_right_shift_keeps_the_sign_and_bounds_the_distance(dtype):
    distance = np.array([0, 1, 3, 7, 8, 40, 100], dtype)
    distance[0] = np.iinfo(dtype).min
    agree("RIGHT_SHIFT", [integers(dtype, 3, 7), distance], Made(DTYPES[dtype], (3, 7)), export=True)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_left_shift(dtype):
    distance = np.array([0, 1, 3, np.iinfo(dtype).bits - 1], dtype)
    x = integers(dtype, 4)
    agree("STABLEHLO_SHIFT_LEFT", [x, distance], Made(DTYPES[dtype], (4,)), ("StablehloShiftLeftOptions", {}))


def test_left_shift_out_of_all_bits():
    # StableHLO's specification: 0; C++, and with it LiteRT, does not define it
    data = one_operator("STABLEHLO_SHIFT_LEFT", [Made("INT32", (2,))] * 2, [Made("INT32", (2,))])
    (result,) = run(convert(data), np.array([1, 5], "i4"), np.array([32, -1], "i4"))
    assert result.tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [*INTEGERS, "int64", "bool"])
def test_and(dtype):
    x = integers("uint8", 2, 8) % 2 == 0 if dtype == "bool" else integers(dtype, 2, 8)
    y = np.ascontiguousarray(x[::-1])
    agree("STABLEHLO_AND", [x, y], Made(DTYPES[dtype], (2, 8)), export=True)


@pytest.mark.parametrize(
    ("source", "shape", "target", "result"),
    [
        ("float32", (2, 3), "int32", (2, 3)),
        ("float32", (2, 3), "int8", (2, 3, 4)),
        ("uint8", (2, 4), "float32", (2,)),
        ("int16", (3, 2), "uint32", (3,)),
        ("int32", (), "uint16", (2,)),
        ("int8", (4,), "int32", ()),
        ("int64", (2,), "int32", (2, 2)),
        ("uint8", (5,), "int8", (5,)),
        ("uint32", (5,), "float32", (5,)),
    ],
)
def test_bitcast(source, shape, target, result):
    x = np.arange(int(np.prod(shape)), dtype=source).reshape(shape) + np.array(1, source)
    agree("BITCAST", [np.asarray(x, source)], Made(DTYPES[target], result), export=True)
