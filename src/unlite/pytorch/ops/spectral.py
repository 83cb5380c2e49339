"""Complex numbers and Fourier transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.pytorch.trace import ints

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def real(x: Tensor, **_: Options) -> Tensor:
    """Real part: COMPLEX64 -> FLOAT32, COMPLEX128 -> FLOAT64. Source: LiteRT tflite/kernels/complex_support.cc."""
    return torch.real(x)


def imag(x: Tensor, **_: Options) -> Tensor:
    """Imaginary part, types as in REAL. Source: LiteRT tflite/kernels/complex_support.cc, EvalImag."""
    return torch.imag(x)


def complex_abs(x: Tensor, **_: Options) -> Tensor:
    """Absolute value, types as in REAL. Source: LiteRT tflite/kernels/complex_support.cc, EvalAbs."""
    return torch.abs(x)


def rfft2d(x: Tensor, fft_length: Any, **_: Options) -> Any:
    """Fourier transform of real numbers over the last two axes. x: [..., H, W] -> [..., h, w / 2 + 1], COMPLEX64.

    fft_length: [h, w]; x is cut or filled up with zeros to that, behind. LiteRT takes powers of 2 only.
    Source: LiteRT tflite/kernels/rfft2d.cc.
    """
    return torch.fft.rfft2(x, ints(fft_length))


def irfft2d(x: Tensor, fft_length: Any, **_: Options) -> Any:
    """The real numbers whose RFFT2D x is. x: [..., H, W], COMPLEX64 -> [..., h, w], FLOAT32.

    fft_length: [h, w]; x is cut or filled up with zeros to [h, w / 2 + 1], behind.
    Source: LiteRT tflite/kernels/irfft2d.cc, a custom operator.
    """
    return torch.fft.irfft2(x, ints(fft_length))


OPERATORS = {"REAL": real, "IMAG": imag, "COMPLEX_ABS": complex_abs, "RFFT2D": rfft2d}
CUSTOM = {"IRFFT2D": irfft2d}
