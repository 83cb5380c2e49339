"""How an operator's one meaning becomes one on integers: what the families' ``EXACT`` tables are made with.

A function for quantized="exact" is called as the others are, with quantized tensors as their stored integers, and
returns the integers of the output: rounded, saturated, fused activation included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.errors import InvalidValueError
from unlite.pytorch.constants import from_array
from unlite.pytorch.quantized import dequantize, factor, integer_sums, look_up, quantize, scale_twice, store
from unlite.pytorch.trace import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.model.tensor import Tensor
    from unlite.pytorch.options import Ends, Options

FLOAT32_EXACT, FLOAT64_EXACT = 1 << 24, 1 << 53


def is_integer(x: Any) -> bool:
    """Whether a tensor's values are integers: in a hybrid operator, activations are not."""
    return not x.dtype.is_floating_point


def activation_range(options: Options, end: Ends | None = None) -> tuple[int, int]:
    """The lowest and highest integer that an output may have: of its type, and of the fused activation.

    Source: LiteRT tflite/kernels/kernel_util.cc, CalculateActivationRangeQuantized.
    """
    end = end or options.output
    low, high = end.range
    scale, zero_point = end.scale, end.zero_point

    def steps(real: float) -> int:
        return zero_point + round_away(np.float32(real) / np.float32(scale))

    activation = options.get("fused_activation_function", "NONE")
    if activation in ("RELU", "RELU6"):
        low = max(low, steps(0.0))
    if activation == "RELU6":
        high = min(high, steps(6.0))
    if activation == "RELU_N1_TO_1":
        low, high = max(low, steps(-1.0)), min(high, steps(1.0))
    return low, high


def round_away(value: Any) -> int:
    """The nearest integer, halves away from 0."""
    return int(np.trunc(value + np.copysign(type(value)(0.5), value)))


def centred(x: Any, zero_point: int, dtype: torch.dtype) -> Any:
    """``x - zero_point`` in another type. What is made of a constant follows it into another order of its axes."""

    def made(value: Any) -> Any:
        value = value.to(dtype)
        return value - zero_point if zero_point else value

    result = made(x)
    if isinstance(x, Value) and x.constant is not None:
        result.node.meta["made"] = (x, made)
    return result


def values_of(x: Any) -> Any:
    """The values of a constant as an array; None for what is computed."""
    if isinstance(x, Value):
        return None if x.constant is None else x.constant.numpy()
    return x.numpy()


def constant(options: Options, name: str, values: Any) -> Any:
    """A table or a row of numbers that an operator needs, as a constant of the module."""
    if options.lowering is None:
        return torch.from_numpy(np.asarray(values))
    output: Tensor | None = options.output.tensor
    return options.lowering.attribute(from_array(f"{output.name if output is not None else ''}_{name}", values))


def factors(options: Options, name: str, reals: Any) -> tuple[Any, Any]:
    """Real factors as (multiplier, shift): numbers where there is one, constants [C] where each channel has its own."""
    pairs = [factor(float(real)) for real in np.asarray(reals, dtype=np.float64).reshape(-1)]
    if len(pairs) == 1:
        return pairs[0]
    multipliers, shifts = zip(*pairs, strict=True)
    return (
        constant(options, f"{name}multiplier", np.array(multipliers, dtype=np.int64)),
        constant(options, f"{name}shift", np.array(shifts, dtype=np.int64)),
    )


def sum_type(weight: Any, zero_point: int, x: Ends, axis: int) -> torch.dtype:
    """A real type in which the sums of products of x and a weight are exact integers.

    weight: integers with one output channel for each entry of ``axis``. float32 holds all integers up to 2^24.
    """
    stored = values_of(weight)
    if stored is None:
        return torch.float64
    low, high = x.range
    reach = max(high - x.zero_point, x.zero_point - low)
    rows = np.abs(np.moveaxis(stored.astype(np.int64) - zero_point, axis, 0)).reshape(stored.shape[axis], -1)
    return torch.float32 if int(rows.sum(1).max(initial=0)) * reach < FLOAT32_EXACT else torch.float64


def accumulated(
    function: Callable[..., Any],
    *,
    axis: int,
    places: tuple[int, int, int] = (0, 1, 2),
    scale: Callable[..., Any] = scale_twice,
) -> Callable[..., Any]:
    """An operator that adds up products of x and a weight: its float function on integers, then requantized.

    Args:
        function: The operator; called with the zero points taken off, and without bias, its result is a sum of
            integers, exact in the type that ``sum_type`` chooses.
        axis: The weight's axis of output channels, which its scales and zero points run along.
        places: Where x, weight and bias stand among the inputs.
        scale: How the kernel rounds.
    """
    at_x, at_weight, at_bias = places

    def exact(*inputs: Any, options: Options) -> Any:
        given = list(inputs) + [None] * (at_bias + 1 - len(inputs))
        x, weight, bias = (given[place] for place in places)
        source, kernel = options.inputs[at_x], options.inputs[at_weight]
        if not is_integer(x):
            raise InvalidValueError(f"{options.path}: real numbers with integer weights have no exact meaning yet.")
        dtype = sum_type(weight, kernel.zero_point, source, axis)
        given[at_x], given[at_weight] = (
            centred(x, source.zero_point, dtype),
            centred(weight, kernel.zero_point, dtype),
        )
        given[at_bias] = None
        if bias is not None and bias.ndim != 1:
            bias = bias.reshape(-1)
        sums = integer_sums(function(*given, options=options), bias)
        products = source.scale * np.array(kernel.scales, dtype=np.float64)
        target = options.output
        scaled = scale(sums, *factors(options, "", products / target.scale))
        return store(scaled, target.zero_point, *activation_range(options), target.dtype)

    return exact


def tabulated(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator on one tensor of 8 bits: its float function for all 256 values of x, looked up.

    Source: LiteRT tflite/kernels/internal/common.h, LUTPopulate.
    """

    def exact(x: Any, *, options: Options) -> Any:
        source, target = options.inputs[0], options.output
        low, high = source.range
        if high - low > 255:
            raise InvalidValueError(f"{options.path}: a table for {high - low + 1} values.")
        reals = dequantize(torch.arange(low, high + 1), source.scale, source.zero_point)
        table = quantize(function(reals, options=options), target.scale, target.zero_point, *target.range, target.dtype)
        return look_up(x, constant(options, "table", table.numpy()), low)

    return exact


def through_real(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator whose kernel works on real numbers: integers are made real, the results rounded."""

    def exact(*inputs: Any, options: Options) -> Any:
        reals = [
            dequantize(x, end.scale, end.zero_point) if end.is_quantized and is_integer(x) else x
            for x, end in zip(inputs, options.inputs, strict=True)
        ]
        results = function(*reals, options=options)
        several = isinstance(results, (tuple, list))
        rounded = [
            quantize(y, end.scale, end.zero_point, *end.range, end.dtype) if end.is_quantized else y
            for y, end in zip(results if several else [results], options.outputs, strict=False)
        ]
        return rounded if several else rounded[0]

    return exact


__all__ = [
    "accumulated",
    "activation_range",
    "centred",
    "constant",
    "factors",
    "is_integer",
    "round_away",
    "sum_type",
    "tabulated",
    "through_real",
    "values_of",
]
