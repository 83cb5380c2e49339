"""Activations that are operators of their own. Those that are fused into others are in ``pytorch/activations.py``."""

from __future__ import annotations

from math import frexp, inf, pi
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch import activations
from unlite.pytorch.arithmetic.exact import constant, round_away
from unlite.pytorch.arithmetic.fixed_point import divide_by_power
from unlite.pytorch.arithmetic.quantized import factor, scale_twice, store
from unlite.pytorch.arithmetic.tables import each, tabulated
from unlite.pytorch.trace import by_table

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def relu(x: Tensor, **_: Options) -> Any:
    """max(x, 0). Source: LiteRT tflite/kernels/activations.cc, ReluEval."""
    return activations.relu(x)


def relu6(x: Tensor, **_: Options) -> Any:
    """``x`` between 0 and 6. Source: LiteRT tflite/kernels/activations.cc, Relu6Eval."""
    return activations.relu6(x)


def relu_n1_to_1(x: Tensor, **_: Options) -> Any:
    """``x`` between -1 and 1. Source: LiteRT tflite/kernels/activations.cc, Relu1Eval."""
    return activations.relu_n1_to_1(x)


def relu_0_to_1(x: Tensor, **_: Options) -> Tensor:
    """``x`` between 0 and 1. Source: LiteRT tflite/kernels/activations.cc, Relu0to1Eval."""
    return torch.clamp(x, 0, 1)


def leaky_relu(x: Tensor, *, options: Options) -> Tensor:
    """``x`` where it is above 0, alpha * x elsewhere; alpha may be any number.

    Source: LiteRT tflite/kernels/internal/reference/leaky_relu.h, LeakyRelu.
    """
    return F.leaky_relu(x, options.alpha)


def prelu(x: Any, alpha: Any, **_: Options) -> Any:
    """``x`` where it is above 0, alpha * x elsewhere; alpha [..., C] broadcasts to x [N, ..., C].

    Source: LiteRT tflite/kernels/internal/reference/prelu.h, and ApplyPrelu in tflite/kernels/activations.cc.
    """
    # F.prelu knows one slope for all or one per channel; the channels are its second axis.
    if _count(alpha) == 1:
        return F.prelu(x, alpha.reshape(1))
    if x.ndim < 2 or _count(alpha) != _last(alpha):
        return torch.where(x > 0, x, x * alpha)
    alpha = alpha.reshape(-1) if alpha.ndim > 1 else alpha
    if x.ndim == 2:
        return F.prelu(x, alpha)
    last = x.ndim - 1
    return F.prelu(x.permute(0, last, *range(1, last)), alpha).permute(0, *range(2, last + 1), 1)


def elu(x: Tensor, **_: Options) -> Tensor:
    """``x`` where it is above 0, e^x - 1 elsewhere. Source: LiteRT tflite/kernels/activations.cc, EluEval."""
    return F.elu(x)


def gelu(x: Tensor, *, options: Options) -> Tensor:
    """``x`` times the share of a normal distribution below x; with ``approximate`` by a formula with tanh.

    Source: LiteRT tflite/kernels/internal/reference/gelu.h, Gelu.
    """
    return F.gelu(x, approximate="tanh" if options.get("approximate", False) else "none")


def hard_swish(x: Tensor, **_: Options) -> Tensor:
    """``x * min(max(x + 3, 0), 6) / 6``. Source: LiteRT tflite/kernels/internal/reference/hard_swish.h, HardSwish."""
    return F.hardswish(x)


def logistic(x: Tensor, **_: Options) -> Tensor:
    """1 / (1 + e^-x). Source: LiteRT tflite/kernels/internal/reference/logistic.h, Logistic."""
    return torch.sigmoid(x)


def tanh(x: Tensor, **_: Options) -> Tensor:
    """Hyperbolic tangent. Source: LiteRT tflite/kernels/internal/reference/tanh.h, Tanh."""
    return torch.tanh(x)


def _count(alpha: Any) -> int:
    """Number of slopes: fixed, for they are weights."""
    return int((alpha if isinstance(alpha, torch.Tensor) else alpha.fake).numel())


def _last(alpha: Any) -> int:
    """Number of slopes along the last axis."""
    return int((alpha if isinstance(alpha, torch.Tensor) else alpha.fake).shape[-1])


OPERATORS = {
    "RELU": relu,
    "RELU6": relu6,
    "RELU_N1_TO_1": relu_n1_to_1,
    "RELU_0_TO_1": relu_0_to_1,
    "LEAKY_RELU": leaky_relu,
    "PRELU": prelu,
    "ELU": elu,
    "GELU": gelu,
    "HARD_SWISH": hard_swish,
    "LOGISTIC": logistic,
    "TANH": tanh,
}


def _limits(options: Options, low: float, high: float) -> tuple[int, int]:
    """The integers that real limits are on the output's grid. Source: activations.cc, QuantizedReluX."""
    end = options.output
    first, last = end.range
    scale = np.float32(end.scale)
    first = max(first, end.zero_point + round_away(np.float32(low) / scale))
    return first, last if high == inf else min(last, end.zero_point + round_away(np.float32(high) / scale))


def _clipped(low: float, high: float) -> Any:
    """RELU and its like: x on the output's grid, between two real limits."""

    def on_integers(x: Any, *, options: Options) -> Any:
        source, target = options.inputs[0], options.output
        multiplier, shift = factor(float(np.float32(source.scale) / np.float32(target.scale)))
        scaled = scale_twice(x - source.zero_point, multiplier, shift)
        return store(scaled, target.zero_point, *_limits(options, low, high), target.dtype)

    return each(on_integers)


def leaky_relu_exact(x: Any, *, options: Options) -> Any:
    """LEAKY_RELU of integers: numbers above 0 have one factor, those below another.

    Source: LiteRT tflite/kernels/internal/reference/leaky_relu.h, QuantizeLeakyRelu.
    """
    source, target = options.inputs[0], options.output
    ratio = np.float32(source.scale) / np.float32(target.scale)
    slope = np.float32(source.scale) * np.float32(options.alpha) / np.float32(target.scale)
    x = x - source.zero_point
    scaled = torch.where(x >= 0, scale_twice(x, *factor(float(ratio))), scale_twice(x, *factor(float(slope))))
    return store(scaled, target.zero_point, *target.range, target.dtype)


def prelu_exact(x: Any, alpha: Any, *, options: Options) -> Any:
    """PRELU of integers; slopes have 8 bits. Source: LiteRT tflite/kernels/internal/reference/prelu.h, Prelu."""
    source, slope, target = options.inputs[0], options.inputs[1], options.output
    if alpha.dtype is torch.int16:
        raise UnsupportedOperatorError(
            "the kernel reads slopes of 16 bits as if they had 8.", operators=(options.path,)
        )
    ratio = np.float32(source.scale) / np.float32(target.scale)
    product = np.float32(source.scale) * np.float32(slope.scale) / np.float32(target.scale)
    x, alpha = x.to(torch.int64) - source.zero_point, alpha.to(torch.int64) - slope.zero_point
    scaled = torch.where(x >= 0, scale_twice(x, *factor(float(ratio))), scale_twice(x * alpha, *factor(float(product))))
    return store(scaled, target.zero_point, *target.range, target.dtype)


def hard_swish_exact(x: Any, *, options: Options) -> Any:
    """HARD_SWISH of integers, in 16-bit fixed point.

    Source: LiteRT tflite/kernels/internal/reference/hard_swish.h, HardSwish; activations.cc, HardSwishPrepare.
    """
    source, target = options.inputs[0], options.output
    fine = np.float32(1 / 128) * np.float32(source.scale)
    multiplier, exponent = _short_factor(float(fine / np.float32(target.scale)))
    relu_multiplier, relu_exponent = _short_factor(float(fine / np.float32(3 / 32768)))
    x = (x - source.zero_point) << 7
    output = (x * multiplier + (1 << 14)) >> 15
    share = x if relu_exponent <= 0 else _short(x << (relu_exponent - 1))
    share = (share * relu_multiplier + (1 << 14)) >> 15
    share = _short(share << 1) if relu_exponent > 0 else divide_by_power(share, -relu_exponent)
    share = (share + (1 << 15)) >> 1
    product = torch.div(share * output, 1 << 15, rounding_mode="trunc")
    return store(divide_by_power(product, -exponent), target.zero_point, *target.range, target.dtype)


def _short_factor(real: float) -> tuple[int, int]:
    """A factor with a multiplier of 16 bits. Source: quantization_util.h, DownScaleInt32ToInt16Multiplier."""
    multiplier, shift = factor(real)
    return min((multiplier + (1 << 15)) >> 16, 32767), shift


def _short(x: Any) -> Any:
    return x.clamp(-32768, 32767)


def _sigmoid_table() -> Any:
    """65536 / (1 + e^-x) for x = i / 24, moved by half of the error that interpolation has behind each entry.

    These are the numbers of LiteRT tflite/kernels/internal/common.cc, sigmoid_table_uint16.
    """
    curve = 65536 / (1 + np.exp(-np.arange(513) / 48))
    at, middle, behind = curve[:-1:2], curve[1::2], curve[2::2]
    table = np.round(at + (middle - (at + behind) / 2) / 2)
    table[-1] = 65535
    return table.astype(np.int64)


def _fine_input(x: Any, scale: float, power: int) -> Any:
    """X of 16 bits in steps of 1 / 12288. Source: LiteRT tflite/kernels/activations.cc, TanhPrepare."""
    fraction, exponent = frexp(scale)
    shift = power + exponent - 1
    if fraction == 0.5 and shift in (0, 1):
        return x.to(torch.int64) * (3 << shift)
    real, shift = scale * 4096.0 * 3.0, 0
    while real <= 32767.0 / 2.0 and shift <= 30:
        real, shift = real * 2.0, shift + 1
    return (x.to(torch.int64) * int(real) + ((1 << shift) >> 1)) >> shift


def logistic_exact(x: Any, *, options: Options) -> Any:
    """LOGISTIC of integers: 8 bits by a table, 16 bits between the entries of one.

    Source: LiteRT tflite/kernels/activations.cc, SigmoidEval; internal/reference/integer_ops/logistic.h.
    """
    if options.inputs[0].dtype is not torch.int16:
        return tabulated(logistic)(x, options=options)
    return sigmoid_of_fine(_fine_input(x, options.inputs[0].scale, 12), constant(options, "table", _sigmoid_table()))


def tanh_exact(x: Any, *, options: Options) -> Any:
    """TANH of integers: 8 bits by a table, 16 bits between the entries of one.

    Source: LiteRT tflite/kernels/activations.cc, TanhEval; internal/reference/integer_ops/tanh.h.
    """
    if options.inputs[0].dtype is not torch.int16:
        return tabulated(tanh)(x, options=options)
    return tanh_of_fine(_fine_input(x, options.inputs[0].scale, 12), constant(options, "table", _sigmoid_table()))


@by_table
def sigmoid_of_fine(x: Tensor, table: Tensor) -> Tensor:
    """1 / (1 + e^-x) in steps of 2^-15, as int16. x: in steps of 1 / 12288; table: for i / 24, in steps of 2^-16."""
    size = x.abs()
    place, part = size >> 9, size & 511
    at = place.clamp(max=254)
    found = (table[at] << 9) + part * (table[at + 1] - table[at])
    found = torch.where(place >= 255, 0x7FFF << 10, found)
    return (torch.where(x >= 0, found + (1 << 9), (1 << 25) - found + (1 << 9) - 1) >> 10).to(torch.int16)


@by_table
def tanh_of_fine(x: Tensor, table: Tensor) -> Tensor:
    """Hyperbolic tangent in steps of 2^-15, as int16. x: in steps of 1 / 12288; table as of ``sigmoid_of_fine``."""
    size = x.abs()
    place, part = size >> 8, size & 255
    at = place.clamp(max=254)
    found = (table[at] << 8) + part * (table[at + 1] - table[at])
    found = torch.where(place >= 255, 0xFFFF << 8, found)
    return (torch.where(x >= 0, found - (1 << 23) + (1 << 7), -found + (1 << 23) + (1 << 7) - 1) >> 8).to(torch.int16)


def _elu_entries(x: Tensor, **_: Options) -> Tensor:
    """ELU as its table is computed: e^x - 1 is rounded in between. Source: activations.cc, EluPrepare."""
    x = x.float()
    return torch.where(x < 0, torch.exp(x.double()).float() - 1, x)


def _gelu_entries(x: Tensor, *, options: Options) -> Tensor:
    """GELU as its table is computed, in steps of float32. Source: internal/reference/gelu.h, GeluTransform."""
    x = x.float()
    if not options.get("approximate", False):
        return x * 0.5 * torch.erfc((x * -(0.5**0.5)).double()).float()
    inner = ((2 / pi) ** 0.5) * (x + 0.044715 * x * x * x)
    return x * 0.5 * (torch.tanh(inner.double()).float() + 1)


EXACT = {
    "RELU": _clipped(0, inf),
    "RELU6": _clipped(0, 6),
    "RELU_N1_TO_1": _clipped(-1, 1),
    "RELU_0_TO_1": _clipped(0, 1),
    "LEAKY_RELU": each(leaky_relu_exact),
    "PRELU": prelu_exact,
    "ELU": tabulated(_elu_entries),
    "GELU": tabulated(_gelu_entries),
    "HARD_SWISH": each(hard_swish_exact),
    "LOGISTIC": logistic_exact,
    "TANH": tanh_exact,
}
