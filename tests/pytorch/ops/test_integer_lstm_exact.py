"""LSTMs of integers with cells of 16 bits, judged by LiteRT's reference kernels over several runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import run
from tests.pytorch.networks import litert_runs
from tests.pytorch.quantized_models import (
    Tensor,
    agree_in_exact_runs,
    constant,
    output,
    quantized_operator,
    random_integers,
    random_scale,
)

import unlite

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

BATCH, TIME, INPUT, CELLS = 3, 4, 9, 8
FORMS: list[dict[str, Any]] = [
    {},
    {"cifg": True},
    {"peephole": True, "major": True},
    {"projection": True, "clips": (0.0, 0.2)},
    {"norm": True, "clips": (0.5, 0.0)},
    {"cifg": True, "peephole": True, "projection": True, "norm": True},
    {"cell": -9},
    {"cell": -15},
]


def check(name: str, seed: int, form: dict[str, Any]) -> None:
    """Three runs of an LSTM with random weights."""
    rng = np.random.default_rng(seed)
    cifg, norm, peephole, projection = (bool(form.get(key)) for key in ("cifg", "norm", "peephole", "projection"))
    size = 5 if projection else CELLS
    single = name == "LSTM"
    lead = (BATCH,) if single else (TIME, BATCH) if form.get("major") else (BATCH, TIME)
    runs = [[random_integers(rng, "INT8", (*lead, INPUT))] for _ in range(3)]

    def gates(wanted: bool, make: Any) -> list[Tensor | None]:
        return [make() if wanted and not (cifg and i == 0) else None for i in range(4)]

    def weight(*shape: int) -> Tensor:
        return constant(rng.integers(-127, 128, shape).astype("i1"), random_scale(rng, 0.002, 0.01))

    def wide(low: float, high: float) -> Tensor:
        return constant(rng.integers(-32767, 32768, CELLS).astype("i2"), random_scale(rng, low, high))

    def bias() -> Tensor:
        return constant(rng.integers(-3000, 3000, CELLS).astype("i4"), 1e-4)

    x_end, h_end = (random_scale(rng, 0.01, 0.03), -7), (1 / 128, 5)
    holes = gates(peephole, lambda: wide(1e-5, 4e-5))
    inputs = [Tensor(runs[0][0], *x_end)]
    inputs += gates(True, lambda: weight(CELLS, INPUT)) + gates(True, lambda: weight(CELLS, size))
    inputs += [holes[0], holes[1], holes[3], *gates(True, bias)]
    inputs += [weight(size, CELLS) if projection else None]
    inputs += [constant(rng.integers(-3000, 3000, size).astype("i4"), 1e-4) if projection else None]
    inputs += [Tensor(None, *h_end, dtype="INT8", shape=(BATCH, size), variable=True)]
    inputs += [Tensor(None, 2.0 ** form.get("cell", -11), dtype="INT16", shape=(BATCH, CELLS), variable=True)]
    inputs += gates(norm, lambda: wide(1e-5, 6e-5))
    between = [Tensor(None, random_scale(rng, 0.001, 0.003), dtype="INT16", shape=(1,)) for _ in range(4)]
    between.append(Tensor(None, 1 / 120 if projection else h_end[0], h_end[1], dtype="INT8", shape=(1,)))
    clips = form.get("clips", (0.0, 0.0))
    fields = {"fused_activation_function": "TANH", "cell_clip": clips[0], "proj_clip": clips[1]}
    table = "LSTMOptions"
    if not single:
        fields["time_major"], table = bool(form.get("major")), "UnidirectionalSequenceLSTMOptions"
    made = output("INT8", (*lead, size), *h_end)
    agree_in_exact_runs(name, inputs, made, (table, fields), runs, intermediates=between)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_sequence(form: dict[str, Any]) -> None:
    for seed in range(2):
        check("UNIDIRECTIONAL_SEQUENCE_LSTM", seed, form)


@pytest.mark.parametrize("form", [FORMS[0], FORMS[5]], ids=str)
def test_one_step(form: dict[str, Any]) -> None:
    check("LSTM", 3, form)


@pytest.mark.parametrize("remembers", [False, True])
def test_basic_kernel(remembers: bool) -> None:
    """Four runs; real numbers, too, where the output begins as the integer 0, which stands for -1."""
    rng = np.random.default_rng(4)
    weight_scale, joined = 0.0131, INPUT + CELLS
    shapes = ((BATCH, INPUT), (BATCH, CELLS))
    runs = [[random_integers(rng, "UINT8", shape) for shape in shapes] for _ in range(4)]
    for given in runs:
        given.append(random_integers(rng, "INT16", shapes[1]))
        del given[1 if remembers else 3 :]
    ends = [(1 / 128, 128), (1 / 128, 128), (2.0**-11, 0)]
    x = Tensor(runs[0][0], *ends[0])
    if remembers:
        states = [
            Tensor(None, *ends[i], dtype=("", "UINT8", "INT16")[i], shape=shapes[1], variable=True) for i in (1, 2)
        ]
    else:
        states = [Tensor(runs[0][i], *ends[i]) for i in (1, 2)]
    weight = constant(random_integers(rng, "UINT8", (4 * CELLS, joined)), weight_scale, 121)
    bias = constant(rng.integers(-20000, 20000, 4 * CELLS).astype("i4"), weight_scale / 128)
    made = [output("UINT8", shapes[1], *ends[1]), output("INT16", shapes[1], *ends[2])]
    made += [output("UINT8", (BATCH, joined), *ends[0]), output("INT16", (BATCH, 4 * CELLS), 2.0**-12)]
    options = ("LSTMOptions", {"kernel_type": "BASIC", "fused_activation_function": "TANH"})
    inputs = [x, states[0], weight, bias, states[1]]
    agree_in_exact_runs("LSTM", inputs, made, options, runs)
    data = quantized_operator("LSTM", inputs, made, options)
    module = unlite.to_torch(data)
    for given, wanted in zip(runs, litert_runs(data, runs), strict=True):
        reals = [(v.astype("f4") - end[1]) * np.float32(end[0]) for v, end in zip(given, ends, strict=False)]
        expected = (wanted[0].astype("f4") - 128) / 128
        np.testing.assert_allclose(run(module, *reals)[0].detach().numpy(), expected, rtol=0, atol=1 / 128)
