"""SVDF: a fully connected layer over the last inputs, factored in features and time; they are a variable tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.activations import saturate
from unlite.pytorch.ops.rnn import activate
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


@helper
def remember_features(x: Tensor, feature_weight: Tensor, memory: Tensor) -> Tensor:
    """The memory [N, filters, steps]: its oldest step dropped, the features of x [N, I] appended.

    feature_weight: [filters, I]; memory: any shape of that many elements.
    """
    features = F.linear(x, feature_weight)
    memory = memory.reshape(features.shape[0], features.shape[1], -1)
    return torch.cat([memory[..., 1:], features.unsqueeze(-1)], dim=-1)


def svdf(x: Any, feature_weight: Any, time_weight: Any, bias: Any, memory: Any, *, options: Options) -> Any:
    """activate(sum of rank filters, each a sum over time of its features) + bias. x: [N, I] -> [N, U].

    feature_weight: [U * rank, I]; time_weight: [U * rank, T]; bias: [U]; memory: [N, T * U * rank].
    Source: LiteRT tflite/kernels/internal/reference/svdf.h, EvalFloatSVDF, EvalIntegerSVDF.
    """
    memory = remember_features(x, feature_weight, memory)
    filters = (memory * time_weight).sum(-1)
    y = filters if options.rank == 1 else filters.reshape(filters.shape[0], -1, options.rank).sum(-1)
    y = y if bias is None else y + bias
    options.remember(4, memory)
    output = options.output.tensor if options.outputs else None
    if output is not None and output.dtype == "INT8":
        return saturate(y, output, "NONE")  # the integer kernel has no other activation than its output's range
    return activate(y, options.fused_activation_function)


OPERATORS = {"SVDF": svdf}
OWN_ACTIVATION = ("SVDF",)
