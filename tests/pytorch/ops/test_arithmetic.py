from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Constant, Made, agree, convert, one_operator, run

OPTIONS = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "FLOOR_DIV": "FloorDivOptions",
    "FLOOR_MOD": "FloorModOptions",
    "POW": "PowOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
}


def integers(dtype: str, shape: tuple[int, ...], *, zero: bool = True) -> np.ndarray:
    """All of a type's range, its ends among them."""
    info = np.iinfo(dtype)
    made = np.random.default_rng(1).integers(info.min, info.max, shape, dtype, endpoint=True)
    made.reshape(-1)[:2] = info.min, info.max
    return made if zero else np.where(made == 0, 1, made).astype(dtype)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *[(name, dtype) for name in ("ADD", "SUB", "MUL") for dtype in ("int32", "int64")],
        *[(name, "int16") for name in ("ADD", "MUL", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM")],
        *[(name, "int8") for name in ("FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM")],
        *[(name, "int32") for name in ("DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "SQUARED_DIFFERENCE")],
        *[(name, "int64") for name in ("FLOOR_MOD", "MAXIMUM", "MINIMUM")],
        ("MUL", "uint32"),
        ("MAXIMUM", "uint8"),
    ],
)
def test_integers_wrap_and_round_as_in_litert(name, dtype):
    x, y = integers(dtype, (4, 16)), integers(dtype, (16,), zero=False)
    y[3:] = np.resize([2, 3, 5], 13)  # -(2^31) / -1 would trap in LiteRT
    y[8:] = -y[8:] if dtype[0] == "i" else y[8:]
    agree(name, [x, y], Made(DTYPES[dtype], (4, 16)), (OPTIONS[name], {}))


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_broadcast_resize_and_export(name):
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0.5, 3, (2, 1, 3, 4)).astype("f4"), rng.uniform(0.5, 3, (5, 1, 4)).astype("f4")
    other = rng.uniform(0.5, 3, (3, 1, 2, 4)).astype("f4")
    agree(name, [x, y], Made("FLOAT32", (2, 5, 3, 4)), (OPTIONS[name], {}), resized=[other, y], export=True)


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL", "DIV", "MAXIMUM"])
def test_six_dimensions(name):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 1, 3, 1, 2, 1)).astype("f4"), rng.normal(size=(1, 2, 1, 3, 1, 2)).astype("f4")
    agree(name, [x, y], Made("FLOAT32", (2, 2, 3, 3, 2, 2)), (OPTIONS[name], {}))


@pytest.mark.parametrize("shapes", [((), (3,)), ((3, 1), ()), ((1,), (1, 1)), ((0, 3), (3,)), ((2, 3), (1,))])
def test_scalars_and_empty_tensors(shapes):
    x, y = (np.full(shape, 2 + i, "f4") for i, shape in enumerate(shapes))
    agree("ADD", [x, y], Made("FLOAT32", np.broadcast_shapes(*shapes)), ("AddOptions", {}))


@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_fused_activations(activation, dtype):
    x = np.array([-9, -2, -1, 0, 1, 2, 5, 9], dtype)
    for name in ("ADD", "SUB", "MUL", "DIV"):
        options = (OPTIONS[name], {"fused_activation_function": activation})
        agree(name, [x, Constant(np.array([2], dtype))], Made(DTYPES[dtype], (8,)), options)


def test_floor_div_of_real_numbers_is_exact():
    x = np.array([7, -7, 0.3, -0.3, 1e10, 5.5, -5.5], "f4")
    y = np.array([2, 2, 0.1, 0.1, 3, -1.5, -1.5], "f4")
    agree("FLOOR_DIV", [x, y], Made("FLOAT32", (7,)))
    agree("FLOOR_MOD", [x, y], Made("FLOAT32", (7,)))


def test_integer_power_beyond_int32():
    x = np.array([3, -2, 0, 2, 7, -1], "i4")
    agree("POW", [x, np.array([19, 3, 0, 30, 40, 5], "i4")], Made("INT32", (6,)))


def test_division_by_zero():
    # 1 / 0 = inf, 0 / 0 = NaN (IEEE 754); LiteRT's reference kernel caps the first
    module = convert(one_operator("DIV", [Made("FLOAT32", (3,))] * 2, [Made("FLOAT32", (3,))], ("DivOptions", {})))
    (result,) = run(module, np.array([1, -1, 0], "f4"), np.zeros(3, "f4"))
    np.testing.assert_array_equal(result.numpy(), [np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("count", [2, 5])
def test_add_n(dtype, count):
    terms = [np.arange(6, dtype=dtype).reshape(2, 3) + i for i in range(count)]
    agree("ADD_N", terms, Made(DTYPES[dtype], (2, 3)), export=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_atan2_in_all_quadrants(dtype):
    y, x = (
        np.ascontiguousarray(side) for side in np.meshgrid(np.array([1, 0, -1], dtype), np.array([-2, 0, 2], dtype))
    )
    agree("ATAN2", [y, x], Made(DTYPES[dtype], (3, 3)), resized=[y[:2], x[:2]])


@pytest.mark.parametrize("name", ["MAXIMUM", "MINIMUM", "ADD", "MUL"])
def test_half_precision(name):
    x, y = np.linspace(-3, 3, 8, dtype="f2"), np.linspace(2, -2, 8, dtype="f2")
    agree(name, [x, y], Made("FLOAT16", (8,)), (OPTIONS[name], {}))
