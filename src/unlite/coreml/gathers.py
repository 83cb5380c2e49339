"""Gathers along an axis whose constant indices run up or down: slices instead, and no list of indices.

A mirrored border, for one, is three runs; as indices it would be a number for every element of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

FEWEST = 64  # indices; below, they are shorter than the slices' descriptions
MOST_RUNS = 8


def slice_gathers(block: Any) -> None:
    """Replaces such gathers in a block, within it."""
    for op in list(block.operations):
        for inner in op.blocks:
            with inner:
                slice_gathers(inner)
        if op.op_type != "gather" or op.indices.val is None or op.axis.val is None:
            continue
        indices, axis = np.asarray(op.indices.val), int(op.axis.val)
        size = op.x.shape[axis]
        shared = op.batch_dims
        if indices.ndim != 1 or indices.size < FEWEST or (shared is not None and shared.val != 0):
            continue
        if not isinstance(size, (int, np.integer)):
            continue
        found = runs(np.where(indices < 0, indices.astype(np.int64) + int(size), indices))
        if found is not None:
            _replace(block, op, axis % len(op.x.shape), found)


def runs(indices: Array) -> list[tuple[int, int]] | None:
    """First and last index of each run that goes up or down by one; None where there are many.

    >>> import numpy as np
    >>> runs(np.array([2, 1, 0, 1, 2, 2]))
    [(2, 0), (1, 2), (2, 2)]
    """
    found: list[tuple[int, int]] = []
    start = 0
    while start < len(indices):
        if len(found) == MOST_RUNS:
            return None
        steps = np.diff(indices[start:].astype(np.int64))
        step = steps[0] if len(steps) and abs(steps[0]) == 1 else 0
        others = np.flatnonzero(steps != step) if step else [0]
        end = start + (int(others[0]) if len(others) else len(steps))
        found.append((int(indices[start]), int(indices[end])))
        start = end + 1
    return found


def _replace(block: Any, op: Any, axis: int, found: list[tuple[int, int]]) -> None:
    from coremltools.converters.mil.mil import Builder

    rank = len(op.x.shape)
    whole = [place != axis for place in range(rank)]
    old, name = op.outputs[0], op.outputs[0].name
    parts = []
    for number, (first, last) in enumerate(found):
        part = Builder.slice_by_index(
            x=op.x,
            begin=np.array([min(first, last) if place == axis else 0 for place in range(rank)], np.int32),
            end=np.array([max(first, last) + 1 if place == axis else 0 for place in range(rank)], np.int32),
            begin_mask=whole,
            end_mask=whole,
            before_op=op,
            name=f"{name}_run_{number}",
        )
        if first > last:
            part = Builder.reverse(x=part, axes=np.array([axis], np.int32), before_op=op, name=f"{part.name}_back")
        parts.append(part)
    made = Builder.concat(values=parts, axis=np.int32(axis), before_op=op, name=f"{name}_joined")
    block.replace_uses_of_var_after_op(anchor_op=op, old_var=old, new_var=made)
    block.remove_ops([op])
    made.name = made.op.name = name
