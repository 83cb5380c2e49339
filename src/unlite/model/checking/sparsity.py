"""Whether the description of a sparse tensor fits its shape, itself, and the values that are stored.

Source: LiteRT tflite/core/tools/verifier.cc, VerifyAndCountElements. LiteRT's own loading looks at less; what is an
error here cannot be made dense.
"""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import TYPE_CHECKING

from unlite.flatbuffers import view as v
from unlite.model.facts.inspection import Inspection, brief
from unlite.model.values.dtypes import stored_bytes

if TYPE_CHECKING:
    from unlite.flatbuffers.findings import Severity
    from unlite.flatbuffers.view import Table


def check_sparsity(check: Inspection, tensor: Table, shape: list[int], size: int) -> None:
    """Checks ``tensor.sparsity`` of a constant of that shape with ``size`` stored bytes."""
    sparsity, kind = tensor.sparsity, tensor.type
    order = list(check.integers(sparsity.traversal_order))
    sizes = _sizes(check, sparsity, order, shape)
    if sizes is None:
        return
    leaves = 1
    for level, metadata in check.entries(sparsity.dim_metadata):
        found = check.guard(_level, check, metadata, sizes[order[level]], leaves)
        if found is None:
            return
        leaves = found
    needed = stored_bytes(kind, leaves)
    if needed is not None and size != needed:
        severity: Severity = "error" if size < needed else "warning"
        check.say(severity, tensor, "buffer", f"{size} bytes are stored, {leaves} values of {kind} take {needed}.")


def _sizes(check: Inspection, sparsity: Table, order: list[int], shape: list[int]) -> list[int] | None:
    """Length of each dimension and then of each block dimension, as levels have them; None where that is unclear."""
    rank = len(shape)
    blocks = list(check.integers(sparsity.block_map))
    total = rank + len(blocks)
    levels = sparsity.dim_metadata
    if sparsity.traversal_order is None or levels is None:
        check.say("error", sparsity, "traversal_order" if levels else "dim_metadata", "is absent.")
    elif sorted(order[:rank]) != list(range(rank)) or sorted(order[rank:]) != list(range(rank, total)):
        message = f"{brief(order)} does not name {rank} dimensions and then {len(blocks)} block dimensions, each once."
        check.say("error", sparsity, "traversal_order", message)
    elif len(levels) != total:
        check.say("error", sparsity, "dim_metadata", f"{len(levels)} levels for {total} dimensions.")
    elif all(check.index(sparsity, f"block_map[{i}]", block, rank, "dimension") for i, block in enumerate(blocks)):
        if any(a >= b for a, b in pairwise(blocks)):
            check.say("warning", sparsity, "block_map", f"{brief(blocks)} does not rise; LiteRT reads it as if it did.")
        return _divided(check, sparsity, order, shape, blocks)
    return None


def _divided(
    check: Inspection, sparsity: Table, order: list[int], shape: list[int], blocks: list[int]
) -> list[int] | None:
    rank = len(shape)
    sizes = [*shape, *blocks]
    for level in range(rank, rank + len(blocks)):
        size = sparsity.dim_metadata[level].dense_size
        if size <= 0:
            check.say("error", sparsity, f"dim_metadata[{level}].dense_size", f"{size} is no size of a block.")
            return None
        outer = blocks[order[level] - rank]
        if sizes[outer] % size:
            message = f"{size} does not divide {sizes[outer]}."
            check.say("warning", sparsity, f"dim_metadata[{level}].dense_size", message)
        sizes[order[level]] = size
        sizes[outer] //= size
    return sizes


def _level(check: Inspection, metadata: Table, size: int, nodes: int) -> int | None:
    """Number of nodes on a level of ``size`` per parent, below ``nodes`` parents; None where that is unclear."""
    if metadata.format == "DENSE":
        if metadata.dense_size == size:
            return nodes * size
        check.say("error", metadata, "dense_size", f"{metadata.dense_size}, the dimension has {size}.")
        return None
    if metadata.format != "SPARSE_CSR":
        check.say("error", metadata, "format", f"{metadata.format} is no known format.")
        return None
    segments, indices = (_numbers(check, metadata, name) for name in ("array_segments", "array_indices"))
    if segments is None or indices is None:
        return None
    if len(segments) != nodes + 1 or segments[0] < 0 or segments[-1] != len(indices):
        message = f"{len(segments)} segments for {nodes} parents and {len(indices)} indices."
        check.say("error", metadata, "array_segments", message)
    elif any(segments[i] > segments[i + 1] for i in range(nodes)):
        check.say("error", metadata, "array_segments", "they do not rise.")
    elif len(indices) and not 0 <= min(indices) <= max(indices) < size:
        check.say("error", metadata, "array_indices", f"they leave the dimension, which has {size}.")
    else:
        if any(indices[i] <= indices[i - 1] for start, end in pairwise(segments) for i in range(start + 1, end)):
            check.say("warning", metadata, "array_indices", "they do not rise within a segment.")
        return len(indices)
    return None


def _numbers(check: Inspection, metadata: Table, name: str) -> array[int] | None:
    vector = getattr(metadata, name)
    values = vector.values if isinstance(vector, v.Table) else None
    if values is None:
        check.say("error", metadata, name, "is absent.")
        return None
    return array("q", check.integers(values))
