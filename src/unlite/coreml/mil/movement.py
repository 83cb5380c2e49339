"""MIL operators that move elements and leave them as they are: shapes, slices, padding, joining."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.coreml.mil.numbers import number, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def reshape(x: Tensor, shape: Tensor, **_: Any) -> Tensor:
    """Computes x in another shape; 0 keeps the size at that place, -1 is what is left."""
    sizes = [x.shape[i] if size == 0 and x.numel() else size for i, size in enumerate(whole(shape))]
    return x.reshape(sizes)


def expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    """Axes of size 1, at those places of the result."""
    chosen = whole(axes)
    rank = x.ndim + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Tensor | None) -> Tensor:
    """Without those axes of size 1; without all of them where none is named."""
    return x.squeeze(tuple(whole(axes))) if axes is not None else x.squeeze()


def slice_by_index(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    """x[begin:end:stride] along each axis, negative strides too; a mask leaves an end open, or takes one index."""
    rank = x.ndim
    steps = whole(stride) or [1] * rank
    opens = [[bool(flag) for flag in whole(mask)] or [False] * rank for mask in (begin_mask, end_mask, squeeze_mask)]
    begins, ends = whole(begin), whole(end)
    for axis, size in enumerate(x.shape):
        if opens[2][axis]:
            picked = [begins[axis] % size]
        else:
            first = None if opens[0][axis] else begins[axis]
            last = None if opens[1][axis] else ends[axis]
            picked = list(range(*slice(first, last, steps[axis]).indices(size)))
        x = x.index_select(axis, torch.tensor(picked, dtype=torch.long))
    return x.squeeze(tuple(axis for axis in range(rank) if opens[2][axis])) if any(opens[2]) else x


def slice_by_size(x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    """That many elements from a place on, along each axis; -1 for all that follow."""
    for axis, (first, count) in enumerate(zip(whole(begin), whole(size), strict=True)):
        x = x.narrow(axis, first, x.shape[axis] - first if count < 0 else count)
    return x


def slice_update(x: Tensor, update: Tensor, **span: Tensor | None) -> Tensor:
    """x, with ``update`` in place of the slice that ``slice_by_index`` takes for the same span."""
    places = torch.arange(x.numel()).reshape(x.shape)
    chosen = slice_by_index(places, **span)  # type: ignore[arg-type]
    flat = x.reshape(-1).clone()
    flat[chosen.reshape(-1)] = update.broadcast_to(chosen.shape).reshape(-1)
    return flat.reshape(x.shape)


def pad(x: Tensor, pad: Tensor, mode: str | None = None, constant_val: Tensor | None = None) -> Tensor:
    """Elements before and after along the last axes: a constant, the mirror image, or the last element."""
    amounts = whole(pad)
    pairs = [amounts[i : i + 2] for i in range(0, len(amounts), 2)]
    if mode in (None, "constant"):
        return F.pad(x, [n for pair in reversed(pairs) for n in pair], value=number(constant_val))
    for axis, (before, after) in zip(range(x.ndim - len(pairs), x.ndim), pairs, strict=True):
        places = torch.arange(-before, x.shape[axis] + after)
        last = x.shape[axis] - 1
        if mode == "reflect":
            places = places.abs()
            places = last - (last - places).abs()
        x = x.index_select(axis, places.clamp(0, last))
    return x


def concat(values: tuple[Tensor, ...], axis: Tensor, interleave: Tensor | None = None) -> Tensor:
    """Tensors one after the other along an axis; interleaved: an element of each in turn."""
    dim = int(number(axis))
    values = tuple(value.reshape(1) if value.ndim == 0 else value for value in values)
    if interleave is not None and bool(interleave):
        return torch.stack(values, dim=dim % values[0].ndim + 1).flatten(dim % values[0].ndim, dim % values[0].ndim + 1)
    return torch.cat(values, dim)


def split(x: Tensor, num_splits: Tensor | None, split_sizes: Tensor | None, axis: Tensor) -> tuple[Tensor, ...]:
    """Parts along an axis, of given sizes, or so many of equal size."""
    dim = int(number(axis))
    sizes = whole(split_sizes) or [x.shape[dim] // int(number(num_splits))] * int(number(num_splits))
    return torch.split(x, sizes, dim)


def pixel_shuffle(x: Tensor, upscale_factor: Tensor) -> Tensor:
    """Channels into space: [N, C r r, H, W] -> [N, C, H r, W r]."""
    return F.pixel_shuffle(x, int(number(upscale_factor)))


def pixel_unshuffle(x: Tensor, downscale_factor: Tensor) -> Tensor:
    """Space into channels, undoing pixel_shuffle."""
    return F.pixel_unshuffle(x, int(number(downscale_factor)))


def depth_to_space(x: Tensor, block_size: Tensor) -> Tensor:
    """Channels into space, the block's place being the channel's higher part: [N, r r C, H, W] -> [N, C, H r, W r]."""
    r = int(number(block_size))
    n, c, h, w = x.shape
    return x.reshape(n, r, r, c // (r * r), h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // (r * r), h * r, w * r)


def space_to_depth(x: Tensor, block_size: Tensor) -> Tensor:
    """Space into channels, undoing depth_to_space."""
    r = int(number(block_size))
    n, c, h, w = x.shape
    return x.reshape(n, c, h // r, r, w // r, r).permute(0, 3, 5, 1, 2, 4).reshape(n, c * r * r, h // r, w // r)


def space_to_batch(x: Tensor, block_shape: Tensor, paddings: Tensor) -> Tensor:
    """Blocks of the last two axes into the batch: [N, C, H, W] -> [N bh bw, C, H' / bh, W' / bw]."""
    bh, bw = whole(block_shape)
    x = F.pad(x, [*whole(paddings)[2:], *whole(paddings)[:2]])
    n, c, h, w = x.shape
    return x.reshape(n, c, h // bh, bh, w // bw, bw).permute(3, 5, 0, 1, 2, 4).reshape(n * bh * bw, c, h // bh, w // bw)


def batch_to_space(x: Tensor, block_shape: Tensor, crops: Tensor) -> Tensor:
    """The batch back into the last two axes, and cropped."""
    bh, bw = whole(block_shape)
    n, c, h, w = x.shape
    x = x.reshape(bh, bw, n // (bh * bw), c, h, w).permute(2, 3, 4, 0, 5, 1).reshape(n // (bh * bw), c, h * bh, w * bw)
    top, bottom, left, right = whole(crops)
    return x[:, :, top : h * bh - bottom, left : w * bw - right]


def reverse(x: Tensor, axes: Tensor | None) -> Tensor:
    """Back to front along those axes; along all where none is named."""
    return x.flip(whole(axes) if axes is not None else list(range(x.ndim)))


def reverse_sequence(x: Tensor, lengths: Tensor, seq_axis: Tensor, batch_axis: Tensor) -> Tensor:
    """The first ``lengths[b]`` elements along seq_axis back to front, for each b along batch_axis."""
    along, batch = int(number(seq_axis)) % x.ndim, int(number(batch_axis)) % x.ndim
    places = torch.arange(x.shape[along]).reshape([-1 if i == along else 1 for i in range(x.ndim)])
    counts = lengths.long().reshape([-1 if i == batch else 1 for i in range(x.ndim)])
    return x.gather(along, torch.where(places < counts, counts - 1 - places, places).expand(x.shape))


def sliding_windows(x: Tensor, axis: Tensor, size: Tensor, stride: Tensor) -> Tensor:
    """Windows along an axis, which becomes two: count and size."""
    dim = int(number(axis)) % x.ndim
    return x.unfold(dim, int(number(size)), int(number(stride))).movedim(-1, dim + 1)


def band_part(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Zeros outside a band around the diagonal; a negative width keeps all on that side."""
    row, column = torch.arange(x.shape[-2])[:, None], torch.arange(x.shape[-1])[None]
    below, above = int(number(lower)), int(number(upper))
    kept = ((below < 0) | (row - column <= below)) & ((above < 0) | (column - row <= above))
    return torch.where(kept, x, torch.zeros_like(x))


def range_1d(end: Tensor, start: Tensor, step: Tensor) -> Tensor:
    """start, start + step, ... before end."""
    return torch.arange(start.item(), end.item(), step.item())


OPERATORS: dict[str, Callable[..., Any]] = {
    "reshape": reshape,
    "expand_dims": expand_dims,
    "squeeze": squeeze,
    "transpose": lambda x, perm: x.permute(whole(perm)),
    "flatten2d": lambda x, axis: x.reshape(int(torch.tensor(x.shape[: int(number(axis))]).prod()), -1),
    "shape": lambda x: torch.tensor(x.shape),
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "slice_update": slice_update,
    "pad": pad,
    "concat": concat,
    "stack": lambda values, axis: torch.stack(values, int(number(axis))),
    "split": split,
    "tile": lambda x, reps: x.tile(whole(reps)),
    "fill": lambda shape, value: value.reshape(()).expand(whole(shape)),
    "fill_like": lambda ref_tensor, value: value.reshape(()).expand(ref_tensor.shape),
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "space_to_batch": space_to_batch,
    "batch_to_space": batch_to_space,
    "reverse": reverse,
    "reverse_sequence": reverse_sequence,
    "sliding_windows": sliding_windows,
    "band_part": band_part,
    "range_1d": range_1d,
}
