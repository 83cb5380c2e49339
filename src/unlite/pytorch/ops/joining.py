"""Joining tensors into one, and taking one apart."""

# ruff: noqa: ARG001 - every operator's function takes the options

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.errors import InvalidValueError
from unlite.pytorch.arithmetic.exact import constant
from unlite.pytorch.arithmetic.quantized import look_up
from unlite.pytorch.bounded import MOST_PARTS
from unlite.pytorch.trace import Value, helper, ints

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def concatenation(*parts: Tensor, options: Options) -> Tensor:
    """The inputs one after the other along ``axis``, fused activation not included. Source: LiteRT concatenation.cc."""
    return torch.cat(parts, options.axis)


def pack(*parts: Tensor, options: Options) -> Tensor:
    """The inputs side by side along a new axis. n of [D0, ...], axis 0 -> [n, D0, ...]. Source: LiteRT pack.cc."""
    return torch.stack(parts, options.axis)


def _count(number: int) -> int:
    """How many outputs an operator says that it has. Raises InvalidValueError where that is out of all reason."""
    if not 0 <= number <= MOST_PARTS:
        raise InvalidValueError(f"the operator says that it has {number} outputs.")
    return number


def unpack(x: Tensor, *, options: Options) -> list[Tensor]:
    """The slices of x along ``axis``, without that axis. [n, D0, ...], axis 0 -> n of [D0, ...].

    Source: LiteRT tflite/kernels/unpack.cc.
    """
    parts = x.unbind(options.axis)
    return [parts[i] for i in range(_count(options.num))]


def split(axis: Tensor, x: Tensor, *, options: Options) -> list[Tensor]:
    """``num_splits`` equal parts of x along an axis. Source: LiteRT tflite/kernels/split.cc."""
    if options.num_splits == 1:
        return [x]
    parts = x.chunk(_count(options.num_splits), ints(axis)[0])
    return [parts[i] for i in range(options.num_splits)]


def split_v(x: Any, sizes: Tensor, axis: Tensor, *, options: Options) -> list[Tensor]:
    """Parts of x along an axis, of the given sizes; one may be -1: what is left. sizes: [num_splits].

    Source: LiteRT tflite/kernels/split_v.cc, ResizeOutputTensors.
    """
    along, spans = ints(axis)[0], ints(sizes)
    if any(isinstance(span, Value) and span.guessed for span in spans):
        spans = ints(with_rest(sizes, x.shape[along]))
    missing = next((i for i, span in enumerate(spans) if isinstance(span, int) and span < 0), None)
    if missing is not None:
        spans[missing] = x.shape[along] - sum([*spans[:missing], *spans[missing + 1 :]])
    parts = x.split(spans, along)
    return [parts[i] for i in range(len(spans))]


@helper
def with_rest(sizes: torch.Tensor, total: int) -> torch.Tensor:
    """Sizes that make up the total: one of -1 is what the others leave."""
    return torch.where(sizes < 0, total - sizes.clamp(min=0).sum(dtype=sizes.dtype), sizes)


def concatenation_exact(*parts: Any, options: Options) -> Any:
    """CONCATENATION on integers: UINT8 is brought onto the output's grid, in float32; others stay as they are.

    Source: LiteRT tflite/kernels/concatenation.cc; internal/reference/concatenation.h, ConcatenationWithScaling.
    """
    target = options.output
    joined = []
    for i, (part, end) in enumerate(zip(parts, options.inputs, strict=True)):
        if part.dtype is torch.uint8 and (end.scale, end.zero_point) != (target.scale, target.zero_point):
            scale = np.float32(end.scale) * (np.float32(1) / np.float32(target.scale))
            reals = np.arange(256, dtype=np.float32) * scale + np.float32(-end.zero_point) * scale
            nearest = np.trunc(reals + np.copysign(np.float32(0.5), reals)) + target.zero_point
            table = constant(options, f"table_{i}", nearest.clip(0, 255).astype(np.uint8))
            joined.append(look_up(part, table, 0))
        else:
            joined.append(part)
    return concatenation(*joined, options=options)


EXACT = {"CONCATENATION": concatenation_exact}
OPERATORS = {
    "CONCATENATION": concatenation,
    "PACK": pack,
    "UNPACK": unpack,
    "SPLIT": split,
    "SPLIT_V": split_v,
}
MOVES = ("PACK", "UNPACK", "SPLIT", "SPLIT_V")
