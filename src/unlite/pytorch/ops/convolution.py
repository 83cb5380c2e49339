"""Convolutions: plain, depthwise, transposed, in two and three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.arithmetic.exact import accumulated
from unlite.pytorch.arithmetic.hybrid import has_one_scale, hybrid, per_picture
from unlite.pytorch.ops.padding import pad_same
from unlite.pytorch.ops.sliding import channels_first, channels_last, known, positive, raw_integers, symmetric_padding
from unlite.pytorch.trace import helper, ints, weight_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from unlite.pytorch.options import Options


def conv_2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, options: Options) -> Tensor:
    """Two-dimensional convolution, fused activation not included. x: [N, H, W, C] -> [N, H', W', O].

    weight: [O, kh, kw, C / groups]; bias: [O]. Several groups where the weight has fewer input channels than x.
    Source: LiteRT tflite/kernels/internal/reference/conv.h.
    """
    groups = known(x, -1) // max(known(weight, -1), 1)
    return _convolve(F.conv2d, x, weight_order(weight, (0, 3, 1, 2)), bias, groups, options)


def depthwise_conv_2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, options: Options) -> Tensor:
    """A filter of its own for each channel, fused activation not included. x: [N, H, W, C] -> [N, H', W', C * m].

    weight: [1, kh, kw, C * m], output channel c * m + i is filter i of channel c; bias: [C * m].
    Source: LiteRT tflite/kernels/internal/reference/depthwiseconv_float.h.
    """
    return _convolve(F.conv2d, x, weight_order(weight, (3, 0, 1, 2)), bias, known(x, -1), options)


def conv_3d(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, options: Options) -> Tensor:
    """Three-dimensional convolution, fused activation not included. x: [N, D, H, W, C] -> [N, D', H', W', O].

    weight: [kd, kh, kw, C, O]; bias: [O]. Source: LiteRT tflite/kernels/internal/reference/conv3d.h.
    """
    return _convolve(F.conv3d, x, weight_order(weight, (4, 3, 0, 1, 2)), bias, 1, options)


def transpose_conv(size: Any, weight: Tensor, x: Tensor, bias: Tensor | None = None, *, options: Options) -> Tensor:
    """Each input cell spreads over a window of the output; overlaps add up. x: [N, H, W, C] -> [N, H', W', O].

    size: [N, H', W', O]; weight: [O, kh, kw, C]; bias: [O]. Fused activation not included.
    Source: LiteRT tflite/kernels/transpose_conv.cc, Eval; internal/reference/reference_ops.h, TransposeConv.
    """
    same = options.padding == "SAME"
    return _spread(x, weight_order(weight, (3, 0, 1, 2)), bias, ints(size)[1:-1], _steps(options, 2), same)


def conv_3d_transpose(size: Any, weight: Tensor, x: Tensor, bias: Tensor | None = None, *, options: Options) -> Tensor:
    """TRANSPOSE_CONV in three dimensions. x: [N, D, H, W, C] -> [N, D', H', W', O].

    size: [N, D', H', W', O]; weight: [kd, kh, kw, O, C]; bias: [O]. Fused activation not included.
    Source: LiteRT tflite/kernels/internal/reference/conv3d_transpose.h.
    """
    same = options.padding == "SAME"
    return _spread(x, weight_order(weight, (4, 3, 0, 1, 2)), bias, ints(size)[1:-1], _steps(options, 3), same)


def convolution_2d_transpose_bias(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, options: Options) -> Tensor:
    """MediaPipe's TRANSPOSE_CONV, whose output size is the one stated in the file. x: [N, H, W, C] -> [N, H', W', O].

    weight: [O, kh, kw, C]; bias: [O]. The custom options are a C structure: padding (1 SAME, 2 VALID), stride_w,
    stride_h. With SAME and no stated size H' = stride * (H - 1) + kh - max(0, kh - (H - 1) % stride - 1).
    Source: MediaPipe mediapipe/util/tflite/operations/transpose_conv_bias.cc; XNNPACK's delegate takes the stated size.
    """
    padding, stride_w, stride_h = raw_integers(options, 3)
    stride = positive((stride_h, stride_w), "stride")
    weight = weight_order(weight, (3, 0, 1, 2))
    stated = options.output.shape if options.outputs else ()
    size = list(stated[1:3]) if len(stated) == x.ndim else []
    if not size or min(size) < 1:
        size = []
        for axis, s in enumerate(stride):
            inside, reach = known(x, 1 + axis) - 1, known(weight, 2 + axis)
            size.append(s * inside + reach - (max(0, reach - inside % s - 1) if padding == 1 else 0))
    return _spread(x, weight, bias, size, (stride, (1, 1)), padding == 1)


def _steps(options: Options, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Stride and dilation, by dimension."""
    letters = ("d", "h", "w")[3 - rank :]
    return (
        positive([getattr(options, f"stride_{letter}") for letter in letters], "stride"),
        positive([options.get(f"dilation_{letter}_factor", 1) for letter in letters], "dilation"),
    )


def _convolve(
    function: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, options: Options
) -> Tensor:
    rank = x.ndim - 2
    stride, dilation = _steps(options, rank)
    x = channels_first(x)
    padding: Any = 0
    if options.padding == "SAME":
        kernel = tuple(known(weight, 2 + axis) for axis in range(rank))
        symmetric = symmetric_padding(kernel, stride, dilation)
        if symmetric is None:
            x = pad_same(x, kernel, stride, dilation)
        elif any(symmetric):
            padding = symmetric
    return channels_last(function(x, weight, _flat(bias), stride, padding, dilation, groups))


def _flat(bias: Tensor | None) -> Tensor | None:
    """Biases may be stored as [1, O]."""
    return bias if bias is None or bias.ndim == 1 else bias.reshape(-1)


def _spread(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    size: Sequence[Any],
    steps: tuple[Sequence[int], Sequence[int]],
    same: bool,
) -> Tensor:
    """Transposed convolution to a given size; x channels last, weight in torch's order."""
    (stride, dilation), bias = steps, _flat(bias)
    cuts = _cuts(x, weight, size, stride, dilation, same)
    if cuts is None:
        return channels_last(
            spread_to(channels_first(x), weight, bias, tuple(size), tuple(stride), tuple(dilation), same)
        )
    padding, spare, odd = cuts
    function: Any = F.conv_transpose2d if x.ndim == 4 else F.conv_transpose3d
    y: Tensor = function(channels_first(x), weight, bias, tuple(stride), padding, spare, 1, tuple(dilation))
    if any(odd):
        kept = (slice(None), slice(None), *(slice(None, -1 if cut else None) for cut in odd))
        y = y[kept]
    return channels_last(y)


def _cuts(
    x: Tensor, weight: Tensor, size: Sequence[Any], stride: Sequence[int], dilation: Sequence[int], same: bool
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """How torch reaches the size: ``padding`` and ``output_padding``, and the cell that is then left over behind.

    They follow from the file's sizes, where it states them, and then hold for other sizes of x; else None.
    """
    found: list[tuple[int, int, int]] = []
    for axis, (n, s, d) in enumerate(zip(size, stride, dilation, strict=True)):
        if not isinstance(n, int):
            return None
        reach = (known(weight, 2 + axis) - 1) * d + 1
        cells = -(-n // s) if same else (n + s - reach) // s
        cut = max((cells - 1) * s + reach - n, 0) if same else 0
        spare = n + cut - ((cells - 1) * s + reach)
        if cells != known(x, 1 + axis) or spare >= max(s, d):
            return None
        found.append((cut // 2, spare, cut % 2))
    padding, spares, odd = zip(*found, strict=True)
    return padding, spares, odd


@helper
def spread_to(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    same: bool,
) -> torch.Tensor:
    """Transposed convolution to a given size. x: [N, C, *sizes] -> [N, O, *size]; weight: [C, O, *kernel].

    Source: LiteRT tflite/kernels/transpose_conv.cc, Eval: padding as of the convolution that would lead back.
    """
    function: Any = F.conv_transpose2d if x.ndim == 4 else F.conv_transpose3d
    y: torch.Tensor = function(x, weight, None, stride, dilation=dilation)
    pads: list[Any] = []
    for n, whole, k, s, d in reversed(list(zip(size, y.shape[2:], weight.shape[2:], stride, dilation, strict=True))):
        cut: Any = (-(-n // s) - 1) * s + (k - 1) * d + 1 - n
        before = torch.sym_max(cut, 0) // 2 if same else 0  # type: ignore[no-untyped-call]
        pads += [-before, n + before - whole]
    y = F.pad(y, pads)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(size))


OPERATORS = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "CONV_3D": conv_3d,
    "TRANSPOSE_CONV": transpose_conv,
    "CONV_3D_TRANSPOSE": conv_3d_transpose,
}
_ASYMMETRIC: Any = {"together": per_picture, "symmetric": lambda _: False}
EXACT = {
    "CONV_2D": accumulated(
        conv_2d, axis=0, hybrid=hybrid(conv_2d, axis=0, together=per_picture, symmetric=has_one_scale, in_turn=True)
    ),
    "DEPTHWISE_CONV_2D": accumulated(
        depthwise_conv_2d, axis=3, hybrid=hybrid(depthwise_conv_2d, axis=3, **_ASYMMETRIC)
    ),
    "TRANSPOSE_CONV": accumulated(
        transpose_conv, axis=0, places=(2, 1, 3), hybrid=hybrid(transpose_conv, axis=0, places=(2, 1, 3), **_ASYMMETRIC)
    ),
}
CUSTOM = {"Convolution2DTransposeBias": convolution_2d_transpose_bias}
