"""Recurrent layers of real numbers with integer weights, judged by LiteRT's reference kernels over several runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.quantized_models import (
    Tensor,
    agree_in_exact_runs,
    constant,
    output,
    random_integers,
    random_scale,
)

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

BATCH, TIME, INPUT, UNITS = 3, 4, 7, 5


def weight(rng: np.random.Generator, dtype: str, *shape: int) -> Tensor:
    return constant(random_integers(rng, dtype, shape), random_scale(rng, 0.002, 0.008))


def bias(rng: np.random.Generator) -> Tensor:
    return constant(rng.standard_normal(UNITS).astype("f4"))


def state() -> Tensor:
    return Tensor(None, dtype="FLOAT32", shape=(BATCH, UNITS), variable=True)


def runs_of(rng: np.random.Generator, *shape: int, inputs: int = 1) -> list[list[np.ndarray]]:
    """Three runs; in the second a row is zero, in the third all are."""
    runs = [[rng.standard_normal(shape).astype("f4") for _ in range(inputs)] for _ in range(2)]
    runs[1][0][0] = 0
    return [*runs, [np.zeros_like(value) for value in runs[0]]]


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize(("dtype", "activation"), [("INT8", "TANH"), ("UINT8", "RELU6"), ("INT8", "NONE")])
def test_one_step(dtype: str, activation: str, asymmetric: bool) -> None:
    rng = np.random.default_rng(1)
    runs = runs_of(rng, BATCH, INPUT)
    inputs = [
        Tensor(runs[0][0]),
        weight(rng, dtype, UNITS, INPUT),
        weight(rng, dtype, UNITS, UNITS),
        bias(rng),
        state(),
    ]
    options = {"fused_activation_function": activation, "asymmetric_quantize_inputs": asymmetric}
    agree_in_exact_runs("RNN", inputs, output("FLOAT32", (BATCH, UNITS)), ("RNNOptions", options), runs)


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize(("dtype", "major"), [("INT8", False), ("UINT8", True)])
def test_sequence(dtype: str, major: bool, asymmetric: bool) -> None:
    rng = np.random.default_rng(2)
    lead = (TIME, BATCH) if major else (BATCH, TIME)
    runs = runs_of(rng, *lead, INPUT)
    inputs = [
        Tensor(runs[0][0]),
        weight(rng, dtype, UNITS, INPUT),
        weight(rng, dtype, UNITS, UNITS),
        bias(rng),
        state(),
    ]
    options = {
        "time_major": major,
        "fused_activation_function": "TANH",
        "asymmetric_quantize_inputs": asymmetric,
    }
    made = output("FLOAT32", (*lead, UNITS))
    agree_in_exact_runs("UNIDIRECTIONAL_SEQUENCE_RNN", inputs, made, ("SequenceRNNOptions", options), runs)


# Not with (True, False, True): there LiteRT's kernel reads zero points that it does not have, and crashes.
@pytest.mark.parametrize("aux", ["none", "weights", "backward input"])
@pytest.mark.parametrize(
    ("major", "asymmetric", "merged"),
    [(False, False, True), (False, True, False), (True, False, False), (True, True, True)],
)
def test_both_directions(major: bool, asymmetric: bool, merged: bool, aux: str) -> None:
    rng = np.random.default_rng(3)
    lead = (TIME, BATCH) if major else (BATCH, TIME)
    runs = runs_of(rng, *lead, INPUT, inputs=1 if aux == "none" else 2)
    inputs: list[Any] = [Tensor(runs[0][0])]
    for _ in range(2):
        inputs += [weight(rng, "INT8", UNITS, INPUT), weight(rng, "INT8", UNITS, UNITS), bias(rng), state()]
    inputs += [None if aux == "none" else Tensor(runs[0][1])]
    inputs += [weight(rng, "INT8", UNITS, INPUT) if aux == "weights" else None for _ in range(2)]
    options = {
        "time_major": major,
        "fused_activation_function": "TANH",
        "merge_outputs": merged,
        "asymmetric_quantize_inputs": asymmetric,
    }
    made = [output("FLOAT32", (*lead, UNITS * (1 + merged))) for _ in range(2 - merged)]
    agree_in_exact_runs("BIDIRECTIONAL_SEQUENCE_RNN", inputs, made, ("BidirectionalSequenceRNNOptions", options), runs)
