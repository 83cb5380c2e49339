from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.pytorch.litert import DTYPES, Constant, Made, agree, convert, one_operator, run

from unlite.errors import InvalidValueError
from unlite.flatbuffers.write import build
from unlite.schema import load

NUMBERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float16", "float32", "float64")


def extremes(dtype: str) -> np.ndarray:
    """Numbers of a type that others cannot hold."""
    if dtype == "bool":
        return np.array([False, True])
    if dtype == "complex64":
        return np.array([1 + 2j, -3.7 - 1j, 0 + 1j, 0], "c8")
    if dtype[0] == "f":
        return np.array([0, 0.5, -0.5, 1.5, -1.5, 127.9, -129.5, 300, -300, 65504], dtype)
    info = np.iinfo(dtype)
    return np.array([0, 1, 100, info.max, info.max - 1, info.min, info.min + 1, info.max // 3], dtype)


@pytest.mark.filterwarnings("ignore:.*omplex")
@pytest.mark.parametrize("target", [*NUMBERS, "bool", "complex64"])
@pytest.mark.parametrize("source", [*NUMBERS, "bool", "complex64"])
def test_cast_between_all_types(source, target):
    x = extremes(source)
    agree("CAST", [x], Made(DTYPES[target], x.shape))


@pytest.mark.parametrize("target", ["INT8", "UINT8", "INT16", "UINT16", "UINT32"])
def test_cast_stops_at_the_ends_of_a_range(target):
    x = np.array([np.inf, -np.inf, np.nan, 1e20, -1e20, 3e9, -3e9, 2**32, 2**31], "f4")
    agree("CAST", [x], Made(target, x.shape), export=True)


@pytest.mark.parametrize(("target", "expected"), [("INT4", [0, 0, 7, -8, 7, 3]), ("UINT4", [0, 0, 15, 0, 15, 3])])
def test_cast_to_four_bits(target, expected):
    # the interpreter hands out packed bytes for UINT4, so by hand: 4 bits hold -8..7 or 0..15; 3.9 is cut to 3
    data = one_operator("CAST", [Made("FLOAT32", (6,))], [Made(target, (6,))])
    (result,) = run(convert(data), np.array([0.9, -0.9, 100, -100, np.nan, 3.9], "f4"))
    assert result.tolist() == expected


def test_cast_resized():
    agree("CAST", [np.ones((1, 2), "f4")], Made("INT32", (1, 2)), resized=[np.full((3, 5), -2.7, "f4")], export=True)


def quantized(name: str, source: tuple[str, bool], target: tuple[str, bool]) -> bytes:
    """x [3] -> one operator -> y [3]; types, and whether scale 0.5 and zero point 3 belong to them."""
    known = {"scale": [0.5], "zero_point": [3]}
    code = load().enum_named("tflite.BuiltinOperator").values[name]
    tensors = [
        {"name": n, "shape": [3], "type": t, "buffer": 0, **({"quantization": known} if q else {})}
        for n, (t, q) in zip("xy", (source, target), strict=True)
    ]
    operator = {"opcode_index": 0, "inputs": [0], "outputs": [1]}
    return build(
        load().root,
        {
            "version": 3,
            "operator_codes": [{"builtin_code": name, "deprecated_builtin_code": min(code, 127), "version": 1}],
            "subgraphs": [{"tensors": tensors, "inputs": [0], "outputs": [1], "operators": [operator]}],
            "buffers": [{}],
        },
        b"TFL3",
    )


def test_quantize_and_dequantize_are_nothing_for_real_numbers():
    x = np.array([1.5, -2, 0.25], "f4")
    for name, source, target in (
        ("QUANTIZE", ("FLOAT32", False), ("INT8", True)),
        ("QUANTIZE", ("INT8", True), ("UINT8", True)),
        ("DEQUANTIZE", ("INT8", True), ("FLOAT32", False)),
    ):
        (result,) = run(convert(quantized(name, source, target)), x)
        assert result.tolist() == x.tolist()


def test_cast_takes_the_integers_of_quantized_tensors():
    # 1.5 is stored as 1.5 / 0.5 + 3 = 6, -2 as -1
    (result,) = run(convert(quantized("CAST", ("INT8", True), ("FLOAT32", False))), np.array([1.5, -2, 0], "f4"))
    assert result.tolist() == [6, -1, 3]
    # and back: the integer 6 stands for (6 - 3) * 0.5
    (result,) = run(convert(quantized("CAST", ("FLOAT32", False), ("INT8", True))), np.array([6, -1.9, 300], "f4"))
    assert result.tolist() == [1.5, -2, 62]


def test_dequantize_of_half_precision():
    agree("DEQUANTIZE", [np.array([1, 0.1, -3], "f2")], Made("FLOAT32", (3,)), resized=[np.ones((2, 2), "f2")])
    halves = Constant(np.array([1, 0.1, -3], "f2"))
    data = one_operator("DEQUANTIZE", [halves], [Made("FLOAT32", (3,))])
    (result,) = run(convert(data))
    np.testing.assert_array_equal(result.detach().numpy(), halves.values.astype("f4"))


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 255, 8), (-1, 1, 8), (-3, 5, 4), (1, 5, 4), (-6, -2, 8), (-0.7, 3.1, 2), (-10, 10, 16)],
)
def test_fake_quant(low, high, bits):
    x = np.array([-20, -5.3, -1, -0.25, 0, 0.5, 1.5, 2.5, 3.2, 7, 254.5, 300], "f4")
    options = ("FakeQuantOptions", {"min": float(low), "max": float(high), "num_bits": bits})
    agree("FAKE_QUANT", [x], Made("FLOAT32", (12,)), options, export=True)


@pytest.mark.parametrize("low", [-1.0, 0.0, 2.0])
def test_fake_quant_of_nan_and_of_the_bits_of_integers(low):
    options = ("FakeQuantOptions", {"min": low, "max": 5.0, "num_bits": 8})
    x = np.array([np.nan, -np.nan, np.inf, -np.inf, 3.3], "f4")
    agree("FAKE_QUANT", [x], Made("FLOAT32", (5,)), options, export=True)
    bits = np.append(x.view("i4"), np.array([0, 7, -7, 1 << 30, -(1 << 31), (1 << 31) - 1], "i4"))
    agree("FAKE_QUANT", [bits], Made("INT32", (11,)), options, export=True)


@pytest.mark.parametrize(
    "options", [{"min": 1.0, "max": 1.0}, {"min": 0.0, "max": 1.0, "num_bits": 1 << 30}, {"max": np.inf}]
)
def test_fake_quant_of_no_range_is_refused(options):
    made = [Made("FLOAT32", (1,))]
    with pytest.raises(InvalidValueError, match="range"):
        convert(one_operator("FAKE_QUANT", made, made, ("FakeQuantOptions", {"num_bits": 8, "min": 0.0} | options)))


@pytest.mark.parametrize("constant", [False, True])
def test_cast_to_bfloat16_and_back(constant):
    # bfloat16 keeps 8 bits: 1 + 2^-7 stays, 1 + 2^-9 becomes 1, 3.14159 becomes 3.140625
    x = np.array([1 + 2**-7, 1 + 2**-9, 3.14159], "f4")
    data = one_operator("CAST", [Constant(x) if constant else x], [Made("BFLOAT16", (3,))])
    (result,) = run(convert(data), *([] if constant else [x]))
    assert result.dtype == torch.bfloat16
    assert result.tolist() == [1 + 2**-7, 1, 3.140625]
