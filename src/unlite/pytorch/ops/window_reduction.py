"""Gaps, edges and windows of tensors of any rank: DILATE, STABLEHLO_PAD and the two REDUCE_WINDOW."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.errors import InvalidValueError, UnsupportedOperatorError
from unlite.pytorch.ops.stablehlo import computation
from unlite.pytorch.trace import constant_ints, helper, ints

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def dilate(x: Any, dilations: Any, value: Any, **_: Options) -> Any:
    """``x`` with dilations[i] - 1 cells of ``value`` [] between neighbours along axis i.

    x: [..., s, ...] -> [..., (s - 1) * d + 1, ...].
    Source: LiteRT tflite/kernels/dilate.cc.
    """
    zeros = [0] * x.ndim
    return spread_and_pad(x, _number(value), zeros, zeros, [d - 1 for d in ints(dilations)])


def stablehlo_pad(x: Any, value: Any, *, options: Options) -> Any:
    """``x`` with ``value`` [] between its cells (interior_padding) and at its edges; negative edges are cut off.

    Source: LiteRT tflite/kernels/stablehlo_pad.cc.
    """
    low, high, gaps = (
        _per_axis(numbers, x.ndim, 0)
        for numbers in (options.edge_padding_low, options.edge_padding_high, options.interior_padding)
    )
    return spread_and_pad(x, _number(value), low, high, gaps)


def stablehlo_reduce_window(x: Any, init: Any, *, options: Options) -> Any:
    """``init`` [] and the cells of each window of x, combined by the body's operator.

    x is first dilated (base_dilations) and padded (padding: [low, high] of each axis), both with init.
    x: [..., s, ...] -> [..., (s' - ((w - 1) * d + 1)) / stride + 1, ...], s' the size after that.
    Source: LiteRT tflite/kernels/stablehlo_reduce_window.cc.
    """
    edges = _per_axis(options.padding, 2 * x.ndim, 0)
    gaps = [d - 1 for d in _per_axis(options.base_dilations, x.ndim, 1)]
    if any(edges) or any(gaps):
        x = spread_and_pad(x, _number(init), edges[::2], edges[1::2], gaps)
    window, strides, dilations = (
        _per_axis(numbers, x.ndim, 1)
        for numbers in (options.window_dimensions, options.window_strides, options.window_dilations)
    )
    return reduce_windows(x, init, window, strides, dilations, computation(options, options.body_subgraph_index))


def reduce_window(x: Any, init: Any, shape: Any, strides: Any, dilations: Any, *, options: Options) -> Any:
    """``init`` [] and the cells of each window of x, combined by ``reduce_function``.

    shape, strides, dilations: [rank] each. x: [..., s, ...] -> [..., (s - ((w - 1) * d + 1)) / stride + 1, ...].
    Source: LiteRT tflite/kernels/stablehlo_reduce_window.cc, TFLiteData.
    """
    how = FUNCTIONS.get(options.reduce_function)
    if how is None:
        raise UnsupportedOperatorError(
            f"reduce_function {options.reduce_function} is not known.", operators=(options.path,)
        )
    window, steps, spacing = (constant_ints(numbers, "a window") for numbers in (shape, strides, dilations))
    return reduce_windows(x, init, window, steps, spacing, how)


FUNCTIONS = {"ADD": "sum", "MUL": "prod", "MINIMUM": "amin", "MAXIMUM": "amax", "ALL": "all", "ANY": "any"}
"""The schema's ReduceWindowFunction -> PyTorch's name of the reduction."""


def _per_axis(numbers: Any, count: int, default: int) -> list[int]:
    """An option's numbers, one for each axis (or two); where the file has none, the default for each."""
    found = list(numbers or ()) or [default] * count
    if len(found) != count:
        raise InvalidValueError(f"{len(found)} numbers where {count} are needed: {found}.")
    return found


def _number(value: Any) -> Any:
    """A constant single value as a Python number; what is computed by the model stays a tensor."""
    if isinstance(value, torch.Tensor):
        return value.reshape(()).item()
    return value if value.constant is None else value.constant.numpy().reshape(-1)[0].item()


@helper
def spread_and_pad(x: Tensor, value: float | Tensor, low: list[int], high: list[int], gaps: list[int]) -> Tensor:
    """``x`` with gaps[i] cells of ``value`` between neighbours along axis i, then low[i] before and high[i] behind.

    Negative low and high cut cells off.
    """
    if isinstance(value, torch.Tensor):
        inside = spread_and_pad(torch.ones_like(x, dtype=torch.bool), False, low, high, gaps)
        return torch.where(inside, spread_and_pad(x, 0, low, high, gaps), value)
    for axis, gap in enumerate(gaps):
        if gap:
            behind = [0, 0] * (x.ndim - 1 - axis) + [0, gap]
            size = torch.sym_max(x.shape[axis] * (gap + 1) - gap, 0)  # type: ignore[no-untyped-call]
            x = torch.constant_pad_nd(x.unsqueeze(axis + 1), behind, value).flatten(axis, axis + 1)
            x = x.narrow(axis, 0, size)
    edges = [pad for pair in zip(reversed(low), reversed(high), strict=True) for pad in pair]
    return torch.constant_pad_nd(x, edges, value) if any(edges) else x


@helper
def reduce_windows(
    x: Tensor, init: Tensor, window: list[int], strides: list[int], dilations: list[int], how: str
) -> Tensor:
    """Each window of x, and init, reduced by ``how``: sum, prod, amax, amin, all, any."""
    rank = x.ndim
    for axis in range(rank):
        span = (window[axis] - 1) * dilations[axis] + 1
        x = x.unfold(axis, span, strides[axis])[..., :: dilations[axis]]
    cells = x.flatten(rank)
    if how == "sum":
        return cells.sum(-1, dtype=x.dtype) + init
    if how == "prod":
        return cells.prod(-1, dtype=x.dtype) * init
    if how == "amax":
        return torch.maximum(cells.amax(-1), init)
    if how == "amin":
        return torch.minimum(cells.amin(-1), init)
    reduced = cells.all(-1) & init.bool() if how == "all" else cells.any(-1) | init.bool()
    return reduced.to(x.dtype)


OPERATORS = {
    "DILATE": dilate,
    "STABLEHLO_PAD": stablehlo_pad,
    "REDUCE_WINDOW": reduce_window,
    "STABLEHLO_REDUCE_WINDOW": stablehlo_reduce_window,
}
EXACT = OPERATORS  # the kernels take stored integers as they are
