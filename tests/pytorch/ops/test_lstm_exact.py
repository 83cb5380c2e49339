"""LSTMs of real numbers with integer weights, judged by LiteRT's reference kernels over several runs."""

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

BATCH, TIME, INPUT, CELLS = 3, 4, 7, 6


class Weights:
    """Random weights of one kind, and what an LSTM has beside them."""

    def __init__(self, dtype: str, seed: int) -> None:
        self.dtype, self.rng = dtype, np.random.default_rng(seed)

    def integers(self, *shape: int) -> Tensor:
        return constant(random_integers(self.rng, self.dtype, shape), random_scale(self.rng, 0.002, 0.008))

    def reals(self, *shape: int) -> Tensor:
        return constant((self.rng.standard_normal(shape) * 0.7).astype("f4"))

    def gates(self, make: Any, first: bool, *shape: int) -> list[Tensor | None]:
        return [make(*shape) if first or i else None for i in range(4)]

    def layer(
        self, size: int, *, cifg: bool = False, peephole: bool = False, projection: bool = False, **form: Any
    ) -> list[Tensor | None]:
        """The 17 weights of one direction. size: of the output."""
        made = self.gates(self.integers, not cifg, CELLS, INPUT)
        diagonal = form.get("diagonal")
        made += (
            self.gates(self.reals, not cifg, CELLS) if diagonal else self.gates(self.integers, not cifg, CELLS, size)
        )
        holes = self.gates(self.integers, not cifg, CELLS) if peephole else [None] * 4
        made += [holes[0], holes[1], holes[3], *self.gates(self.reals, not cifg, CELLS)]
        return made + ([self.integers(size, CELLS), self.reals(size)] if projection else [None, None])


def state(size: int) -> Tensor:
    return Tensor(None, dtype="FLOAT32", shape=(BATCH, size), variable=True)


def runs_of(*shape: int, inputs: int = 1) -> list[list[np.ndarray]]:
    """Three runs; in the second a row is zero, in the third all are."""
    rng = np.random.default_rng(7)
    runs = [[rng.standard_normal(shape).astype("f4") for _ in range(inputs)] for _ in range(2)]
    runs[1][0][0] = 0
    return [*runs, [np.zeros_like(value) for value in runs[0]]]


FORMS: list[dict[str, Any]] = [
    {},
    {"dtype": "UINT8"},
    {"cifg": True},
    {"peephole": True},
    {"projection": True},
    {"norm": True},
    {"cifg": True, "peephole": True, "projection": True, "norm": True},
    {"peephole": True, "projection": True, "clips": (0.4, 0.3), "dtype": "UINT8", "major": True},
    {"clips": (0.2, 0.1), "activation": "RELU6"},
    {"diagonal": True},
    {"diagonal": True, "cifg": True, "peephole": True},
]


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_sequence(form: dict[str, Any], asymmetric: bool) -> None:
    check_one_direction("UNIDIRECTIONAL_SEQUENCE_LSTM", form, asymmetric)


@pytest.mark.parametrize(
    "form", [{}, {"cifg": True, "peephole": True, "projection": True, "norm": True, "dtype": "UINT8"}], ids=str
)
def test_one_step(form: dict[str, Any]) -> None:
    check_one_direction("LSTM", form, asymmetric=bool(form))


def check_one_direction(name: str, form: dict[str, Any], asymmetric: bool) -> None:
    size = 4 if form.get("projection") else CELLS
    single = name == "LSTM"
    lead: tuple[int, ...] = (BATCH,) if single else (TIME, BATCH) if form.get("major") else (BATCH, TIME)
    runs = runs_of(*lead, INPUT)
    weights = Weights(form.get("dtype", "INT8"), 1)
    inputs = [Tensor(runs[0][0]), *weights.layer(size, **form), state(size), state(CELLS)]
    inputs += weights.gates(weights.reals, not form.get("cifg"), CELLS) if form.get("norm") else [None] * 4
    clips = form.get("clips", (0.0, 0.0))
    fields = {
        "fused_activation_function": form.get("activation", "TANH"),
        "cell_clip": clips[0],
        "proj_clip": clips[1],
        "asymmetric_quantize_inputs": asymmetric,
    }
    table = "LSTMOptions"
    if not single:
        table = "UnidirectionalSequenceLSTMOptions"
        fields |= {"time_major": bool(form.get("major")), "diagonal_recurrent_tensors": bool(form.get("diagonal"))}
    agree_in_exact_runs(name, inputs, output("FLOAT32", (*lead, size)), (table, fields), runs)


@pytest.mark.parametrize("aux", ["none", "weights", "backward input"])
@pytest.mark.parametrize(
    ("form", "major", "asymmetric"),
    [({}, False, True), ({"cifg": True, "peephole": True}, True, False), ({"projection": True}, True, True)],
    ids=str,
)
def test_both_directions(form: dict[str, bool], major: bool, aux: str, asymmetric: bool) -> None:
    size = 4 if form.get("projection") else CELLS
    lead = (TIME, BATCH) if major else (BATCH, TIME)
    runs = runs_of(*lead, INPUT, inputs=1 if aux == "none" else 2)
    weights = Weights("INT8", 2)
    inputs = [Tensor(runs[0][0]), *weights.layer(size, **form), *weights.layer(size, **form)]
    inputs += [state(size), state(CELLS), state(size), state(CELLS), None if aux == "none" else Tensor(runs[0][1])]
    for _ in range(2):
        made = weights.gates(weights.integers, not form.get("cifg"), CELLS, INPUT)
        inputs += made if aux == "weights" else [None] * 4
    fields = {
        "fused_activation_function": "TANH",
        "time_major": major,
        "cell_clip": 0.8,
        "asymmetric_quantize_inputs": asymmetric,
    }
    outputs = [output("FLOAT32", (*lead, size)) for _ in range(2)]
    agree_in_exact_runs(
        "BIDIRECTIONAL_SEQUENCE_LSTM", inputs, outputs, ("BidirectionalSequenceLSTMOptions", fields), runs
    )
