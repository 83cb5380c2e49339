"""Softmax and its logarithm, along the last axis."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.arithmetic.exact import constant
from unlite.pytorch.arithmetic.fixed_point import (
    divide_by_power,
    exp_of_negative,
    high_product,
    inverse_of_one_plus,
    leading_zeros,
    log_of_at_least_one,
)
from unlite.pytorch.arithmetic.quantized import factor, scale_twice
from unlite.pytorch.arithmetic.tables import entries, interpolate
from unlite.pytorch.trace import along_axes

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unlite.pytorch.options import Options


def softmax(x: Tensor, *, options: Options) -> Tensor:
    """``e^(beta * x)``, scaled so that the last axis sums to 1.

    Source: LiteRT tflite/kernels/internal/reference/softmax.h, Softmax.
    """
    return F.softmax(x if options.beta == 1 else x * options.beta, dim=-1)


def log_softmax(x: Tensor, **_: Options) -> Tensor:
    """Logarithm of the softmax along the last axis.

    Source: LiteRT tflite/kernels/internal/reference/reference_ops.h, LogSoftmax.
    """
    return F.log_softmax(x, dim=-1)


BITS = 5  # whole bits of the differences to the largest, which are Q5.26


def _differences(options: Options) -> tuple[Any, int]:
    """The 256 differences to the largest number of a row, as Q5.26, and how many of them count.

    Source: LiteRT tflite/kernels/internal/quantization_util.cc, PreprocessSoftmaxScaling and CalculateInputRadius.
    """
    beta = options.get("beta", 1.0)
    multiplier, shift = factor(min(beta * options.inputs[0].scale * (1 << (31 - BITS)), (1 << 31) - 1.0))
    radius = floor(((1 << BITS) - 1) * (1 << (31 - BITS)) / (1 << shift))
    count = min(radius, 255) + 1
    differences = high_product(-torch.arange(count) << shift, multiplier)
    return torch.cat((differences, torch.full((256 - count,), -(1 << 31)))), count


def softmax_exact(x: Any, *, options: Options) -> Any:
    """SOFTMAX of integers in fixed point: of 8 bits to 8 or 16, or of 16 bits.

    Source: LiteRT tflite/kernels/internal/reference/softmax.h, Softmax and SoftmaxInt16.
    """
    if options.inputs[0].dtype is torch.int16:
        return _softmax_of_16_bits(x, options)
    differences, count = _differences(options)
    table = exp_of_negative(differences)
    table[count:] = 0
    low, high = options.output.range
    dtype = options.output.dtype
    return softmax_by_table(x, -1, constant(options, "exp", table.numpy()), low, high, dtype)


@along_axes
def softmax_by_table(x: Tensor, axis: int, table: Tensor, low: int, high: int, dtype: torch.dtype) -> Tensor:
    """Softmax in steps of 1 / (high - low + 1); table: e^-d for differences d to the largest, Q0.31."""
    x = x.to(torch.int64)
    powers = table[x.amax(axis, keepdim=True) - x]
    total = divide_by_power(powers, 12).sum(axis, keepdim=True)
    zeros = leading_zeros(total)
    inverse = inverse_of_one_plus((total << zeros) - (1 << 31))
    bits = 12 - zeros + 31 - (8 if high - low < 256 else 16)
    return (divide_by_power(high_product(inverse, powers), bits) + low).clamp(low, high).to(dtype)


def _softmax_of_16_bits(x: Any, options: Options) -> Any:
    multiplier, shift = factor(options.inputs[0].scale * options.beta / (10.0 / 65535.0))
    powers = entries(torch.exp, 10.0 / 65535.0, 32767, 2.0 / 65535.0, 0, np.float64)
    inverses = entries(lambda value: 1 / (1 + value), 1.0 / 65535.0, -32768, 2.0 / 65535.0, 0, np.float64)
    return softmax_of_16_bits(
        x, -1, multiplier, shift, constant(options, "exp", powers), constant(options, "inverse", inverses)
    )


@along_axes
def softmax_of_16_bits(x: Tensor, axis: int, multiplier: int, shift: int, powers: Tensor, inverses: Tensor) -> Tensor:
    """Softmax in steps of 2^-15, as int16.

    powers: 513 entries of e^-d for d from 10 to 0; inverses: of 1 / (1 + s) for s from 0 to 1.
    """
    x = x.to(torch.int64)
    difference = scale_twice(x - x.amax(axis, keepdim=True), multiplier, shift)
    power = interpolate((difference + 32767).clamp(-32768, 32767), powers).to(torch.int64)
    total = power.sum(axis, keepdim=True)
    zeros = leading_zeros(total)
    part = (((total << (zeros - 1)) + (1 << 13)) >> 14) - ((1 << 15) + (1 << 16))
    inverse = interpolate(part.clamp(-32768, 32767), inverses).to(torch.int64)
    right = 31 - zeros
    return ((power * inverse + ((1 << right) >> 1)) >> right).clamp(0, 32767).to(torch.int16)


def log_softmax_exact(x: Any, *, options: Options) -> Any:
    """LOG_SOFTMAX of integers in fixed point. The output's scale is 1 / 16, its zero point the type's highest number.

    Source: LiteRT tflite/kernels/internal/reference/integer_ops/log_softmax.h, LogSoftmax.
    """
    dtype = options.inputs[0].dtype
    if dtype is torch.int16:
        raise UnsupportedOperatorError("LOG_SOFTMAX has no kernel for 16 bits.", operators=(options.path,))
    differences, count = _differences(options)
    table = exp_of_negative(differences)
    table[count:] = 0
    return log_softmax_by_table(
        x, -1, constant(options, "difference", differences.numpy()), constant(options, "exp", table.numpy()), dtype
    )


@along_axes
def log_softmax_by_table(x: Tensor, axis: int, differences: Tensor, table: Tensor, dtype: torch.dtype) -> Tensor:
    """Logarithm of the softmax in steps of 1 / 16 below the highest number of 8 bits.

    differences: d for the integer differences to the largest, Q5.26; table: e^d, Q0.31.
    """
    x = x.to(torch.int64)
    place = x.amax(axis, keepdim=True) - x
    total = log_of_at_least_one(divide_by_power(table[place], 12).sum(axis, keepdim=True))
    highest = torch.iinfo(dtype).max
    return (divide_by_power(differences[place] - total, 22) + highest).clamp(highest - 255, highest).to(dtype)


OPERATORS: dict[str, Callable[..., Any]] = {"SOFTMAX": softmax, "LOG_SOFTMAX": log_softmax}
EXACT = {"SOFTMAX": softmax_exact, "LOG_SOFTMAX": log_softmax_exact}
