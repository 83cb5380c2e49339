"""Hybrid operators: real activations with integer weights. The kernel quantizes the activations itself, row by row.

What is computed is the operator's one function, on integers; sums are then scaled to real numbers. Results agree with
LiteRT's within the rounding of float32, since the integers are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.pytorch.activations import ACTIVATIONS
from unlite.pytorch.exact import centred, constant, largest_sum, sum_type, without
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.pytorch.options import Options


@helper
def quantize_symmetric(x: torch.Tensor, axes: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """(integers from -127 to 127 as float32, step): the largest number along the axes becomes 127.

    The step keeps the axes with size 1. Source: LiteRT portable_tensor_utils.cc, PortableSymmetricQuantizeFloats.
    """
    reach = x.abs().amax(axes, keepdim=True)
    reach = torch.where(reach == 0, 127.0, reach)
    steps = x * (127.0 / reach)
    return torch.trunc(steps + torch.copysign(torch.full_like(steps, 0.5), steps)).clamp(-127, 127), reach / 127.0


@helper
def quantize_asymmetric(x: torch.Tensor, axes: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """(integers as float32, zero point taken off, step): 0 and the numbers along the axes become -128 to 127.

    The step keeps the axes with size 1. Source: LiteRT portable_tensor_utils.cc, PortableAsymmetricQuantizeFloats.
    """
    low = x.amin(axes, keepdim=True).clamp(max=0).double()
    high = x.amax(axes, keepdim=True).clamp(min=0).double()
    step = torch.where(low == high, 1.0, (high - low) / 255)
    from_low, from_high = -128 - low / step, 127 - high / step
    point = torch.where(128 - low / step < 127 + high / step, from_low, from_high)
    point = torch.where(low == high, 0.0, torch.floor(point + 0.5).clamp(-128, 127)).float()
    step = step.float()
    places = point + x * (1 / step)
    nearest = torch.trunc(places + torch.copysign(torch.full_like(places, 0.5), places))
    return nearest.clamp(-128, 127) - point, step


REACH = 255  # of activations once their zero point is taken off


def hybrid(
    function: Callable[..., Any],
    *,
    axis: int,
    places: tuple[int, int, int] = (0, 1, 2),
    together: Callable[[Any, Options], tuple[int, ...]],
    symmetric: Callable[[Options], bool],
) -> Callable[..., Any]:
    """A sum of products of real x and an integer weight, as a function. See ``exact.accumulated`` for the arguments.

    together: the axes of x that are quantized with one step. symmetric: whether 0 stays in the middle.
    """
    at_x, at_weight, at_bias = places

    def on_reals(*inputs: Any, options: Options) -> Any:
        given, bias = without(inputs, at_bias)
        kernel = options.inputs[at_weight]
        quantize = quantize_symmetric if symmetric(options) else quantize_asymmetric
        integers, step = _pair(quantize(given[at_x], together(given[at_x], options)))
        dtype = sum_type(largest_sum(given[at_weight], kernel.zero_point, REACH, axis))
        given[at_x] = integers if dtype is torch.float32 else integers.to(dtype)
        given[at_weight] = centred(given[at_weight], kernel.zero_point, dtype)
        sums = function(*given, options=options)
        scales = kernel.scales
        scale = scales[0] if len(scales) == 1 else constant(options, "scale", np.array(scales, dtype=np.float32))
        result = (sums if dtype is torch.float32 else sums.float()) * (step * scale)
        if bias is not None:
            result = result + bias
        activate = ACTIVATIONS[options.get("fused_activation_function", "NONE")]
        return activate(result) if activate else result

    return on_reals


def _pair(value: Any) -> tuple[Any, Any]:
    return value[0], value[1]


def per_picture(x: Any, _options: Options) -> tuple[int, ...]:
    """All axes but that of the batch."""
    return tuple(range(1, x.ndim))


def per_row(_x: Any, options: Options) -> tuple[int, ...]:
    """The axis along which products are added up: the last one, unless the matrix x is to be transposed."""
    return (-2 if options.get("adj_x", False) else -1,)


def has_one_scale(options: Options) -> bool:
    """Whether a convolution's weight has one scale: then LiteRT quantizes its input symmetrically."""
    return len(set(options.inputs[1].scales)) == 1


def is_symmetric(options: Options) -> bool:
    """Whether the operator does not ask for asymmetric quantization of its inputs."""
    return not options.get("asymmetric_quantize_inputs", False)
