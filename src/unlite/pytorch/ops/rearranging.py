"""Cells that move between channels, batch and picture: depth to space, space to batch, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.ops.sliding import channels_first, channels_last, positive
from unlite.pytorch.trace import ints

if TYPE_CHECKING:
    from unlite.pytorch.options import Options


def depth_to_space(x: Any, *, options: Options) -> Any:
    """Channels spread over blocks of b x b cells. x: [N, H, W, b * b * C] -> [N, H * b, W * b, C].

    Channel (i * b + j) * C + c goes to row i and column j of the block; with torch's pixel_shuffle channel
    c * b * b + i * b + j does.
    Source: LiteRT tflite/kernels/internal/reference/depth_to_space.h.
    """
    (block,) = positive([options.block_size], "block_size")
    split = channels_first(x).unflatten(1, (block * block, -1))  # type: ignore[no-untyped-call]
    regrouped = split.transpose(1, 2).flatten(1, 2)
    return channels_last(F.pixel_shuffle(regrouped, block))


def space_to_depth(x: Any, *, options: Options) -> Any:
    """Blocks of b x b cells gathered in channels. x: [N, H, W, C] -> [N, H / b, W / b, b * b * C].

    Source: LiteRT tflite/kernels/internal/reference/space_to_depth.h.
    """
    (block,) = positive([options.block_size], "block_size")
    gathered = F.pixel_unshuffle(channels_first(x), block)
    split = gathered.unflatten(1, (-1, block * block))  # type: ignore[no-untyped-call]
    return channels_last(split.transpose(1, 2).flatten(1, 2))


def space_to_batch_nd(x: Any, block: Any, paddings: Any, *, options: Options) -> Any:
    """Every b-th cell becomes a picture of its own. x: [N, *sizes, ...] -> [N * prod(block), *(sizes / block), ...].

    block: [M], paddings: [M, 2] zeros (of integers zero points) before and behind the M dimensions after the batch;
    (row in the block * b + column in the block) * N + n is the place in the new batch.
    Source: LiteRT tflite/kernels/internal/reference/space_to_batch_nd.h, without its limit of two dimensions.
    """
    blocks, pads = ints(block), ints(paddings)
    count, rank = len(blocks), x.ndim
    if _any(pads):
        after = [0] * (2 * (rank - 1 - count))
        reverse = [pads[2 * axis + side] for axis in reversed(range(count)) for side in (0, 1)]
        zero = 0 if x.dtype.is_floating_point or not options.outputs else options.output.zero_point
        x = F.pad(x, (*after, *reverse), value=zero)
    for axis in reversed(range(count)):
        x = x.unflatten(1 + axis, (-1, blocks[axis]))
    inner = range(2, 2 + 2 * count, 2)
    rest = range(1 + 2 * count, rank + count)
    return x.permute(*inner, 0, *(axis - 1 for axis in inner), *rest).flatten(0, count)


def batch_to_space_nd(x: Any, block: Any, crops: Any, *, options: Options) -> Any:  # noqa: ARG001
    """Undoes SPACE_TO_BATCH_ND. x: [N * prod(block), *sizes, ...] -> [N, *(sizes * block - crops), ...].

    block: [M], crops: [M, 2] cells to leave out before and behind.
    Source: LiteRT tflite/kernels/internal/reference/batch_to_space_nd.h, without its limit of two dimensions.
    """
    blocks, cuts = ints(block), ints(crops)
    count, rank = len(blocks), x.ndim
    x = x.unflatten(0, (*blocks, -1))
    pairs = [axis for i in range(count) for axis in (count + 1 + i, i)]
    x = x.permute(count, *pairs, *range(2 * count + 1, rank + count))
    for axis in range(count):
        x = x.flatten(1 + axis, 2 + axis)
    if _any(cuts):
        kept = [_inside(x, 1 + axis, cuts[2 * axis], cuts[2 * axis + 1]) for axis in range(count)]
        x = x[tuple([slice(None), *kept])]  # noqa: C409
    return x


def _inside(x: Any, axis: int, before: Any, behind: Any) -> slice:
    """What is left of a dimension when cells are cut off at its ends."""
    if isinstance(behind, int):
        return slice(before or None, -behind or None)
    return slice(before, x.size(axis) - behind)


def _any(numbers: list[Any]) -> bool:
    """Whether some number is not known to be 0."""
    return any(not isinstance(number, int) or number for number in numbers)


OPERATORS = {
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_DEPTH": space_to_depth,
    "SPACE_TO_BATCH_ND": space_to_batch_nd,
    "BATCH_TO_SPACE_ND": batch_to_space_nd,
}
EXACT = {"SPACE_TO_BATCH_ND": space_to_batch_nd}
MOVES = ("DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "BATCH_TO_SPACE_ND")
