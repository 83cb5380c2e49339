from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import Constant, Made, agree, convert, one_operator

PLAIN = ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "ELU", "HARD_SWISH", "LOGISTIC", "TANH", "LOG_SOFTMAX")


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-8, 8, shape).astype("f4")


@pytest.mark.parametrize("name", PLAIN)
def test_plain(name):
    agree(name, [values(2, 3, 4)], Made("FLOAT32", (2, 3, 4)), resized=[values(5, 1, 4)], export=True, allowed=2e-6)


@pytest.mark.parametrize("name", ["LOGISTIC", "TANH", "ELU", "RELU6"])
def test_extremes(name):
    agree(name, [np.array([np.nan, np.inf, -np.inf, 100, -100, 0, -0.0], "f4")], Made("FLOAT32", (7,)))


@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
def test_half_precision(name):
    agree(name, [values(2, 3).astype("f2")], Made("FLOAT16", (2, 3)), allowed=1e-3)


@pytest.mark.parametrize("alpha", [0.2, 0.0, -0.5, 2.0])
def test_leaky_relu_takes_any_slope(alpha):
    agree("LEAKY_RELU", [values(2, 5)], Made("FLOAT32", (2, 5)), ("LeakyReluOptions", {"alpha": alpha}))


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu(approximate):
    options = ("GeluOptions", {"approximate": approximate})
    agree("GELU", [values(2, 50)], Made("FLOAT32", (2, 50)), options, export=True)


@pytest.mark.parametrize("beta", [1.0, 0.25, 3.0])
@pytest.mark.parametrize("shape", [(7,), (2, 7), (2, 3, 7), (2, 2, 3, 7)])
def test_softmax(beta, shape):
    agree("SOFTMAX", [values(*shape)], Made("FLOAT32", shape), ("SoftmaxOptions", {"beta": beta}))


def test_softmax_of_large_numbers():
    x = np.array([[1e4, 1e4 - 1, -1e4]], "f4")
    agree("SOFTMAX", [x], Made("FLOAT32", (1, 3)), ("SoftmaxOptions", {"beta": 1.0}))
    agree("LOG_SOFTMAX", [x], Made("FLOAT32", (1, 3)))


@pytest.mark.parametrize(
    ("x", "alpha"),
    [
        ((2, 3, 4, 5), (1, 1, 5)),
        ((2, 3, 4, 5), (5,)),
        ((2, 3, 4, 5), (1, 1, 1, 5)),
        ((2, 3, 4, 5), (1, 1, 1)),
        ((2, 3, 4, 5), (3, 4, 5)),
        ((2, 3, 4, 5), (3, 1, 1)),
        ((2, 4, 5), (1, 5)),
        ((2, 5), (5,)),
        ((5,), (5,)),
        ((2, 3, 4, 1), (1, 1, 1)),
    ],
)
def test_prelu_slopes(x, alpha):
    slopes = np.linspace(-1, 2, int(np.prod(alpha)), dtype="f4").reshape(alpha)
    agree(
        "PRELU", [values(*x), Constant(slopes)], Made("FLOAT32", x), resized=[values(3, *x[1:])] if len(x) > 1 else None
    )


def test_prelu_of_channels_stays_one_operator():
    data = one_operator(
        "PRELU", [values(1, 2, 2, 3), Constant(np.ones((1, 1, 3), "f4"))], [Made("FLOAT32", (1, 2, 2, 3))]
    )
    assert "prelu" in convert(data).code
