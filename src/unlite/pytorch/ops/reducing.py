"""Many numbers to one along axes, running sums, and the places of the largest."""

# ruff: noqa: ARG001 - every operator's function takes the options

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.arithmetic.quantized import factor, scale_twice, scale_wide, store
from unlite.pytorch.dtypes import limits
from unlite.pytorch.trace import along_axes, elementwise, example_shape, helper, ints, reducing

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def _axes(x: Any, axis: Any) -> Any:
    """The axes to reduce: each once, from 0; a stand-in for such a list where the model computes them.

    Source: LiteRT tflite/kernels/internal/reference/reduce.h, ResolveAxis.
    """
    given = ints(axis)
    if x.ndim == 0 or not given:
        return []
    if all(isinstance(a, int) for a in given):
        return sorted({a % x.ndim for a in given})
    return distinct_axes(given, x.ndim)


@helper
def distinct_axes(axes: list[int], rank: int) -> list[int]:
    """The axes, each once, counted from 0."""
    return sorted({axis % rank for axis in axes})


def _is_none(axes: Any) -> bool:
    """Whether there is nothing to reduce; PyTorch would take an empty list for all axes."""
    return isinstance(axes, list) and not axes


def sum_(x: Tensor, axis: Tensor, *, options: Options) -> Tensor:
    """The sum along axes; of integers in their own type, wrapping around. Source: LiteRT reduce.cc, EvalType."""
    axes = _axes(x, axis)
    if _is_none(axes):
        return x
    if x.dtype.is_floating_point:
        return x.sum(axes, options.keep_dims)
    return x.sum(axes, options.keep_dims, dtype=x.dtype)


def mean(x: Tensor, axis: Tensor, *, options: Options) -> Tensor:
    """The mean along axes; of integers rounded towards zero. Source: LiteRT internal/reference/reduce.h, Mean."""
    axes = _axes(x, axis)
    if _is_none(axes):
        return x
    if x.dtype.is_floating_point:
        return x.mean(axes, options.keep_dims)
    return integer_mean(x, axes, options.keep_dims)


@reducing
def integer_mean(x: torch.Tensor, axes: list[int], keepdim: bool) -> torch.Tensor:
    """The mean of integers along axes, rounded towards zero."""
    count = 1
    for axis in axes:
        count = count * x.shape[axis]
    total = x.sum(axes, keepdim, dtype=torch.int64)
    return torch.div(total, torch.sym_max(count, 1), rounding_mode="trunc").to(x.dtype)  # type: ignore[no-untyped-call]


def reduce_prod(x: Tensor, axis: Tensor, *, options: Options) -> Tensor:
    """The product along axes; of integers in their own type, wrapping around. Source: LiteRT reduce.cc, EvalType."""
    axes = _axes(x, axis)
    if _is_none(axes):
        return x
    if isinstance(axes, list) and len(axes) == 1:
        return x.prod(axes[0], options.keep_dims, dtype=x.dtype)
    return product(x, axes, options.keep_dims)


@reducing
def product(x: torch.Tensor, axes: list[int], keepdim: bool) -> torch.Tensor:
    """The product along several axes, which are in rising order."""
    for axis in reversed(axes):
        x = x.prod(axis, keepdim, dtype=x.dtype)
    return x


def reduce_max(x: Tensor, axis: Tensor, *, options: Options) -> Tensor:
    """The largest along axes; of nothing, the type's lowest number. Source: LiteRT reduce.cc, EvalType."""
    axes = _axes(x, axis)
    return x if _is_none(axes) else _with_one(x, axes, lowest=True).amax(axes, options.keep_dims)


def reduce_min(x: Tensor, axis: Tensor, *, options: Options) -> Tensor:
    """The smallest along axes; of nothing, the type's largest number. Source: LiteRT reduce.cc, EvalType."""
    axes = _axes(x, axis)
    return x if _is_none(axes) else _with_one(x, axes, lowest=False).amin(axes, options.keep_dims)


def _with_one(x: Any, axes: Any, *, lowest: bool) -> Any:
    """``x``; where it is empty with one cell more along each axis, since PyTorch knows no maximum of nothing."""
    if 0 not in example_shape(x) or x.dtype == torch.bool:
        return x
    range_ = limits(x.dtype)
    return append_along(x, axes, range_.min if lowest else range_.max)


@along_axes
def append_along(x: torch.Tensor, axes: list[int], value: float) -> torch.Tensor:
    """``x`` with one cell of a value more along each of the axes."""
    for axis in axes:
        shape = list(x.shape)
        shape[axis] = 1
        x = torch.cat([x, x.new_full(shape, value)], axis)
    return x


def reduce_any(x: Tensor, axis: Tensor, *, options: Options) -> Tensor:
    """Whether one is true along axes. x: BOOL. Source: LiteRT tflite/kernels/reduce.cc, EvalType."""
    axes = _axes(x, axis)
    return x if _is_none(axes) else x.any(axes, options.keep_dims)


def reduce_all(x: Tensor, axis: Tensor, *, options: Options) -> Tensor:
    """Whether all are true along axes. x: BOOL. Source: LiteRT tflite/kernels/reduce.cc, EvalType."""
    axes = _axes(x, axis)
    return x if _is_none(axes) else x.all(axes, options.keep_dims)


def cumsum(x: Tensor, axis: Tensor, *, options: Options) -> Tensor:
    """The sum so far along an axis; ``exclusive``: before each place; ``reverse``: from the end. As x.

    Source: LiteRT tflite/kernels/internal/reference/cumsum.h, CumSum.
    """
    along = ints(axis)[0]
    along = along % x.ndim if isinstance(along, int) else along
    exclusive, reverse = options.get("exclusive", False), options.get("reverse", False)
    if exclusive or reverse:
        return running_sum(x, along, exclusive, reverse)
    return x.cumsum(along, dtype=x.dtype)


@along_axes
def running_sum(x: torch.Tensor, axis: int, exclusive: bool, reverse: bool) -> torch.Tensor:
    """The sum along an axis so far; ``exclusive``: before each place; ``reverse``: from the end."""
    x = x.flip(axis) if reverse else x
    if exclusive:  # one place later: a zero comes in, the last goes
        place = axis % x.ndim
        x = F.pad(x, [0, 0] * (x.ndim - 1 - place) + [1, 0]).narrow(place, 0, x.shape[axis])
    x = x.cumsum(axis, dtype=x.dtype)
    return x.flip(axis) if reverse else x


def arg_max(x: Any, axis: Tensor, *, options: Options) -> Any:
    """The place of the largest along an axis, the first of equals, as ``output_type``.

    Source: LiteRT tflite/kernels/arg_min_max.cc; internal/reference/arg_min_max.h.
    """
    return _numeric(x).argmax(ints(axis)[0]).to(_index_dtype(options))


def arg_min(x: Any, axis: Tensor, *, options: Options) -> Any:
    """The place of the smallest along an axis, the first of equals, as ``output_type``.

    Source: LiteRT tflite/kernels/arg_min_max.cc; internal/reference/arg_min_max.h.
    """
    return _numeric(x).argmin(ints(axis)[0]).to(_index_dtype(options))


def _numeric(x: Any) -> Any:
    return x.to(torch.uint8) if x.dtype == torch.bool else x


def _index_dtype(options: Options) -> torch.dtype:
    return torch.int32 if options.output_type == "INT32" else torch.int64


def top_k_v2(x: Any, k: Tensor, *, options: Options) -> list[Any]:
    """The k largest along the last axis, falling, and their places; of equals the first comes first.

    x: [..., n], k: [] -> [..., k] and [..., k], INT32 or INT16.
    Source: LiteRT tflite/kernels/topk_v2.cc, TopContainer.
    """
    count = ints(k)[0]
    found = top_k(x, max(count, 0) if isinstance(count, int) else count)
    return [found[0], found[1].to(options.outputs[1].dtype)]


@helper
def top_k(x: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest along the last axis, falling, and their places; of equals the first comes first."""
    if torch.onnx.is_in_onnx_export():  # torch.topk promises no order of equals, ONNX's TopK does
        return torch.topk(x, count)
    values, places = torch.sort(x, dim=-1, descending=True, stable=True)
    return values[..., :count], places[..., :count]


def broadcast_gradient_args(x: Any, y: Any, *, options: Options) -> list[Any]:
    """The axes along which gradients of two broadcast shapes are summed. x: [m], y: [n] -> [p], [q].

    Source: TensorFlow tensorflow/lite/kernels/gradient/bcast_grad_args.cc, Invoke.
    """
    found = broadcast_gradient_axes(x, y)
    return [found[0], found[1]]


@helper
def broadcast_gradient_axes(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For each of two shapes the axes of their common shape that broadcasting stretched; none for equal shapes.

    An axis of size 1 in both counts for both.
    """
    first, second = x.tolist(), y.tolist()
    rank = max(len(first), len(second))
    pairs = list(zip([1] * (rank - len(first)) + first, [1] * (rank - len(second)) + second, strict=True))
    axes = [[axis for axis, pair in enumerate(pairs) if pair[i] == 1 and first != second] for i in range(2)]
    return torch.tensor(axes[0], dtype=x.dtype), torch.tensor(axes[1], dtype=y.dtype)


def sum_exact(x: Any, axis: Tensor, *, options: Options) -> Any:
    """SUM on integers: added up in 32 bits, then rounded twice; of INT8 and INT16 in float32.

    The reference kernel reads INT8 and INT16 as if they were UINT8; here it is as LiteRT's other kernel has it.
    Source: LiteRT tflite/kernels/internal/reference/reduce.h and optimized/reduce.h, QuantizedMeanOrSum.
    """
    source, target = options.inputs[0], options.output
    if x.dtype not in NARROW:
        return sum_(x, axis, options=options)
    if x.dtype is not torch.uint8:
        scale = np.float32(source.scale) / np.float32(target.scale)
        bias = float(np.float32(-source.zero_point) * scale)
        axes = _axes(x, axis)
        sums = centred_sums(x, axes, options.keep_dims, 0)
        scaled = float_sums(sums, count_along(x, axes), float(scale), bias)
        return store(scaled, target.zero_point, *target.range, target.dtype)
    sums = centred_sums(x, _axes(x, axis), options.keep_dims, source.zero_point)
    scaled = scale_twice(sums, *factor(source.scale / target.scale))
    return store(scaled, target.zero_point, *target.range, target.dtype)


def mean_exact(x: Any, axis: Tensor, *, options: Options) -> Any:
    """MEAN on integers: as SUM, the number of entries taken into the multiplier.

    Source: LiteRT tflite/kernels/internal/reference/reduce.h, QuantizedMeanOrSum.
    """
    source, target = options.inputs[0], options.output
    if x.dtype not in NARROW:
        return mean(x, axis, options=options)
    axes = _axes(x, axis)
    sums = centred_sums(x, axes, options.keep_dims, source.zero_point)
    scaled = scale_mean(sums, count_along(x, axes), *factor(source.scale / target.scale))
    return store(scaled, target.zero_point, *target.range, target.dtype)


def reduce_prod_exact(x: Any, axis: Tensor, *, options: Options) -> Any:
    """REDUCE_PROD on integers: one factor after the other, each product rounded by a multiplier of 16 bits.

    Each step takes its share of the output's scale, the root of the number of entries.
    Source: LiteRT tflite/kernels/reduce.cc, GetQuantProdScaling; internal/reference/reduce.h, QuantizedReduceProd.
    """
    source, target = options.inputs[0], options.output
    axes = _axes(x, axis)
    shape = example_shape(x)
    count = prod(shape[i] for i in axes)
    factors = factor(source.scale / target.scale ** (1 / count))
    scaled = scaled_product(x, axes, options.keep_dims, count, source.zero_point, *factors)
    return store(scaled, target.zero_point, *target.range, target.dtype)


@helper
def count_along(x: torch.Tensor, axes: list[int]) -> torch.Tensor:
    """How many entries there are along axes: the product of their sizes, int64."""
    count = torch.scalar_tensor(1, dtype=torch.int64)
    for axis in axes:
        count = count * x.shape[axis]
    return count


@reducing
def centred_sums(x: torch.Tensor, axes: list[int], keepdim: bool, zero_point: int) -> torch.Tensor:
    """Sums of ``x - zero_point`` along axes, wrapping around in 32 bits, as int64."""
    total = x.sum(axes, keepdim, dtype=torch.int32) if axes else x.to(torch.int32)
    return (total - (zero_point * count_along(x, axes)).to(torch.int32)).to(torch.int64)


@elementwise
def float_sums(x: torch.Tensor, count: torch.Tensor, scale: float, bias: float) -> torch.Tensor:
    """``x * scale + bias * count`` in float32, to the nearest integer, halves away from 0; int64."""
    real = x.to(torch.float32) * scale + count.to(torch.float32) * bias
    return torch.trunc(real + torch.copysign(torch.full_like(real, 0.5), real)).to(torch.int64)


@elementwise
def scale_mean(x: torch.Tensor, count: torch.Tensor, multiplier: int, shift: int) -> torch.Tensor:
    """``scale_twice`` of ``x / count``: the multiplier is divided, cut off, with as many bits more as count has."""
    bits = (torch.frexp(count.double())[1].long() - 1).clamp(max=min(32, 31 + shift))
    return scale_twice(x, (multiplier << bits) // count, shift - bits)


@helper
def scaled_product(
    x: torch.Tensor, axes: list[int], keepdim: bool, count: int, zero_point: int, multiplier: int, shift: int
) -> torch.Tensor:
    """The product of ``x - zero_point`` along axes, of ``count`` entries in all, each step by ``scale_wide``."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    rows = x.permute(kept + axes).reshape([x.shape[axis] for axis in kept] + [count]).to(torch.int64) - zero_point
    result = rows[..., 0]
    for i in range(1, count):
        result = scale_wide(result * rows[..., i], multiplier, shift).to(torch.int32).to(torch.int64)
    result = scale_wide(result, multiplier, shift)
    for axis in axes if keepdim else []:
        result = result.unsqueeze(axis)
    return result


NARROW = (torch.int8, torch.uint8, torch.int16)
"""The types that kernels rescale; integers of 32 and 64 bits they take as they are, scale or not."""

EXACT = {
    "SUM": sum_exact,
    "MEAN": mean_exact,
    "REDUCE_PROD": reduce_prod_exact,
    "REDUCE_MAX": reduce_max,
    "REDUCE_MIN": reduce_min,
    "CUMSUM": cumsum,
}
OPERATORS = {
    "SUM": sum_,
    "MEAN": mean,
    "REDUCE_PROD": reduce_prod,
    "REDUCE_MAX": reduce_max,
    "REDUCE_MIN": reduce_min,
    "REDUCE_ANY": reduce_any,
    "REDUCE_ALL": reduce_all,
    "CUMSUM": cumsum,
    "ARG_MAX": arg_max,
    "ARG_MIN": arg_min,
    "TOPK_V2": top_k_v2,
}
CUSTOM = {"BroadcastGradientArgs": broadcast_gradient_args}
MOVES = ("ARG_MAX", "ARG_MIN", "TOPK_V2")
