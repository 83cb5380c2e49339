"""Pooling: the mean, the largest, the root of the mean square of each window; and its undoing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.errors import InvalidValueError
from unlite.pytorch.activations import ACTIVATIONS
from unlite.pytorch.arithmetic.exact import on_stored
from unlite.pytorch.ops.padding import pad_same
from unlite.pytorch.ops.sliding import channels_first, channels_last, positive, raw_integers, symmetric_padding
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options

Window = tuple[tuple[int, ...], tuple[int, ...], bool]
"""Size, stride, whether padding is SAME."""


def average_pool_2d(x: Tensor, *, options: Options) -> Tensor:
    """Mean of those cells of each window that lie inside x, fused activation not included.

    x: [N, H, W, C] -> [N, H', W', C]. Source: LiteRT tflite/kernels/internal/reference/pooling.h, AveragePool.
    """
    if not x.dtype.is_floating_point:
        return _rounded(_average(x.double(), *_window(options)), x.dtype)
    return _average(x, *_window(options))


def max_pool_2d(x: Tensor, *, options: Options) -> Tensor:
    """Largest cell of each window, fused activation not included. x: [N, H, W, C] -> [N, H', W', C].

    Source: LiteRT tflite/kernels/internal/reference/pooling.h, MaxPool.
    """
    return _largest(x, *_window(options))


def l2_pool_2d(x: Tensor, *, options: Options) -> Tensor:
    """Root of the mean square of each window, fused activation not included. x: [N, H, W, C] -> [N, H', W', C].

    Source: LiteRT tflite/kernels/internal/reference/pooling.h, L2Pool.
    """
    return torch.sqrt(_average(torch.square(x), *_window(options)))


def average_pool_3d(x: Tensor, *, options: Options) -> Tensor:
    """AVERAGE_POOL_2D in three dimensions. x: [N, D, H, W, C] -> [N, D', H', W', C].

    Source: LiteRT tflite/kernels/pooling3d.cc, AveragePool3D.
    """
    if not x.dtype.is_floating_point:
        return _rounded(_average(x.double(), *_custom_window(options, 3)), x.dtype)
    return _average(x, *_custom_window(options, 3))


def max_pool_3d(x: Tensor, *, options: Options) -> Tensor:
    """MAX_POOL_2D in three dimensions. x: [N, D, H, W, C] -> [N, D', H', W', C].

    Source: LiteRT tflite/kernels/pooling3d.cc, MaxPool3D.
    """
    return _largest(x, *_custom_window(options, 3))


def max_pool_with_argmax(x: Tensor, *, options: Options) -> tuple[Tensor, Tensor]:
    """Largest cell of each window, and where it was found. x: [N, H, W, C] -> twice [N, H', W', C].

    The second is (row * W + column) * C + channel, plus n * H * W * C where the options include the batch; of equal
    cells the first. Source: LiteRT tflite/kernels/perception/max_pool_with_argmax.cc, TensorFlow MaxPoolWithArgmax.
    """
    size, stride, same = _custom_window(options, 2)
    dtype = options.outputs[1].dtype if len(options.outputs) > 1 else torch.int64
    with_batch = bool(options.custom.get("include_batch_in_index", False))
    found: Any = largest_and_place(x, size, stride, same, with_batch)
    return found[0], found[1].to(dtype)


def max_pooling_with_argmax_2d(x: Tensor, *, options: Options) -> tuple[Tensor, Tensor]:
    """Largest cell of each window, and where in its window it was found. x: [N, H, W, C] -> twice [N, H', W', C].

    The second is row * width of the window + column + 0.1, a float. The fused activation is among the custom options.
    Source: MediaPipe mediapipe/util/tflite/operations/max_pool_argmax.cc.
    """
    size, stride, same, activation = _structure(options)
    found: Any = largest_and_place_in_window(x, size, stride, same)
    activate = ACTIVATIONS[activation]
    return (activate(found[0]) if activate else found[0]), found[1]


def max_unpooling_2d(x: Tensor, places: Tensor, *, options: Options) -> Tensor:
    """Puts each cell back where it came from, among zeros. x, places: [N, H, W, C] -> [N, H', W', C].

    Integer places are (row * W' + column) * C + channel and H' = stride * H for SAME, stride * (H - 1) + height of the
    window for VALID; others are places in the window, as of MaxPoolingWithArgmax2D, and H' = height of the window * H.
    Source: LiteRT tflite/kernels/perception/max_unpooling_2d.cc; MediaPipe
    mediapipe/util/tflite/operations/max_unpooling.cc.
    """
    size, stride, same, _ = _structure(options)
    if not places.dtype.is_floating_point:
        return put_back(x, places, size, stride, same)
    return put_back_in_windows(x, places, size, stride)


def _window(options: Options) -> Window:
    size = positive((options.filter_height, options.filter_width), "filter size")
    return size, positive((options.stride_h, options.stride_w), "stride"), options.padding == "SAME"


def _custom_window(options: Options, rank: int) -> Window:
    """Of TensorFlow's attributes: ``ksize`` and ``strides`` with batch and channels, ``padding``."""
    attributes = options.custom
    if not isinstance(attributes, dict):
        raise InvalidValueError("the custom options hold no attributes (ksize, strides, padding).")
    size, stride = (list(attributes.get(name, ())) for name in ("ksize", "strides"))
    if len(size) != rank + 2 or len(stride) != rank + 2 or {size[0], size[-1], stride[0], stride[-1]} != {1}:
        raise InvalidValueError(f"ksize {size} and strides {stride} should be [1, {rank} numbers, 1].")
    if attributes.get("data_format", "") not in ("", "NHWC", "NDHWC"):
        raise InvalidValueError(f"data_format {attributes['data_format']!r}: only channels last has a meaning here.")
    padding = attributes.get("padding")
    if padding not in ("SAME", "VALID"):
        raise InvalidValueError(f"padding is {padding!r}, not 'SAME' or 'VALID'.")
    return positive(size[1:-1], "ksize"), positive(stride[1:-1], "strides"), padding == "SAME"


def _structure(options: Options) -> tuple[tuple[int, ...], tuple[int, ...], bool, str]:
    """Window and activation of custom options that are a C structure.

    Source: LiteRT tflite/core/c/builtin_op_data.h, TfLitePoolParams.
    """
    padding, stride_w, stride_h, width, height, activation = raw_integers(options, 6)
    names = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")  # those whose range the kernel knows
    name = names[activation] if 0 <= activation < len(names) else "NONE"
    return positive((height, width), "window"), positive((stride_h, stride_w), "stride"), padding == 1, name


def _average(x: Tensor, size: tuple[int, ...], stride: tuple[int, ...], same: bool) -> Tensor:
    x = channels_first(x)
    pool: Any = F.avg_pool2d if x.ndim == 4 else F.avg_pool3d
    if not same:
        return channels_last(pool(x, size, stride))
    padding = symmetric_padding(size, stride, (1,) * len(size))
    if padding is None:
        return channels_last(average_inside(x, size, stride))
    return channels_last(pool(x, size, stride, padding, count_include_pad=False))


def _largest(x: Tensor, size: tuple[int, ...], stride: tuple[int, ...], same: bool) -> Tensor:
    if not x.dtype.is_floating_point:  # at most 16 bits: exact as floats
        return _largest(x.float(), size, stride, same).to(x.dtype)
    x = channels_first(x)
    pool: Any = F.max_pool2d if x.ndim == 4 else F.max_pool3d
    if not same:
        return channels_last(pool(x, size, stride))
    padding = symmetric_padding(size, stride, (1,) * len(size))
    if padding is None:
        return channels_last(pool(pad_same(x, size, stride, (1,) * len(size), -torch.inf), size, stride))
    return channels_last(pool(x, size, stride, padding))


def _rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Means of integers, in double precision, to integers: halves away from zero, a hair less counts as a half."""
    return torch.trunc(x + torch.copysign(torch.full_like(x, 0.5 + 1e-9), x)).to(dtype)


@helper
def average_inside(x: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Mean of those cells of each window that lie inside x; padding is SAME. x: [N, C, *sizes].

    torch's count_include_pad=False knows only padding that is the same on both sides.
    """
    pool: Any = F.avg_pool2d if x.ndim == 4 else F.avg_pool3d
    ones = torch.ones_like(x[:1, :1])
    dilation = (1,) * len(size)
    total: torch.Tensor = pool(pad_same(x, size, stride, dilation), size, stride)
    share: torch.Tensor = pool(pad_same(ones, size, stride, dilation), size, stride)
    return total / share


@helper
def largest_in_padded(
    x: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...], same: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[Any]]:
    """Largest cell of each window, its row and column in x with its padding, and the padding before.

    x: [N, C, H, W] -> three times [N, C, H', W'], [top, left].
    """
    before: list[Any] = [0, 0]
    if same:
        before = [
            torch.sym_max((-(-n // s) - 1) * s + k - n, 0) // 2  # type: ignore[no-untyped-call]
            for n, k, s in zip(x.shape[2:], size, stride, strict=True)
        ]
        x = pad_same(x, size, stride, (1, 1), float("-inf"))
    values, places = F.max_pool2d(x, size, stride, return_indices=True)
    return values, places // x.shape[3], places % x.shape[3], before


@helper
def largest_and_place(
    x: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...], same: bool, with_batch: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest cell of each window, and its place in x. x: [N, H, W, C] -> twice [N, H', W', C]."""
    n, h, w, c = x.shape
    values, rows, columns, (top, left) = largest_in_padded(x.permute(0, 3, 1, 2), size, stride, same)
    channels = torch.arange(c, device=x.device).reshape(1, c, 1, 1)
    places = ((rows - top) * w + columns - left) * c + channels
    if with_batch:
        places = places + torch.arange(n, device=x.device).reshape(n, 1, 1, 1) * (h * w * c)
    return values.permute(0, 2, 3, 1), places.permute(0, 2, 3, 1)


@helper
def largest_and_place_in_window(
    x: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...], same: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest cell of each window, and its place there plus 0.1. x: [N, H, W, C] -> twice [N, H', W', C]."""
    values, rows, columns, _ = largest_in_padded(x.permute(0, 3, 1, 2), size, stride, same)
    down = torch.arange(values.shape[2], device=x.device).reshape(-1, 1) * stride[0]
    along = torch.arange(values.shape[3], device=x.device) * stride[1]
    places = (rows - down) * size[1] + columns - along + 0.1
    return values.permute(0, 2, 3, 1), places.permute(0, 2, 3, 1)


@helper
def put_back(
    x: torch.Tensor, places: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...], same: bool
) -> torch.Tensor:
    """Zeros with each cell of x at its place in all of a picture. x, places: [N, H, W, C] -> [N, H', W', C]."""
    n, h, w, c = x.shape
    height = h * stride[0] if same else (h - 1) * stride[0] + size[0]
    width = w * stride[1] if same else (w - 1) * stride[1] + size[1]
    flat = torch.zeros(n, height * width * c, dtype=x.dtype, device=x.device)
    return flat.scatter(1, places.reshape(n, -1).long(), x.reshape(n, -1)).reshape(n, height, width, c)


@helper
def put_back_in_windows(
    x: torch.Tensor, places: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...]
) -> torch.Tensor:
    """Zeros with each cell of x at its place in its window; what lies outside is dropped.

    x, places: [N, H, W, C] -> [N, H * size[0], W * size[1], C].
    """
    n, h, w, c = x.shape
    height, width = h * size[0], w * size[1]
    top = torch.sym_max((h - 1) * stride[0] + size[0] - height, 0) // 2  # type: ignore[no-untyped-call]
    left = torch.sym_max((w - 1) * stride[1] + size[1] - width, 0) // 2  # type: ignore[no-untyped-call]
    place = places.long()
    rows = place // size[1] + torch.arange(h, device=x.device).reshape(-1, 1, 1) * stride[0] - top
    columns = place % size[1] + torch.arange(w, device=x.device).reshape(-1, 1) * stride[1] - left
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    target = (rows * width + columns) * c + torch.arange(c, device=x.device)
    target = torch.where(inside, target, height * width * c)  # one cell more, which is cut off
    flat = torch.zeros(n, height * width * c + 1, dtype=x.dtype, device=x.device)
    flat = flat.scatter(1, target.reshape(n, -1), x.reshape(n, -1))
    return flat[:, :-1].reshape(n, height, width, c)


EXACT = {"AVERAGE_POOL_2D": on_stored(average_pool_2d), "MAX_POOL_2D": on_stored(max_pool_2d)}
EXACT_CUSTOM = {"AvgPool3D": on_stored(average_pool_3d), "MaxPool3D": on_stored(max_pool_3d)}
OPERATORS = {"AVERAGE_POOL_2D": average_pool_2d, "MAX_POOL_2D": max_pool_2d, "L2_POOL_2D": l2_pool_2d}
CUSTOM = {
    "AvgPool3D": average_pool_3d,
    "MaxPool3D": max_pool_3d,
    "MaxPoolWithArgmax": max_pool_with_argmax,
    "MaxPoolingWithArgmax2D": max_pooling_with_argmax_2d,
    "MaxUnpooling2D": max_unpooling_2d,
}
