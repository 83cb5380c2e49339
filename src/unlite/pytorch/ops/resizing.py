"""Resizing of pictures: bilinear and nearest neighbour, each in TFLite's three variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.ops.sliding import channels_first, channels_last
from unlite.pytorch.trace import helper, ints

if TYPE_CHECKING:
    from unlite.pytorch.options import Options


def resize_bilinear(x: Any, size: Any, *, options: Options) -> Any:
    """A picture of another size, each cell between four of x's. x: [N, H, W, C] -> [N, H', W', C]; size: [2].

    Cell i lies at i * (H - 1) / (H' - 1) with align_corners, (i + 0.5) * H / H' - 0.5 with half_pixel_centers, and
    i * H / H' with neither. Source: LiteRT tflite/kernels/internal/reference/resize_bilinear.h.
    """
    to = tuple(ints(size))
    if not options.align_corners and not options.half_pixel_centers:
        return channels_last(bilinear_from_corner(channels_first(x), to))
    resized = F.interpolate(channels_first(x), size=to, mode="bilinear", align_corners=options.align_corners)
    return channels_last(resized)


def resize_nearest_neighbor(x: Any, size: Any, *, options: Options) -> Any:
    """A picture of another size, each cell one of x's. x: [N, H, W, C] -> [N, H', W', C], any type; size: [2].

    Cell i is floor(i * H / H'), with half_pixel_centers floor((i + 0.5) * H / H'); with align_corners H / H' becomes
    (H - 1) / (H' - 1), and halves are rounded up.
    Source: LiteRT tflite/kernels/internal/reference/resize_nearest_neighbor.h, GetNearestNeighbor.
    """
    to = tuple(ints(size))
    aligned, centred = bool(options.align_corners), bool(options.half_pixel_centers)
    if aligned or not x.dtype.is_floating_point:
        return channels_last(nearest_cells(channels_first(x), to, aligned, centred))
    mode = "nearest-exact" if centred else "nearest"
    return channels_last(F.interpolate(channels_first(x), size=to, mode=mode))


@helper
def bilinear_from_corner(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear resizing whose cell i lies at i * old size / new size. x: [N, C, H, W] -> [N, C, *size].

    With one cell more on both sides, that is what align_corners does.
    """
    height, width = size
    x = F.pad(x, (0, 1, 0, 1), mode="replicate")
    return F.interpolate(x, size=(height + 1, width + 1), mode="bilinear", align_corners=True)[:, :, :-1, :-1]


@helper
def nearest_cells(x: torch.Tensor, size: tuple[int, int], aligned: bool, centred: bool) -> torch.Tensor:
    """Nearest neighbours as TFLite finds them. x: [N, C, H, W] -> [N, C, *size]."""
    for axis, new in ((2, size[0]), (3, size[1])):
        old = x.shape[axis]
        scale = (old - 1) / (new - 1) if aligned and new > 1 else old / new
        place = (torch.arange(new, dtype=torch.float32, device=x.device) + (0.5 if centred else 0.0)) * scale
        place = torch.floor(place + 0.5) if aligned else torch.floor(place)
        x = x.index_select(axis, torch.clamp(place.long(), 0, old - 1))
    return x


def resize_bilinear_exact(x: Any, size: Any, *, options: Options) -> Any:
    """RESIZE_BILINEAR on integers: places in steps of 1 / 1024; of UINT8 in real numbers.

    Source: LiteRT tflite/kernels/internal/reference/resize_bilinear.h, ResizeBilinearInteger and ResizeBilinear.
    """
    resize = bilinear_integers if x.dtype is not torch.uint8 else bilinear_rounded
    to = tuple(ints(size))
    return channels_last(resize(channels_first(x), to, bool(options.align_corners), bool(options.half_pixel_centers)))


@helper
def bilinear_integers(x: torch.Tensor, size: tuple[int, int], aligned: bool, centred: bool) -> torch.Tensor:
    """Bilinear resizing of integers in fixed point. x: [N, C, H, W] -> [N, C, *size], halves away from 0."""
    kind = x.dtype
    y = x.permute(0, 2, 3, 1).to(torch.int32 if kind == torch.int8 else torch.int64)  # all channels are copied at once
    for axis, new in ((2, size[1]), (1, size[0])):
        old = y.shape[axis]
        step = (1024 * old + new // 2) // new
        if aligned and new > 1:
            step = (1024 * (old - 1) + (new - 1) // 2) // (new - 1)
        place = torch.arange(new, device=x.device) * step + (step // 2 - 512 if centred else 0)
        lower = torch.div(place, 1024, rounding_mode="trunc").clamp(0, old - 1)
        upper = ((place + 1023) >> 10).clamp(0, old - 1)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        part = (place - 1024 * lower).to(y.dtype).reshape(shape)
        first = y.index_select(axis, lower)
        y = y.index_select(axis, upper).sub_(first).mul_(part).add_(first, alpha=1024)
    rounded = y.add_(y >= 0).add_((1 << 19) - 1) >> 20
    return rounded.to(kind).permute(0, 3, 1, 2)


@helper
def bilinear_rounded(x: torch.Tensor, size: tuple[int, int], aligned: bool, centred: bool) -> torch.Tensor:
    """Bilinear resizing of integers from 0 up in float32, as four products. x: [N, C, H, W] -> [N, C, *size]."""
    y = x.permute(0, 2, 3, 1)  # all channels are copied at once
    parts, cells = [], []
    for axis, new in ((1, size[0]), (2, size[1])):
        old = y.shape[axis]
        scale = torch.scalar_tensor(old, dtype=torch.float32) / new
        if aligned and new > 1:
            scale = torch.scalar_tensor(old - 1, dtype=torch.float32) / (new - 1)
        place = torch.arange(new, dtype=torch.float32, device=x.device)
        place = (place + 0.5) * scale - 0.5 if centred else place * scale
        lower = place.floor().clamp(min=0)
        part = place - lower
        parts.append(part.reshape(-1, *[1] * (3 - axis)))
        cells.append((lower.long().clamp(max=old - 1), place.ceil().long().clamp(0, old - 1)))
    (top, bottom), (left, right) = cells
    down, along = parts
    above, below = y.index_select(1, top), y.index_select(1, bottom)
    total = above.index_select(2, left) * (1 - down) * (1 - along)
    total = total + below.index_select(2, left) * down * (1 - along)
    total = total + above.index_select(2, right) * (1 - down) * along
    total = total + below.index_select(2, right) * down * along
    return (total + 0.5).to(x.dtype).permute(0, 3, 1, 2)


EXACT = {"RESIZE_BILINEAR": resize_bilinear_exact}
MOVES = ("RESIZE_NEAREST_NEIGHBOR",)
OPERATORS = {"RESIZE_BILINEAR": resize_bilinear, "RESIZE_NEAREST_NEIGHBOR": resize_nearest_neighbor}
