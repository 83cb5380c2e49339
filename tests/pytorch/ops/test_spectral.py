from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import Constant, Made, agree, convert, one_operator, run


def waves(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype("f4")


@pytest.mark.parametrize("name", ["REAL", "IMAG", "COMPLEX_ABS"])
def test_parts(name):
    x, other = waves(2, 3) + 1j * waves(2, 3), waves(4, 1) + 0j
    agree(name, [x], Made("FLOAT32", (2, 3)), resized=[other], export=True)


@pytest.mark.parametrize("length", [(4, 8), (8, 16), (2, 4), (1, 8), (4, 2)])
@pytest.mark.parametrize("shape", [(4, 8), (2, 3, 5), (1, 2, 4, 8)])
def test_rfft2d_cuts_and_fills(shape, length):
    made = Made("COMPLEX64", (*shape[:-2], length[0], length[1] // 2 + 1))
    agree("RFFT2D", [waves(*shape), Constant(np.array(length, "i4"))], made, export=True, allowed=2e-6)


def test_rfft2d_resized():
    length = Constant(np.array([4, 4], "i4"))
    agree("RFFT2D", [waves(2, 4, 4), length], Made("COMPLEX64", (2, 4, 3)), resized=[waves(5, 3, 6)], allowed=2e-6)


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (2, 2, 9)])
def test_irfft2d(shape):
    # LiteRT's Python wheel does not have this custom operator; NumPy judges
    x = waves(*shape) + 1j * waves(*shape)
    made = Made("FLOAT32", (*shape[:-2], 4, 8))
    data = one_operator("IRFFT2D", [x, Constant(np.array([4, 8], "i4"))], [made], custom=True)
    (result,) = run(convert(data), x)
    np.testing.assert_allclose(result.numpy(), np.fft.irfft2(x, (4, 8)), atol=1e-6)
