"""Arithmetic on quantized integers, judged by LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.quantized_models import (
    Tensor,
    agree_exactly,
    output,
    random_integers,
    random_scale,
    random_zero_point,
)

OPTIONS = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "FLOOR_DIV": "FloorDivOptions",
    "FLOOR_MOD": "FloorModOptions",
}
FUSED = ("ADD", "SUB", "MUL", "DIV")
TYPES = ("INT8", "UINT8", "INT16", "INT32")
MISSING = {
    ("SQUARED_DIFFERENCE", "UINT8"),
    ("SQUARED_DIFFERENCE", "INT16"),
    ("FLOOR_DIV", "UINT8"),
    ("FLOOR_MOD", "UINT8"),
}
SHAPES = [((40, 33), (40, 33)), ((40, 33), (33,)), ((2, 40, 33), (40, 1)), ((1,), (40, 33))]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", OPTIONS)
def test_two_tensors(name: str, dtype: str) -> None:
    if (name, dtype) in MISSING:
        pytest.skip("LiteRT has no such kernel")
    rng = np.random.default_rng(len(name) * 7 + len(dtype))
    for turn, activation in enumerate(("NONE", "RELU", "RELU6", "RELU_N1_TO_1") if name in FUSED else ("NONE",) * 4):
        first, second = SHAPES[turn]
        zero_points = [random_zero_point(rng, dtype) for _ in range(3)]
        scales = [random_scale(rng) for _ in range(3)]
        if name == "SQUARED_DIFFERENCE":
            scales[2] = scales[0]
        y = random_integers(rng, dtype, second)
        if name in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):  # LiteRT stops where it would divide by 0
            y[y == (zero_points[1] if name == "DIV" else 0)] += 1
        agree_exactly(
            name,
            [
                Tensor(random_integers(rng, dtype, first), scales[0], zero_points[0]),
                Tensor(y, scales[1], zero_points[1]),
            ],
            output(dtype, np.broadcast_shapes(first, second), scales[2], zero_points[2]),
            (OPTIONS[name], {"fused_activation_function": activation} if name in FUSED else {}),
        )


@pytest.mark.parametrize("name", ["ADD", "SUB"])
@pytest.mark.parametrize("scales", [(0.25, 0.5, 0.5), (0.5, 0.125, 0.5), (0.5, 0.5, 0.5)])
def test_powers_of_two_of_16_bits_are_shifted(name: str, scales: tuple[float, float, float]) -> None:
    # 0.25 and 0.5 to 0.5: the shift rounds halves away from 0, three products of 31 bits would not
    rng = np.random.default_rng(4)
    x, y = (Tensor(random_integers(rng, "INT16", (50, 40)), scale) for scale in scales[:2])
    for shifted in (True, False):
        fields = {"pot_scale_int16": shifted, "fused_activation_function": "RELU_N1_TO_1"}
        agree_exactly(name, [x, y], output("INT16", (50, 40), scales[2]), (OPTIONS[name], fields))
        agree_exactly(name, [x, y], output("INT16", (50, 40), scales[2]), (OPTIONS[name], {"pot_scale_int16": shifted}))


def test_products_that_leave_32_bits_wrap_around() -> None:
    # 32767 * 32767 * 0.75 * 0.7 / 0.125: shifted left by 3 bits before the product is rounded
    rng = np.random.default_rng(5)
    x, y = (Tensor(random_integers(rng, "INT16", (50, 40)), scale) for scale in (0.75, 0.7))
    agree_exactly("MUL", [x, y], output("INT16", (50, 40), 0.125), ("MulOptions", {}))


@pytest.mark.parametrize("dtype", ["INT8", "UINT8"])
def test_fractions_of_16_bits_give_8(dtype: str) -> None:
    rng = np.random.default_rng(6)
    x, y = (Tensor(random_integers(rng, "INT16", (50, 40)), 2**-15) for _ in range(2))
    agree_exactly(
        "MUL", [x, y], output(dtype, (50, 40), 1 / 128, 9), ("MulOptions", {"fused_activation_function": "RELU"})
    )


@pytest.mark.parametrize("dtype", ["INT8", "UINT8"])
def test_other_sizes_than_the_file_states(dtype: str) -> None:
    rng = np.random.default_rng(7)
    x, y = (Tensor(random_integers(rng, dtype, (2, 5)), scale, 3) for scale in (0.3, 0.2))
    agree_exactly(
        "ADD",
        [x, y],
        output(dtype, (2, 5), 0.4, 11),
        ("AddOptions", {}),
        resized=[random_integers(rng, dtype, (7, 5)) for _ in range(2)],
    )
