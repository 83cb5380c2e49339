"""Slices against the operator suite and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Constant, Made, agree, convert, one_operator, run

TYPES = ["float32", "uint8", "int8", "int16", "int32", "int64", "bool"]


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def i32(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("constant", [True, False])
def test_slice(dtype: str, constant: bool) -> None:
    x = numbers(4, 5, 3, dtype=dtype)
    spans = [np.array(values, np.int64) for values in ([1, 2, 0], [-1, 2, 3])]
    given = [x, *(map(Constant, spans) if constant else spans)]
    agree("SLICE", given, Made(DTYPES[dtype], ()), ("SliceOptions", {}), export=constant and dtype == "float32")


def test_slice_keeps_other_sizes_free() -> None:
    given = [numbers(4, 5), Constant(i32(1, 2)), Constant(i32(-1, 2))]
    agree("SLICE", given, Made("FLOAT32", ()), ("SliceOptions", {}), resized=[numbers(6, 4)])


@pytest.mark.parametrize("size", [(2, 3), (0, 1)])
def test_slice_from_a_place_that_is_computed(size: tuple[int, int]) -> None:
    given = [numbers(4, 5), i32(1, 2), Constant(i32(*size))]
    agree("SLICE", given, Made("FLOAT32", size), ("SliceOptions", {}), export=True)


def strided(x: np.ndarray, begin: Any, end: Any, strides: Any, *, constant: bool = True, **masks: Any) -> None:
    """Held against LiteRT; rank and sizes in the file are what NumPy gives for such an index."""
    masks = {name: masks.get(name, 0) for name in MASKS} | {"offset": masks.get("offset", False)}
    bounds = [i32(*values) for values in (begin, end, strides)]
    given = [x, *(map(Constant, bounds) if constant else bounds)]
    output = Made(DTYPES[x.dtype.name], (1,) * rank(x.ndim, masks, len(begin)))
    agree("STRIDED_SLICE", given, output, ("StridedSliceOptions", masks), export=constant)


MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


def rank(of: int, masks: dict[str, int], entries: int) -> int:
    for i in range(entries):
        if not masks["ellipsis_mask"] >> i & 1:
            new, shrink = masks["new_axis_mask"] >> i & 1, masks["shrink_axis_mask"] >> i & 1
            of += 1 if new else -1 if shrink else 0
    return of


@pytest.mark.parametrize("step", [1, 2, -1, -3])
@pytest.mark.parametrize("constant", [True, False])
def test_strided_slice_of_a_vector(step: int, constant: bool) -> None:
    x = numbers(4)
    for begin in (-5, -4, -1, 0, 2, 4, 9):
        for end in (-9, -5, -4, -2, 0, 3, 4, 9):
            bounds = [i32(value) for value in (begin, end, step)]
            given = [x, *(map(Constant, bounds) if constant else bounds)]
            options = ("StridedSliceOptions", dict.fromkeys(MASKS, 0))
            data = one_operator("STRIDED_SLICE", given, [Made("FLOAT32", (1,))], options)
            result = run(convert(data), *(value for value in given if isinstance(value, np.ndarray)))[0].numpy()
            assert np.array_equal(result, x[slice(begin, end, step)])


@pytest.mark.parametrize("step", [1, -2])
@pytest.mark.parametrize("masks", [{"begin_mask": 1}, {"end_mask": 1}, {"begin_mask": 1, "end_mask": 1}])
@pytest.mark.parametrize("constant", [True, False])
def test_open_bounds(step: int, masks: dict[str, int], constant: bool) -> None:
    strided(numbers(5, 3), [3, 1], [1, 3], [step, 1], constant=constant, **masks)


@pytest.mark.parametrize("dtype", TYPES)
def test_strided_slice_types(dtype: str) -> None:
    strided(numbers(4, 5, 2, dtype=dtype), [0, 4, 0], [4, 0, 2], [2, -2, 1])


@pytest.mark.parametrize(
    ("begin", "masks"),
    [
        ([1, 0, 2], {"shrink_axis_mask": 0b101, "end_mask": 0b10}),
        ([-1, 0, 0], {"shrink_axis_mask": 1, "end_mask": 0b110}),
        ([1, 2], {"shrink_axis_mask": 0b11}),  # the last axis is not named
        ([3, 1], {"begin_mask": 1, "shrink_axis_mask": 1}),
        ([0, 1], {"ellipsis_mask": 1, "shrink_axis_mask": 0b10}),
        ([1, 0, 1], {"ellipsis_mask": 0b10}),
        ([0, 0, 1], {"new_axis_mask": 1, "shrink_axis_mask": 0b100}),
        ([0, 0, 0], {"new_axis_mask": 0b101, "ellipsis_mask": 0b10}),
        ([0, 0, 1], {"ellipsis_mask": 1, "new_axis_mask": 0b10, "shrink_axis_mask": 0b100}),
    ],
)
@pytest.mark.parametrize("constant", [True, False])
def test_masks(begin: list[int], masks: dict[str, int], constant: bool) -> None:
    strided(numbers(3, 4, 5), begin, [begin_ + 1 for begin_ in begin], [1] * len(begin), constant=constant, **masks)


@pytest.mark.parametrize("begin", [[1, 0], [-3, 2]])
def test_end_counts_from_begin(begin: list[int]) -> None:
    strided(numbers(4, 5), begin, [2, 3], [1, 1], offset=True)


def test_six_dimensions() -> None:
    strided(numbers(2, 3, 1, 2, 3, 2), [0, 2, 0, 1, 0, -1], [2, 0, 1, 2, 3, -3], [1, -1, 1, 1, 2, -1])


def test_strided_slice_keeps_other_sizes_free() -> None:
    given = [numbers(3, 4), *(Constant(i32(*values)) for values in ((-1, 0), (0, 3), (-1, 1)))]
    options = ("StridedSliceOptions", dict.fromkeys(MASKS, 0) | {"end_mask": 1})
    agree("STRIDED_SLICE", given, Made("FLOAT32", (3, 3)), options, resized=[numbers(5, 7)])


@pytest.mark.parametrize("dtype", ["float32", "int8", "int32", "int64", "bool"])
@pytest.mark.parametrize("start", [[1, 2], [-3, 9], [2, 0]])
def test_dynamic_update_slice(dtype: str, start: list[int]) -> None:
    x, update = numbers(4, 5, dtype=dtype), numbers(2, 3, dtype=dtype)
    given = [x, update, np.array(start, np.int64 if dtype == "int64" else np.int32)]
    agree("DYNAMIC_UPDATE_SLICE", given, Made(DTYPES[dtype], (4, 5)), export=dtype == "float32")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axes", [[0], [1, 2], [-1]])
def test_reverse(dtype: str, axes: list[int]) -> None:
    x = numbers(2, 3, 4, dtype=dtype)
    agree(
        "REVERSE_V2",
        [x, Constant(i32(*axes))],
        Made(DTYPES[dtype], (2, 3, 4)),
        ("ReverseV2Options", {}),
        export=dtype == "float32",
    )


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize(("seq_dim", "batch_dim"), [(1, 0), (0, 1), (2, 0), (1, 2)])
def test_reverse_sequence(dtype: str, seq_dim: int, batch_dim: int) -> None:
    x = numbers(3, 4, 5, dtype=dtype)
    lengths = np.resize(i32(2, 0, 3, 1), x.shape[batch_dim])
    options = ("ReverseSequenceOptions", {"seq_dim": seq_dim, "batch_dim": batch_dim})
    agree("REVERSE_SEQUENCE", [x, lengths], Made(DTYPES[dtype], x.shape), options, export=dtype == "float32")


@pytest.mark.parametrize(("shift", "axis"), [([1], [0]), ([-2, 5], [0, -1]), ([1, 1], [1, 1])])
def test_roll(shift: list[int], axis: list[int]) -> None:
    x = numbers(3, 4)
    data = one_operator(
        "Roll", [x, Constant(i32(*shift)), Constant(i32(*axis))], [Made("FLOAT32", (3, 4))], custom=True
    )
    assert np.array_equal(run(convert(data), x)[0].numpy(), np.roll(x, shift, axis))
