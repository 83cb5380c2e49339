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
    """Bilinear resizing whose cell i lies at i * old size / new size. x: [N, C, H, W] -> [N, C, *size]."""
    for axis, new in ((2, size[0]), (3, size[1])):
        old = x.shape[axis]
        place = torch.arange(new, dtype=x.dtype, device=x.device) * (old / new)
        lower = place.floor()
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        part = (place - lower).reshape(shape)
        lower = lower.long()
        upper = torch.clamp(lower + 1, max=old - 1)
        x = x.index_select(axis, lower) * (1 - part) + x.index_select(axis, upper) * part
    return x


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


OPERATORS = {"RESIZE_BILINEAR": resize_bilinear, "RESIZE_NEAREST_NEIGHBOR": resize_nearest_neighbor}
