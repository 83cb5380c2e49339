"""SVDF of integers, and of real numbers with integer weights, judged by LiteRT's reference kernels in several runs."""

from __future__ import annotations

import numpy as np
import pytest
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

BATCH, INPUT, UNITS, STEPS = 3, 9, 4, 3


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_integers(seed: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    filters = UNITS * rank
    runs = [[random_integers(rng, "INT8", (BATCH, INPUT))] for _ in range(STEPS + 2)]
    scales = [random_scale(rng) for _ in range(3)]
    memory_scale = scales[0] * scales[1] * float(np.exp(rng.uniform(-3, 2)))  # some of the memory saturates
    y_scale = memory_scale * scales[2] * float(np.exp(rng.uniform(8, 14)))
    bias = constant(rng.integers(-(1 << 18), 1 << 18, UNITS).astype("i4"), memory_scale * scales[2])
    inputs = [
        Tensor(runs[0][0], scales[0], int(rng.integers(-128, 128))),
        constant(random_integers(rng, "INT8", (filters, INPUT)), scales[1]),
        constant(random_integers(rng, "INT16", (filters, STEPS)), scales[2]),
        bias if seed % 2 else None,
        Tensor(None, memory_scale, dtype="INT16", shape=(BATCH, STEPS * filters), variable=True),
    ]
    made = output("INT8", (BATCH, UNITS), y_scale, int(rng.integers(-128, 128)))
    agree_in_exact_runs(
        "SVDF", inputs, made, ("SVDFOptions", {"rank": rank, "fused_activation_function": "RELU"}), runs
    )


def test_last_bits_of_the_memory() -> None:
    """The bias takes off what is expected: what is left shows in which precision the scales are multiplied."""
    size, units = 64, 256
    for seed in (0, 1, 2, 3):
        rng = np.random.default_rng(seed)
        x, feature = random_integers(rng, "INT8", (1, size)), random_integers(rng, "INT8", (units, size))
        scales = [random_scale(rng) for _ in range(3)]
        memory = float(np.float32(scales[0] * scales[1] * np.exp(rng.uniform(1, 3))))
        expected = np.round(feature.astype("i8") @ x[0].astype("i8") * (scales[0] * scales[1] / memory))
        inputs = [
            Tensor(x, scales[0]),
            constant(feature, scales[1]),
            constant(np.ones((units, 1), "i2"), scales[2]),
            constant(-expected.astype("i4"), memory * scales[2]),
            Tensor(None, memory, dtype="INT16", shape=(1, units), variable=True),
        ]
        made = output("INT8", (1, units), memory * scales[2])
        options = ("SVDFOptions", {"rank": 1, "fused_activation_function": "RELU"})  # LiteRT runs no other
        agree_in_exact_runs("SVDF", inputs, made, options, [[x]])


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize(
    ("rank", "dtype", "activation"), [(1, "INT8", "NONE"), (2, "UINT8", "RELU"), (2, "INT8", "TANH")]
)
def test_integer_weights(rank: int, dtype: str, activation: str, asymmetric: bool) -> None:
    rng = np.random.default_rng(3)
    filters = UNITS * rank
    runs = [[rng.standard_normal((BATCH, INPUT)).astype("f4")] for _ in range(STEPS + 2)]
    runs[1][0][0] = 0
    runs[3][0][:] = 0
    inputs = [
        Tensor(runs[0][0]),
        constant(random_integers(rng, dtype, (filters, INPUT)), random_scale(rng, 0.002, 0.01)),
        constant(random_integers(rng, dtype, (filters, STEPS)), random_scale(rng, 0.002, 0.01)),
        constant(rng.standard_normal(UNITS).astype("f4")) if rank == 1 else None,
        Tensor(None, dtype="FLOAT32", shape=(BATCH, STEPS * filters), variable=True),
    ]
    options = {"rank": rank, "fused_activation_function": activation, "asymmetric_quantize_inputs": asymmetric}
    agree_in_exact_runs("SVDF", inputs, output("FLOAT32", (BATCH, UNITS)), ("SVDFOptions", options), runs)


@pytest.mark.parametrize(("memory", "weight"), [("INT8", "INT16"), ("INT16", "INT8")])
def test_what_the_kernel_reads_as_16_bits_is_refused(memory: str, weight: str) -> None:
    rng = np.random.default_rng(1)
    inputs = [
        Tensor(random_integers(rng, "INT8", (1, INPUT)), 0.1),
        constant(random_integers(rng, "INT8", (UNITS, INPUT)), 0.1),
        constant(random_integers(rng, weight, (UNITS, STEPS)), 0.1),
        None,
        Tensor(None, 0.1, dtype=memory, shape=(1, STEPS * UNITS), variable=True),
    ]
    options = ("SVDFOptions", {"rank": 1, "fused_activation_function": "RELU"})
    data = quantized_operator("SVDF", inputs, [output("INT8", (1, UNITS), 0.1)], options)
    with pytest.raises(unlite.UnliteError, match="INT16"):
        unlite.to_torch(data, quantized="exact")
