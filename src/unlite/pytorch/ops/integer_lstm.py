"""LSTM of integers: inputs, weights and outputs of 8 bits, gates and cells of 16.

A gate is a number in steps of 2^-12 before its activation, and of 2^-15 after it. Weights, their like and the formulas
are those of ``lstm.py``.
Source: LiteRT tflite/kernels/lstm_eval.cc, EvalInteger8x8_16; internal/reference/portable_tensor_utils.cc.
"""

from __future__ import annotations

from math import frexp
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.arithmetic.exact import constant, is_integer
from unlite.pytorch.arithmetic.fixed_point import divide_by_power, high_product, inverse_square_root
from unlite.pytorch.arithmetic.quantized import factor, look_up, scale_twice
from unlite.pytorch.arithmetic.short_fixed_point import sigmoid_entries, tanh_entries
from unlite.pytorch.ops.lstm import lstm, unidirectional_sequence_lstm
from unlite.pytorch.trace import example_shape, helper

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Ends, Options

PEEPHOLES = {0: 9, 1: 10, 3: 11}  # gate -> input with its peephole weights


@helper
def gate_sums(x: Tensor, weight: Tensor, bias: Tensor | None, multiplier: int, shift: int) -> Tensor:
    """Products with a weight, in steps of a gate. x: [N, I], no zero point; weight: [C, I]; bias: [C] -> [N, C]."""
    total = (x.to(torch.float64) @ weight.to(torch.float64).T).to(torch.int64)
    return scale_twice(total if bias is None else total + bias, multiplier, shift)


@helper
def short(x: Tensor) -> Tensor:
    """``x`` within 16 bits."""
    return x.clamp(-32768, 32767)


@helper
def peephole_rows(weight: Tensor, cell: Tensor, size: int, batched: bool) -> Tensor:
    """Weights of peepholes [C] as kernels apply them to cells [N, C] where a projection gives outputs of another size.

    They take cells in rows of that size, of all the batch end to end or, not batched, one by one; the rest has none.
    """
    used = weight[:size].repeat(cell.shape[0] if batched else 1)
    rest = used.new_zeros((cell.numel() if batched else cell.shape[1]) - used.shape[0])
    return torch.cat([used, rest]).reshape(cell.shape[0] if batched else 1, -1)


@helper
def normalize_gate(x: Tensor, weight: Tensor, bias: Tensor, multiplier: int, shift: int, least: int) -> Tensor:
    """Layer norm of a gate [N, C] in integers. weight, bias: [C]; least: the variance that counts where it is 0."""
    count = x.shape[-1]
    mean = torch.div(x.sum(-1, keepdim=True) * 1024, count, rounding_mode="trunc")
    variance = (x * x).sum(-1, keepdim=True) * ((1 << 20) // count) - mean * mean
    variance = torch.div(variance, 1 << 20, rounding_mode="trunc")
    variance = torch.where(variance < 1, least, variance)
    found = inverse_square_root(variance)
    scaled = scale_twice(1024 * x - mean, found[0], -found[1]) * weight + bias
    scaled = torch.div(scaled + torch.where(scaled > 0, 512, -512), 1024, rounding_mode="trunc")
    return scale_twice(scaled, multiplier, shift + 12).clamp(-32768, 32767)


@helper
def integer_lstm_layer(  # noqa: PLR0917 - as many as an LSTM has
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weights: list[Tensor | None],
    recurrent: list[Tensor | None],
    peepholes: list[Tensor | None],
    biases: list[Tensor | None],
    norms: list[Tensor | None],
    projection: list[Tensor | None],
    tables: list[Tensor],
    factors: list[list[int]],
    zero_points: list[int],
    hidden: list[int],
    cell: list[int],
    projected: list[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of all steps, and the last output and cell. x: [T, N, I], h: [N, O], c: [N, C] -> [T, N, O] and those.

    weights: 4 x [C, I]; recurrent: 4 x [C, O]; peepholes, biases, norms: 4 x [C], where used; projection: weight [O, C]
    and bias; tables: sigmoid and tanh of gates, tanh of cells (without it the input gate stands in); factors: of each
    gate multiplier and shift for x, for h, for the peephole, for the norm, and its least variance; zero_points: of x
    and h; hidden: multiplier, shift and zero point of what is put out; cell: its whole bits less 15, its largest number
    (0: any); projected: multiplier, shift, zero point, largest number.
    """
    c = c.to(torch.int64)

    def gate(number: int, at: Tensor, state: Tensor, memory: Tensor) -> Tensor:
        weight, r, peephole, norm = weights[number], recurrent[number], peepholes[number], norms[number]
        f = factors[number]
        assert weight is not None and r is not None  # noqa: PT018, S101 - for type checkers
        z = short(gate_sums(at, weight, None if norm is not None else biases[number], f[0], f[1]))
        z = short(z + gate_sums(state, r, None, f[2], f[3]))
        if peephole is not None:
            z = short(z + scale_twice(peephole.to(torch.int64) * memory, f[4], f[5]))
        bias = biases[number]
        if norm is not None and bias is not None:
            z = normalize_gate(z, norm.to(torch.int64), bias, f[6], f[7], f[8])
        return look_up(z, tables[1 if number == 2 else 0], -32768).to(torch.int64)

    x = x.to(torch.int64) - zero_points[0]
    outputs: list[Tensor] = []
    for t in range(x.shape[0]):
        state = h.to(torch.int64) - zero_points[1]
        forget = gate(1, x[t], state, c)
        take = gate(0, x[t], state, c) if weights[0] is not None else 32767 - forget
        update = gate(2, x[t], state, c)
        c = short(divide_by_power(forget * c, 15) + divide_by_power(take * update, 30 + cell[0]))
        if cell[1] > 0:
            c = c.clamp(-cell[1], cell[1])
        squashed = look_up(c, tables[2], -32768).to(torch.int64) if len(tables) > 2 else take
        h = scale_twice(gate(3, x[t], state, c) * squashed, hidden[0], hidden[1])
        weight = projection[0]
        if weight is None:
            h = (h + hidden[2]).clamp(-128, 127)
        else:
            h = (h - hidden[2]).clamp(-128, 127) + hidden[2]
            h = gate_sums(h, weight, projection[1], projected[0], projected[1]) + projected[2]
            h = h.clamp(-128, 127)
            if projected[3] > 0:
                h = h.clamp(-projected[3], projected[3])
        outputs.append(h)
    return torch.stack(outputs).to(torch.int8), h.to(torch.int8), c.to(torch.int16)


def integer_lstm(*given: Any, options: Options) -> Any:
    """UNIDIRECTIONAL_SEQUENCE_LSTM of integers, or with integer weights alone. Inputs as in ``lstm.py``."""
    if not is_integer(given[0]):
        return unidirectional_sequence_lstm(*given, options=options)
    return _layer(given, options, time_major=options.time_major)


def integer_lstm_step(*given: Any, options: Options) -> Any:
    """LSTM of integers, or with integer weights alone, of one step [N, I] or of several [T, N, I]."""
    if not is_integer(given[0]):
        return lstm(*given, options=options)
    if options.get("kernel_type", "FULL") != "FULL":
        return _basic(*given[:5], options=options)
    if given[0].ndim == 3:
        return _layer(given, options, time_major=True)
    return _layer((given[0].unsqueeze(0), *given[1:]), options, time_major=True).squeeze(0)


@helper
def short_product(x: Tensor, y: Tensor) -> Tensor:
    """The product of numbers, one of them with 15 fractional bits, rounded to the nearest; halves go up."""
    return x * y + (1 << 14) >> 15


@helper
def integer_lstm_cell(  # noqa: PLR0917
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weight: Tensor,
    bias: Tensor,
    sigmoid: Tensor,
    tanh: Tensor,
    zero_point: int,
    scaling: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``lstm_cell`` of UINT8, whose 0 is 128, with cells of INT16 in steps of 2^-11.

    sigmoid, tanh: tables for gates; zero_point: of the weight; scaling: of the sums to steps of 2^-12, halves up.
    Source: LiteRT tflite/kernels/internal/reference/lstm_cell.h.
    """
    joined = torch.cat([x, h], dim=1)
    sums = (joined.to(torch.float64) - 128) @ (weight.to(torch.float64) - zero_point).T + bias
    left, right = max(scaling[1], 0), max(-scaling[1], 0)
    gates = high_product(sums.to(torch.int64), scaling[0] << left) + (1 << right >> 1) >> right
    gates = gates.clamp(-32768, 32767)
    take, update, keep, output = gates.chunk(4, dim=1)
    take, keep, output = (look_up(gate, sigmoid, -32768).to(torch.int64) for gate in (take, keep, output))
    taken = short_product(take, look_up(update, tanh, -32768).to(torch.int64))
    c = (divide_by_power(taken, 4) + short_product(keep, c.to(torch.int64))).clamp(-32768, 32767)
    squashed = look_up((2 * c).clamp(-32768, 32767), tanh, -32768).to(torch.int64)
    y = divide_by_power(short_product(output, squashed), 8).clamp(-128, 127) + 128
    return y.to(torch.uint8), c.to(torch.int16), joined, gates.to(torch.int16)


def _basic(x: Any, h: Any, weight: Any, bias: Any, c: Any, *, options: Options) -> list[Any]:
    """The basic kernel, whose scales are fixed. Source: LiteRT tflite/kernels/lstm.cc."""
    ends = options.inputs
    if x.dtype is not torch.uint8 or weight.dtype is not torch.uint8 or ends[4].scale != 2.0**-11:
        raise UnsupportedOperatorError(
            "the basic kernel takes UINT8, with a cell in steps of 2^-11, only.", operators=(options.path,)
        )
    tables = constant(options, "sigmoid", sigmoid_entries(3)), constant(options, "tanh", tanh_entries(3))
    scaling = factor(4096 * ends[3].scale)
    made: Any = integer_lstm_cell(x, h, c, weight, bias, *tables, ends[2].zero_point, scaling)
    options.remember(1, made[0])
    options.remember(4, made[1])
    return [made[0], made[1], made[2], made[3]]


def _layer(given: tuple[Any, ...], options: Options, *, time_major: bool) -> Any:
    ends, between = options.inputs, options.intermediates
    if ends[0].dtype is not torch.int8 or ends[19].dtype is not torch.int16 or len(between) > 5:
        raise UnsupportedOperatorError("it is exact for INT8 with a cell of INT16 only.", operators=(options.path,))
    given = (*given, *[None] * (24 - len(given)))
    norms = list(given[20:24])
    fraction, exponent = frexp(ends[19].scale)
    power = exponent - 1
    if fraction != 0.5:
        raise UnsupportedOperatorError("the cell's scale is no power of two.", operators=(options.path,))
    hidden = between[4] if len(between) == 5 and between[4].is_quantized else ends[18]
    tables = {"sigmoid": sigmoid_entries(3), "tanh": tanh_entries(3)}
    if 0 <= 15 + power <= 6:  # for other cells the kernel computes no tanh: what its buffer holds is the input gate
        tables["cell_tanh"] = tanh_entries(15 + power)
    h, c = given[18], given[19]
    x = given[0] if time_major else given[0].transpose(0, 1)
    h = h if h.ndim == 2 else h.reshape(x.shape[1], -1)
    c = c if c.ndim == 2 else c.reshape(x.shape[1], -1)
    peepholes = [given[9], given[10], None, given[11]]
    if given[16] is not None:
        size = example_shape(given[16])[0]
        peepholes = [None if weight is None else peephole_rows(weight, c, size, time_major) for weight in peepholes]
    made: Any = integer_lstm_layer(
        x,
        h,
        c,
        list(given[1:5]),
        list(given[5:9]),
        peepholes,
        list(given[12:16]),
        norms,
        list(given[16:18]),
        [constant(options, name, table) for name, table in tables.items()],
        [_factors(number, options, power, normed=norms[3] is not None) for number in range(4)],
        [ends[0].zero_point, ends[18].zero_point],
        [*factor(float(np.float32(2.0**-15 / hidden.scale * 2.0**-15))), hidden.zero_point],
        [power, _clip(options.cell_clip, ends[19].scale, 32767)],
        _projected(given[16], options, hidden),
    )
    options.remember(18, made[1])
    options.remember(19, made[2])
    y: Any = made[0]
    return y if time_major else y.transpose(0, 1)


def _clip(limit: float, scale: float, largest: int) -> int:
    return int(min(max(np.float32(limit) / np.float32(scale), -largest - 1), largest)) if limit > 0 else 0


def _factors(number: int, options: Options, power: int, *, normed: bool) -> list[int]:
    """Multipliers and shifts of a gate. Source: unidirectional_sequence_lstm.cc, PopulateQuantizedLstmParams8x8_16."""
    ends, one = options.inputs, np.float32
    if ends[1 + number].tensor is None:
        return []
    step = one(options.intermediates[number].scale) if normed else one(2.0**-12)
    found = [
        *factor(float(one(ends[1 + number].scale) * one(ends[0].scale) / step)),
        *factor(float(one(ends[5 + number].scale) * one(ends[18].scale) / step)),
    ]
    place = PEEPHOLES.get(number)
    peephole = ends[place] if place is not None else None
    has_peephole = peephole is not None and peephole.tensor is not None
    found += factor(float(one(2.0**power) * one(peephole.scale) / step)) if has_peephole and peephole else (0, 0)
    if normed:
        scale = one(ends[20 + number].scale)
        found += [*factor(float(scale)), max(1, int(one(10000) * scale))]
    return found


def _projected(weight: Any, options: Options, hidden: Ends) -> list[int]:
    if weight is None:
        return []
    ends, one = options.inputs, np.float32
    real = one(ends[16].scale) * one(hidden.scale) / one(ends[18].scale)
    return [*factor(float(real)), ends[18].zero_point, _clip(options.proj_clip, ends[18].scale, 127)]


EXACT = {"UNIDIRECTIONAL_SEQUENCE_LSTM": integer_lstm, "LSTM": integer_lstm_step}
