"""Elements put at places given by indices: scattered, on diagonals, or gathered into segments."""

# ruff: noqa: ARG001 - every operator's function takes the options

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.dtypes import limits
from unlite.pytorch.trace import Value, helper, ints

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unlite.pytorch.options import Options


def scatter_nd(indices: Tensor, updates: Tensor, shape: Tensor, *, options: Options) -> Tensor:
    """Zeros to which slices are added at coordinates. indices: [*I, n], updates: [*I, *shape[n:]] -> [*shape].

    What falls on the same place is added up. Source: LiteRT internal/reference/reference_ops.h, ScatterNd.
    """
    return add_at(indices, updates, ints(shape))


@helper
def add_at(indices: torch.Tensor, updates: torch.Tensor, shape: list[int]) -> torch.Tensor:
    """Zeros of a shape to which slices are added: the last axis of ``indices`` holds their coordinates."""
    if indices.shape[-1] == 0:
        return updates.reshape([-1, *shape]).sum(0, dtype=updates.dtype)
    return updates.new_zeros(shape).index_put(indices.long().unbind(-1), updates, accumulate=True)


def sparse_to_dense(indices: Any, shape: Tensor, values: Tensor, default: Tensor, *, options: Options) -> Tensor:
    """``default`` everywhere but at the coordinates. indices: [], [n] or [n, rank]; values: [] or [n] -> [*shape].

    Source: LiteRT tflite/kernels/sparse_to_dense.cc, GetIndicesVector; internal/reference/sparse_ops.
    """
    return put_at(indices, ints(shape), values, default)


@helper
def put_at(indices: torch.Tensor, shape: list[int], values: torch.Tensor, default: torch.Tensor) -> torch.Tensor:
    """``default`` in a shape, with values put at coordinates. indices: [], [n] or [n, rank]."""
    rows = indices.long().reshape(-1, len(shape))
    return default.reshape(()).repeat(shape).index_put(rows.unbind(-1), values)


def matrix_diag(x: Tensor, *, options: Options) -> Tensor:
    """Matrices with x on their diagonal, zeros elsewhere. x: [..., n] -> [..., n, n]. Source: LiteRT matrix_diag.cc."""
    return torch.diag_embed(x)


def matrix_set_diag(x: Tensor, diagonal: Tensor, *, options: Options) -> Tensor:
    """``x`` with another diagonal. x: [..., m, n], diagonal: [..., min(m, n)]. Source: LiteRT matrix_set_diag.cc."""
    rows, columns = x.shape[-2:]
    size = diagonal.shape[-1]
    spread = F.pad(torch.diag_embed(diagonal), [0, columns - size, 0, rows - size])
    return torch.where(torch.eye(rows, columns, dtype=torch.bool), spread, x)


def segment_sum(x: Tensor, segments: Any, *, options: Options) -> Tensor:
    """The sum of the rows of each segment. x: [n, *D], segments: [n], rising from 0 -> [last + 1, *D].

    Source: LiteRT tflite/kernels/segment_sum.cc, ResizeOutputTensor.
    """
    constant = segments.constant if isinstance(segments, Value) else None
    count = None if constant is None else 1 + max(ints(segments), default=-1)
    return sum_segments(x, segments, count)


@helper
def sum_segments(x: torch.Tensor, segments: torch.Tensor, count: int | None) -> torch.Tensor:
    """The sum of the rows of each segment. ``count`` segments; where that is None, as many as the last one says."""
    if count is None:
        count = int(segments[-1]) + 1 if len(segments) else 0
    return x.new_zeros([count, *x.shape[1:]]).index_add(0, segments.long(), x)


def _unsorted(how: str) -> Callable[..., Any]:
    """The function of UNSORTED_SEGMENT_SUM, _PROD, _MAX or _MIN."""

    def unsorted_segment(x: Any, segments: Tensor, count: Tensor, *, options: Options) -> Any:
        """The sum, product, maximum or minimum of each segment. x: [*S, *D], segments: [*S] -> [count, *D].

        What has a negative segment is left out. An empty segment is 0, 1, the type's lowest or its largest number.
        Source: LiteRT tflite/kernels/unsorted_segment.cc; internal/reference/reference_ops.h, UnsortedSegmentRef.
        """
        range_ = limits(x.dtype)
        start = {"sum": 0, "prod": 1, "amax": range_.min, "amin": range_.max}[how]
        return reduce_segments(x, segments, ints(count)[0], how, start)

    return unsorted_segment


@helper
def reduce_segments(x: torch.Tensor, segments: torch.Tensor, count: int, how: str, start: float) -> torch.Tensor:
    """Each segment reduced, from ``start``; one more segment takes what has a negative number, and is dropped."""
    rest = x.shape[segments.ndim :]
    rows = x.reshape([segments.numel(), *rest])
    place = torch.where(segments < 0, count, segments).long().reshape([-1] + [1] * len(rest)).expand_as(rows)
    return x.new_full([count + 1, *rest], start).scatter_reduce(0, place, rows, how)[:count]


OPERATORS = {
    "SCATTER_ND": scatter_nd,
    "SPARSE_TO_DENSE": sparse_to_dense,
    "MATRIX_DIAG": matrix_diag,
    "MATRIX_SET_DIAG": matrix_set_diag,
    "SEGMENT_SUM": segment_sum,
    "UNSORTED_SEGMENT_SUM": _unsorted("sum"),
    "UNSORTED_SEGMENT_PROD": _unsorted("prod"),
    "UNSORTED_SEGMENT_MAX": _unsorted("amax"),
    "UNSORTED_SEGMENT_MIN": _unsorted("amin"),
}
EXACT = {name: function for name, function in OPERATORS.items() if "SEGMENT" in name}  # of 32 bits, as they are
MOVES = ("SCATTER_ND", "SPARSE_TO_DENSE", "MATRIX_DIAG", "MATRIX_SET_DIAG")
