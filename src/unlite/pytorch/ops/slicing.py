"""Parts of tensors: slices, what is written into slices, and axes that run backwards or around."""

# ruff: noqa: ARG001 - every operator's function takes the options

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.pytorch.trace import Value, along_axes, helper, ints

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options

ALL = slice(None)


def slice_(x: Any, begin: Tensor, size: Tensor, *, options: Options) -> Any:
    """The block of x from ``begin``, of the given size; a size of -1 reaches to the end. begin, size: [rank].

    Source: LiteRT tflite/kernels/slice.cc, CalculateOutputShapeVector.
    """
    first, counts = ints(begin), ints(size)
    if not all(isinstance(count, int) for count in counts):
        return take_block(x, first, counts)
    if any(map(_is_read, first)) and -1 not in counts:
        return block_at(x, begin, counts)
    return _taken(x, [_span(b, None if n == -1 else b + n) for b, n in zip(first, counts, strict=True)])


def _span(begin: Any, end: Any, step: int | None = None) -> slice:
    """A slice as a person writes it: without a begin of 0."""
    begin = None if isinstance(begin, int) and begin == 0 else begin
    return ALL if begin is end is step is None else slice(begin, end, step)


def _is_read(number: Any) -> bool:
    """Whether a number is read from a tensor while the module runs, which torch.export refuses."""
    return isinstance(number, Value) and number.guessed


@helper
def take_block(x: torch.Tensor, begin: list[int], size: list[int]) -> torch.Tensor:
    """The block of x from ``begin``, of the given size; a size of -1 reaches to the end."""
    for axis, (first, count) in enumerate(zip(begin, size, strict=True)):
        x = x.narrow(axis, first, x.shape[axis] - first if count == -1 else count)
    return x


@helper
def block_at(x: torch.Tensor, begin: torch.Tensor, size: list[int]) -> torch.Tensor:
    """The block of x of a known size that begins at a place given by a tensor."""
    places = []
    for axis, count in enumerate(size):
        along = [1] * x.ndim
        along[axis] = count
        places.append((begin[axis].long() + torch.arange(count)).reshape(along))
    return x[tuple(places)]


def strided_slice(x: Any, begin: Tensor, end: Tensor, strides: Tensor, *, options: Options) -> Any:
    """x[begin:end:strides] as Python has it, with masks. begin, end, strides: [n], n <= rank plus new axes.

    A bit i of ``begin_mask`` and ``end_mask`` leaves that bound open, of ``shrink_axis_mask`` takes one place and drops
    the axis, of ``new_axis_mask`` puts in an axis of size 1, of ``ellipsis_mask`` stands for all axes not named.
    With ``offset``, end counts from begin.
    Source: LiteRT tflite/kernels/strided_slice.cc, BuildStridedSliceParams; reference/strided_slice.h, StartForAxis.
    """
    entries = list(zip(ints(begin), ints(end), ints(strides), strict=True))
    index: list[Any] = []
    axis = 0  # of x, that the next entry speaks of
    for place, (first, last, step) in enumerate(entries):
        bit = 1 << place
        if options.ellipsis_mask & bit:
            spans = x.ndim - axis - sum(1 for i in range(place + 1, len(entries)) if not options.new_axis_mask >> i & 1)
            index += [ALL] * spans
            axis += spans
            continue
        if options.new_axis_mask & bit:
            index.append(None)
            continue
        if options.shrink_axis_mask & bit:
            if options.begin_mask & bit:
                index.append(-1 if isinstance(step, int) and step < 0 else 0)
            elif _is_read(first):
                x = keep_place(x, axis, begin[place])
                index.append(0)
            else:
                index.append(first)
        else:
            begins = None if options.begin_mask & bit else first
            ends = None if options.end_mask & bit else _end(begins, last) if options.get("offset", False) else last
            if not isinstance(step, int):
                x = take_steps(x, axis, begins, ends, step)
                index.append(ALL)
            elif step < 0:  # torch has no negative steps: flipped, place b from the front is place ~b = -b - 1
                x = x.flip(axis)
                begins, ends = (None if b is None else -b - 1 for b in (begins, ends))
                index.append(_span(begins, ends, None if step == -1 else -step))
            else:
                index.append(_span(begins, ends, None if step == 1 else step))
        axis += 1
    return _taken(x, index)


def _end(begin: Any, count: Any) -> Any:
    """Where ``count`` places from ``begin`` end."""
    if begin is None:
        return count
    known = isinstance(begin, int) and isinstance(count, int)
    return None if known and begin < 0 <= begin + count else begin + count


def _taken(x: Any, index: list[Any]) -> Any:
    while index and index[-1] is ALL:
        index = index[:-1]
    return x[tuple(index)] if index else x


@along_axes
def keep_place(x: torch.Tensor, axis: int, place: torch.Tensor) -> torch.Tensor:
    """``x`` with a single place left along an axis, which a tensor names; a negative one counts from the end."""
    return x.index_select(axis, torch.where(place < 0, place + x.shape[axis], place).reshape(1))


@along_axes
def take_steps(x: torch.Tensor, axis: int, begin: int | None, end: int | None, step: int) -> torch.Tensor:
    """Places begin, begin + step, ... before end along an axis, as Python slices; the step may be negative."""
    places = range(*slice(begin, end, step).indices(x.shape[axis]))
    return x.index_select(axis, torch.tensor(list(places), dtype=torch.int64))


def dynamic_update_slice(x: Tensor, update: Tensor, start: Tensor, *, options: Options) -> Tensor:
    """``x`` with a block replaced by ``update``, moved to lie inside x. start: [rank] -> as x.

    Source: LiteRT tflite/kernels/dynamic_update_slice.cc, ClampStartIndices.
    """
    return update_block(x, update, start)


@helper
def update_block(x: torch.Tensor, update: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """``x`` with the block from ``start`` replaced by ``update``; start is clamped so that the block lies inside x."""
    if x.ndim == 0:
        return update
    places = []
    for axis in range(x.ndim):
        first = start[axis].long().clamp(0, x.shape[axis] - update.shape[axis])
        along = [1] * x.ndim
        along[axis] = update.shape[axis]
        places.append((first + torch.arange(update.shape[axis])).reshape(along))
    return x.index_put(tuple(places), update)


def reverse_v2(x: Tensor, axes: Tensor, *, options: Options) -> Tensor:
    """``x`` with some axes running backwards. axes: [n]. Source: LiteRT tflite/kernels/reverse.cc."""
    return x.flip(ints(axes))


def reverse_sequence(x: Tensor, lengths: Tensor, *, options: Options) -> Tensor:
    """``x`` with the first lengths[b] places along ``seq_dim`` running backwards, for each b along ``batch_dim``.

    Source: LiteRT tflite/kernels/reverse_sequence.cc, ReverseSequenceImpl.
    """
    rank = x.ndim
    return reverse_beginnings(x, lengths, options.seq_dim % rank, options.get("batch_dim", 0) % rank)


@helper
def reverse_beginnings(x: torch.Tensor, lengths: torch.Tensor, seq_dim: int, batch_dim: int) -> torch.Tensor:
    """``x`` with the first lengths[b] places along seq_dim running backwards, for each b along batch_dim."""
    shape = [1] * x.ndim
    shape[seq_dim] = -1
    place = torch.arange(x.shape[seq_dim]).reshape(shape)
    shape[seq_dim], shape[batch_dim] = 1, -1
    count = lengths.long().reshape(shape)
    return torch.take_along_dim(x, torch.where(place < count, count - 1 - place, place), seq_dim)


def roll(x: Tensor, shift: Tensor, axis: Tensor, *, options: Options) -> Tensor:
    """``x`` moved around along axes: what leaves at the end comes in at the front. shift, axis: [] or [n].

    Source: TensorFlow tensorflow/lite/kernels/roll.cc, Eval.
    """
    return x.roll(ints(shift), ints(axis))


OPERATORS = {
    "SLICE": slice_,
    "STRIDED_SLICE": strided_slice,
    "DYNAMIC_UPDATE_SLICE": dynamic_update_slice,
    "REVERSE_V2": reverse_v2,
    "REVERSE_SEQUENCE": reverse_sequence,
}
CUSTOM = {"Roll": roll}
MOVES = ("SLICE", "STRIDED_SLICE", "DYNAMIC_UPDATE_SLICE", "REVERSE_V2", "REVERSE_SEQUENCE")
