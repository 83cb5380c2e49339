"""Shapes: the same numbers in another shape or order, repeated, or made from a shape."""

# ruff: noqa: ARG001 - every operator's function takes the options

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.trace import Value, example_shape, helper, ints

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def reshape(x: Tensor, shape: Tensor | None = None, *, options: Options) -> Tensor:
    """``x`` in another shape: that of the second input where it is a vector, else the option ``new_shape``.

    One size may be -1: what is left. A ``new_shape`` of [0] means a scalar, as old files have it.
    Source: LiteRT tflite/kernels/reshape.cc, GetOutputShape and ResizeOutput.
    """
    if shape is not None and shape.ndim == 1:
        sizes = ints(shape)
    else:
        sizes = list(options.get("new_shape", None) or [])
        sizes = [] if sizes == [0] else sizes
    known = [size for size in sizes if isinstance(size, int)]
    if 0 in known and -1 in known:  # PyTorch calls this ambiguous; TFLite leaves the zeros out of the count
        left = prod(size for size in example_shape(x) if size) // prod(size for size in known if size > 0)
        sizes = [left if isinstance(size, int) and size == -1 else size for size in sizes]
    return x.reshape(sizes)


def squeeze(x: Tensor, *, options: Options) -> Tensor:
    """``x`` without the axes of size 1 that ``squeeze_dims`` names; without all of them where it names none.

    Source: LiteRT tflite/kernels/squeeze.cc, Prepare.
    """
    axes = sorted({axis % x.ndim for axis in options.get("squeeze_dims", None) or []})
    axes = axes or [axis for axis, size in enumerate(example_shape(x)) if size == 1]
    return x.squeeze(tuple(axes)) if axes else x


def expand_dims(x: Tensor, axis: Tensor, *, options: Options) -> Tensor:
    """``x`` with one more axis, of size 1; a negative axis counts from the new end. Source: LiteRT expand_dims.cc."""
    return x.unsqueeze(ints(axis)[0])


def transpose(x: Tensor, axes: Tensor, *, options: Options) -> Tensor:
    """``x`` with its axes in another order: axis i of the result is axes[i] of x. Source: LiteRT transpose.cc."""
    return x.permute(ints(axes))


def shape(x: Tensor, *, options: Options) -> Tensor:
    """The sizes of x, [rank], as ``out_type``. Source: LiteRT tflite/kernels/shape.cc.

    While a subgraph is lowered the driver follows them as numbers instead: see sizes.py.
    """
    return torch.tensor(x.shape, dtype=options.output.dtype)


def rank(x: Tensor, *, options: Options) -> Tensor:
    """The number of axes of x, [], INT32. Source: LiteRT tflite/kernels/rank.cc."""
    return torch.tensor(x.ndim, dtype=torch.int32)


def broadcast_to(x: Tensor, shape: Tensor, *, options: Options) -> Tensor:
    """``x`` repeated along its axes of size 1, and along new axes in front. Source: LiteRT broadcast_to.cc."""
    return x.expand(ints(shape))


def broadcast_args(x: Tensor, y: Tensor, *, options: Options) -> Tensor:
    """The shape that two shapes broadcast to. x: [m], y: [n] -> [max(m, n)].

    Source: LiteRT tflite/kernels/internal/reference/broadcast_args.h, BroadcastArgs.
    """
    return broadcast_shapes(x, y)


@helper
def broadcast_shapes(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The shape that two shapes, given as tensors, broadcast to: sizes of 1 give way to the other's."""
    rank = torch.sym_max(x.shape[0], y.shape[0])  # type: ignore[no-untyped-call]
    x = F.pad(x, [rank - x.shape[0], 0], value=1)
    y = F.pad(y, [rank - y.shape[0], 0], value=1)
    return torch.where(x == 1, y, x)


def tile(x: Tensor, counts: Tensor, *, options: Options) -> Tensor:
    """``x`` repeated: axis i ``counts[i]`` times. x: [D0, ...] -> [counts[0] * D0, ...]. Source: LiteRT tile.cc."""
    return x.repeat(ints(counts))


def fill(dims: Tensor, value: Tensor, *, options: Options) -> Tensor:
    """One value everywhere. dims: [rank], value: [] -> [*dims]. Source: LiteRT tflite/kernels/fill.cc."""
    return value.expand(ints(dims))


def range_(start: Any, limit: Any, delta: Any, *, options: Options) -> Tensor:
    """start, start + delta, ... before limit. All []: -> [ceil((limit - start) / delta)].

    Source: LiteRT tflite/kernels/range.cc, GetSize and CalculateRange.
    """
    if not start.dtype.is_floating_point:
        numbers = [ints(number)[0] for number in (start, limit, delta)]
        if any(isinstance(number, Value) for number in numbers):
            return torch.arange(*numbers, dtype=start.dtype)
    return count_up(start, limit, delta)


@helper
def count_up(start: torch.Tensor, limit: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """start, start + delta, ... before limit; how many follows from values, in their own precision.

    Source: LiteRT tflite/kernels/range.cc, GetSize and CalculateRange.
    """
    if not start.dtype.is_floating_point:
        return torch.arange(int(start), int(limit), int(delta), dtype=start.dtype)
    count = int(torch.ceil(torch.abs((limit - start) / delta)))
    return start + torch.arange(count, dtype=start.dtype) * delta


OPERATORS = {
    "RESHAPE": reshape,
    "SQUEEZE": squeeze,
    "EXPAND_DIMS": expand_dims,
    "TRANSPOSE": transpose,
    "SHAPE": shape,
    "RANK": rank,
    "BROADCAST_TO": broadcast_to,
    "BROADCAST_ARGS": broadcast_args,
    "TILE": tile,
    "FILL": fill,
    "RANGE": range_,
}
MOVES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SHAPE", "RANK", "BROADCAST_TO", "TILE", "FILL")
