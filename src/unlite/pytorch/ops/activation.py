"""Activations that are operators of their own. Those that are fused into others are in ``pytorch/activations.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch import activations

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def relu(x: Tensor, **_: Options) -> Any:
    """max(x, 0). Source: LiteRT tflite/kernels/activations.cc, ReluEval."""
    return activations.relu(x)


def relu6(x: Tensor, **_: Options) -> Any:
    """``x`` between 0 and 6. Source: LiteRT tflite/kernels/activations.cc, Relu6Eval."""
    return activations.relu6(x)


def relu_n1_to_1(x: Tensor, **_: Options) -> Any:
    """``x`` between -1 and 1. Source: LiteRT tflite/kernels/activations.cc, Relu1Eval."""
    return activations.relu_n1_to_1(x)


def relu_0_to_1(x: Tensor, **_: Options) -> Tensor:
    """``x`` between 0 and 1. Source: LiteRT tflite/kernels/activations.cc, Relu0to1Eval."""
    return torch.clamp(x, 0, 1)


def leaky_relu(x: Tensor, *, options: Options) -> Tensor:
    """``x`` where it is above 0, alpha * x elsewhere; alpha may be any number.

    Source: LiteRT tflite/kernels/internal/reference/leaky_relu.h, LeakyRelu.
    """
    return F.leaky_relu(x, options.alpha)


def prelu(x: Any, alpha: Any, **_: Options) -> Any:
    """``x`` where it is above 0, alpha * x elsewhere; alpha [..., C] broadcasts to x [N, ..., C].

    Source: LiteRT tflite/kernels/internal/reference/prelu.h, and ApplyPrelu in tflite/kernels/activations.cc.
    """
    # F.prelu knows one slope for all or one per channel; the channels are its second axis.
    if _count(alpha) == 1:
        return F.prelu(x, alpha.reshape(1))
    if x.ndim < 2 or _count(alpha) != _last(alpha):
        return torch.where(x > 0, x, x * alpha)
    alpha = alpha.reshape(-1) if alpha.ndim > 1 else alpha
    if x.ndim == 2:
        return F.prelu(x, alpha)
    last = x.ndim - 1
    return F.prelu(x.permute(0, last, *range(1, last)), alpha).permute(0, *range(2, last + 1), 1)


def elu(x: Tensor, **_: Options) -> Tensor:
    """``x`` where it is above 0, e^x - 1 elsewhere. Source: LiteRT tflite/kernels/activations.cc, EluEval."""
    return F.elu(x)


def gelu(x: Tensor, *, options: Options) -> Tensor:
    """``x`` times the share of a normal distribution below x; with ``approximate`` by a formula with tanh.

    Source: LiteRT tflite/kernels/internal/reference/gelu.h, Gelu.
    """
    return F.gelu(x, approximate="tanh" if options.get("approximate", False) else "none")


def hard_swish(x: Tensor, **_: Options) -> Tensor:
    """``x * min(max(x + 3, 0), 6) / 6``. Source: LiteRT tflite/kernels/internal/reference/hard_swish.h, HardSwish."""
    return F.hardswish(x)


def logistic(x: Tensor, **_: Options) -> Tensor:
    """1 / (1 + e^-x). Source: LiteRT tflite/kernels/internal/reference/logistic.h, Logistic."""
    return torch.sigmoid(x)


def tanh(x: Tensor, **_: Options) -> Tensor:
    """Hyperbolic tangent. Source: LiteRT tflite/kernels/internal/reference/tanh.h, Tanh."""
    return torch.tanh(x)


def softmax(x: Tensor, *, options: Options) -> Tensor:
    """``e^(beta * x)``, scaled so that the last axis sums to 1.

    Source: LiteRT tflite/kernels/internal/reference/softmax.h, Softmax.
    """
    return F.softmax(x if options.beta == 1 else x * options.beta, dim=-1)


def log_softmax(x: Tensor, **_: Options) -> Tensor:
    """Logarithm of the softmax along the last axis.

    Source: LiteRT tflite/kernels/internal/reference/reference_ops.h, LogSoftmax.
    """
    return F.log_softmax(x, dim=-1)


def _count(alpha: Any) -> int:
    """Number of slopes: fixed, for they are weights."""
    return int((alpha if isinstance(alpha, torch.Tensor) else alpha.fake).numel())


def _last(alpha: Any) -> int:
    """Number of slopes along the last axis."""
    return int((alpha if isinstance(alpha, torch.Tensor) else alpha.fake).shape[-1])


OPERATORS = {
    "RELU": relu,
    "RELU6": relu6,
    "RELU_N1_TO_1": relu_n1_to_1,
    "RELU_0_TO_1": relu_0_to_1,
    "LEAKY_RELU": leaky_relu,
    "PRELU": prelu,
    "ELU": elu,
    "GELU": gelu,
    "HARD_SWISH": hard_swish,
    "LOGISTIC": logistic,
    "TANH": tanh,
    "SOFTMAX": softmax,
    "LOG_SOFTMAX": log_softmax,
}
