"""Integer arithmetic as TensorFlow Lite's reference kernels do it, each rule once.

A real factor is held as ``multiplier * 2^(shift - 31)``, multiplier an integer of 31 bits. Kernels round products in
three ways, which differ in the last digit; each operator's exact meaning says which one it uses:

====================  ======================================================================================
``scale_twice``       the product's upper 32 bits are rounded, then the shift is rounded: most int8 kernels
``scale_double``      no multiplier: the product with the real factor, in double precision, is rounded
``scale_wide``        sums of 64 bits: the multiplier is cut down to 16 bits before, then rounded once
====================  ======================================================================================

All functions take and give int64 unless they say otherwise; sums that a kernel holds in 32 bits wrap around there.
Source: LiteRT tflite/kernels/internal/common.cc, quantization_util.cc; gemmlowp fixedpoint/fixedpoint.h.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unlite.pytorch.arithmetic.fixed_point import divide_by_power, high_product
from unlite.pytorch.trace import by_table, elementwise

RANGES = {
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT16": (-32768, 32767),
    "UINT16": (0, 65535),
    "INT4": (-8, 7),
    "UINT4": (0, 15),
    "INT2": (-2, 1),
}
"""Schema name -> lowest and highest integer of the types that quantized values are stored in."""


def factor(real: float) -> tuple[int, int]:
    """A real factor as (multiplier, shift): ``real = multiplier * 2^(shift - 31)``, 2^30 <= multiplier < 2^31.

    (0, 0) for factors below 2^-32. Source: LiteRT quantization_util.cc, QuantizeMultiplier.
    """
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(abs(fraction) * 2**31 + 0.5) * (1 if real > 0 else -1)
    if abs(multiplier) == 2**31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


@elementwise
def wrapped(x: Tensor) -> Tensor:
    """Integers in a float type, as a sum of 32 bits has them: beyond its range it wraps around."""
    return x.to(torch.int64).to(torch.int32).to(torch.int64)


@elementwise
def requantize(
    x: Tensor, multiplier: int | Tensor, shift: int | Tensor, zero_point: int, low: int, high: int, dtype: torch.dtype
) -> Tensor:
    """``store(scale_twice(x, ...), ...)`` in few passes, for integers |x| < 2^29 of any type, and shift <= 0."""
    total = x.to(torch.int64)
    total *= multiplier
    total += 1 << 30
    total >>= 31
    narrow = total.to(torch.int32)
    right = -torch.as_tensor(shift, dtype=torch.int32)
    narrow.addcmul_(narrow >> 31, (right > 0).to(torch.int32))
    narrow += (1 << right) >> 1
    narrow >>= right
    narrow += zero_point
    return narrow.clamp_(low, high).to(dtype)


@elementwise
def scale_twice(x: Tensor, multiplier: int | Tensor, shift: int | Tensor) -> Tensor:
    """``x * multiplier * 2^(shift - 31)``, rounded after the product (halves up) and after the shift (halves from 0).

    x: int64 within 32 bits. multiplier, shift: numbers, or one for each entry of the last axis.
    """
    shift = torch.as_tensor(shift)
    return divide_by_power(high_product(x, multiplier << shift.clamp(min=0)), (-shift).clamp(min=0))


@elementwise
def scale_wide(x: Tensor, multiplier: int | Tensor, shift: int | Tensor) -> Tensor:
    """``x * multiplier * 2^(shift - 31)`` for sums of up to 48 bits: the multiplier is rounded to 16 bits first.

    multiplier, shift: numbers, or one for each entry of the last axis.
    """
    shift = 15 - torch.as_tensor(shift)
    reduced = ((torch.as_tensor(multiplier) + (1 << 15)) >> 16).clamp(max=0x7FFF)
    return (x * reduced + (1 << (shift - 1))) >> shift


@elementwise
def scale_double(x: Tensor, scale: float | Tensor) -> Tensor:
    """``x * scale`` in double precision, rounded to the nearest; halves away from 0.

    scale: a number, or one for each entry of the last axis, float64.
    """
    real = x.to(torch.float64) * scale
    return torch.trunc(real + torch.copysign(torch.full_like(real, 0.5), real)).to(torch.int64)


@elementwise
def scale_down(x: Tensor, multiplier: int | Tensor, shift: int | Tensor) -> Tensor:
    """``scale_twice`` for kernels that only shift right, whatever the shift.

    Where that is not from -31 to 0, this gives what 32-bit shifts of x86 processors give.
    x: int64 within 32 bits. Source: gemmlowp fixedpoint/fixedpoint.h, RoundingDivideByPOT.
    """
    x = (x * multiplier + (1 << 30)) >> 31
    right = -torch.as_tensor(shift)
    mask = ((1 << (right & 63)) - 1).to(torch.int32)
    return (x >> (right & 31)) + ((x.to(torch.int32) & mask) > (mask >> 1) + (x < 0))


@elementwise
def rescale(x: Tensor, zero_point: int, left: int, multiplier: int, shift: int) -> Tensor:
    """``(x - zero_point) * 2^left``, scaled by ``scale_twice``: how operands come to one scale, with bits to spare."""
    return scale_twice((x.to(torch.int64) - zero_point) << left, multiplier, shift)


@elementwise
def inverse_root(x: Tensor) -> tuple[Tensor, Tensor]:
    """``1 / sqrt(x)`` of integers from 0 up as (multiplier, shift), each x by five steps of Newton's method.

    Of 0 and 1: just below 1. Source: LiteRT quantization_util.cc, GetInvSqrtQuantizedMultiplierExp.
    """
    bits = torch.frexp(x.double())[1]
    fours = (bits - 28).clamp(min=0) // 2  # above 2^29, x is divided by 4
    left = (31 - bits).clamp(min=2) // 2 - 1
    whole = (x >> (2 * fours)) << (2 * left)  # from 2^27 up
    root = torch.full_like(x, 1 << 28)
    for _ in range(5):
        cube = (root * root + (1 << 30)) >> 31
        cube = ((cube * root + (1 << 30)) >> 31) << 6
        step = (root * ((1 << 28) + (1 << 27)) + (1 << 30)) >> 31
        root = (step - ((((whole >> 1) + 1 >> 1) * cube + (1 << 30)) >> 31)) << 3
    root = (root * 1518500250 + (1 << 30)) >> 31
    right = 11 + fours - left
    root = root << (-right).clamp(min=0)
    small = x <= 1
    return torch.where(small, (1 << 31) - 1, root), torch.where(small, 0, -right.clamp(min=0))


@elementwise
def store(x: Tensor, zero_point: int, low: int, high: int, dtype: torch.dtype) -> Tensor:
    """``x + zero_point`` between low and high, as the type of the output."""
    return (x + zero_point).clamp_(low, high).to(dtype)


@elementwise
def dequantize(x: Tensor, scale: float, zero_point: int) -> Tensor:
    """The real numbers that integers stand for: ``scale * (x - zero_point)``, float32."""
    return (x.to(torch.float32) - zero_point) * scale


@elementwise
def quantize(x: Tensor, scale: float, zero_point: int, low: int, high: int, dtype: torch.dtype) -> Tensor:
    """The integers nearest to real numbers: ``x / scale + zero_point``, halves away from 0, between low and high.

    Numbers outside of 32 bits, and NaN, become what the processor makes of them: on x86 the lowest integer.
    """
    steps = x / scale
    nearest = steps.add_(steps.sign(), alpha=0.5).to(torch.int32)
    return nearest.add_(zero_point).clamp_(low, high).to(dtype)


@elementwise
def dequantize_channels(x: Tensor, scales: Tensor, zero_points: Tensor) -> Tensor:
    """As ``dequantize``; each entry of an axis has its own scale and zero point, which broadcast with x."""
    return (x.to(torch.float32) - zero_points) * scales


@elementwise
def quantize_channels(
    x: Tensor, scales: Tensor, zero_points: Tensor, low: int, high: int, dtype: torch.dtype
) -> Tensor:
    """As ``quantize``; each entry of an axis has its own scale and zero point, which broadcast with x, int32."""
    steps = x / scales
    nearest = steps.add_(steps.sign(), alpha=0.5).to(torch.int32)
    return nearest.add_(zero_points).clamp_(low, high).to(dtype)


@by_table
def look_up(x: Tensor, table: Tensor, low: int) -> Tensor:
    """``table[x - low]``: the result of an operator for every integer that x can be."""
    place = x.to(torch.int32) - low
    return table.index_select(0, place.flatten()).reshape(place.shape)
