"""Normalization of channels by their own size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.errors import InvalidValueError
from unlite.pytorch.arithmetic.quantized import inverse_root, scale_down, scale_twice, store

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def l2_normalization(x: Tensor, *, options: Options) -> Tensor:  # noqa: ARG001
    """Each x / max(root of the sum of squares over channels, 1e-6). x: [..., C] -> [..., C].

    Source: LiteRT tflite/kernels/internal/reference/l2normalization.h.
    """
    return F.normalize(x, dim=-1, eps=1e-6)


def local_response_normalization(x: Any, *, options: Options) -> Any:
    """Each x / (bias + alpha * sum of squares of the channels near by) ** beta. x: [N, H, W, C] -> [N, H, W, C].

    Channel c is near c - radius ... c + radius - 1. TensorFlow, and LiteRT's optimized kernels, add c + radius; the
    reference kernels, by which conversions are judged, do not.
    Source: LiteRT tflite/kernels/internal/reference/reference_ops.h, LocalResponseNormalization.
    """
    radius, bias, alpha, beta = options.radius, options.bias, options.alpha, options.beta
    if radius < 0:
        raise InvalidValueError(f"radius is {radius}; it must be 0 or more.")
    if radius == 0:
        return x * torch.pow(torch.full_like(x, bias), -beta)
    squares = F.pad(torch.square(x), (radius, radius - 1))
    mean = F.avg_pool2d(squares, (1, 2 * radius), 1)  # H as channels: the window slides along the real ones
    return x * torch.pow(mean * (2 * radius * alpha) + bias, -beta)


def l2_normalization_exact(x: Any, *, options: Options) -> Any:
    """L2_NORMALIZATION on integers, to steps of 1 / 128: by the inverse root of the sum of squares in fixed point.

    Source: LiteRT tflite/kernels/internal/reference/integer_ops/l2normalization.h; l2normalization.h for UINT8.
    """
    target = options.output
    centred = x.to(torch.int64) - options.inputs[0].zero_point
    found: Any = inverse_root(torch.square(centred).sum(-1, True))
    scale = scale_down if x.dtype is torch.uint8 else scale_twice
    scaled = (
        scale(centred * 128, found[0], found[1]) if x.dtype is torch.uint8 else scale(centred, found[0], found[1] + 7)
    )
    return store(scaled, 128 if x.dtype is torch.uint8 else 0, *target.range, target.dtype)


EXACT = {"L2_NORMALIZATION": l2_normalization_exact}
OPERATORS = {"L2_NORMALIZATION": l2_normalization, "LOCAL_RESPONSE_NORMALIZATION": local_response_normalization}
