"""SVDF: a fully connected layer over the last inputs, factored in features and time; they are a variable tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.activations import activated
from unlite.pytorch.arithmetic.exact import is_integer
from unlite.pytorch.arithmetic.hybrid import linear, real_weight
from unlite.pytorch.arithmetic.quantized import factor, scale_twice, store
from unlite.pytorch.ops.rnn import activate
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


@helper
def remember_features(features: Tensor, memory: Tensor) -> Tensor:
    """The memory [N, filters, steps]: its oldest step dropped, features [N, filters] appended.

    memory: any shape of that many elements.
    """
    memory = memory.reshape(features.shape[0], features.shape[1], -1)
    return torch.cat([memory[..., 1:], features.unsqueeze(-1)], dim=-1)


def svdf(x: Any, feature_weight: Any, time_weight: Any, bias: Any | None, memory: Any, *, options: Options) -> Any:
    """activate(sum of rank filters, each a sum over time of its features) + bias. x: [N, I] -> [N, U].

    feature_weight: [U * rank, I]; time_weight: [U * rank, T]; bias: [U]; memory: [N, T * U * rank].
    Source: LiteRT tflite/kernels/internal/reference/svdf.h, EvalFloatSVDF, EvalIntegerSVDF.
    """
    memory = remember_features(linear(x, feature_weight, 1, options), memory)
    filters = (memory * real_weight(time_weight, 2, options)).sum(-1)
    y = filters if options.rank == 1 else filters.reshape(filters.shape[0], -1, options.rank).sum(-1)
    y = y if bias is None else y + bias
    options.remember(4, memory)
    output = options.output.tensor if options.outputs else None
    if output is not None and output.dtype == "INT8":
        return activated(y, "NONE", output)  # the integer kernel has no other activation than its output's range
    return activate(y, options.fused_activation_function)


@helper
def integer_svdf(  # noqa: PLR0917 - as many as it has
    x: Tensor,
    feature_weight: Tensor,
    time_weight: Tensor,
    bias: Tensor | None,
    memory: Tensor,
    rank: int,
    zero_point: int,
    factors: tuple[int, int, int, int],
    limits: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Sums in steps of the output, and the memory [N, filters, steps], of integers; other arguments as of the operator.

    factors: multiplier and shift of the features, of the sums; limits: smallest and largest number of the memory.
    """
    features = ((x.double() - zero_point) @ feature_weight.double().T).to(torch.int64)
    features = scale_twice(features, factors[0], factors[1]).clamp(limits[0], limits[1])
    memory = remember_features(features, memory.to(torch.int64))
    sums = (memory * time_weight.to(torch.int64)).sum(-1).reshape(features.shape[0], -1, rank).sum(-1)
    sums = sums if bias is None else sums + bias
    sums = sums.to(torch.int32).to(torch.int64)  # the kernel's sums have 32 bits, and may wrap around
    return scale_twice(sums, factors[2], factors[3]), memory


def svdf_exact(
    x: Any, feature_weight: Any, time_weight: Any, bias: Any | None, memory: Any, *, options: Options
) -> Any:
    """SVDF of integers, whose only activation is the range of the output, or with integer weights alone.

    Source: LiteRT tflite/kernels/internal/reference/svdf.h, EvalIntegerSVDF; svdf.cc, Prepare.
    """
    source, feature, time, _, state = options.inputs[:5]
    if not is_integer(x):
        return svdf(x, feature_weight, time_weight, bias, memory, options=options)
    if x.dtype is not torch.int8 or state.dtype is not torch.int16 or time.dtype is not torch.int16:
        raise UnsupportedOperatorError(
            "it is exact for INT8 with a memory and time weights of INT16 only.", operators=(options.path,)
        )
    one, target = np.float32, options.output
    factors = (
        *factor(float(one(source.scale) * one(feature.scale) / one(state.scale))),
        *factor(float(one(state.scale) * one(time.scale) / one(target.scale))),
    )
    made: Any = integer_svdf(
        x, feature_weight, time_weight, bias, memory, options.rank, source.zero_point, factors, state.range
    )
    options.remember(4, made[1].to(state.dtype))
    return store(made[0], target.zero_point, *target.range, target.dtype)


OPERATORS = {"SVDF": svdf}
EXACT = {"SVDF": svdf_exact}
OWN_ACTIVATION = ("SVDF",)
