"""Sums, means, products and extremes of quantized integers, judged by LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.quantized_models import (
    Tensor,
    agree_exactly,
    constant,
    output,
    random_integers,
    random_scale,
    random_zero_point,
)

SHAPE = (2, 5, 7, 3)
AXES = [(1, 2), (3,), (0, 1, 2, 3), (-1, 1), ()]
NAMES = ("SUM", "MEAN", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN")
GROWTH = {"SUM": 8.0, "MEAN": 0.4}
"""The output's scale in that of x, so that some results leave the type's range and some do not."""


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
@pytest.mark.parametrize("name", NAMES)
def test_reduction(name: str, dtype: str) -> None:
    if (name, dtype) == ("REDUCE_PROD", "UINT8"):
        pytest.skip("LiteRT has no such kernel")
    rng = np.random.default_rng(len(name) + len(dtype))
    for axes in AXES:
        for keep in (False, True):
            gone = {axis % 4 for axis in axes}
            shape = tuple(1 if i in gone else size for i, size in enumerate(SHAPE) if keep or i not in gone)
            scale, points = random_scale(rng), [random_zero_point(rng, dtype) for _ in range(2)]
            points = points if name in GROWTH else points[:1] * 2
            agree_exactly(
                name,
                [
                    Tensor(random_integers(rng, dtype, SHAPE), scale, points[0]),
                    constant(np.array(axes, dtype=np.int32)),
                ],
                output(dtype, shape, scale * GROWTH.get(name, 1.0), points[1]),
                ("ReducerOptions", {"keep_dims": keep}),
                kernels=judge(name, dtype),
            )


def judge(name: str, dtype: str) -> str:
    """The reference kernel of SUM reads INT8 and INT16 as if they were UINT8; there the other one is followed."""
    return "BUILTIN_WITHOUT_DEFAULT_DELEGATES" if name == "SUM" and dtype != "UINT8" else "BUILTIN_REF"


@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
@pytest.mark.parametrize("name", ["SUM", "MEAN"])
def test_other_sizes_than_the_file_states(name: str, dtype: str) -> None:
    rng = np.random.default_rng(8)
    agree_exactly(
        name,
        [
            Tensor(random_integers(rng, dtype, (3, 300, 5)), 0.1, random_zero_point(rng, dtype)),
            constant(np.array([1], dtype=np.int32)),
        ],
        output(dtype, (3, 5), 2.0 if name == "SUM" else 0.007, random_zero_point(rng, dtype)),
        ("ReducerOptions", {}),
        resized=[random_integers(rng, dtype, (4, 170, 5))],
        kernels=judge(name, dtype),
    )


@pytest.mark.parametrize("dtype", ["UINT8", "INT16"])
def test_many_entries(dtype: str) -> None:
    rng = np.random.default_rng(9)  # 70000 * 32767 is more than 2^31
    x = Tensor(
        np.abs(random_integers(rng, dtype, (3, 70000)).astype(np.int32)).clip(0, 32767).astype(dtype.lower()), 0.1
    )
    agree_exactly(
        "MEAN", [x, constant(np.array([1], dtype=np.int32))], output(dtype, (3,), 0.1), ("ReducerOptions", {})
    )


@pytest.mark.parametrize("name", ["SUM", "MEAN", "REDUCE_MAX", "CUMSUM"])
def test_integers_of_32_bits_are_taken_as_they_are(name: str) -> None:
    rng = np.random.default_rng(10)
    x = Tensor(rng.integers(-(2**30), 2**30, SHAPE).astype(np.int32), 0.1)
    axis = constant(np.array(1, dtype=np.int32) if name == "CUMSUM" else np.array([1], dtype=np.int32))
    shape = SHAPE if name == "CUMSUM" else (2, 7, 3)
    scale = 0.1 if name == "REDUCE_MAX" else 0.3
    table = "CumsumOptions" if name == "CUMSUM" else "ReducerOptions"
    agree_exactly(name, [x, axis], output("INT32", shape, scale), (table, {}))
