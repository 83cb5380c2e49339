"""What is said to differ from LiteRT does, and as the table has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import Constant, Made, RefusedError, convert, litert, one_operator, run
from tests.pytorch.quantized_models import Tensor, constant, output, quantized_operator

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

import unlite
from unlite.pytorch.differences import DIFFERENCES, EXACT_DIFFERENCES, LIMITS, REFUSED
from unlite.pytorch.ops import CUSTOM, OPERATORS
from unlite.schema.operators import kernel_versions

NAN, INF = np.nan, np.inf
LARGEST = 3.4028234663852886e38
LOW, HIGH = -(2**31), 2**31 - 1
BOXES = np.array([[2 * i, 0, 2 * i + 1, 1] for i in range(4)], "f4")
TIES = [
    BOXES,
    np.full(4, 0.5, "f4"),
    *(Constant(value) for value in (np.array(4, "i4"), np.float32(0.5), np.float32(0.1))),
]
POOLING = ("Pool2DOptions", {"stride_w": 1, "stride_h": 1, "filter_width": 2, "filter_height": 1, "padding": "VALID"})


def floats(*values: float) -> np.ndarray:
    return np.array(values, "f4")


def ints(*values: int) -> np.ndarray:
    return np.array(values, "i4")


# name, inputs, outputs, options, what the module gives, what LiteRT gives (None: it refuses)
MEASURED: list[tuple[str, list[Any], list[Made], Any, list[Any], list[Any] | None]] = [
    ("CAST", [floats(INF, -INF, NAN)], [Made("INT32", (3,))], None, [[LOW, LOW, LOW]], [[HIGH, LOW, HIGH]]),
    (
        "DIV",
        [floats(1, -1), floats(0, 0)],
        [Made("FLOAT32", (2,))],
        ("DivOptions", {}),
        [[INF, -INF]],
        [[LARGEST, -LARGEST]],
    ),
    ("FLOOR_DIV", [floats(1, 0), floats(0, 0)], [Made("FLOAT32", (2,))], None, [[INF, NAN]], None),
    *(
        (name, [floats(NAN, 1), floats(1, NAN)], [Made("FLOAT32", (2,))], None, [[NAN, NAN]], [[1, NAN]])
        for name in ("MAXIMUM", "MINIMUM")
    ),
    *(
        (
            name,
            [np.array([[NAN, 2], [2, NAN]], "f4"), Constant(ints(1))],
            [Made("FLOAT32", (2,))],
            ("ReducerOptions", {}),
            [[NAN, NAN]],
            [[2, 2]],
        )
        for name in ("REDUCE_MAX", "REDUCE_MIN")
    ),
    (
        "MAX_POOL_2D",
        [floats(NAN, 1, 2, NAN).reshape(1, 2, 2, 1)],
        [Made("FLOAT32", (1, 2, 1, 1))],
        POOLING,
        [[[[[NAN]], [[NAN]]]]],
        [[[[[1]], [[2]]]]],
    ),
    *(
        (
            name,
            [floats(1, NAN, place), Constant(np.array(0, "i4"))],
            [Made("INT32", ())],
            (options, {"output_type": "INT32"}),
            [1],
            [2],
        )
        for name, options, place in (("ARG_MAX", "ArgMaxOptions", 2), ("ARG_MIN", "ArgMinOptions", 0))
    ),
    (
        "TOPK_V2",
        [floats(1, NAN, 2), Constant(np.array(2, "i4"))],
        [Made("FLOAT32", (2,)), Made("INT32", (2,))],
        None,
        [[NAN, 2], [1, 2]],
        [[2, 1], [2, 0]],
    ),
    (
        "UNIQUE",
        [floats(NAN, NAN, 1)],
        [Made("FLOAT32", (3,)), Made("INT32", (3,))],
        ("UniqueOptions", {}),
        [[NAN, NAN, 1], [0, 1, 2]],
        [[NAN], [0, 0, 0]],
    ),
    ("SIGN", [floats(NAN)], [Made("FLOAT32", (1,))], None, [[0]], [[NAN]]),
    # 3 ** 25 = 847288609443 = 197 * 2**32 + 1180052131
    ("POW", [ints(3, 3), np.array(25, "i4")], [Made("INT32", (2,))], None, [[LOW, LOW]], [[1180052131] * 2]),
    ("STABLEHLO_SHIFT_LEFT", [ints(1), ints(33)], [Made("INT32", (1,))], None, [[0]], [[2]]),
    *(
        (
            name,
            TIES if name.endswith("V4") else [*TIES, Constant(np.float32(0))],
            outputs,
            (f"NonMaxSuppression{name[-2:]}Options", {}),
            [[0, 1, 2, 3], *scores, 4],
            [[0, 2, 3, 1], *scores, 4],
        )
        for name, outputs, scores in (
            ("NON_MAX_SUPPRESSION_V4", [Made("INT32", (4,)), Made("INT32", ())], []),
            ("NON_MAX_SUPPRESSION_V5", [Made("INT32", (4,)), Made("FLOAT32", (4,)), Made("INT32", ())], [[0.5] * 4]),
        )
    ),
    (
        "RFFT2D",
        [np.ones((1, 3), "f4"), Constant(ints(1, 3))],
        [Made("COMPLEX64", (1, 2))],
        ("Rfft2dOptions", {}),
        [[[3, 0]]],
        None,
    ),
    (
        "SPACE_TO_BATCH_ND",
        [np.arange(2, dtype="f4").reshape(1, 2), Constant(ints(2)), Constant(np.zeros((1, 2), "i4"))],
        [Made("FLOAT32", (2, 1))],
        None,
        [[[0], [1]]],
        None,
    ),
    (
        "BATCH_TO_SPACE_ND",
        [np.arange(2, dtype="f4").reshape(2, 1), Constant(ints(2)), Constant(np.zeros((1, 2), "i4"))],
        [Made("FLOAT32", (1, 2))],
        None,
        [[[0, 1]]],
        None,
    ),
]
# The other kernels, processors, random numbers, and memory that nobody wrote are no facts that a run repeats.
NOT_REPEATED = {
    "GELU",
    "LOCAL_RESPONSE_NORMALIZATION",
    "TFLite_Detection_PostProcess",
    "RANDOM_UNIFORM",
    "RANDOM_STANDARD_NORMAL",
    "MULTINOMIAL",
    "EMBEDDING_LOOKUP_SPARSE",
}


@pytest.mark.parametrize("case", MEASURED, ids=lambda case: case[0])
def test_each_side_is_as_stated(case: tuple[Any, ...]) -> None:
    name, inputs, outputs, options, ours, theirs = case
    data = one_operator(name, inputs, outputs, options)
    given = [value for value in inputs if isinstance(value, np.ndarray)]
    assert_equal(run(convert(data), *given), ours)
    if theirs is None:
        with pytest.raises(RefusedError):
            litert(data, *given)
    else:
        assert_equal(litert(data, *given), theirs)


def assert_equal(actual: list[Any], expected: list[Any]) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other, np.asarray(one).dtype), rtol=1e-6)


# name, inputs, output, options, what the module gives, what LiteRT gives (None: it refuses, or stops)
INTEGERS: list[tuple[str, list[Any], Any, Any, list[int], list[int] | None]] = [
    (
        "SUM",
        # 12 and -4, of two integers each; as bytes 5 + 7 and 253 + 255, which is cut off at 255, or -1
        [Tensor(np.array([[5, 7], [-3, -1]], "i1"), 0.5), constant(ints(1))],
        output("INT8", (2,), 0.5),
        ("ReducerOptions", {}),
        [12, -4],
        [12, -1],
    ),
    ("RSQRT", [Tensor(np.array([-4, 16], "i1"), 1.0)], output("INT8", (2,), 1 / 64), None, [127, 16], None),
    (
        "DIV",
        [Tensor(np.array([8, 8], "u1"), 1.0), Tensor(np.array([2, 0], "u1"), 1.0)],
        output("UINT8", (2,), 1.0),
        ("DivOptions", {}),
        [4, 0],
        None,
    ),
]


@pytest.mark.parametrize("case", INTEGERS, ids=lambda case: case[0])
def test_each_side_is_as_stated_in_integers(case: tuple[Any, ...]) -> None:
    name, inputs, made, options, ours, theirs = case
    data = quantized_operator(name, inputs, [made], options)
    given = [tensor.values for tensor in inputs if not tensor.constant]
    assert [one.tolist() for one in run(unlite.to_torch(data, quantized="exact"), *given)] == [ours]
    if theirs is None:
        with pytest.raises(RefusedError):
            litert(data, *given)
    else:
        assert [one.tolist() for one in litert(data, *given)] == [theirs]


def test_every_difference_in_integers_is_measured() -> None:
    assert {name for each in EXACT_DIFFERENCES for name in each.operators} == {case[0] for case in INTEGERS}


def test_every_difference_is_measured() -> None:
    stated = [name for difference in DIFFERENCES for name in difference.operators]
    assert len(stated) == len(set(stated))
    assert set(stated) == {case[0] for case in MEASURED} | NOT_REPEATED


def test_every_operator_with_a_kernel_is_converted_or_refused_with_a_reason() -> None:
    assert set(kernel_versions()) - set(OPERATORS) == set(REFUSED)


def test_tables_name_operators() -> None:
    for name in (*LIMITS, *(name for difference in DIFFERENCES for name in difference.operators)):
        assert name in OPERATORS or name in CUSTOM
