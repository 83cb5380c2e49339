"""Plain recurrent layers and SVDF, over several runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.networks import Network, agree_in_runs

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

BATCH, TIME, INPUT, UNITS = 2, 4, 3, 5


def random(*shape: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * 0.7).astype("f4")


def weights(net: Network, graph: dict[str, Any], seed: int) -> list[int]:
    """Weight, recurrent weight, bias and state of one direction."""
    shapes = ((UNITS, INPUT), (UNITS, UNITS), (UNITS,))
    return [net.array(graph, random(*shape, seed=seed + i)) for i, shape in enumerate(shapes)] + [
        net.variable(graph, (BATCH, UNITS))
    ]


@pytest.mark.parametrize("activation", ["TANH", "RELU", "RELU6", "RELU_N1_TO_1", "NONE", "SIGN_BIT"])
def test_one_step(activation: str) -> None:
    net = Network()
    graph = net.graph()
    x, y = net.made(graph, (BATCH, INPUT), name="x"), net.made(graph, (BATCH, UNITS), name="y")
    options = ("RNNOptions", {"fused_activation_function": activation})
    net.add(graph, "RNN", [x, *weights(net, graph, 1)], [y], options)
    graph["inputs"], graph["outputs"] = [x], [y]
    agree_in_runs(net.data(), [[random(BATCH, INPUT, seed=i)] for i in range(3)])


@pytest.mark.parametrize("major", [False, True])
@pytest.mark.parametrize("activation", ["TANH", "RELU"])
def test_sequence(major: bool, activation: str) -> None:
    shape = (TIME, BATCH) if major else (BATCH, TIME)
    net = Network()
    graph = net.graph()
    x, y = net.made(graph, (*shape, INPUT), name="x"), net.made(graph, (*shape, UNITS), name="y")
    options = ("SequenceRNNOptions", {"fused_activation_function": activation, "time_major": major})
    net.add(graph, "UNIDIRECTIONAL_SEQUENCE_RNN", [x, *weights(net, graph, 1)], [y], options)
    graph["inputs"], graph["outputs"] = [x], [y]
    agree_in_runs(net.data(), [[random(*shape, INPUT, seed=i)] for i in range(3)])


@pytest.mark.parametrize("aux", ["none", "weights", "backward input"])
@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("major", [False, True])
def test_both_directions(major: bool, merged: bool, aux: str) -> None:
    shape = (TIME, BATCH) if major else (BATCH, TIME)
    net = Network()
    graph = net.graph()
    x, second = net.made(graph, (*shape, INPUT), name="x"), net.made(graph, (*shape, INPUT), name="second")
    inputs = [x, *weights(net, graph, 1), *weights(net, graph, 4), -1 if aux == "none" else second]
    inputs += [net.array(graph, random(UNITS, INPUT, seed=8 + i)) if aux == "weights" else -1 for i in range(2)]
    outputs = [net.made(graph, (*shape, UNITS * 2 if merged else UNITS)) for _ in range(1 if merged else 2)]
    fields = {"fused_activation_function": "TANH", "time_major": major, "merge_outputs": merged}
    options = ("BidirectionalSequenceRNNOptions", fields)
    net.add(graph, "BIDIRECTIONAL_SEQUENCE_RNN", inputs, outputs, options)
    graph["inputs"], graph["outputs"] = [x, second], outputs
    agree_in_runs(net.data(), [[random(*shape, INPUT, seed=i + j) for j in range(2)] for i in range(2)])


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ["RELU", "NONE", "TANH"])
def test_svdf(rank: int, bias: bool, activation: str) -> None:
    steps, filters = 4, 2 * rank
    net = Network()
    graph = net.graph()
    x, y = net.made(graph, (BATCH, INPUT), name="x"), net.made(graph, (BATCH, 2), name="y")
    inputs = [x, net.array(graph, random(filters, INPUT, seed=1)), net.array(graph, random(filters, steps, seed=2))]
    inputs += [net.array(graph, random(2, seed=3)) if bias else -1, net.variable(graph, (BATCH, steps * filters))]
    options = ("SVDFOptions", {"rank": rank, "fused_activation_function": activation})
    net.add(graph, "SVDF", inputs, [y], options)
    graph["inputs"], graph["outputs"] = [x], [y]
    agree_in_runs(net.data(), [[random(BATCH, INPUT, seed=i)] for i in range(steps + 2)])
