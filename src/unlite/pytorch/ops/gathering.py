"""Elements chosen by index, and the places or kinds of elements as indices."""

# ruff: noqa: ARG001 - every operator's function takes the options

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.pytorch.trace import Value, helper, ints

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options

WIDE_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
"""Types for which PyTorch lacks index_select and nonzero."""


def gather(x: Tensor, indices: Tensor, *, options: Options) -> Tensor:
    """Slices of x along ``axis``. x: [*before, n, *behind], indices: [*I] -> [*before, *I, *behind].

    With ``batch_dims`` b, the first b axes of both belong together: they come once, and each batch has its own indices.
    LiteRT refuses indices outside 0..n - 1; PyTorch refuses those outside -n..n - 1.
    Source: LiteRT tflite/kernels/gather.cc, Prepare.
    """
    batch_dims = options.get("batch_dims", 0)
    batch_dims = batch_dims % indices.ndim if batch_dims < 0 else batch_dims
    axis = options.axis % x.ndim
    if batch_dims:
        return gather_batched(x, indices, axis, batch_dims)
    if indices.ndim == 0 and _is_constant(indices):
        return x.select(axis, ints(indices)[0])
    if indices.ndim == 1 and indices.dtype in (torch.int32, torch.int64) and x.dtype not in WIDE_UNSIGNED:
        return x.index_select(axis, indices)
    every: tuple[Any, ...] = (slice(None),) * axis
    if indices.ndim == 0:  # a tensor without axes would be read as a number
        index = (*every, indices.reshape(1).long())
        return x[index].squeeze(axis)
    index = (*every, indices.long())
    return x[index]


def _is_constant(x: Any) -> bool:
    return not isinstance(x, Value) or x.constant is not None


@helper
def gather_batched(x: torch.Tensor, indices: torch.Tensor, axis: int, batch_dims: int) -> torch.Tensor:
    """Slices of x along an axis, each batch with indices of its own.

    x: [*B, *before, n, *behind], indices: [*B, *I] -> [*B, *before, *I, *behind].
    """
    batch = indices.shape[:batch_dims]
    own = indices.ndim - batch_dims
    index = []
    for i, size in enumerate(batch):
        shape = [1] * indices.ndim
        shape[i] = size
        index.append(torch.arange(size).reshape(shape))
    index.append(indices.long())
    taken = x.movedim(axis, batch_dims)[tuple(index)]  # [*B, *I, *before, *behind]
    chosen = list(range(batch_dims, batch_dims + own))
    return taken.movedim(chosen, [i + axis - batch_dims for i in chosen])


def gather_nd(x: Tensor, indices: Tensor, *, options: Options) -> Tensor:
    """Slices of x at coordinates. x: [D0, ..., Dr], indices: [*I, n] -> [*I, Dn, ..., Dr].

    Source: LiteRT tflite/kernels/internal/reference/reference_ops.h, GatherNd.
    """
    return take_at(x, indices)


@helper
def take_at(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Slices of x at coordinates: the last axis of ``indices`` holds one coordinate for each leading axis of x."""
    if indices.shape[-1] == 0:
        return x.expand(indices.shape[:-1] + x.shape)
    rows = indices.long().reshape(-1, indices.shape[-1])
    return x[rows.unbind(-1)].reshape(indices.shape[:-1] + x.shape[indices.shape[-1] :])


def one_hot(indices: Any, depth: Tensor, on: Tensor, off: Tensor, *, options: Options) -> Tensor:
    """``on`` where the place along the new axis is the index, else ``off``. indices: [*I], axis -1 -> [*I, depth].

    An index outside 0..depth - 1 gives ``off`` everywhere. Source: LiteRT tflite/kernels/one_hot.cc, OneHotComputeImpl.
    """
    axis = options.axis if options.axis >= 0 else indices.ndim
    return place_one(indices, ints(depth)[0], axis, on, off)


@helper
def place_one(indices: torch.Tensor, depth: int, axis: int, on: torch.Tensor, off: torch.Tensor) -> torch.Tensor:
    """``on`` where the place along the new axis is the index, else ``off``."""
    places = torch.arange(depth).reshape([-1] + [1] * (indices.ndim - axis))
    return torch.where(indices.unsqueeze(axis) == places, on, off)


def where(condition: Tensor, *, options: Options) -> Tensor:
    """The coordinates of what is true, or not zero, in row-major order. condition: [*D], rank r -> [n, r], INT64.

    Source: LiteRT tflite/kernels/where.cc; internal/reference/reference_ops.h, SelectTrueCoords.
    """
    return torch.nonzero(condition != 0 if condition.dtype in WIDE_UNSIGNED else condition)


def unique(x: Tensor, *, options: Options) -> list[Tensor]:
    """The values of x in order of first appearance, and for each element the place of its value. x: [n] -> [m], [n].

    Source: LiteRT tflite/kernels/unique.cc, EvalImpl.
    """
    index_dtype = torch.int64 if options.get("idx_out_type", "INT32") == "INT64" else torch.int32
    found = unique_in_order(x, index_dtype)
    return [found[0], found[1]]


@helper
def unique_in_order(x: torch.Tensor, index_dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The values of x in order of first appearance, and for each element the place of its value."""
    wide = x if x.is_floating_point() else x.long()  # ONNX Runtime has no Unique of narrower integers
    values, inverse = torch.unique(wide, return_inverse=True)
    first = torch.full(values.shape, x.shape[0], dtype=torch.int64)
    first = first.scatter_reduce(0, inverse, torch.arange(x.shape[0]), "amin")
    order = first.argsort()
    return values[order].to(x.dtype), order.argsort()[inverse].to(index_dtype)


def bucketize(x: Tensor, *, options: Options) -> Tensor:
    """How many boundaries are at most x: boundaries[i - 1] <= x < boundaries[i] gives i. x: [*D] -> [*D], INT32.

    Source: LiteRT tflite/kernels/bucketize.cc, Bucketize.
    """
    return count_boundaries(x, list(options.get("boundaries", None) or []))


@helper
def count_boundaries(x: torch.Tensor, boundaries: list[float]) -> torch.Tensor:
    """How many boundaries, which are sorted, are at most x; compared as floats."""
    x = x if x.dtype == torch.float64 else x.float()
    return torch.bucketize(x, torch.tensor(boundaries, dtype=x.dtype), out_int32=True, right=True)


OPERATORS = {
    "GATHER": gather,
    "GATHER_ND": gather_nd,
    "ONE_HOT": one_hot,
    "WHERE": where,
    "UNIQUE": unique,
    "BUCKETIZE": bucketize,
}
EXACT = {"ONE_HOT": one_hot, "WHERE": where, "UNIQUE": unique, "BUCKETIZE": bucketize}
MOVES = ("GATHER", "GATHER_ND")
