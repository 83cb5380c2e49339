from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.pytorch.litert import Constant, Made, convert, one_operator, run

SHAPE = Constant(np.array([40, 5, 50], "i4"))


def drawn(name: str) -> np.ndarray:
    data = one_operator(name, [SHAPE], [Made("FLOAT32", (40, 5, 50))], ("RandomOptions", {"seed": 1, "seed2": 2}))
    module = convert(data)
    torch.manual_seed(1)
    first, second = run(module)[0].numpy(), run(module)[0].numpy()
    assert first.dtype == np.float32
    assert first.shape == (40, 5, 50)
    assert not np.array_equal(first, second), "drawn once, and kept"
    torch.manual_seed(1)
    np.testing.assert_array_equal(run(module)[0].numpy(), first)
    return first


# 10000 numbers: a mean is off by more than 4 standard errors once in 16000 seeds, and the seed is fixed
def test_uniform_lies_between_0_and_1():
    numbers = drawn("RANDOM_UNIFORM")
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 4 * np.sqrt(1 / 12 / numbers.size)


def test_standard_normal_has_mean_0_and_variance_1():
    numbers = drawn("RANDOM_STANDARD_NORMAL")
    assert abs(numbers.mean()) < 4 / np.sqrt(numbers.size)
    assert abs(numbers.var() - 1) < 4 * np.sqrt(2 / numbers.size)


@pytest.mark.parametrize("dtype", ["INT32", "INT64"])
def test_multinomial_follows_the_odds(dtype):
    logits = np.log(np.array([[1, 3, 0.5], [8, 1e-9, 1]], "f4"))
    data = one_operator("MULTINOMIAL", [logits, Constant(np.array(20000, "i4"))], [Made(dtype, (2, 20000))])
    torch.manual_seed(1)
    result = run(convert(data), logits)[0].numpy()
    assert result.dtype == np.dtype(dtype.lower())
    assert result.shape == (2, 20000)
    for row, odds in zip(result, ([1, 3, 0.5], [8, 0, 1]), strict=True):
        share = np.bincount(row, minlength=3) / row.size
        np.testing.assert_allclose(share, np.array(odds) / sum(odds), atol=4 * 0.5 / np.sqrt(row.size))


def test_multinomial_takes_other_batches():
    data = one_operator("MULTINOMIAL", [np.zeros((1, 4), "f4"), Constant(np.array(6, "i4"))], [Made("INT64", (1, 6))])
    result = run(convert(data), np.zeros((5, 4), "f4"))[0]
    assert tuple(result.shape) == (5, 6)
    assert int(result.max()) < 4
