"""PyTorch calls that move elements about, in operators that ML programs have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def spread(var: Any, shape: tuple[int, ...], name: str | None = None) -> Any:
    """A value broadcast to a shape."""
    from coremltools.converters.mil.mil import Builder

    named = {} if name is None else {"name": name}
    if var.val is not None:
        return Builder.const(val=np.ascontiguousarray(np.broadcast_to(var.val, shape)), **named)
    sizes = (1,) * (len(shape) - len(var.shape)) + tuple(int(size) for size in var.shape)
    same_rank = Builder.reshape(x=var, shape=np.array(sizes, np.int32))
    return Builder.tile(
        x=same_rank, reps=np.array([n // m for n, m in zip(shape, sizes, strict=True)], np.int32), **named
    )


def _take_along(context: Any, node: Any) -> None:
    """Elements at the indices along an axis; both broadcast over the others."""
    from coremltools.converters.mil.mil import Builder

    x, indices, axis = context[node.inputs[0]], context[node.inputs[1]], int(node.inputs[2])
    axis %= len(x.shape)
    others = [np.broadcast_shapes((a,), (b,))[0] for a, b in zip(x.shape, indices.shape, strict=True)]
    shapes = [(*others[:axis], int(var.shape[axis]), *others[axis + 1 :]) for var in (x, indices)]
    x, indices = (
        var if tuple(var.shape) == shape else spread(var, shape)
        for var, shape in zip((x, indices), shapes, strict=True)
    )
    context.add(Builder.gather_along_axis(x=x, indices=indices, axis=axis, name=node.name))


def _diagonal(context: Any, node: Any) -> None:
    """Vectors along the last axis as the diagonals of matrices, zeros beside them."""
    from coremltools.converters.mil.mil import Builder, types

    x = context[node.inputs[0]]
    if tuple(node.inputs[1:]) not in ((), (0,), (0, -2), (0, -2, -1)) or node.kwinputs:
        raise NotImplementedError("a diagonal beside the main one")
    shape = (*(int(size) for size in x.shape), int(x.shape[-1]))
    zero: Any = types.nptype_from_builtin(x.dtype)(0)
    context.add(
        Builder.select(
            cond=np.broadcast_to(np.eye(shape[-1], dtype=bool), shape).copy(),
            a=spread(Builder.expand_dims(x=x, axes=[-1]), shape),
            b=np.full(shape, zero),
            name=node.name,
        )
    )


def _windows(context: Any, node: Any) -> None:
    """The windows of an axis, each along a new last axis."""
    from coremltools.converters.mil.mil import Builder

    x = context[node.inputs[0]]
    axis, size, step = (int(given) for given in node.inputs[1:4])
    axis %= len(x.shape)
    starts = np.arange(0, int(x.shape[axis]) - size + 1, step)
    places = (starts[:, None] + np.arange(size)).astype(np.int32)
    found = Builder.gather(x=x, indices=places.reshape(-1), axis=axis)
    sizes = [int(length) for length in x.shape]
    found = Builder.reshape(x=found, shape=np.array([*sizes[:axis], *places.shape, *sizes[axis + 1 :]], np.int32))
    order = [place for place in range(len(sizes) + 1) if place != axis + 1]
    context.add(Builder.transpose(x=found, perm=np.array([*order, axis + 1], np.int32), name=node.name))


def _buckets(context: Any, node: Any) -> None:
    """Between which of the boundaries, which rise, each element lies: how many are below it."""
    from coremltools.converters.mil.mil import Builder

    x, bounds = context[node.inputs[0]], context[node.inputs[1]]
    is_right = bool((node.kwinputs or {}).get("right", [False])[0])
    compare = Builder.greater_equal if is_right else Builder.greater
    if x.dtype != bounds.dtype:
        x, bounds = (Builder.cast(x=var, dtype="fp32") for var in (x, bounds))
    below = compare(x=Builder.expand_dims(x=x, axes=[-1]), y=bounds)
    context.add(Builder.reduce_sum(x=Builder.cast(x=below, dtype="int32"), axes=[-1], keep_dims=False, name=node.name))


def padding(translate: Callable[..., Any]) -> Callable[[Any, Any], None]:
    """The library's own padding, after what a negative one cuts off."""

    def through(context: Any, node: Any) -> None:
        from copy import copy

        from coremltools.converters.mil.mil import Builder

        given = node.inputs[1]
        if not isinstance(given, (list, tuple)) or not all(isinstance(n, int) for n in given) or min(given) >= 0:
            translate(context, node)
            return
        x = context[node.inputs[0]]
        rank, name = len(x.shape), f"{node.name}_cut"
        begin, end = [0] * rank, [int(size) for size in x.shape]
        for place in range(len(given) // 2):  # pairs, the last axis first
            begin[rank - 1 - place] = max(0, -given[2 * place])
            end[rank - 1 - place] -= max(0, -given[2 * place + 1])
        cut = Builder.slice_by_index(x=x, begin=np.array(begin, np.int32), end=np.array(end, np.int32), name=name)
        context.add(cut, torch_name=name)
        changed = copy(node)
        changed.inputs = [name, [max(0, n) for n in given], *node.inputs[2:]]
        translate(context, changed)

    return through


TRANSLATIONS = {
    "bucketize": _buckets,
    "diag_embed": _diagonal,
    "take_along_dim": _take_along,
    "unfold": _windows,
}
"""By the name under which coremltools looks for them."""
