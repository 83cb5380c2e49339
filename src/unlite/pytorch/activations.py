"""Activations that are fused into operators. Source: LiteRT tflite/kernels/kernel_util.cc, CalculateActivationRange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.model.objects.tensor import Tensor


def relu(x: Any) -> Any:
    """max(x, 0)."""
    return F.relu(x)


def relu_n1_to_1(x: Any) -> Any:
    """Between -1 and 1."""
    return torch.clamp(x, -1, 1)


def relu6(x: Any) -> Any:
    """Between 0 and 6."""
    return F.relu6(x) if x.dtype.is_floating_point else torch.clamp(x, 0, 6)


ACTIVATIONS: dict[str, Callable[[Any], Any] | None] = {
    "NONE": None,
    "RELU": relu,
    "RELU_N1_TO_1": relu_n1_to_1,
    "RELU6": relu6,
    # LiteRT's kernels know a range for those above and let everything else pass unchanged (kernel_util.cc,
    # CalculateActivationRange); only recurrent operators really apply TANH.
    "TANH": None,
    "SIGN_BIT": None,
}

SATURATING = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "ADD", "SUB", "MUL")
"""Operators whose quantized results can leave their type's range, and are cut off there."""

_RANGES = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}


def activated(x: Any, activation: str, held: Tensor | None = None) -> Any:
    """An operator's result with its fused activation.

    held: The quantized tensor whose range cuts the result off.
    """
    ends = _range(held) if held is not None else None
    activate = ACTIVATIONS[activation]
    if ends is None:
        return activate(x) if activate is not None else x
    low, high, step = ends
    if activation == "RELU6" and high > 6 - step / 2:
        return relu6(x)
    if activation in ("RELU", "RELU6"):
        return torch.clamp(x, 0.0, high)
    return torch.clamp(activate(x) if activate is not None else x, low, high)


def _range(tensor: Tensor) -> tuple[float, float, float] | None:
    """What a quantized tensor can hold: from, to, in steps of. Often the only place where a model has its RELU6."""
    quantization = tensor.quantization
    if tensor.dtype not in _RANGES or quantization is None or len(quantization.scale) != 1:
        return None
    step, zero_point = quantization.scale[0], quantization.zero_point[0]
    low, high = (float(f"{step * (end - zero_point):.7g}") for end in _RANGES[tensor.dtype])
    return low, high, step
