"""Long short-term memory: one step, sequences, both directions. Cell and output state are variable tensors.

A gate is ``activate(W x + R h + b)``, with peepholes ``+ p * c``; with layer norm b comes after it:
``activate(norm(W x + R h + p * c) + b)``. Gates are in the order input, forget, cell, output; the first may be missing
(CIFG, "coupled input and forget gate").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.arithmetic.exact import constant, is_integer
from unlite.pytorch.arithmetic.hybrid import hybrid_linear, in_real_type, is_symmetric, real_weight, with_real_inputs
from unlite.pytorch.ops.rnn import activate
from unlite.pytorch.trace import example_shape, helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from unlite.pytorch.options import Options


@helper
def lstm_step(  # noqa: PLR0917 - what a layer has, in its order
    gates: Tensor,
    c: Tensor,
    activation: str,
    peepholes: Sequence[Tensor | None],
    norms: Sequence[Tensor],
    norm_biases: Sequence[Tensor],
    clip: float,
    grids: Sequence[Any] = (),
) -> tuple[Tensor, Tensor]:
    """Output, not projected yet, and cell of one step. gates: [N, 4 * C], or 3 * C without an input gate; c: [N, C]."""
    if grids:
        gates = torch.fake_quantize_per_tensor_affine(gates, *grids[0])
    parts = gates.chunk(gates.shape[-1] // c.shape[-1], dim=-1)

    def gate(number: int, cell: Tensor) -> Tensor:  # from the end, since the first one may be missing
        z, peephole = parts[number], peepholes[number] if peepholes else None
        if peephole is not None:
            z = z + peephole * cell
        return F.layer_norm(z, z.shape[-1:], norms[number], norm_biases[number], 1e-8) if norms else z

    keep = torch.sigmoid(gate(-3, c))
    take = torch.sigmoid(gate(-4, c)) if len(parts) == 4 else 1 - keep
    c = keep * c + take * activate(gate(-2, c), activation)
    if clip > 0:
        c = torch.clamp(c, -clip, clip)
    if grids:
        c = torch.fake_quantize_per_tensor_affine(c, *grids[1])
    return torch.sigmoid(gate(-1, c)) * activate(c, activation), c


@helper
def lstm_layer(
    gates: Tensor,
    h: Tensor,
    c: Tensor,
    recurrent: Tensor,
    *,
    activation: str = "TANH",
    peepholes: Sequence[Tensor | None] = (),
    norms: Sequence[Tensor] = (),
    norm_biases: Sequence[Tensor] = (),
    projection: Tensor | None = None,
    projection_bias: Tensor | None = None,
    cell_clip: float = 0.0,
    projection_clip: float = 0.0,
    backward: bool = False,
    grids: Sequence[Any] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of all steps, and the last output and cell. h: [N, O], c: [N, C] -> [T, N, O] and those.

    gates: [T, N, 4 * C], what x adds to the gates input, forget, cell, output; without an input gate 3 * C;
    recurrent: [4 * C, O], what h adds; peepholes, norms, norm_biases: [C] of each gate; projection: [O, C];
    grids: scale, zero point, lowest and highest integer of what gates, cell and output are rounded to.
    """
    outputs: list[Tensor] = []
    for t in reversed(range(gates.shape[0])) if backward else range(gates.shape[0]):
        sums = gates[t] + F.linear(h, recurrent)
        h, c = lstm_step(sums, c, activation, peepholes, norms, norm_biases, cell_clip, grids)
        if projection is not None:
            h = F.linear(h, projection, projection_bias)
        if projection_clip > 0:
            h = torch.clamp(h, -projection_clip, projection_clip)
        if grids:
            h = torch.fake_quantize_per_tensor_affine(h, *grids[2])
        outputs.append(h)
    return torch.stack(outputs[::-1] if backward else outputs), h, c


@helper
def hybrid_lstm_layer(
    gates: Tensor,
    h: Tensor,
    c: Tensor,
    recurrent: Tensor,
    *,
    symmetric: bool,
    recurrent_scale: float | Tensor | None = None,
    activation: str = "TANH",
    peepholes: Sequence[Tensor | None] = (),
    norms: Sequence[Tensor] = (),
    norm_biases: Sequence[Tensor] = (),
    projection: Tensor | None = None,
    projection_scale: float = 1.0,
    projection_bias: Tensor | None = None,
    cell_clip: float = 0.0,
    projection_clip: float = 0.0,
    backward: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """``lstm_layer`` whose projection and recurrent weights are integers; without recurrent_scale the latter are real.

    Source: LiteRT tflite/kernels/lstm_eval.cc, EvalHybrid.
    """
    outputs: list[Tensor] = []
    for t in reversed(range(gates.shape[0])) if backward else range(gates.shape[0]):
        if recurrent_scale is None:
            sums = gates[t] + F.linear(h, recurrent)
        else:
            sums = gates[t] + hybrid_linear(h, recurrent, recurrent_scale, symmetric)
        h, c = lstm_step(sums, c, activation, peepholes, norms, norm_biases, cell_clip)
        if projection is not None:
            h = hybrid_linear(h, projection, projection_scale, symmetric)
            h = h if projection_bias is None else h + projection_bias
        if projection_clip > 0:
            h = torch.clamp(h, -projection_clip, projection_clip)
        outputs.append(h)
    return torch.stack(outputs[::-1] if backward else outputs), h, c


def unidirectional_sequence_lstm(x: Any, *rest: Any, options: Options) -> Any:
    """Output of each step. x: [N, T, I], or [T, N, I] where time_major -> the same with O last.

    rest: weights (4), recurrent weights (4), peepholes (3), biases (4), projection and its bias, output state [N, O],
    cell state [N, C], and where there are layer norms their coefficients (4). Any that are not used are None.
    Source: LiteRT tflite/kernels/unidirectional_sequence_lstm.cc.
    """
    return _full(x, rest, options.time_major, options)


def lstm(x: Any, *rest: Any, options: Options) -> Any:
    """Output of one step, x: [N, I] -> [N, O], or of each, x: [T, N, I] -> [T, N, O]. ``rest`` as for a sequence.

    With the basic kernel x: [N, I], then the previous output [N, C], all weights in one [4 * C, I + C], biases [4 * C]
    and the previous cell [N, C]; out come output, cell, and two intermediate results.
    Source: LiteRT tflite/kernels/lstm.cc.
    """
    if options.kernel_type == "BASIC":
        return _basic(x, *rest, options=options)
    return _full(x if x.ndim == 3 else x.unsqueeze(0), rest, True, options, squeeze=x.ndim != 3)


def _full(x: Any, rest: tuple[Any, ...], time_major: bool, options: Options, *, squeeze: bool = False) -> Any:
    weights = Weights((x, *rest), options, 1, norms=20)
    y, h, c = _layer(x, (rest[17], rest[18]), weights, options, time_major, grids=_grids(weights, options))
    options.remember(18, h)
    options.remember(19, c)
    return y.squeeze(0) if squeeze else y


GATES = (2.0**-12, 0, -32768, 32767)
"""What the integer kernel holds gates in, before their activation. Source: LiteRT tflite/kernels/lstm.cc, 2^-12."""


def _grids(weights: Weights, options: Options) -> list[Any]:
    """What the integer kernel rounds gates, cell and output to in every step; empty where nothing is to be rounded."""
    steps = [options.grid(place) for place in (19, 18)]
    return [] if weights.norms or None in steps else [GATES, *steps]


class Weights:
    """What one direction of an LSTM has, out of its operator's inputs.

    Attributes:
        x, recurrent, biases, norms: Of the gates that there are, each with its place among the inputs.
        peepholes: Of all four gates; None where there is none.
        projection: Weight and bias.
    """

    def __init__(self, given: tuple[Any, ...], options: Options, first: int, *, norms: int | None = None) -> None:
        self.x, self.recurrent, self.biases = (_present(given, first + i) for i in (0, 4, 11))
        self.norms = [] if norms is None else _present(given, norms)
        holes = [None if given[i] is None else real_weight(given[i], i, options) for i in range(first + 8, first + 11)]
        self.peepholes = [holes[0], holes[1], None, holes[2]] if holes[2] is not None else []
        self.projection, self.projection_bias = given[first + 15], given[first + 16]
        self.projection_place = first + 15


def _present(given: tuple[Any, ...], first: int) -> list[tuple[Any, int]]:
    """Which of four inputs there are, with their places."""
    return [(given[i], i) for i in range(first, min(first + 4, len(given))) if given[i] is not None]


def _layer(
    x: Any,
    state: tuple[Any, Any],
    weights: Weights,
    options: Options,
    time_major: bool,
    *,
    aux: Any = None,
    aux_weights: Sequence[tuple[Any, int]] = (),
    backward: bool = False,
    grids: Sequence[Any] = (),
) -> tuple[Any, Any, Any]:
    """Outputs of one direction, and its state at the end. Source: LiteRT tflite/kernels/lstm_eval.cc, EvalFloat."""
    if not time_major:
        x = x.transpose(0, 1)
        aux = aux if aux is None else aux.transpose(0, 1)
    h, c = (value if value.ndim == 2 else value.reshape(x.shape[1], -1) for value in state)
    gates = _sums(x, weights.x, options)
    if aux is not None:
        gates = gates + _sums(aux, aux_weights, options)
    form: dict[str, Any] = {}  # what is out of the ordinary
    if weights.norms:
        form["norms"], form["norm_biases"] = ([v for v, _ in found] for found in (weights.norms, weights.biases))
    else:
        gates = gates + torch.cat([bias for bias, _ in weights.biases])
    if options.fused_activation_function != "TANH":
        form["activation"] = options.fused_activation_function
    if weights.peepholes:
        form["peepholes"] = weights.peepholes
    if options.cell_clip > 0:
        form["cell_clip"] = options.cell_clip
    if weights.projection is not None:
        form["projection"], form["projection_bias"] = weights.projection, weights.projection_bias
        form["projection_clip"] = options.proj_clip
    if backward:
        form["backward"] = True
    if grids:
        form["grids"] = grids
    if is_integer(weights.x[-1][0]):
        made: Any = _hybrid(gates, h, c, weights, options, form)
    else:
        made = lstm_layer(gates, h, c, torch.cat([_matrix(r) for r, _ in weights.recurrent]), **form)
    return (made[0] if time_major else made[0].transpose(0, 1)), made[1], made[2]


def _hybrid(gates: Any, h: Any, c: Any, weights: Weights, options: Options, form: dict[str, Any]) -> Any:
    recurrent = [r for r, _ in weights.recurrent]
    if is_integer(recurrent[-1]):
        recurrent = in_real_type(recurrent)
        form["recurrent_scale"] = _scales(weights.recurrent, options)
    if weights.projection is not None:
        form["projection"] = in_real_type([weights.projection])[0]
        form["projection_scale"] = options.inputs[weights.projection_place].scale
    matrix = torch.cat([_matrix(r) for r in recurrent])
    return hybrid_lstm_layer(gates, h, c, matrix, symmetric=is_symmetric(options), **form)


def _matrix(recurrent: Any) -> Any:
    return torch.diag(recurrent) if recurrent.ndim == 1 else recurrent


def _sums(x: Any, matrices: Sequence[tuple[Any, int]], options: Options) -> Any:
    """What x adds to all gates. matrices: a weight [C, I] for each, with its place."""
    weights = [weight for weight, _ in matrices]
    if not is_integer(weights[-1]):
        return F.linear(x, torch.cat(weights))
    return hybrid_linear(x, torch.cat(in_real_type(weights)), _scales(matrices, options), is_symmetric(options))


def _scales(matrices: Sequence[tuple[Any, int]], options: Options) -> Any:
    """The scales of integer weights, for each row of all."""
    scales = [np.full(example_shape(weight)[0], options.inputs[i].scale, np.float32) for weight, i in matrices]
    return constant(options, "scales", np.concatenate(scales))


@helper
def lstm_cell(x: Tensor, h: Tensor, c: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output, cell, joined inputs and gates before their activation. x: [N, I], h, c: [N, C] -> [N, C], [N, C], ...

    weight: [4 * C, I + C], the gates in the order input, cell, forget, output; bias: [4 * C].
    Source: LiteRT tflite/kernels/internal/reference/reference_ops.h, LstmCell.
    """
    joined = torch.cat([x, h], dim=1)
    gates = F.linear(joined, weight, bias)
    take, update, keep, output = gates.chunk(4, dim=1)
    c = torch.sigmoid(take) * torch.tanh(update) + torch.sigmoid(keep) * c
    return torch.sigmoid(output) * torch.tanh(c), c, joined, gates


def _basic(x: Any, h: Any, weight: Any, bias: Any, c: Any, *, options: Options) -> list[Any]:
    made = lstm_cell(x, h, c, weight, bias)
    options.remember(1, made[0])
    options.remember(4, made[1])
    return [made[0], made[1], made[2], made[3]]


def bidirectional_sequence_lstm(x: Any, *rest: Any, options: Options) -> list[Any]:
    """Outputs forwards and backwards in time. x: [N, T, I], or [T, N, I] where time_major -> O last; joined if merged.

    rest: 17 weights as for one direction, forwards, then backwards; output and cell state forwards, backwards; an
    auxiliary input with its weights (4) forwards, backwards. Without such weights it is what runs backwards.
    Source: LiteRT tflite/kernels/bidirectional_sequence_lstm.cc.
    """
    given = (x, *rest, *[None] * (47 - len(rest)))
    aux, forward_aux, backward_aux = given[39], _present(given, 40), _present(given, 44)
    other = x
    if aux is not None and not forward_aux:
        other, aux = aux, None
    forward, backward = Weights(given, options, 1), Weights(given, options, 18)
    major = options.time_major
    y, h, c = _layer(x, given[35:37], forward, options, major, aux=aux, aux_weights=forward_aux)
    z, g, d = _layer(other, given[37:39], backward, options, major, aux=aux, aux_weights=backward_aux, backward=True)
    for index, state in zip(range(35, 39), (h, c, g, d), strict=True):
        options.remember(index, state)
    return [torch.cat([y, z], dim=-1)] if options.merge_outputs else [y, z]


OPERATORS = {
    "LSTM": lstm,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": unidirectional_sequence_lstm,
    "BIDIRECTIONAL_SEQUENCE_LSTM": bidirectional_sequence_lstm,
}
EXACT = {"BIDIRECTIONAL_SEQUENCE_LSTM": with_real_inputs(bidirectional_sequence_lstm)}  # others: integer_lstm.py
OWN_ACTIVATION = tuple(OPERATORS)
