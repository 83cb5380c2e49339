"""MIL operators that pick elements by index, or put them there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.coreml.mil.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def gather(x: Tensor, indices: Tensor, axis: Tensor, batch_dims: Tensor | None = None, **_: Any) -> Tensor:
    """Entries along an axis; the first ``batch_dims`` axes run together in both."""
    dim, shared = int(number(axis)) % max(x.ndim, 1), int(number(batch_dims))
    chosen = indices.long()
    chosen = torch.where(chosen < 0, chosen + x.shape[dim], chosen)
    if not shared:
        return x.index_select(dim, chosen.reshape(-1)).reshape((*x.shape[:dim], *chosen.shape, *x.shape[dim + 1 :]))
    lead = chosen.shape[:shared]
    rows = x.reshape(-1, *x.shape[shared:])
    parts = [
        row.index_select(dim - shared, one.reshape(-1)).reshape(
            (*row.shape[: dim - shared], *one.shape, *row.shape[dim - shared + 1 :])
        )
        for row, one in zip(rows, chosen.reshape(-1, *chosen.shape[shared:]), strict=True)
    ]
    return torch.stack(parts).reshape(*lead, *parts[0].shape)


def gather_nd(x: Tensor, indices: Tensor, batch_dims: Tensor | None = None, **_: Any) -> Tensor:
    """Slices of x at the index vectors in the last axis of ``indices``."""
    shared = int(number(batch_dims))
    if not shared:
        return x[tuple(_wrapped(indices, x.shape).unbind(-1))]
    lead = indices.shape[:shared]
    parts = [
        row[tuple(_wrapped(one, row.shape).unbind(-1))]
        for row, one in zip(x.reshape(-1, *x.shape[shared:]), indices.reshape(-1, *indices.shape[shared:]), strict=True)
    ]
    return torch.stack(parts).reshape(*lead, *parts[0].shape)


def _wrapped(indices: Tensor, shape: torch.Size) -> Tensor:
    """Index vectors without negative numbers."""
    sizes = torch.tensor(shape[: indices.shape[-1]], dtype=torch.long)
    chosen = indices.long()
    return torch.where(chosen < 0, chosen + sizes, chosen)


def gather_along_axis(x: Tensor, indices: Tensor, axis: Tensor, **_: Any) -> Tensor:
    """The entry that each index names along an axis."""
    dim = int(number(axis)) % x.ndim
    chosen = indices.long()
    return x.gather(dim, torch.where(chosen < 0, chosen + x.shape[dim], chosen))


def scatter_along_axis(
    data: Tensor, indices: Tensor, updates: Tensor, axis: Tensor, mode: str | None = None, **_: Any
) -> Tensor:
    """data, with each update put where its index says along an axis."""
    dim = int(number(axis)) % data.ndim
    chosen = indices.long()
    chosen = torch.where(chosen < 0, chosen + data.shape[dim], chosen)
    mode, updates = _without_inverses(mode or "add", updates)
    if mode == "update":
        return data.scatter(dim, chosen, updates)
    return data.scatter_reduce(dim, chosen, updates, REDUCTIONS[mode])


def scatter(data: Tensor, indices: Tensor, updates: Tensor, axis: Tensor, mode: str | None = None, **_: Any) -> Tensor:
    """data, with whole slices put where the indices say along an axis."""
    dim = int(number(axis)) % data.ndim
    count = indices.numel()
    shape = [*data.shape[:dim], count, *data.shape[dim + 1 :]]
    spread = indices.reshape([-1 if i == dim else 1 for i in range(data.ndim)]).expand(shape)
    return scatter_along_axis(data, spread, updates.reshape(shape), axis, mode)


def scatter_nd(data: Tensor, indices: Tensor, updates: Tensor, mode: str | None = None, **_: Any) -> Tensor:
    """data, with updates put at the index vectors in the last axis of ``indices``."""
    depth = indices.shape[-1]
    places = torch.arange(data.numel()).reshape(data.shape)
    chosen = places[tuple(_wrapped(indices, data.shape).unbind(-1))] if depth else places
    mode, updates = _without_inverses(mode or "add", updates)
    flat, at, values = data.reshape(-1), chosen.reshape(-1), updates.expand(chosen.shape).reshape(-1)
    found = flat.scatter(0, at, values) if mode == "update" else flat.scatter_reduce(0, at, values, REDUCTIONS[mode])
    return found.reshape(data.shape)


def _without_inverses(mode: str, updates: Tensor) -> tuple[str, Tensor]:
    """Subtraction as addition, division as multiplication."""
    if mode == "sub":
        return "add", -updates
    return ("mul", 1 / updates) if mode == "div" else (mode, updates)


def one_hot(indices: Tensor, one_hot_vector_size: Tensor, axis: Tensor, on_value: Tensor, off_value: Tensor) -> Tensor:
    """on_value where the new axis' place is the index, else off_value."""
    dim = int(number(axis))
    size = int(number(one_hot_vector_size))
    hits = indices.long().unsqueeze(-1) == torch.arange(size)
    return torch.where(hits.movedim(-1, dim), on_value, off_value)


def non_zero(x: Tensor) -> Tensor:
    """Index vectors of the elements that are not zero, in order."""
    return torch.nonzero(x)


OPERATORS: dict[str, Callable[..., Any]] = {
    "gather": gather,
    "gather_nd": gather_nd,
    "gather_along_axis": gather_along_axis,
    "scatter": scatter,
    "scatter_along_axis": scatter_along_axis,
    "scatter_nd": scatter_nd,
    "one_hot": one_hot,
    "non_zero": non_zero,
}
