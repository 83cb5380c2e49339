"""Hybrid operators: real activations with integer weights. The kernel quantizes the activations itself, row by row.

What is computed is the operator's one function, on integers; sums are then scaled to real numbers. Results agree with
LiteRT's within the rounding of float32, since the integers are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.activations import ACTIVATIONS
from unlite.pytorch.arithmetic.exact import centred, constant, is_integer, largest_sum, sum_type, without
from unlite.pytorch.trace import along_axes, helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.pytorch.options import Options


@along_axes
def quantize_symmetric(x: torch.Tensor, axes: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """(integers from -127 to 127 as float32, step): the largest number along the axes becomes 127.

    The step keeps the axes with size 1. Source: LiteRT portable_tensor_utils.cc, PortableSymmetricQuantizeFloats.
    """
    reach = x.abs().amax(axes, keepdim=True)
    reach = torch.where(reach == 0, 127.0, reach)
    steps = x * (127.0 / reach)
    return torch.trunc(steps + torch.copysign(torch.full_like(steps, 0.5), steps)).clamp(-127, 127), reach / 127.0


@along_axes
def quantize_asymmetric(x: torch.Tensor, axes: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """(integers as float32, zero point taken off, step): 0 and the numbers along the axes become -128 to 127.

    The step keeps the axes with size 1. Source: LiteRT neon_tensor_utils.cc, NeonAsymmetricQuantizeFloats,
    which rounds before the zero point is added; x86 runs it too.
    """
    low = x.amin(axes, keepdim=True).clamp(max=0)
    high = x.amax(axes, keepdim=True).clamp(min=0)
    step = torch.where(low == high, 1.0, (high - low).double() / 255)
    from_low, from_high = -128 - low / step, 127 - high / step
    point = torch.where(128 - low / step < 127 + high / step, from_low, from_high)
    point = torch.trunc(point + torch.copysign(torch.full_like(point, 0.5), point)).clamp(-128, 127)
    point = torch.where(low == high, 0.0, point).float()
    step = step.float()
    steps = x * (1 / step)
    nearest = torch.trunc(steps + torch.copysign(torch.full_like(steps, 0.5), steps))
    return (nearest + point).clamp(-128, 127) - point, step


REACH = 255  # of activations once their zero point is taken off


def hybrid(
    function: Callable[..., Any],
    *,
    axis: int,
    places: tuple[int, int, int] = (0, 1, 2),
    together: Callable[[Any, Options], tuple[int, ...]],
    symmetric: Callable[[Options], bool],
    in_turn: bool = False,
) -> Callable[..., Any]:
    """A sum of products of real x and an integer weight, as a function. See ``exact.accumulated`` for the arguments.

    together: the axes of x that are quantized with one step. symmetric: whether 0 stays in the middle. in_turn: sums
    are scaled by the weight's scales first, then by x's step, as the kernel does where 0 is not in the middle; else by
    the product. Kernels pass over the weight's zero point.
    """
    at_x, at_weight, at_bias = places

    def on_reals(*inputs: Any, options: Options) -> Any:
        given, bias = without(inputs, at_bias)
        kernel = options.inputs[at_weight]
        quantize = quantize_symmetric if symmetric(options) else quantize_asymmetric
        integers, step = _pair(quantize(given[at_x], together(given[at_x], options)))
        if options.get("adj_x", False):
            step = step.transpose(-1, -2)
        dtype = sum_type(largest_sum(given[at_weight], 0, REACH, axis))
        given[at_x] = integers if dtype is torch.float32 else integers.to(dtype)
        given[at_weight] = centred(signed(given[at_weight]), 0, dtype)
        sums = function(*given, options=options)
        scales = kernel.scales
        scale = scales[0] if len(scales) == 1 else constant(options, "scale", np.array(scales, dtype=np.float32))
        result = sums if dtype is torch.float32 else sums.float()
        result = result * scale * step if in_turn and not symmetric(options) else result * (step * scale)
        if bias is not None:
            result = result + bias
        activate = ACTIVATIONS[options.get("fused_activation_function", "NONE")]
        return activate(result) if activate else result

    return on_reals


@helper
def hybrid_linear(x: torch.Tensor, weight: torch.Tensor, scale: float | torch.Tensor, symmetric: bool) -> torch.Tensor:
    """``x @ weight.T`` of integers: each row of x is quantized. x: [..., I] -> [..., O], float32.

    weight: integers [O, I] in a real type that holds their sums; scale: of all of them, or of each row [O].
    Source: LiteRT portable_tensor_utils.cc, PortableMatrixBatchVectorMultiplyAccumulate.
    """
    integers, step = quantize_symmetric(x, (-1,)) if symmetric else quantize_asymmetric(x, (-1,))
    return F.linear(integers.to(weight.dtype), weight).float() * (step * scale)


def linear(x: Any, weight: Any, place: int, options: Options, bias: Any = None) -> Any:
    """``x @ weight.T + bias``, where the weight is input ``place`` of the operator, of real numbers or integers."""
    if not is_integer(weight):
        return F.linear(x, weight, bias)
    made = hybrid_linear(x, in_real_type([weight])[0], options.inputs[place].scale, is_symmetric(options))
    return made if bias is None else made + bias


def in_real_type(weights: list[Any]) -> list[Any]:
    """Integer weights [O, I] in one real type, in which their sums are exact. Real ones and None stay."""
    stored = [weight is not None and is_integer(weight) for weight in weights]
    largest = [largest_sum(weight, 0, REACH, 0) for weight, here in zip(weights, stored, strict=True) if here]
    dtype = sum_type(max(largest, default=0))
    return [centred(signed(w), 0, dtype) if here else w for w, here in zip(weights, stored, strict=True)]


def signed(weight: Any) -> Any:
    """A weight as hybrid kernels read it: UINT8 as INT8."""
    return weight.view(torch.int8) if weight.dtype is torch.uint8 else weight


def real_weight(weight: Any, place: int, options: Options) -> Any:
    """The real numbers of a weight, input ``place`` of a recurrent operator; there is no zero point."""
    return signed(weight).to(torch.float32) * options.inputs[place].scale if is_integer(weight) else weight


def with_real_inputs(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator that takes integers as its weights only: its function, which knows what to do with them."""

    def exact(x: Any, *rest: Any, options: Options) -> Any:
        if is_integer(x):
            raise UnsupportedOperatorError("it has no kernel for integers but as weights.", operators=(options.path,))
        return function(x, *rest, options=options)

    return exact


def _pair(value: Any) -> tuple[Any, Any]:
    return value[0], value[1]


def per_picture(x: Any, _options: Options) -> tuple[int, ...]:
    """All axes but that of the batch."""
    return tuple(range(1, x.ndim))


def per_row(_x: Any, options: Options) -> tuple[int, ...]:
    """The axis along which products are added up: the last one, unless the matrix x is to be transposed."""
    return (-2 if options.get("adj_x", False) else -1,)


def has_one_scale(options: Options) -> bool:
    """Whether CONV_2D's weight has one scale: then LiteRT quantizes its input symmetrically."""
    return len(set(options.inputs[1].scales)) == 1


def is_symmetric(options: Options) -> bool:
    """Whether the operator does not ask for asymmetric quantization of its inputs."""
    return not options.get("asymmetric_quantize_inputs", False)
