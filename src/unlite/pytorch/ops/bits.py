"""Operators on the bits of integers. Two operands broadcast as in arithmetic; the StableHLO ones have one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.pytorch.dtypes import limits
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def bitwise_xor(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """Bits that are set in one of x and y. Source: LiteRT tflite/kernels/bitwise_xor.cc."""
    return torch.bitwise_xor(x, y)


def right_shift(x: Any, y: Any, **_: Options) -> Any:
    """``x`` shifted right by y bits, y taken between 0 and all bits but one; signed integers keep their sign.

    Source: LiteRT tflite/kernels/right_shift.cc, RightShift.
    """
    kind = x.dtype
    most = limits(kind, integers_only=True).bits - 1
    if kind in (torch.uint16, torch.uint32):  # PyTorch has next to no arithmetic for these
        return torch.bitwise_right_shift(x.to(torch.int64), torch.clamp(y.to(torch.int64), 0, most)).to(kind)
    return torch.bitwise_right_shift(x, torch.clamp(y, 0, most))


def bitcast(x: Any, *, options: Options) -> Any:
    """The same bytes as another type, the output's.

    x: [...] of m bytes -> [...] where the other type has m bytes, [..., m / n] where it has n < m;
    [..., n / m] -> [...] where n > m.
    Source: LiteRT tflite/kernels/bitcast.cc, CalculateShape.
    """
    return same_bytes(x, options.output.dtype)


@helper
def same_bytes(x: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """The same bytes as another type: of a smaller one several, along a new axis; of a larger one fewer."""
    old, new = x.dtype.itemsize, kind.itemsize
    if torch.onnx.is_in_onnx_export() and not {x.dtype, kind} & {torch.float64, torch.complex64}:
        bits, places = bits_of(x), 8 * min(old, new) * torch.arange(max(old // new, new // old))
        if old > new:
            bits = torch.bitwise_right_shift(bits.unsqueeze(-1), places)
        elif old < new:
            bits = torch.bitwise_left_shift(bits & ((1 << 8 * old) - 1), places).sum(-1)
        return of_bits(bits, kind)
    if old > new:
        return x.contiguous().unsqueeze(-1).view(kind)
    return x.contiguous().view(kind).squeeze(-1) if old < new else x.view(kind)


@helper
def bits_of(x: torch.Tensor) -> torch.Tensor:
    """The bits of numbers as INT64, by arithmetic, which is all that ONNX has; of any NaN those of the usual one."""
    if not x.is_floating_point():
        return x.long()
    info = torch.finfo(x.dtype)
    one, sign = round(1 / info.eps), 1 << info.bits - 1
    size = x.abs().double() / info.smallest_normal
    power = torch.log2(size).round().clamp(min=1)  # rounded down, or 1 more than that
    part = size / 2**power
    bits = (torch.minimum(power + part, power - 1 + 2 * part) * one).long()
    bits = torch.where(x.isnan(), sign - one + one // 2, torch.where(x.isinf(), sign - one, bits))
    return torch.where((x < 0) | (1 / x < 0), bits - sign, bits)


@helper
def of_bits(bits: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """The numbers that have such bits, by arithmetic."""
    if not kind.is_floating_point:
        return bits.to(kind)
    info = torch.finfo(kind)
    one, sign = round(1 / info.eps), 1 << info.bits - 1
    negative, bits = (bits & sign) != 0, bits & (sign - 1)
    size = bits.double() / one
    power = (size.floor() - 1).clamp(min=0)
    value = ((size - power) * 2**power * info.smallest_normal).to(kind)
    value = torch.where(bits > sign - one, float("nan"), value)
    return torch.where(negative, -value, value)


def stablehlo_and(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """Bits that are set in both; of BOOL whether both are true. Source: LiteRT tflite/kernels/stablehlo_and.cc."""
    return torch.bitwise_and(x, y)


def stablehlo_shift_left(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x`` shifted left by y bits; 0 where y is negative or too large (undefined in LiteRT).

    Source: LiteRT tflite/kernels/stablehlo_shift_left.cc; StableHLO's specification of shift_left.
    """
    return torch.bitwise_left_shift(x, y)


OPERATORS = {
    "BITWISE_XOR": bitwise_xor,
    "RIGHT_SHIFT": right_shift,
    "BITCAST": bitcast,
    "STABLEHLO_AND": stablehlo_and,
    "STABLEHLO_SHIFT_LEFT": stablehlo_shift_left,
}
EXACT = {name: function for name, function in OPERATORS.items() if name != "BITCAST"}
MOVES = ("BITCAST",)
