"""Arithmetic of two tensors (ADD_N: of any number), element by element.

Both sides broadcast as in NumPy: sizes are aligned from the last one, and a size of 1 is repeated. Results have the
type of the operands; integers wrap around. Fused activations are not included.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.pytorch.arithmetic.exact import activation_range, constant, is_narrow, on_stored
from unlite.pytorch.arithmetic.quantized import factor, look_up, requantize, rescale, scale_down, scale_twice, store
from unlite.pytorch.trace import elementwise

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unlite.pytorch.options import Options

NARROW = (torch.int8, torch.uint8, torch.int16)
"""The types that kernels rescale; integers of 32 and 64 bits they take as they are, scale or not."""


def add(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x + y``, integers wrapping. Source: LiteRT tflite/kernels/internal/reference/add.h, BroadcastAdd6DSlow."""
    return x + y


def sub(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x - y``, integers wrapping. Source: LiteRT tflite/kernels/internal/reference/sub.h, BroadcastSubSlow."""
    return x - y


def mul(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x * y``, integers wrapping, also unsigned and complex ones. Source: LiteRT tflite/kernels/mul.cc, EvalMul."""
    return x * y


def div(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x / y``; the quotient of integers is rounded towards zero.

    1 / 0 is infinity. LiteRT's reference kernel gives the largest finite number there, its XNNPACK kernel infinity.
    Source: LiteRT tflite/kernels/internal/reference/div.h, Div.
    """
    return x / y if x.dtype.is_floating_point else torch.div(x, y, rounding_mode="trunc")


def floor_div(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x / y``, rounded down. Of real numbers the exact quotient counts: -0.3 / 0.1 is -4 in float32.

    Source: LiteRT tflite/kernels/internal/reference/floor_div.h, FloorDiv, which divides in double precision.
    """
    return torch.div(x, y, rounding_mode="floor")


def floor_mod(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """What is left of x after FLOOR_DIV by y: it has the sign of y.

    Source: LiteRT tflite/kernels/internal/reference/floor_mod.h, FloorMod.
    """
    return torch.remainder(x, y)


def power(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x`` to the power of y; for integers see ``integer_power``. Source: LiteRT tflite/kernels/pow.cc."""
    return torch.pow(x, y) if x.dtype.is_floating_point else integer_power(x, y)


@elementwise
def integer_power(x: Tensor, y: Tensor) -> Tensor:
    """``x`` to the power of y >= 0 for INT32; -2^31 where that is no INT32.

    LiteRT computes in double precision and converts, which gives that value on x86-64; only where y is a single
    number, and x is more than one, its product wraps around.
    Source: LiteRT tflite/kernels/internal/reference/reference_ops.h, Pow.
    """
    exact = torch.pow(x.double(), y.double())
    return torch.where(exact.abs() < 2**31, exact, -(2.0**31)).to(x.dtype)


def maximum(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """The larger of x and y; NaN where either is (LiteRT: where y is).

    Source: LiteRT tflite/kernels/maximum_minimum.cc, MaximumOp.
    """
    return torch.maximum(x, y)


def minimum(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """The smaller of x and y; NaN where either is (LiteRT: where y is).

    Source: LiteRT tflite/kernels/maximum_minimum.cc, MinimumOp.
    """
    return torch.minimum(x, y)


def squared_difference(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """(x - y)^2, integers wrapping. Source: LiteRT tflite/kernels/squared_difference.cc, SquaredDifference."""
    return torch.square(x - y)


def add_n(*terms: Tensor, **_: Options) -> Tensor:
    """The sum of two or more tensors of one shape. Source: LiteRT tflite/kernels/add_n.cc."""
    return reduce(lambda total, term: total + term, terms)


def atan2(y: Tensor, x: Tensor, **_: Options) -> Tensor:
    """The angle of the point (x, y) in radians, -pi to pi. Source: LiteRT tflite/kernels/atan2.cc."""
    return torch.atan2(y, x)


def _sum(function: Callable[..., Any]) -> Callable[..., Any]:
    """ADD or SUB on integers: both operands come to twice the larger scale, with 20 bits to spare (16-bit: 15).

    Each of the three products is rounded twice. 16-bit tensors whose scales are powers of two are only shifted, where
    the options ask for it. Source: LiteRT tflite/kernels/add.cc and sub.cc, Prepare; internal/reference/add.h.
    """
    plain = on_stored(function)

    def exact(x: Any, y: Any, *, options: Options) -> Any:
        first, second, target = *options.inputs, options.output
        if target.dtype not in NARROW:
            return plain(x, y, options=options)
        if target.dtype is torch.int16 and options.get("pot_scale_int16", True):
            shifts: list[Any] = [_power_of_two(end.scale) for end in (first, second, target)]
            if None not in shifts:
                x, y = halve(x, shifts[2] - shifts[0]), halve(y, shifts[2] - shifts[1])
                return store(function(x, y), 0, *activation_range(options), target.dtype)
        left = 15 if target.dtype is torch.int16 else 20
        twice = 2 * max(first.scale, second.scale)
        real = twice / ((1 << left) * target.scale)
        total = function(*(_to_scale(side, i, left, twice, options) for i, side in enumerate((x, y))))
        ends = target.zero_point, *activation_range(options), target.dtype
        if is_narrow(255 << left, real):
            multiplier, shift = factor(real)
            return requantize(total, multiplier, shift, *ends)
        return store(scale_twice(total.to(torch.int64), *factor(real)), *ends)

    return exact


def _to_scale(x: Any, place: int, left: int, scale: float, options: Options) -> Any:
    """Operand ``place`` in steps of ``scale / 2^left``: 8 bits by a table, as int32."""
    end = options.inputs[place]
    ratio = factor(end.scale / scale)
    if end.dtype is torch.int16:
        return rescale(x, end.zero_point, left, *ratio)
    low, high = end.range
    entries = rescale(torch.arange(low, high + 1), end.zero_point, left, *ratio)
    return look_up(x, constant(options, f"operand_{place}", entries.to(torch.int32).numpy()), low)


def _power_of_two(scale: float) -> int | None:
    """The exponent of a power of two, None of other numbers. Source: LiteRT kernel_util.h, CheckedLog2."""
    exponent = round(np.log2(scale))
    return exponent if abs(np.log2(scale) - exponent) < 1e-3 else None


@elementwise
def halve(x: Tensor, times: int) -> Tensor:
    """``x / 2^times``, rounded to the nearest, halves away from 0; int64."""
    x = x.to(torch.int64)
    return (x + ((1 << times) >> 1) + (x >> 63)) >> times if times > 0 else x


def mul_exact(x: Any, y: Any, *, options: Options) -> Any:
    """MUL on integers: the product, rounded twice. The scales are multiplied and divided as float32.

    Two INT16 that give INT8 or UINT8 are fractions of 2^15, whatever their scales, and give fractions of 2^7.
    Source: LiteRT tflite/kernels/mul.cc, Prepare; internal/reference/integer_ops/mul.h.
    """
    first, second, target = *options.inputs, options.output
    if target.dtype not in NARROW:
        return on_stored(mul)(x, y, options=options)
    wide = torch.int64 if torch.int16 in (first.dtype, second.dtype) else torch.int32
    product = mul(x.to(wide) - first.zero_point, y.to(wide) - second.zero_point)
    if first.dtype is torch.int16 and target.dtype is not torch.int16:
        steps = halve(((product + (1 << 14)) >> 15).clamp(max=32767), 8)
        return store(steps, target.zero_point, *activation_range(options), target.dtype)
    scale = np.float32(first.scale) * np.float32(second.scale) / np.float32(target.scale)
    multiplier, shift = factor(float(scale))
    if wide is torch.int32 and shift <= 0:
        return requantize(product, multiplier, shift, target.zero_point, *activation_range(options), target.dtype)
    product = product.to(torch.int64)
    if shift > 0:  # that shift is in 32 bits: what is too large wraps around
        product, shift = (product << shift).to(torch.int32).to(torch.int64), 0
    scaled = scale_twice(product, multiplier, shift)
    return store(scaled, target.zero_point, *activation_range(options), target.dtype)


def squared_difference_exact(x: Any, y: Any, *, options: Options) -> Any:
    """SQUARED_DIFFERENCE on INT8: as SUB, with 7 bits to spare. Source: LiteRT squared_difference.cc, Prepare."""
    first, second, target = *options.inputs, options.output
    if target.dtype not in NARROW:
        return squared_difference(x, y)
    twice = 2 * max(first.scale, second.scale)
    x, y = (_to_scale(side, i, 7, twice, options) for i, side in enumerate((x, y)))
    scaled = scale_twice(squared_difference(x, y).to(torch.int64), *factor(twice * twice / ((1 << 14) * target.scale)))
    return store(scaled, target.zero_point, *target.range, target.dtype)


def div_exact(x: Any, y: Any, *, options: Options) -> Any:
    """DIV on integers: x times the reciprocal of y, from a table, rounded twice. 1 / 0 stops the interpreter.

    Source: LiteRT tflite/kernels/div.cc; internal/reference/div.h, DivElementwise.
    """
    first, second, target = *options.inputs, options.output
    if target.dtype not in NARROW:
        return on_stored(div)(x, y, options=options)
    low, high = second.range
    reciprocals, shifts = _reciprocals(np.arange(low, high + 1, dtype=np.int64) - second.zero_point)
    scale = np.float32(first.scale) / (np.float32(second.scale) * np.float32(target.scale))
    multiplier, shift = factor(float(scale))
    quotient = divide(
        x.to(torch.int64) - first.zero_point,
        look_up(y, constant(options, "reciprocals", reciprocals), low),
        look_up(y, constant(options, "shifts", shifts), low),
        multiplier,
        shift,
    )
    return store(quotient, target.zero_point, *activation_range(options), target.dtype)


def _reciprocals(y: Any) -> tuple[Any, Any]:
    """``1 / y`` as (multipliers, shifts): ``multiplier * 2^-(31 + shift)``; multipliers have the sign of y, of 0 are 0.

    Three steps of Newton's method in fixed point. Source: LiteRT internal/common.h, GetReciprocal; gemmlowp
    fixedpoint/fixedpoint.h, one_over_one_plus_x_for_x_in_0_1.
    """
    bits = np.maximum(np.frexp(np.abs(y).astype(np.float64))[1], 1).astype(np.int64)
    fraction = (np.abs(y) << (32 - bits)) - (1 << 31)  # abs(y) is (1 + fraction / 2^31) * 2^(bits - 1)
    half = (fraction + (1 << 31)) >> 1  # of 1 + fraction, where 1 is 2^31 - 1; halves go up
    x = 1515870810 + _high(half, -1010580540)
    for _ in range(3):
        error = (1 << 29) - _high(half, x)
        x += _high(x, error) << 2
    return np.where(x < 1 << 30, x << 1, (1 << 31) - 1) * np.sign(y), bits - 1


def _high(x: Any, y: Any) -> Any:
    """``x * y / 2^31``, rounded to the nearest, halves up."""
    return (x * y + (1 << 30)) >> 31


@elementwise
def divide(x: Tensor, reciprocal: Tensor, shift: Tensor, multiplier: int, right: int) -> Tensor:
    """``x * reciprocal * multiplier``, x first shifted as far left as 32 bits allow."""
    sign = torch.where(reciprocal < 0, -1, 1)
    x, reciprocal = x * sign, reciprocal.abs()
    room = 31 - torch.frexp(torch.where(x < 0, -x - 1, x).double())[1]
    return scale_down(((x << room) * reciprocal + (1 << 30)) >> 31, multiplier, right - shift - room)


EXACT = {
    "ADD": _sum(add),
    "SUB": _sum(sub),
    "MUL": mul_exact,
    "DIV": div_exact,
    "SQUARED_DIFFERENCE": squared_difference_exact,
    "FLOOR_DIV": floor_div,
    "FLOOR_MOD": floor_mod,
    "MAXIMUM": maximum,
    "MINIMUM": minimum,
    "ADD_N": add_n,
    "POW": power,
}
OPERATORS = {
    "ADD": add,
    "SUB": sub,
    "MUL": mul,
    "DIV": div,
    "FLOOR_DIV": floor_div,
    "FLOOR_MOD": floor_mod,
    "POW": power,
    "MAXIMUM": maximum,
    "MINIMUM": minimum,
    "SQUARED_DIFFERENCE": squared_difference,
    "ADD_N": add_n,
    "ATAN2": atan2,
}
