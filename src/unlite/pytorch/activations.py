"""Activations that are fused into operators. Source: LiteRT tflite/kernels/kernel_util.cc, CalculateActivationRange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.model.tensor import Tensor


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


def saturate(x: Any, tensor: Tensor, activation: str) -> Any:
    """Within what the quantized tensor can hold: often the only place where a model keeps its RELU6."""
    quantization = tensor.quantization
    if tensor.dtype not in _RANGES or activation == "RELU6" or quantization is None or len(quantization.scale) != 1:
        return x
    low, high = (
        float(f"{quantization.scale[0] * (end - quantization.zero_point[0]):.7g}") for end in _RANGES[tensor.dtype]
    )
    return torch.clamp(x, max=high) if activation == "RELU" else torch.clamp(x, low, high)
