from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Made, agree

FLOAT = (
    "ABS",
    "NEG",
    "EXP",
    "LOG",
    "SQRT",
    "RSQRT",
    "SQUARE",
    "SIN",
    "COS",
    "CEIL",
    "FLOOR",
    "ROUND",
    "SIGN",
    "ZEROS_LIKE",
)


@pytest.mark.parametrize("name", FLOAT)
def test_special_values(name):
    x = np.array([np.inf, -np.inf, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0, -0.0, 70.25, -3.75, 1e10], "f4")
    x = x if name not in ("SIN", "COS") else x[2:-1]  # a large angle's sine depends on the library
    agree(name, [x], Made("FLOAT32", x.shape), resized=[x.reshape(1, -1)[:, :4]], export=True)


@pytest.mark.parametrize("name", [name for name in FLOAT if name != "SIGN"])  # PyTorch: sign(NaN) = 0
def test_not_a_number(name):
    agree(name, [np.array([np.nan, 1], "f4")], Made("FLOAT32", (2,)))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("ABS", "int16"),
        ("ABS", "int32"),
        *[("NEG", dtype) for dtype in ("int8", "int16", "int32", "int64")],
        ("SIGN", "int32"),
        ("ZEROS_LIKE", "int32"),
        ("ZEROS_LIKE", "int64"),
    ],
)
def test_integers(name, dtype):
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    agree(name, [np.array([[0, 1, -3], [least, most, 7]], dtype)], Made(DTYPES[dtype], (2, 3)))


@pytest.mark.parametrize("name", ["SIN", "COS", "FLOOR", "NEG"])
def test_half_precision(name):
    agree(name, [np.array([0.1, 1, -3, 2.5], "f2")], Made("FLOAT16", (4,)), allowed=1e-3)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 2, 1, 2, 1, 2)])
def test_ranks(shape):
    agree("SQRT", [np.full(shape, 2, "f4")], Made("FLOAT32", shape))
