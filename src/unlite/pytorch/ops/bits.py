"""Operators on the bits of integers. Two operands broadcast as in arithmetic; the StableHLO ones have one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

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
    most = torch.iinfo(kind).bits - 1
    if kind in (torch.uint16, torch.uint32):  # PyTorch has next to no arithmetic for these
        return torch.bitwise_right_shift(x.to(torch.int64), torch.clamp(y.to(torch.int64), 0, most)).to(kind)
    return torch.bitwise_right_shift(x, torch.clamp(y, 0, most))


def bitcast(x: Any, *, options: Options) -> Any:
    """The same bytes as another type, the output's.

    x: [...] of m bytes -> [...] where the other type has m bytes, [..., m / n] where it has n < m;
    [..., n / m] -> [...] where n > m.
    Source: LiteRT tflite/kernels/bitcast.cc, CalculateShape.
    """
    kind = options.output.dtype
    if x.dtype.itemsize > kind.itemsize:
        return x.contiguous().unsqueeze(-1).view(kind)
    if x.dtype.itemsize < kind.itemsize:
        return x.contiguous().view(kind).squeeze(-1)
    return x.view(kind)


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
