"""Functions of one tensor, element by element. The result has the operand's shape and type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.pytorch.arithmetic.fixed_point import inverse_square_root
from unlite.pytorch.arithmetic.quantized import dequantize, factor, scale_twice, store
from unlite.pytorch.arithmetic.tables import each, tabulated

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


def absolute_exact(x: Any, *, options: Options) -> Any:
    """ABS of integers; those of 32 bits as they are. Source: LiteRT tflite/kernels/elementwise.cc, AbsEvalQuantized."""
    source, target = options.inputs[0], options.output
    if source.dtype in (torch.int32, torch.int64):
        return x.abs().to(source.dtype)
    x = (x - source.zero_point).abs()
    if source.scale != target.scale:
        x = scale_twice(x, *factor(float(np.float32(source.scale) / np.float32(target.scale))))
    return store(x, target.zero_point, *target.range, target.dtype)


def sqrt_exact(x: Any, *, options: Options) -> Any:
    """SQRT of integers, in float32, cut off instead of rounded; of numbers below 0, which LiteRT refuses, that of 0.

    Source: LiteRT tflite/kernels/elementwise.cc, SqrtEvalQuantized.
    """
    source, target = options.inputs[0], options.output
    real = dequantize(x, source.scale, source.zero_point).clamp(min=0)
    root = torch.sqrt(real.double()).float()  # PyTorch's own root of float32 may be off in the last digit
    return store((root / target.scale).to(torch.int64), target.zero_point, *target.range, target.dtype)


def rsqrt_exact(x: Any, *, options: Options) -> Any:
    """RSQRT of integers of 8 bits; the largest number for 0, and below, where LiteRT refuses to run.

    Source: LiteRT tflite/kernels/elementwise.cc, RsqrtEvalQuantizedInt8.
    """
    source, target = options.inputs[0], options.output
    number = (x - source.zero_point).clamp(min=0)
    inverse, right = inverse_square_root(number.clamp(min=1))
    data = scale_twice(torch.ones_like(number), inverse, 20 - right)
    multiplier, shift = factor(1.0 / (float(np.sqrt(np.float32(source.scale))) * target.scale))
    found = scale_twice(data, multiplier, shift - 20)
    stored = store(found, target.zero_point, *target.range, target.dtype)
    return torch.where(number == 0, torch.full_like(stored, target.range[1]), stored)


def rsqrt_of_integers(x: Any, *, options: Options) -> Any:
    """RSQRT of integers: 8 bits by fixed point, 16 bits by a table. Source: elementwise.cc, GenericPrepare."""
    highest = float(np.float32(32767) * np.float32(options.output.scale))

    def entry(value: Tensor, **_: Options) -> Tensor:
        return torch.where(value <= 0, highest, 1 / torch.sqrt(value))

    wide = options.inputs[0].dtype is torch.int16
    return (tabulated(entry) if wide else each(rsqrt_exact))(x, options=options)


def log_exact(x: Any, *, options: Options) -> Any:
    """LOG of integers by a table; the smallest number for 0 and below. Source: elementwise.cc, LogLUTPrepare."""
    target = options.output
    lowest = float(np.float32(target.range[0] - target.zero_point) * np.float32(target.scale))

    def entry(value: Tensor, **_: Options) -> Tensor:
        return torch.where(value <= 0, lowest, torch.log(value))

    return tabulated(entry)(x, options=options)


EXACT = {
    "NEG": negate,  # of the stored integers, scales or not: LiteRT tflite/kernels/neg.cc
    "SIGN": sign,
    "ABS": each(absolute_exact),
    "EXP": tabulated(exp),
    "LOG": log_exact,
    "SQRT": each(sqrt_exact),
    "RSQRT": rsqrt_of_integers,
}
MOVES = ("ZEROS_LIKE",)
