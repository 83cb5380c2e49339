"""StableHLO's arithmetic, gather and scatter, as far as LiteRT runs them. Operands have one shape and type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unlite.pytorch.options import Options

WIDENED = (torch.uint16, torch.uint32)  # PyTorch has next to no arithmetic for these


def _widened(function: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    if x.dtype in WIDENED:
        return function(x.to(torch.int64), y.to(torch.int64)).to(x.dtype)
    return function(x, y)


def stablehlo_add(x: Tensor, y: Tensor, **_: Options) -> Any:
    """``x + y``, integers wrapping; of BOOL: x or y. Source: LiteRT tflite/kernels/stablehlo_add.cc."""
    return _widened(lambda a, b: a + b, x, y)


def stablehlo_multiply(x: Tensor, y: Tensor, **_: Options) -> Any:
    """``x * y``, integers wrapping; of BOOL: x and y. Source: LiteRT tflite/kernels/stablehlo_multiply.cc."""
    return _widened(lambda a, b: a * b, x, y)


def stablehlo_maximum(x: Tensor, y: Tensor, **_: Options) -> Any:
    """The larger of x and y. Source: LiteRT tflite/kernels/stablehlo_min_max.cc."""
    return _widened(torch.maximum, x, y)


def stablehlo_minimum(x: Tensor, y: Tensor, **_: Options) -> Any:
    """The smaller of x and y. Source: LiteRT tflite/kernels/stablehlo_min_max.cc."""
    return _widened(torch.minimum, x, y)


# -- gather and scatter ------------------------------------------------------------------------------------------------


def stablehlo_gather(operand: Any, start_indices: Any, *, options: Options) -> Any:
    """Slices of ``slice_sizes`` from the operand, one for each index vector, see ``gather_slices``.

    Source: LiteRT tflite/kernels/stablehlo_gather.cc; StableHLO's specification of gather.
    """
    return gather_slices(
        operand,
        start_indices,
        list(options.offset_dims or ()),
        list(options.collapsed_slice_dims or ()),
        list(options.start_index_map or ()),
        options.index_vector_dim,
        list(options.slice_sizes or ()),
    )


@helper
def gather_slices(
    operand: Tensor,
    start_indices: Tensor,
    offset_dims: list[int],
    collapsed_slice_dims: list[int],
    start_index_map: list[int],
    index_vector_dim: int,
    slice_sizes: list[int],
) -> Tensor:
    """Slices of the operand [D0, ...], one for each index vector in start_indices [..., k, ...].

    Entry i of a vector is where the slice starts along axis start_index_map[i]; slices that would stand out are moved
    back. Axes in collapsed_slice_dims, of size 1, are left out; the others become the result's axes offset_dims, and
    the axes of start_indices all but index_vector_dim its other ones.
    """
    if index_vector_dim == start_indices.ndim:
        start_indices = start_indices.unsqueeze(-1)
    vectors = start_indices.movedim(index_vector_dim, -1)
    kept = [axis for axis in range(operand.ndim) if axis not in collapsed_slice_dims]
    index = []
    for axis in range(operand.ndim):
        if axis in start_index_map:
            start = vectors[..., start_index_map.index(axis)].long()
            start = start.clamp(max=operand.shape[axis] - slice_sizes[axis]).clamp(min=0)
        else:
            start = vectors.new_zeros((), dtype=torch.int64).expand(vectors.shape[:-1])
        start = start.reshape([*start.shape, *[1] * len(kept)])
        if axis in kept:
            spread = [slice_sizes[axis] if other == axis else 1 for other in kept]
            start = start + torch.arange(slice_sizes[axis], device=start.device).reshape(spread)
        index.append(start)
    slices = operand[tuple(index)]  # the axes of start_indices, then those of a slice
    batch = slices.ndim - len(kept)
    sources = [batch + offset_dims.index(axis) if axis in offset_dims else -1 for axis in range(slices.ndim)]
    others = list(range(batch))
    return slices.permute([others.pop(0) if source < 0 else source for source in sources])


def stablehlo_scatter(operand: Any, indices: Any, updates: Any, *, options: Options) -> Any:
    """The operand, with updates put or calculated into it, see ``scatter_windows``.

    Source: LiteRT tflite/kernels/stablehlo_scatter.cc; StableHLO's specification of scatter.
    """
    return scatter_windows(
        operand,
        indices,
        updates,
        list(options.update_window_dims or ()),
        list(options.inserted_window_dims or ()),
        list(options.scatter_dims_to_operand_dims or ()),
        options.index_vector_dim,
        how=computation(options, options.update_computation_subgraph_index),
    )


@helper
def scatter_windows(
    operand: Tensor,
    indices: Tensor,
    updates: Tensor,
    update_window_dims: list[int],
    inserted_window_dims: list[int],
    scatter_dims_to_operand_dims: list[int],
    index_vector_dim: int,
    *,
    how: str,
) -> Tensor:
    """The operand [D0, ...] with windows of updates [...] put ("assign"), added ("sum") and so on into it.

    Entry i of an index vector is where a window starts along axis scatter_dims_to_operand_dims[i] of the operand. The
    axes update_window_dims of updates go along the operand's axes all but inserted_window_dims, its other axes along
    those of indices [..., k, ...] all but index_vector_dim. What falls outside of the operand is left out.
    """
    if index_vector_dim == indices.ndim:
        indices = indices.unsqueeze(-1)
    vectors = indices.movedim(index_vector_dim, -1)
    batch_dims = [axis for axis in range(updates.ndim) if axis not in update_window_dims]
    ordered = updates.permute(batch_dims + update_window_dims)
    window_axes = [axis for axis in range(operand.ndim) if axis not in inserted_window_dims]
    zero = vectors.new_zeros((), dtype=torch.int64)
    place, inside = zero, zero == 0  # in the operand, flattened; and whether it is in there
    for axis in range(operand.ndim):
        position = zero
        if axis in scatter_dims_to_operand_dims:
            start = vectors[..., scatter_dims_to_operand_dims.index(axis)].long()
            position = start.reshape([*start.shape, *[1] * len(window_axes)])
        if axis in window_axes:
            at = window_axes.index(axis)
            size = updates.shape[update_window_dims[at]]
            spread = [size if other == at else 1 for other in range(len(window_axes))]
            position = position + torch.arange(size, device=zero.device).reshape(spread)
        inside = inside & (position >= 0) & (position < operand.shape[axis])
        place = place * operand.shape[axis] + position
    # one cell more takes what falls outside
    place = torch.where(inside, place, operand.numel()).expand(ordered.shape).flatten()
    cells = torch.cat([operand.flatten(), operand.new_zeros(1)])
    if how == "assign":
        cells = cells.scatter(0, place, ordered.flatten())
    else:
        cells = cells.scatter_reduce(0, place, ordered.flatten(), how)
    return cells[:-1].reshape(operand.shape)


COMPUTATIONS = {
    "ADD": "sum",
    "STABLEHLO_ADD": "sum",
    "MUL": "prod",
    "STABLEHLO_MULTIPLY": "prod",
    "MAXIMUM": "amax",
    "STABLEHLO_MAXIMUM": "amax",
    "MINIMUM": "amin",
    "STABLEHLO_MINIMUM": "amin",
    "LOGICAL_AND": "all",
    "STABLEHLO_AND": "all",
    "LOGICAL_OR": "any",
    "STABLEHLO_OR": "any",
}
"""Operator of two numbers -> PyTorch's name for reducing with it."""


def computation(options: Options, index: int) -> str:
    """What a subgraph of one operator on two numbers does: a value of COMPUTATIONS; "assign" without an operator."""
    operator = options.operator
    graphs = operator.subgraph.model.subgraphs if operator is not None else ()
    names = [inner.name for inner in graphs[index].operators] if 0 <= index < len(graphs) else ["none"]
    if not names:
        return "assign"
    if len(names) > 1 or names[0] not in COMPUTATIONS:
        raise UnsupportedOperatorError(
            f"its computation is {', '.join(names)}; it can be {', '.join(COMPUTATIONS)}.",
            operators=(options.path,),
        )
    return COMPUTATIONS[names[0]]


OPERATORS = {
    "STABLEHLO_ADD": stablehlo_add,
    "STABLEHLO_MULTIPLY": stablehlo_multiply,
    "STABLEHLO_MAXIMUM": stablehlo_maximum,
    "STABLEHLO_MINIMUM": stablehlo_minimum,
    "STABLEHLO_GATHER": stablehlo_gather,
    "STABLEHLO_SCATTER": stablehlo_scatter,
}
EXACT = OPERATORS  # the kernels take stored integers as they are
