"""Padding against the operator suite and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Constant, Made, agree


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.arange(1, np.prod(shape) + 1).reshape(shape).astype(dtype)


def pairs(*values: list[int], dtype: Any = np.int32) -> np.ndarray:
    return np.array(values, dtype)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("constant", [True, False])
def test_pad(dtype: str, constant: bool) -> None:
    paddings = pairs([0, 0], [1, 2], [0, 3])
    given = [numbers(2, 3, 1, dtype=dtype), Constant(paddings) if constant else paddings]
    agree("PAD", given, Made(DTYPES[dtype], (2, 6, 4)), ("PadOptions", {}), export=constant and dtype == "float32")


@pytest.mark.parametrize("shape", [(3,), (2, 3, 1, 2, 2)])
def test_pad_keeps_other_sizes_free(shape: tuple[int, ...]) -> None:
    paddings = pairs(*[[1, 2]] * len(shape), dtype=np.int64)
    resized = [numbers(*(size + 1 for size in shape))]
    agree(
        "PAD", [numbers(*shape), Constant(paddings)], Made("FLOAT32", (1,) * len(shape)), resized=resized, export=True
    )


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("constant", [True, False])
def test_pad_with_a_value(dtype: str, constant: bool) -> None:
    value = np.array([7], dtype)
    given = [numbers(2, 3, dtype=dtype), Constant(pairs([1, 0], [0, 2])), Constant(value) if constant else value]
    agree("PADV2", given, Made(DTYPES[dtype], (3, 5)), ("PadV2Options", {}), export=dtype == "float32")


def test_pad_with_a_value_that_no_float_holds() -> None:
    given = [numbers(2, dtype="int64"), Constant(pairs([1, 1])), Constant(np.array([(1 << 62) + 1]))]
    agree("PADV2", given, Made("INT64", (4,)), ("PadV2Options", {}))


def test_a_number_padded_stays_one() -> None:
    given = [np.array(3, "i4"), Constant(np.zeros((0, 2), "i4")), np.array([7], "i4")]
    agree("PADV2", given, Made("INT32", ()), ("PadV2Options", {}))


def test_pad_with_minus_infinity() -> None:
    given = [numbers(2), Constant(pairs([1, 1])), Constant(np.array([-np.inf], "f4"))]
    agree("PADV2", given, Made("FLOAT32", (4,)), ("PadV2Options", {}))


@pytest.mark.parametrize("mode", ["REFLECT", "SYMMETRIC"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "uint8", "int8"])
@pytest.mark.parametrize("constant", [True, False])
def test_mirror_pad(mode: str, dtype: str, constant: bool) -> None:
    paddings = pairs([0, 0], [2, 1], [0, 2])
    given = [numbers(2, 3, 4, dtype=dtype), Constant(paddings) if constant else paddings]
    agree(
        "MIRROR_PAD",
        given,
        Made(DTYPES[dtype], (2, 6, 6)),
        ("MirrorPadOptions", {"mode": mode}),
        export=constant and dtype == "float32",
    )


@pytest.mark.parametrize(("mode", "most"), [("REFLECT", 2), ("SYMMETRIC", 3)])
def test_mirror_pad_as_far_as_it_goes(mode: str, most: int) -> None:
    given = [numbers(3), Constant(pairs([most, most]))]
    options = ("MirrorPadOptions", {"mode": mode})
    agree("MIRROR_PAD", given, Made("FLOAT32", (3 + 2 * most,)), options, resized=[numbers(5)], export=True)
