"""Padding as an operator of its own: with a value, or with mirrored content."""

# ruff: noqa: ARG001 - every operator's function takes the options

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.trace import helper, ints

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def pad(x: Tensor, paddings: Tensor, *, options: Options) -> Tensor:
    """``x`` with zeros around it. paddings: [rank, 2], how many before and behind along each axis.

    Source: LiteRT tflite/kernels/pad.cc, ResizeOutputTensor.
    """
    return F.pad(x, _innermost_first(ints(paddings)))


def pad_v2(x: Tensor, paddings: Tensor, value: Any = None, *, options: Options) -> Tensor:
    """``x`` with a value around it. paddings: [rank, 2]; value: [] or [1]. Source: LiteRT pad.cc, Eval."""
    around = _innermost_first(ints(paddings))
    if value is None:
        return F.pad(x, around)
    if isinstance(value, torch.Tensor) or value.constant is not None:
        number = value.item() if isinstance(value, torch.Tensor) else value.constant.numpy().reshape(-1)[0].item()
        if abs(number) < 1 << 53 or x.dtype.is_floating_point:  # F.pad takes its value as a float
            return F.pad(x, around, value=number)
    return pad_with(x, around, value)


def _innermost_first(paddings: list[Any]) -> list[Any]:
    """Pairs in F.pad's order: those of the last axis first; axes in front that get nothing are left out."""
    pairs = [paddings[i : i + 2] for i in range(0, len(paddings), 2)]
    while pairs and all(isinstance(count, int) and count == 0 for count in pairs[0]):
        pairs = pairs[1:]
    return [count for pair in reversed(pairs) for count in pair]


@helper
def pad_with(x: torch.Tensor, around: list[int], value: torch.Tensor) -> torch.Tensor:
    """``x`` with a value around it that is a tensor. around: as F.pad has it."""
    inside = F.pad(torch.ones_like(x, dtype=torch.bool), around, value=False)
    return torch.where(inside, F.pad(x, around), value.to(x.dtype).reshape(()))


def mirror_pad(x: Tensor, paddings: Tensor, *, options: Options) -> Tensor:
    """``x`` with its own content mirrored around it. paddings: [rank, 2].

    SYMMETRIC repeats the outermost cell (1 2 3 -> 2 1 1 2 3 3 2), REFLECT does not (1 2 3 -> 3 2 1 2 3 2 1).
    Source: LiteRT tflite/kernels/mirror_pad.cc, GetInputDimension.
    """
    counts = ints(paddings)
    for axis in range(x.ndim):
        before, behind = counts[2 * axis : 2 * axis + 2]
        if not (isinstance(before, int) and isinstance(behind, int) and before == behind == 0):
            x = mirror(x, axis, before, behind, options.mode == "SYMMETRIC")
    return x


@helper
def mirror(x: torch.Tensor, axis: int, before: int, behind: int, edge: bool) -> torch.Tensor:
    """``x`` continued in both directions along an axis by its mirror image; ``edge``: with the outermost cell twice."""
    size = x.shape[axis]
    place = torch.arange(-before, size + behind)
    place = torch.where(place < 0, -place - int(edge), place)
    place = torch.where(place >= size, 2 * size - 2 + int(edge) - place, place)
    return x.index_select(axis, place)


def pad_exact(x: Any, paddings: Tensor, *, options: Options) -> Any:
    """PAD on integers: 0 is the output's zero point. Source: LiteRT tflite/kernels/pad.cc, Eval."""
    return F.pad(x, _innermost_first(ints(paddings)), value=options.output.zero_point)


def pad_v2_exact(x: Any, paddings: Tensor, value: Any = None, *, options: Options) -> Any:
    """PADV2 on integers: the value is one on the output's grid. Source: LiteRT tflite/kernels/pad.cc, Eval."""
    if value is None:
        return pad_exact(x, paddings, options=options)
    return pad_v2(x, paddings, value, options=options)


EXACT = {"PAD": pad_exact, "PADV2": pad_v2_exact}
MOVES = ("MIRROR_PAD",)
OPERATORS = {"PAD": pad, "PADV2": pad_v2, "MIRROR_PAD": mirror_pad}
