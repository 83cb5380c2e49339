"""Plain recurrent layers: one step, sequences, both directions. The hidden state is a variable tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.arithmetic.exact import is_integer
from unlite.pytorch.arithmetic.hybrid import hybrid_linear, in_real_type, is_symmetric, linear, with_real_inputs
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from collections.abc import Callable

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
def rnn_steps(
    inputs: Tensor, h: Tensor, product: Callable[[Tensor], Tensor], activation: str, backward: bool
) -> tuple[Tensor, Tensor]:
    """Outputs of all steps, h = activate(inputs + product(h)), and the last. [T, N, U], [N, U] -> the same."""
    outputs: list[Tensor] = []
    for t in reversed(range(inputs.shape[0])) if backward else range(inputs.shape[0]):
        h = activate(inputs[t] + product(h), activation)
        outputs.append(h)
    return torch.stack(outputs[::-1] if backward else outputs), h


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
    return rnn_steps(inputs, h, lambda state: F.linear(state, recurrent), activation, backward)


@helper
def hybrid_rnn_layer(  # noqa: PLR0917
    x: Tensor,
    h: Tensor,
    weights: list[Tensor],
    scales: list[float],
    bias: Tensor,
    aux: Tensor | None,
    activation: str,
    backward: bool,
    symmetric: bool,
    repeated: bool,
) -> tuple[Tensor, Tensor]:
    """``rnn_layer`` with integer weights: for x, for h, and for aux, if there is one, with a scale each.

    repeated: the sequence is run through as often as it has steps, each time from the h that the last one left.
    Source: LiteRT tflite/kernels/internal/kernel_utils.cc, RnnBatchStep.
    """
    inputs = hybrid_linear(x, weights[0], scales[0], symmetric) + bias
    if aux is not None:
        inputs = inputs + hybrid_linear(aux, weights[2], scales[2], symmetric)

    def product(state: Tensor) -> Tensor:
        return hybrid_linear(state, weights[1], scales[1], symmetric)

    for _ in range(x.shape[0] - 1 if repeated else 0):
        _, h = rnn_steps(inputs, h, product, activation, backward)
    return rnn_steps(inputs, h, product, activation, backward)


def rnn(x: Any, weight: Any, recurrent: Any, bias: Any, h: Any, *, options: Options) -> Any:
    """Output of one step, which is the next hidden state. x: [N, I], h: [N, U] -> [N, U].

    Source: LiteRT tflite/kernels/basic_rnn.cc.
    """
    inputs = linear(x, weight, 1, options, bias)
    y = activate(inputs + linear(h, recurrent, 2, options), options.fused_activation_function)
    options.remember(4, y)
    return y


def unidirectional_sequence_rnn(x: Any, weight: Any, recurrent: Any, bias: Any, h: Any, *, options: Options) -> Any:
    """Output of each step. x: [N, T, I], or [T, N, I] where time_major -> the same with U last.

    Source: LiteRT tflite/kernels/unidirectional_sequence_rnn.cc.
    """
    y, h = _layer(x, h, (weight, recurrent, bias), None, None, options, (1, 2))
    options.remember(4, h)
    return y


def bidirectional_sequence_rnn(x: Any, *rest: Any, options: Options) -> list[Any]:
    """Outputs forwards and backwards in time. x: [N, T, I], or [T, N, I] where time_major -> U last; joined if merged.

    rest: weight, recurrent weight, bias and state forwards, then backwards; an auxiliary input with its weights
    forwards and backwards. Without such weights it is what runs backwards where time_major; else the kernel takes x
    all the same. With integer weights the kernel runs through a time-major sequence as often as it has steps.
    Source: LiteRT tflite/kernels/bidirectional_sequence_rnn.cc.
    """
    aux, forward_aux, backward_aux = [*rest, *[None] * (11 - len(rest))][8:11]
    other = x
    if aux is not None and forward_aux is None:
        other, aux = aux if options.time_major else x, None
    y, h = _layer(x, rest[3], rest[0:3], aux, forward_aux, options, (1, 2, 10))
    z, g = _layer(other, rest[7], rest[4:7], aux, backward_aux, options, (5, 6, 11), backward=True)
    options.remember(4, h)
    options.remember(8, g)
    return [torch.cat([y, z], dim=-1)] if options.merge_outputs else [y, z]


def _layer(
    x: Any,
    h: Any,
    weights: tuple[Any, ...],
    aux: Any,
    aux_weight: Any,
    options: Options,
    places: tuple[int, ...],
    *,
    backward: bool = False,
) -> tuple[Any, Any]:
    """One direction. places: of the weights for x, h and aux among the operator's inputs."""
    if not options.time_major:
        x = x.transpose(0, 1)
        aux = aux if aux is None else aux.transpose(0, 1)
    weight, recurrent, bias = weights
    activation = options.fused_activation_function
    if is_integer(weight):
        given = [value for value in (weight, recurrent, aux_weight) if value is not None]
        scales = [options.inputs[place].scale for place, _ in zip(places, given, strict=False)]
        aux = aux if aux_weight is not None else None
        integers, symmetric = in_real_type(given), is_symmetric(options)
        made: Any = hybrid_rnn_layer(
            x, h, integers, scales, bias, aux, activation, backward, symmetric, len(places) > 2 and options.time_major
        )
    else:
        made = rnn_layer(x, h, weight, recurrent, bias, aux, aux_weight, activation, backward)
    return (made[0] if options.time_major else made[0].transpose(0, 1)), made[1]


OPERATORS: dict[str, Callable[..., Any]] = {
    "RNN": rnn,
    "UNIDIRECTIONAL_SEQUENCE_RNN": unidirectional_sequence_rnn,
    "BIDIRECTIONAL_SEQUENCE_RNN": bidirectional_sequence_rnn,
}
EXACT = {name: with_real_inputs(function) for name, function in OPERATORS.items()}
OWN_ACTIVATION = tuple(OPERATORS)
