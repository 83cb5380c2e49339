"""How an operator's one meaning becomes one on integers: what the families' ``EXACT`` tables are made with.

A function for quantized="exact" is called as the others are, with quantized tensors as their stored integers, and
returns the integers of the output: rounded, saturated, fused activation included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.activations import ACTIVATIONS
from unlite.pytorch.arithmetic import quantized
from unlite.pytorch.arithmetic.quantized import (
    dequantize,
    quantize,
    requantize,
    scale_double,
    scale_twice,
    scale_wide,
    store,
    wrapped,
)
from unlite.pytorch.constants import from_array
from unlite.pytorch.trace import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.model.objects.tensor import Tensor
    from unlite.pytorch.options import Ends, Options

FLOAT32_EXACT, FLOAT64_EXACT = 1 << 24, 1 << 53  # all integers up to these are exact in float32, in float64
NARROW = 1 << 29  # sums up to here can be rounded in 32 bits


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
        return torch.from_numpy(np.array(values))
    output: Tensor | None = options.output.tensor
    return options.lowering.attribute(from_array(f"{output.name if output is not None else ''}_{name}", values))


def factors(options: Options, name: str, reals: Any) -> tuple[Any, Any]:
    """Real factors as (multiplier, shift): numbers where there is one, constants [C] where each channel has its own."""
    pairs = [quantized.factor(float(real)) for real in np.asarray(reals, dtype=np.float64).reshape(-1)]
    if len(pairs) == 1:
        return pairs[0]
    multipliers, shifts = zip(*pairs, strict=True)
    return (
        constant(options, f"{name}multiplier", np.array(multipliers, dtype=np.int64)),
        constant(options, f"{name}shift", np.array(shifts, dtype=np.int64)),
    )


def largest_sum(weight: Any, zero_point: int, reach: int, axis: int, bias: Any = None) -> int:
    """How large a sum of products of x and a weight can become, as far as constants tell; else what 64 bits hold.

    reach: how large x becomes once its zero point is taken off. weight: integers, with one output channel for each
    entry of ``axis``; bias: one integer for each.
    """
    stored, added = values_of(weight), None if bias is None else values_of(bias)
    if stored is None or (bias is not None and added is None):
        return FLOAT64_EXACT
    rows = np.abs(np.moveaxis(stored.astype(np.int64) - zero_point, axis, 0)).reshape(stored.shape[axis], -1).sum(1)
    return int((rows * reach + (0 if added is None else np.abs(added.reshape(-1).astype(np.int64)))).max(initial=0))


def is_narrow(largest: int, reals: Any) -> bool:
    """Whether ``requantize`` takes sums up to ``largest`` by these factors."""
    shifts = [quantized.factor(float(real))[1] for real in np.asarray(reals).reshape(-1)]
    return largest < NARROW and max(shifts) <= 0


def sum_type(largest: int) -> torch.dtype:
    """A real type in which all integers up to the largest sum are exact."""
    return torch.float32 if largest < FLOAT32_EXACT else torch.float64


def without(inputs: tuple[Any, ...], at_bias: int) -> tuple[list[Any], Any]:
    """The inputs with the bias left out, and the bias as [C]; None where there is none."""
    given = list(inputs)
    if len(given) <= at_bias or given[at_bias] is None:
        return given, None
    bias, given[at_bias] = given[at_bias], None
    return given, bias if bias.ndim == 1 else bias.reshape(-1)


def accumulated(
    function: Callable[..., Any],
    *,
    axis: int,
    places: tuple[int, int, int] = (0, 1, 2),
    double: bool = False,
    float_product: bool = False,
    hybrid: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """An operator that adds up products of x and a weight: its float function on integers, then requantized.

    Args:
        function: The operator; called with the zero points taken off, and without bias, its result is a sum of
            integers, exact in the type that ``sum_type`` chooses.
        axis: The weight's axis of output channels, which its scales and zero points run along.
        places: Where x, weight and bias stand among the inputs.
        double: Whether the kernel scales in double precision. Others round sums of 32 bits twice, and sums of 64 bits,
            which 16-bit activations have unless ``quantized_bias_type`` is INT32, by a shorter multiplier.
        float_product: Whether the kernel multiplies the scales of x and the weight as float32; all do for UINT8.
        hybrid: What is called instead where x is real: a function with the same arguments.
    """
    at_x, at_weight, at_bias = places

    def exact(*inputs: Any, options: Options) -> Any:
        given, bias = without(inputs, at_bias)
        x, weight = given[at_x], given[at_weight]
        source, kernel = options.inputs[at_x], options.inputs[at_weight]
        if not is_integer(x):
            if hybrid is None:
                raise UnsupportedOperatorError("it has no kernel for real numbers with integer weights.", operators=())
            return hybrid(*inputs, options=options)
        low, high = source.range
        reach = max(high - source.zero_point, source.zero_point - low)
        largest = largest_sum(weight, kernel.zero_point, reach, axis, bias)
        dtype = sum_type(largest)
        given[at_x] = centred(x, source.zero_point, dtype)
        given[at_weight] = centred(weight, kernel.zero_point, dtype)
        if bias is not None:
            given[at_bias] = centred(bias, 0, dtype)
        sums = function(*given, options=options)
        target = options.output
        reals = source.scale * np.array(kernel.scales, dtype=np.float64) / target.scale
        ends = (target.zero_point, *activation_range(options), target.dtype)
        is_wide = kernel.dtype is torch.int16  # as x is
        is_short = source.dtype is not torch.int16 or has_short_sums(options, bias, is_wide=is_wide)
        if double and not is_wide:
            factor = float(reals[0]) if len(reals) == 1 else constant(options, "scale", reals)
            return store(scale_double(sums, factor), *ends)
        if float_product or source.dtype is torch.uint8 or (is_wide and len(reals) == 1):
            reals = np.float64(np.float32(source.scale * np.array(kernel.scales, dtype=np.float64))) / target.scale
        if not is_short:
            return store(scale_wide(sums.to(torch.int64), *factors(options, "", reals)), *ends)
        if is_narrow(largest, reals):
            multiplier, shift = factors(options, "", reals)
            return requantize(sums, multiplier, shift, *ends)
        return store(scale_twice(wrapped(sums), *factors(options, "", reals)), *ends)

    return exact


def has_short_sums(options: Options, bias: Any, *, is_wide: bool = False) -> bool:
    """Whether sums of 16-bit activations have 32 bits, as the operator's options may say, instead of 64.

    is_wide: the weights have 16 bits, too; then sums have 64 bits, and only the bias is of the type that is said.
    """
    kind = options.get("quantized_bias_type", "FLOAT32")
    is_int32 = kind != "INT64" if is_wide else kind == "INT32"
    if bias is not None and (bias.dtype is torch.int32) != is_int32:
        raise UnsupportedOperatorError(
            "the type of its bias is not the one that quantized_bias_type stands for: kernels read past its end.",
            operators=(options.path,),
        )
    return is_int32 and not is_wide


def on_stored(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator whose kernel takes the stored integers as they are: its function, within the activation's range."""

    def exact(*inputs: Any, options: Options) -> Any:
        result = function(*inputs, options=options)
        if not options.output.is_quantized or options.output.dtype in (torch.int32, torch.int64):
            activate = ACTIVATIONS[options.get("fused_activation_function", "NONE")]
            return activate(result) if activate else result
        low, high = activation_range(options)
        return result if (low, high) == options.output.range else result.clamp(low, high)

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
    "is_narrow",
    "on_stored",
    "round_away",
    "sum_type",
    "through_real",
    "values_of",
]
