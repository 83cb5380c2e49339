"""From one element type to another, and to quantized numbers and back."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.errors import InvalidValueError
from unlite.pytorch.arithmetic import quantized as q
from unlite.pytorch.arithmetic.exact import constant
from unlite.pytorch.arithmetic.tables import each
from unlite.pytorch.trace import elementwise

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unlite.pytorch.options import Ends, Options

SATURATING = (torch.int8, torch.uint8, torch.int16, torch.uint16, torch.uint32)
LOW_BITS = {"INT4": (-8, 7), "UINT4": (0, 15), "INT2": (-2, 1)}


def cast(x: Any, *, options: Options) -> Any:
    """``x`` as the output's type.

    Real numbers become integers towards zero, and stop at the ends of the integer's range; integers wrap around; BOOL
    is x != 0; of complex numbers the real part counts. To INT32 and INT64, numbers outside of the range are undefined
    here (LiteRT stops at the ends there too): the check would stand in many models for a case that hardly any has.
    Of quantized tensors the stored integers are cast, as in LiteRT, whatever their scale.
    Source: LiteRT tflite/kernels/cast.cc, SaturatingCastFloatingToInteger and copyCast.
    """
    source, target = options.inputs[0], options.output
    if x.is_complex() and not target.dtype.is_complex:
        x = torch.real(x)
    if _is_carried_real(x, source):
        x = _stored_integers(x, source)
    result = _convert(x, target)
    scale, zero_point = _one_scale(target)
    return result if scale is None else (result.to(torch.float32) - zero_point) * scale


def _convert(x: Any, target: Ends) -> Any:
    kind = target.dtype
    if not x.dtype.is_floating_point or x.dtype == kind:
        return x if x.dtype == kind else x.to(kind)
    name = target.tensor.dtype if target.tensor is not None else ""
    if name in LOW_BITS:
        return saturating_cast(x, *LOW_BITS[name], kind)
    if kind in SATURATING:
        return saturating_cast(x, torch.iinfo(kind).min, torch.iinfo(kind).max, kind)
    return x.to(kind)


@elementwise
def saturating_cast(x: Tensor, low: int, high: int, dtype: torch.dtype) -> Tensor:
    """Real numbers as integers, towards zero, from low to high; high for NaN."""
    within = torch.nan_to_num(x.float(), nan=high).clamp(low, high)
    return within.to(torch.int64).clamp(low, high).to(dtype)  # again: 2^32 - 1 is no float32


def _is_carried_real(x: Any, source: Ends) -> bool:
    """Whether x holds real values for what the file stores as integers."""
    return bool(x.dtype.is_floating_point) and not source.dtype.is_floating_point and not source.dtype.is_complex


def _stored_integers(x: Any, source: Ends) -> Any:
    scale, zero_point = _one_scale(source)
    if scale is None:
        raise InvalidValueError("CAST of a tensor without a single scale is not supported.")
    return torch.round(x / scale).to(torch.int32) + zero_point


def _one_scale(end: Ends) -> tuple[float | None, int]:
    """Scale and zero point of a tensor that is quantized as a whole; (None, 0) of others."""
    quantization = end.quantization
    if quantization is None or len(quantization.scale) != 1 or end.dtype.is_floating_point:
        return None, 0
    return float(quantization.scale[0]), int(quantization.zero_point[0]) if len(quantization.zero_point) else 0


def quantize(x: Tensor, **_: Options) -> Tensor:
    """``x`` itself: quantized tensors are carried as the real numbers that they stand for.

    Source: LiteRT tflite/kernels/quantize.cc.
    """
    return x


def dequantize(x: Any, **_: Options) -> Any:
    """FLOAT32 of x: x itself where it is quantized, for it is carried as real numbers; else its numbers as FLOAT32.

    Source: LiteRT tflite/kernels/dequantize.cc.
    """
    return x if x.dtype == torch.float32 else x.to(torch.float32)


def fake_quant(x: Tensor, *, options: Options) -> Tensor:
    """``x`` as it would come back from integers of ``num_bits``, whose range is about min to max.

    The range is moved so that 0 is one of its steps, see ``fake_quantize``. Of INT32 the bits are those of FLOAT32.
    Source: LiteRT tflite/kernels/internal/reference/reference_ops.h, FakeQuant; quantization_util.cc,
    NudgeQuantizationRange.
    """
    if not 2 <= options.num_bits <= 16 or not -inf < options.min < options.max < inf:
        raise InvalidValueError(
            f"{options.num_bits} bits from {options.min} to {options.max} are no range to quantize to."
        )
    if x.dtype is torch.int32:  # as the kernel reads and writes them
        return fake_quant(x.view(torch.float32), options=options).view(torch.int32)
    lowest, highest = int(options.narrow_range), (1 << options.num_bits) - 1
    # as float32, for where 0 comes to lie between two steps its last digit decides: -1 to 1 in 8 bits
    low, high = np.float32(options.min), np.float32(options.max)
    scale = (high - low) / np.float32(highest - lowest)
    zero_point = min(max(int(lowest - low / scale + np.float32(0.5)), lowest), highest)  # halves go up
    return fake_quantize(x, float(scale), float((lowest - zero_point) * scale), float((highest - zero_point) * scale))


@elementwise
def fake_quantize(x: Tensor, scale: float, low: float, high: float) -> Tensor:
    """``x`` between low and high, on the nearest of the steps low, low + scale, ...; halves go up; NaN becomes low."""
    within = torch.where(x > low, x, low).clamp(max=high)
    return torch.floor((within - low) * (1 / scale) + 0.5) * scale + low


def densify(x: Tensor, **_: Options) -> Tensor:
    """``x`` itself: sparse constants are unpacked when they are read. Source: LiteRT tflite/kernels/densify.cc."""
    return x


def cast_exact(x: Any, *, options: Options) -> Any:
    """CAST of the stored integers, whatever their scale. Source: LiteRT tflite/kernels/cast.cc, copyCast."""
    return _convert(x, options.output)


def quantize_exact(x: Any, *, options: Options) -> Any:
    """Integers of the output's grid, from real numbers or from the integers of another grid, then rounded twice.

    Source: LiteRT tflite/kernels/quantize.cc; internal/reference/quantize.h, requantize.h.
    """
    target = options.output
    if x.dtype.is_floating_point:
        if len(target.scales) > 1:
            return q.quantize_channels(x, *_channels(target, options), *target.range, target.dtype)
        return q.quantize(x, target.scale, target.zero_point, *target.range, target.dtype)
    return _requantized(x, options=options)


@each
def _requantized(x: Any, *, options: Options) -> Any:
    source, target = options.inputs[0], options.output
    scaled = q.scale_twice(x - source.zero_point, *q.factor(source.scale / target.scale))
    return q.store(scaled, target.zero_point, *target.range, target.dtype)


def dequantize_exact(x: Any, *, options: Options) -> Any:
    """The real numbers that integers stand for.

    Source: LiteRT tflite/kernels/internal/reference/dequantize.h, Dequantize and PerChannelDequantize.
    """
    source = options.inputs[0]
    if len(source.scales) > 1:
        return q.dequantize_channels(x, *_channels(source, options))
    return q.dequantize(x, source.scale, source.zero_point)


def _channels(end: Ends, options: Options) -> tuple[Any, Any]:
    """Scales and zero points of each entry of an axis, in a shape that broadcasts with the tensor's."""
    quantization: Any = end.quantization
    shape = [1] * len(end.shape)
    shape[quantization.quantized_dimension] = -1
    points = np.array(quantization.zero_point or [0], dtype=np.int32)
    scales = np.array(end.scales, dtype=np.float32).reshape(shape)
    points = np.broadcast_to(points, len(end.scales)).reshape(shape)
    return constant(options, "scales", scales), constant(options, "zero_points", np.ascontiguousarray(points))


EXACT = {"CAST": cast_exact, "QUANTIZE": quantize_exact, "DEQUANTIZE": dequantize_exact}
MOVES = ("DENSIFY",)
OPERATORS: dict[str, Callable[..., Any]] = {
    "CAST": cast,
    "QUANTIZE": quantize,
    "DEQUANTIZE": dequantize,
    "FAKE_QUANT": fake_quant,
    "DENSIFY": densify,
}
