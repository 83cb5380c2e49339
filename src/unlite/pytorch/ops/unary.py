"""Functions of one tensor, element by element. The result has the operand's shape and type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def absolute(x: Tensor, **_: Options) -> Tensor:
    """|x|; the smallest integer stays what it is. Source: LiteRT tflite/kernels/elementwise.cc, AbsEval."""
    return torch.abs(x)


def negate(x: Tensor, **_: Options) -> Tensor:
    """-x; the smallest integer stays what it is. Source: LiteRT tflite/kernels/neg.cc."""
    return -x


def exp(x: Tensor, **_: Options) -> Tensor:
    """Euler's number to the power of x. Source: LiteRT tflite/kernels/exp.cc."""
    return torch.exp(x)


def log(x: Tensor, **_: Options) -> Tensor:
    """Natural logarithm; -inf for 0, NaN below. Source: LiteRT tflite/kernels/elementwise.cc, LogEval."""
    return torch.log(x)


def sqrt(x: Tensor, **_: Options) -> Tensor:
    """Square root; NaN below 0. Source: LiteRT tflite/kernels/elementwise.cc, SqrtEval."""
    return torch.sqrt(x)


def rsqrt(x: Tensor, **_: Options) -> Tensor:
    """1 / sqrt(x); inf for 0, NaN below. Source: LiteRT tflite/kernels/elementwise.cc, RsqrtEval."""
    return torch.rsqrt(x)


def square(x: Tensor, **_: Options) -> Tensor:
    """``x^2``. Source: LiteRT tflite/kernels/elementwise.cc, SquareEval."""
    return torch.square(x)


def sin(x: Tensor, **_: Options) -> Tensor:
    """Sine of x radians. Source: LiteRT tflite/kernels/elementwise.cc, SinEval."""
    return torch.sin(x)


def cos(x: Tensor, **_: Options) -> Tensor:
    """Cosine of x radians. Source: LiteRT tflite/kernels/elementwise.cc, CosEval."""
    return torch.cos(x)


def ceil(x: Tensor, **_: Options) -> Tensor:
    """``x`` rounded up. Source: LiteRT tflite/kernels/ceil.cc."""
    return torch.ceil(x)


def floor(x: Tensor, **_: Options) -> Tensor:
    """``x`` rounded down. Source: LiteRT tflite/kernels/floor.cc."""
    return torch.floor(x)


def round_to_even(x: Tensor, **_: Options) -> Tensor:
    """``x`` rounded to the nearest integer, halves to the even one: 0.5 -> 0, 1.5 -> 2.

    Source: LiteRT tflite/kernels/internal/reference/round.h, RoundToNearest.
    """
    return torch.round(x)


def sign(x: Tensor, **_: Options) -> Tensor:
    """-1, 0 or 1; 0 for NaN (LiteRT: NaN). Source: LiteRT tflite/kernels/sign.cc."""
    return torch.sign(x)


def zeros_like(x: Tensor, **_: Options) -> Tensor:
    """Zeros of x's shape and type. Source: LiteRT tflite/kernels/zeros_like.cc."""
    return torch.zeros_like(x)


OPERATORS = {
    "ABS": absolute,
    "NEG": negate,
    "EXP": exp,
    "LOG": log,
    "SQRT": sqrt,
    "RSQRT": rsqrt,
    "SQUARE": square,
    "SIN": sin,
    "COS": cos,
    "CEIL": ceil,
    "FLOOR": floor,
    "ROUND": round_to_even,
    "SIGN": sign,
    "ZEROS_LIKE": zeros_like,
}
MOVES = ("ZEROS_LIKE",)
