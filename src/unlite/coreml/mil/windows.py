"""MIL operators on pictures, [N, C, *spatial]: convolution, pooling, resizing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.coreml.mil.numbers import number, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAXIMA = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
MEANS: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def amounts(pad_type: str, pad: list[int], sizes: list[int], kernel: list[int], strides: list[int]) -> list[int]:
    """Padding before and after each spatial axis. ``kernel``: sizes with dilation."""
    if pad_type == "custom":
        return pad
    found: list[int] = []
    for size, window, stride in zip(sizes, kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0) if pad_type.startswith("same") else 0
        less, more = total // 2, total - total // 2
        found += [more, less] if pad_type == "same_lower" else [less, more]
    return found


def padded(x: Tensor, pad: list[int], value: float = 0.0) -> Tensor:
    """Computes x with its spatial axes padded."""
    pairs = [pad[i : i + 2] for i in range(0, len(pad), 2)]
    return F.pad(x, [n for pair in reversed(pairs) for n in pair], value=value) if any(pad) else x


def conv(
    x: Tensor,
    weight: Tensor,
    *,
    bias: Tensor | None,
    strides: Tensor,
    pad_type: str,
    pad: Tensor,
    dilations: Tensor,
    groups: Tensor,
) -> Tensor:
    """Convolution; weight [C_out, C_in / groups, *kernel]."""
    step, spread = whole(strides), whole(dilations)
    kernel = [(size - 1) * gap + 1 for size, gap in zip(weight.shape[2:], spread, strict=True)]
    around = amounts(pad_type, whole(pad), list(x.shape[2:]), kernel, step)
    x = padded(x, around)
    return CONVOLUTIONS[x.ndim - 2](x, weight, bias, step, 0, spread, int(number(groups)))


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    *,
    bias: Tensor | None,
    pad: Tensor,
    output_shape: Tensor | None,
    pad_type: str,
    strides: Tensor,
    dilations: Tensor,
    groups: Tensor,
) -> Tensor:
    """Transposed convolution; weight [C_in, C_out / groups, *kernel]. The padding is cut off the full result."""
    step, spread = whole(strides), whole(dilations)
    full = TRANSPOSED[x.ndim - 2](x, weight, None, step, 0, 0, int(number(groups)), spread)
    cut = whole(pad) if pad_type == "custom" else [0] * (2 * len(step))
    sizes = whole(output_shape)[2:]
    for axis in range(len(step)):
        have = full.shape[axis + 2]
        if pad_type == "same":
            wanted = sizes[axis] if sizes else x.shape[axis + 2] * step[axis]
            before = max(have - wanted, 0) // 2
        else:
            before = cut[2 * axis]
            wanted = sizes[axis] if sizes else have - before - cut[2 * axis + 1]
        full = F.pad(full, _one_axis(full, axis + 2, max(before + wanted - have, 0)))
        full = full.narrow(axis + 2, before, wanted)
    return full if bias is None else full + bias.reshape(1, -1, *[1] * len(step))


def _one_axis(x: Tensor, axis: int, after: int) -> list[int]:
    return [n for i in range(x.ndim - 1, -1, -1) for n in (0, after if i == axis else 0)]


def pooled(
    x: Tensor, kernel_sizes: Tensor, strides: Tensor, pad_type: str, pad: Tensor, ceil_mode: Tensor | None, fill: float
) -> tuple[Tensor, list[int], list[int], bool]:
    """Computes x padded for a pool, the window, its steps, and whether the last window may stand out."""
    kernel, step = whole(kernel_sizes), whole(strides)
    around = amounts(pad_type, whole(pad), list(x.shape[2:]), kernel, step)
    ceil = ceil_mode is not None and bool(ceil_mode)
    if ceil:  # a last window is added where it begins inside the picture or the padding before it
        for axis, size in enumerate(x.shape[2:]):
            before, after = around[2 * axis : 2 * axis + 2]
            windows = -(-(size + before + after - kernel[axis]) // step[axis]) + 1
            if (windows - 1) * step[axis] >= size + before and (before or after):
                windows -= 1
            around[2 * axis + 1] = max((windows - 1) * step[axis] + kernel[axis] - size - before, after)
    return padded(x, around, fill), kernel, step, ceil


def max_pool(
    x: Tensor, kernel_sizes: Tensor, strides: Tensor, pad_type: str, pad: Tensor, ceil_mode: Tensor | None
) -> Tensor:
    """The largest element of each window; padding never is."""
    x, kernel, step, _ = pooled(x, kernel_sizes, strides, pad_type, pad, ceil_mode, float("-inf"))
    return MAXIMA[len(kernel)](x, kernel, step)


def avg_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor,
    pad_type: str,
    pad: Tensor,
    exclude_padding_from_average: Tensor,
    ceil_mode: Tensor | None,
) -> Tensor:
    """The mean of each window, of the elements inside the picture where padding is excluded."""
    ones = torch.ones_like(x)
    if not bool(exclude_padding_from_average):
        kernel_count = whole(kernel_sizes)
        around = amounts(pad_type, whole(pad), list(x.shape[2:]), kernel_count, whole(strides))
        x, ones = padded(x, around), padded(ones, around, 1.0)
        pad_type, pad = "valid", torch.zeros_like(pad)
    cells, kernel, step, _ = pooled(x, kernel_sizes, strides, pad_type, pad, ceil_mode, 0.0)
    inside = pooled(ones, kernel_sizes, strides, pad_type, pad, ceil_mode, 0.0)[0]
    mean = MEANS[len(kernel)]
    return mean(cells, kernel, step) / mean(inside, kernel, step)


def l2_pool(
    x: Tensor, kernel_sizes: Tensor, strides: Tensor, pad_type: str, pad: Tensor, ceil_mode: Tensor | None
) -> Tensor:
    """The square root of the sum of squares of each window."""
    x, kernel, step, _ = pooled(x.square(), kernel_sizes, strides, pad_type, pad, ceil_mode, 0.0)
    return torch.sqrt(MEANS[len(kernel)](x, kernel, step) * float(torch.tensor(kernel).prod()))


def grid(size: int, wanted: int, mode: str) -> Tensor:
    """Where each of the wanted elements lies between the given ones, along one axis."""
    i = torch.arange(wanted, dtype=torch.float64)
    if mode == "ALIGN_CORNERS" and wanted == 1:
        return torch.tensor([(size - 1) / 2], dtype=torch.float64)
    if mode.endswith("ALIGN_CORNERS") and mode != "UNALIGN_CORNERS":
        places = i * ((size - 1) / max(wanted - 1, 1))
    elif mode == "UNALIGN_CORNERS":
        places = (i + 0.5) * (size / wanted) - 0.5
    elif mode == "OFFSET_CORNERS":
        places = (i + 0.5) * (max(1, size - 1) / wanted)
    else:
        places = i * (size / wanted)
    return places.clamp(0, size - 1)


def resized(x: Tensor, height: int, width: int, mode: str, *, linear: bool) -> Tensor:
    """The last two axes sampled anew."""
    for axis, wanted in ((x.ndim - 2, height), (x.ndim - 1, width)):
        places = grid(x.shape[axis], wanted, mode)
        low = places.floor().long()
        if not linear:
            x = x.index_select(axis, low if mode == "DEFAULT" else torch.floor(places + 0.5).long())
            continue
        high = (low + 1).clamp(max=x.shape[axis] - 1)
        part = (places - low).to(x.dtype).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        first, second = x.index_select(axis, low), x.index_select(axis, high)
        x = first + (second - first) * part
    return x


def upsample_bilinear(
    x: Tensor, scale_factor_height: Tensor, scale_factor_width: Tensor, align_corners: Tensor, **_: Any
) -> Tensor:
    """Larger by factors, straight lines between the elements."""
    height, width = _scaled(x, scale_factor_height, scale_factor_width)
    mode = "STRICT_ALIGN_CORNERS" if bool(align_corners) else "UNALIGN_CORNERS"
    return resized(x, height, width, mode, linear=True)


def upsample_nearest_neighbor(x: Tensor, scale_factor_height: Tensor, scale_factor_width: Tensor) -> Tensor:
    """Larger by factors, each element repeated."""
    return resized(x, *_scaled(x, scale_factor_height, scale_factor_width), "DEFAULT", linear=False)


def _scaled(x: Tensor, height: Tensor, width: Tensor) -> tuple[int, int]:
    # A factor is stored as float32: 7 / 3 of 3 elements are 7, though the product is a little less.
    return int(x.shape[-2] * number(height) + 1e-4), int(x.shape[-1] * number(width) + 1e-4)


def resize_bilinear(x: Tensor, target_size_height: Tensor, target_size_width: Tensor, sampling_mode: str) -> Tensor:
    """The last two axes in given sizes, straight lines between the elements."""
    height, width = int(number(target_size_height)), int(number(target_size_width))
    return resized(x, height, width, sampling_mode, linear=True)


def resize_nearest_neighbor(x: Tensor, target_size_height: Tensor, target_size_width: Tensor) -> Tensor:
    """The last two axes in given sizes, the element below each place."""
    return resized(x, int(number(target_size_height)), int(number(target_size_width)), "DEFAULT", linear=False)


def resize(x: Tensor, shape: Tensor, resized_dims: Tensor, interpolation_mode: str, sampling_mode: str) -> Tensor:
    """The last two axes in given sizes; 0 keeps a size."""
    if int(number(resized_dims)) != 2:
        raise NotImplementedError("resize of other than two axes")
    height, width = (size or have for size, have in zip(whole(shape)[-2:], x.shape[-2:], strict=True))
    return resized(x, height, width, sampling_mode, linear=interpolation_mode == "LINEAR")


def resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Tensor,
    coordinates_mode: str,
    align_corners: Tensor,
) -> Tensor:
    """Pictures sampled at places (x, y) of the last two axes; coordinates: [N, H, W, 2]."""
    is_aligned, outside = bool(number(align_corners)), float(number(padding_value))
    modes = {"constant": "zeros", "border": "border", "reflection" if is_aligned else "symmetric": "reflection"}
    if padding_mode not in modes:
        raise NotImplementedError(f"resample with padding {padding_mode!r}, align_corners={is_aligned}")
    places = coordinates.to(x.dtype)
    if coordinates_mode == "normalized_zero_to_one":
        places = 2 * places - 1
    elif coordinates_mode == "unnormalized":
        sizes = torch.tensor([x.shape[-1], x.shape[-2]], dtype=x.dtype)
        places = 2 * places / (sizes - 1) - 1 if is_aligned else (2 * places + 1) / sizes - 1
    outside = outside if padding_mode == "constant" else 0.0
    return F.grid_sample(x - outside, places, sampling_mode, modes[padding_mode], is_aligned) + outside


OPERATORS: dict[str, Callable[..., Any]] = {
    "conv": conv,
    "conv_transpose": conv_transpose,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "l2_pool": l2_pool,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
    "resize_bilinear": resize_bilinear,
    "resize_nearest_neighbor": resize_nearest_neighbor,
    "resize": resize,
    "resample": resample,
}
