"""Long short-term memory: one step, sequences, both directions. Cell and output state are variable tensors.

A gate is ``activate(W x + R h + b)``, with peepholes ``+ p * c``; with layer norm b comes after it:
``activate(norm(W x + R h + p * c) + b)``. Lists of weights and their like run over the gates input, forget, cell,
output; without an input gate (CIFG, "coupled input and forget gate") the first entry is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.exact import is_integer
from unlite.pytorch.hybrid import hybrid_linear, in_real_type, is_symmetric, real_weight, with_real_inputs
from unlite.pytorch.ops.rnn import activate
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unlite.pytorch.options import Options


@helper
def lstm_steps(  # noqa: PLR0917
    gates: Tensor,
    h: Tensor,
    c: Tensor,
    product: Callable[[Tensor], Tensor],
    project: Callable[[Tensor], Tensor],
    peepholes: list[Tensor | None],
    norms: list[Tensor | None],
    biases: list[Tensor | None],
    activation: str,
    clips: tuple[float, float],
    backward: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of all steps, and the last output and cell. gates: [T, N, G * C], the sums of G gates without h.

    product: what h [N, O] adds to the gates; project: the output of a step, from [N, C]. Others as of ``lstm_layer``.
    """

    def gate(z: Tensor, number: int, cell: Tensor | None) -> Tensor:
        peephole, norm = peepholes[number], norms[number]
        if peephole is not None and cell is not None:
            z = z + peephole * cell
        return z if norm is None else F.layer_norm(z, z.shape[-1:], norm, biases[number], 1e-8)

    count = gates.shape[-1] // c.shape[-1]
    outputs: list[Tensor] = []
    for t in reversed(range(gates.shape[0])) if backward else range(gates.shape[0]):
        *first, forget, update, output = (gates[t] + product(h)).chunk(count, dim=-1)
        keep = torch.sigmoid(gate(forget, 1, c))
        take = torch.sigmoid(gate(first[0], 0, c)) if first else 1 - keep
        c = keep * c + take * activate(gate(update, 2, None), activation)
        if clips[0] > 0:
            c = torch.clamp(c, -clips[0], clips[0])
        h = project(torch.sigmoid(gate(output, 3, c)) * activate(c, activation))
        if clips[1] > 0:
            h = torch.clamp(h, -clips[1], clips[1])
        outputs.append(h)
    return torch.stack(outputs[::-1] if backward else outputs), h, c


@helper
def lstm_layer(  # noqa: PLR0917 - as many as an LSTM has
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weights: list[Tensor | None],
    recurrent: list[Tensor | None],
    biases: list[Tensor | None],
    peepholes: list[Tensor | None],
    norms: list[Tensor | None],
    projection: list[Tensor | None],
    aux: Tensor | None,
    aux_weights: list[Tensor | None],
    activation: str,
    clips: tuple[float, float],
    backward: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of all steps, and the last output and cell. x: [T, N, I], h: [N, O], c: [N, C] -> [T, N, O] and those.

    weights: 4 x [C, I]; recurrent: 4 x [C, O], or [C] for a diagonal; biases, peepholes, norms: 4 x [C], where used;
    projection: weight [O, C] and bias [O]; aux: [T, N, A] with 4 x [C, A]; clips: of cell and projection, 0 for none.
    Source: LiteRT tflite/kernels/lstm_eval.cc, EvalFloat.
    """
    gates = F.linear(x, torch.cat([w for w in weights if w is not None]))
    if aux is not None:
        gates = gates + F.linear(aux, torch.cat([w for w in aux_weights if w is not None]))
    if norms[3] is None:
        gates = gates + torch.cat([b for b in biases if b is not None])
    matrix = torch.cat([torch.diag(r) if r.ndim == 1 else r for r in recurrent if r is not None])

    def product(state: Tensor) -> Tensor:
        return F.linear(state, matrix)

    def project(y: Tensor) -> Tensor:
        return y if projection[0] is None else F.linear(y, projection[0], projection[1])

    return lstm_steps(gates, h, c, product, project, peepholes, norms, biases, activation, clips, backward)


@helper
def hybrid_lstm_layer(  # noqa: PLR0917
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weights: list[Tensor | None],
    recurrent: list[Tensor | None],
    biases: list[Tensor | None],
    peepholes: list[Tensor | None],
    norms: list[Tensor | None],
    projection: list[Tensor | None],
    aux: Tensor | None,
    aux_weights: list[Tensor | None],
    scales: list[list[float]],
    activation: str,
    clips: tuple[float, float],
    backward: bool,
    symmetric: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """``lstm_layer`` with integer weights; scales: of those for x, for h, of the projection, of those for aux.

    Recurrent weights that are diagonals are real.

    Source: LiteRT tflite/kernels/lstm_eval.cc, EvalHybrid.
    """

    def gate_sums(of: Tensor, matrices: list[Tensor | None], steps: list[float]) -> Tensor:
        used = [(matrix, step) for matrix, step in zip(matrices, steps, strict=True) if matrix is not None]
        scale = torch.cat([of.new_full((matrix.shape[0],), step) for matrix, step in used])
        return hybrid_linear(of, torch.cat([matrix for matrix, _ in used]), scale, symmetric)

    def product(state: Tensor) -> Tensor:
        diagonals = [r for r in recurrent if r is not None and r.ndim == 1]
        return torch.cat([state * r for r in diagonals], -1) if diagonals else gate_sums(state, recurrent, scales[1])

    def project(y: Tensor) -> Tensor:
        if projection[0] is None:
            return y
        y = hybrid_linear(y, projection[0], scales[2][0], symmetric)
        return y if projection[1] is None else y + projection[1]

    gates = gate_sums(x, weights, scales[0])
    if aux is not None:
        gates = gates + gate_sums(aux, aux_weights, scales[3])
    if norms[3] is None:
        gates = gates + torch.cat([b for b in biases if b is not None])
    return lstm_steps(gates, h, c, product, project, peepholes, norms, biases, activation, clips, backward)


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
    norms = list(rest[19:23]) if len(rest) > 19 else [None] * 4
    y, h, c = _layer(x, rest[17], rest[18], rest[:17], norms, None, [None] * 4, options, time_major, (1, 0))
    options.remember(18, h)
    options.remember(19, c)
    return y.squeeze(0) if squeeze else y


def _layer(  # noqa: PLR0917
    x: Any,
    h: Any,
    c: Any,
    given: tuple[Any, ...],
    norms: list[Any],
    aux: Any,
    aux_weights: list[Any],
    options: Options,
    time_major: bool,
    places: tuple[int, int],
    backward: bool = False,
) -> tuple[Any, Any, Any]:
    """One direction. given: weights (4), recurrent weights (4), peepholes (3), biases (4), projection, its bias.

    places: of the first of these, and of aux_weights, among the operator's inputs.
    """
    if not time_major:
        x = x.transpose(0, 1)
        aux = aux if aux is None else aux.transpose(0, 1)
    h = h if h.ndim == 2 else h.reshape(x.shape[1], -1)
    c = c if c.ndim == 2 else c.reshape(x.shape[1], -1)
    weights, recurrent, biases, projection = (list(given[a:b]) for a, b in ((0, 4), (4, 8), (11, 15), (15, 17)))
    peepholes = [given[8], given[9], None, given[10]]
    activation = options.fused_activation_function
    clips = options.cell_clip, options.proj_clip if projection[0] is not None else 0.0
    if is_integer(weights[1]):
        lists = (weights, recurrent, projection[:1], aux_weights)
        starts = (places[0], places[0] + 4, places[0] + 15, places[1])
        scales = [
            [
                options.inputs[start + i].scale if weight is not None and is_integer(weight) else 0.0
                for i, weight in enumerate(found)
            ]
            for start, found in zip(starts, lists, strict=True)
        ]
        weights, recurrent, main, aux_weights = (in_real_type(list(found)) for found in lists)
        peepholes = [
            None if weight is None else real_weight(weight, places[0] + place, options)
            for weight, place in zip(peepholes, (8, 9, 0, 10), strict=True)
        ]
        made: Any = hybrid_lstm_layer(
            x,
            h,
            c,
            weights,
            recurrent,
            biases,
            peepholes,
            norms,
            [*main, projection[1]],
            aux,
            aux_weights,
            scales,
            activation,
            clips,
            backward,
            is_symmetric(options),
        )
    else:
        made = lstm_layer(
            x,
            h,
            c,
            weights,
            recurrent,
            biases,
            peepholes,
            norms,
            projection,
            aux,
            aux_weights,
            activation,
            clips,
            backward,
        )
    y, h, c = made[0], made[1], made[2]
    return (y if time_major else y.transpose(0, 1)), h, c


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
    given = [*rest, *[None] * (47 - len(rest))]
    aux, forward_aux, backward_aux = given[38], given[39:43], given[43:47]
    other = x
    if aux is not None and forward_aux[1] is None:
        other, aux = aux, None
    norms = [None] * 4
    major = options.time_major
    y, h, c = _layer(x, given[34], given[35], tuple(given[:17]), norms, aux, forward_aux, options, major, (1, 40))
    z, g, d = _layer(
        other, given[36], given[37], tuple(given[17:34]), norms, aux, backward_aux, options, major, (18, 44), True
    )
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
