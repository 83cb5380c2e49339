"""Plain recurrent layers: one step, sequences, both directions. The hidden state is a variable tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


@helper
def activate(x: Tensor, activation: str) -> Tensor:
    """An activation by the schema's name, as recurrent operators apply it.

    Source: LiteRT tflite/kernels/internal/tensor_utils.h, ApplyActivationToVector.
    """
    if activation == "TANH":
        return torch.tanh(x)
    if activation == "RELU":
        return F.relu(x)
    if activation == "RELU6":
        return F.relu6(x)
    if activation == "RELU_N1_TO_1":
        return F.hardtanh(x)
    if activation == "SIGN_BIT":
        return torch.signbit(x).to(x.dtype)
    return x


@helper
def rnn_layer(  # noqa: PLR0917
    x: Tensor,
    h: Tensor,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor | None,
    aux: Tensor | None,
    aux_weight: Tensor | None,
    activation: str,
    backward: bool,
) -> tuple[Tensor, Tensor]:
    """Outputs of all steps, h = activate(W x + R h + b), and the last. x: [T, N, I], h: [N, U] -> [T, N, U], [N, U].

    weight: [U, I]; recurrent: [U, U]; bias: [U]; aux: [T, N, A] with aux_weight [U, A], which adds to W x.
    Source: LiteRT tflite/kernels/internal/kernel_utils.cc, RnnBatchStep.
    """
    inputs = F.linear(x, weight, bias)
    if aux is not None and aux_weight is not None:
        inputs = inputs + F.linear(aux, aux_weight)
    outputs: list[Tensor] = []
    for t in reversed(range(x.shape[0])) if backward else range(x.shape[0]):
        h = activate(inputs[t] + F.linear(h, recurrent), activation)
        outputs.append(h)
    return torch.stack(outputs[::-1] if backward else outputs), h


def rnn(x: Any, weight: Any, recurrent: Any, bias: Any, h: Any, *, options: Options) -> Any:
    """Output of one step, which is the next hidden state. x: [N, I], h: [N, U] -> [N, U].

    Source: LiteRT tflite/kernels/basic_rnn.cc.
    """
    y = activate(F.linear(x, weight, bias) + F.linear(h, recurrent), options.fused_activation_function)
    options.remember(4, y)
    return y


def unidirectional_sequence_rnn(x: Any, weight: Any, recurrent: Any, bias: Any, h: Any, *, options: Options) -> Any:
    """Output of each step. x: [N, T, I], or [T, N, I] where time_major -> the same with U last.

    Source: LiteRT tflite/kernels/unidirectional_sequence_rnn.cc.
    """
    y, h = _layer(x, h, (weight, recurrent, bias), None, None, options)
    options.remember(4, h)
    return y


def bidirectional_sequence_rnn(x: Any, *rest: Any, options: Options) -> list[Any]:
    """Outputs forwards and backwards in time. x: [N, T, I], or [T, N, I] where time_major -> U last; joined if merged.

    rest: weight, recurrent weight, bias and state forwards, then backwards; an auxiliary input with its weights
    forwards and backwards. Without such weights it is what runs backwards where time_major; else the kernel takes x
    all the same.
    Source: LiteRT tflite/kernels/bidirectional_sequence_rnn.cc.
    """
    aux, forward_aux, backward_aux = [*rest, *[None] * (11 - len(rest))][8:11]
    other = x
    if aux is not None and forward_aux is None:
        other, aux = aux if options.time_major else x, None
    y, h = _layer(x, rest[3], rest[0:3], aux, forward_aux, options)
    z, g = _layer(other, rest[7], rest[4:7], aux, backward_aux, options, backward=True)
    options.remember(4, h)
    options.remember(8, g)
    return [torch.cat([y, z], dim=-1)] if options.merge_outputs else [y, z]


def _layer(
    x: Any, h: Any, weights: tuple[Any, ...], aux: Any, aux_weight: Any, options: Options, *, backward: bool = False
) -> tuple[Any, Any]:
    if not options.time_major:
        x = x.transpose(0, 1)
        aux = aux if aux is None else aux.transpose(0, 1)
    weight, recurrent, bias = weights
    made: Any = rnn_layer(x, h, weight, recurrent, bias, aux, aux_weight, options.fused_activation_function, backward)
    return (made[0] if options.time_major else made[0].transpose(0, 1)), made[1]


OPERATORS = {
    "RNN": rnn,
    "UNIDIRECTIONAL_SEQUENCE_RNN": unidirectional_sequence_rnn,
    "BIDIRECTIONAL_SEQUENCE_RNN": bidirectional_sequence_rnn,
}
OWN_ACTIVATION = tuple(OPERATORS)
