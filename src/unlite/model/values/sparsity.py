"""Sparse tensors: stored values to dense arrays, and back into the same pattern.

A sparse tensor lists its dimensions, and those of blocks inside them, in an order of traversal; each level is either
dense or compressed (segments and indices). Stored are the leaves. Sources: schema.fbs, SparsityParameters; LiteRT
tflite/kernels/internal/utils/sparsity_format_converter.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import CorruptFileError, InvalidValueError
from unlite.flatbuffers.view import Table
from unlite.model.values.dtypes import elements

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from unlite.storage.memory_limit import MemoryLimit


def dense_positions(
    sparsity: Table, shape: tuple[int, ...], path: str, stored: int, limit: MemoryLimit
) -> NDArray[np.int64]:
    """Where each stored value belongs in the flattened dense tensor. int64, [leaves].

    Args:
        sparsity: The description.
        shape: Of the dense tensor.
        path: The description's place, for messages.
        stored: How many values there are, or more: no level needs to have more entries than that, or than segments.
        limit: How much memory the file may ask for.

    Raises:
        CorruptFileError: the description contradicts itself or the shape.
        MemoryLimitError: it has far more levels than any tensor has.
    """
    import numpy as np

    order: list[int] = list(sparsity["traversal_order"] or ())
    blocks: list[int] = list(sparsity["block_map"] or ())
    levels: list[Any] = list(sparsity["dim_metadata"] or ())
    rank = len(shape)
    _check_order(order, blocks, len(levels), rank, path)
    block_size = _block_sizes(order, blocks, levels, rank, path)
    most = max([stored, *(len(segments) for segments in _all_segments(levels))])
    limit.check(8 * len(levels) * most, "a sparse pattern", path)
    # One column per level, grown level by level: positions of the nodes so far and their index at each level.
    positions = np.zeros(1, np.int64)
    indices: list[NDArray[np.int64]] = []
    for level, metadata in enumerate(levels):
        here = f"{path}.dim_metadata[{level}]"
        if metadata["format"] == "DENSE":
            parents, own, positions = _dense_level(metadata["dense_size"], positions, here, most)
        else:
            parents, own, positions = _compressed_level(metadata, positions, here)
        indices = [column[parents] for column in indices] + [own]
    flat = np.zeros(len(positions), np.int64)
    stride = 1
    for dimension in reversed(range(rank)):
        coordinate = indices[order.index(dimension)]
        for i, original in enumerate(blocks):
            if original == dimension:
                coordinate = coordinate * block_size[i] + indices[order.index(rank + i)]
        if len(coordinate) and not 0 <= int(coordinate.min()) <= int(coordinate.max()) < shape[dimension]:
            raise CorruptFileError(f"sparse indices leave dimension {dimension} of {shape[dimension]}.", path=path)
        flat += coordinate * stride
        stride *= shape[dimension]
    return flat


def densify(
    values: NDArray[np.generic],
    sparsity: Table,
    shape: tuple[int, ...],
    path: str,
    limit: MemoryLimit,
    spare: int = 1,
) -> NDArray[np.generic]:
    """The dense tensor: ``values`` at their places, zeros elsewhere. values: [leaves] -> ``shape``.

    ``limit``: how much memory the file may ask for. ``spare``: elements to a byte; where they share bytes, the last
    one may have some that are not used.
    """
    import numpy as np

    positions = dense_positions(sparsity, shape, path, len(values), limit)
    if not 0 <= len(values) - len(positions) < max(spare, 1):
        raise CorruptFileError(f"{len(values)} values are stored, the sparse pattern has {len(positions)}.", path=path)
    count = elements(shape)
    limit.check(count * values.dtype.itemsize, f"a sparse tensor made dense, {list(shape)},", path)
    dense = np.zeros(count, values.dtype)
    dense[positions] = values[: len(positions)]
    return dense.reshape(shape)


def sparsify(dense: NDArray[np.generic], sparsity: Table, path: str, limit: MemoryLimit) -> NDArray[np.generic]:
    """The values of a dense tensor that its sparse pattern stores. ``dense`` -> [leaves].

    Raises:
        InvalidValueError: there are values other than zero where the pattern stores none.
    """
    import numpy as np

    positions = dense_positions(sparsity, dense.shape, path, dense.size, limit)
    flat = dense.reshape(-1)
    rest = np.ones(flat.size, bool)
    rest[positions] = False
    if np.any(flat[rest]):
        raise InvalidValueError(
            f"{np.count_nonzero(flat[rest])} values that are not zero lie where the sparse tensor stores none.",
            path=path,
            hint="Keep the zeros of the old tensor: multiply by (old != 0).",
        )
    return flat[positions]


def _check_order(order: list[int], blocks: list[int], levels: int, rank: int, path: str) -> None:
    total = rank + len(blocks)
    if levels != total or sorted(order[:rank]) != list(range(rank)) or sorted(order[rank:]) != list(range(rank, total)):
        raise CorruptFileError("traversal_order, block_map and dim_metadata do not fit the shape.", path=path)
    if any(not 0 <= original < rank for original in blocks):
        raise CorruptFileError("block_map names a dimension that the tensor does not have.", path=path)


def _block_sizes(order: list[int], blocks: list[int], levels: list[Any], rank: int, path: str) -> list[int]:
    sizes = []
    for i in range(len(blocks)):
        metadata = levels[order.index(rank + i)]
        if metadata["format"] != "DENSE":
            raise CorruptFileError("a block dimension is not dense.", path=path)
        sizes.append(metadata["dense_size"])
    return sizes


def _all_segments(levels: list[Any]) -> Iterator[Any]:
    for metadata in levels:
        vector = metadata["array_segments"]
        if isinstance(vector, Table) and "values" in vector._object.by_name:
            yield vector["values"] or ()


def _dense_level(size: int, positions: NDArray[np.int64], path: str, most: int) -> tuple[Any, Any, Any]:
    import numpy as np

    if size < 0 or size * len(positions) > most:
        raise CorruptFileError(f"a dense level of {size} is impossible.", path=path)
    parents = np.repeat(np.arange(len(positions)), size)
    own = np.tile(np.arange(size, dtype=np.int64), len(positions))
    return parents, own, positions[parents] * size + own


def _compressed_level(metadata: Table, positions: NDArray[np.int64], path: str) -> tuple[Any, Any, Any]:
    import numpy as np

    segments, indices = _index_vector(metadata, "array_segments", path), _index_vector(metadata, "array_indices", path)
    if len(positions) and int(positions.max()) + 1 >= len(segments):
        raise CorruptFileError("array_segments has too few entries.", path=path)
    starts, ends = segments[positions], segments[positions + 1]
    counts = ends - starts
    if np.any(counts < 0) or (len(starts) and (int(starts.min()) < 0 or int(ends.max()) > len(indices))):
        raise CorruptFileError("array_segments does not rise, or leaves array_indices.", path=path)
    parents = np.repeat(np.arange(len(positions)), counts)
    children = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
    return parents, indices[children], children


def _index_vector(metadata: Table, name: str, path: str) -> NDArray[np.int64]:
    import numpy as np

    vector = metadata[name]
    if (
        vector is None
        or "values" not in getattr(vector, "_object", metadata._object).by_name
        or vector["values"] is None
    ):
        raise CorruptFileError(f"{name} is missing.", path=path)
    return vector["values"].numpy().astype(np.int64)  # type: ignore[no-any-return]
