"""Products with matrices, and rows looked up in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.arithmetic.exact import accumulated, activation_range, centred, constant, is_integer
from unlite.pytorch.arithmetic.hybrid import hybrid, is_symmetric, per_row
from unlite.pytorch.arithmetic.quantized import factor, scale_twice, store, wrapped
from unlite.pytorch.ops.rnn import activate
from unlite.pytorch.ops.sliding import known
from unlite.pytorch.trace import helper, ints

if TYPE_CHECKING:
    from unlite.pytorch.options import Options


def fully_connected(x: Any, weight: Any, bias: Any = None, *, options: Options) -> Any:
    """Product x @ weight.T + bias, fused activation not included. x: [..., I] -> [..., O], or any shape -> [N, O].

    weight: [O, I]; bias: [O]. Unless keep_num_dims is set, x is first cut into rows of I, wherever its dimensions end.
    Shuffled weights lie in blocks; the kernel's workspace, then a second output, is x here. Of activations, TANH and
    SIGN_BIT count where x is real and the weight integers.
    Source: LiteRT tflite/kernels/fully_connected.cc, UpdateOutputSize, EvalHybridDense.
    """
    if _is_shuffled(options):
        return [_linear(x, in_rows(weight), bias, options=options), x]
    return _squashed(_linear(x, weight, bias, options=options), options)


def _linear(x: Any, weight: Any, bias: Any = None, *, options: Options) -> Any:
    x = _rows(x, weight, options)
    return F.linear(x, weight, bias if bias is None or bias.ndim == 1 else bias.reshape(-1))


def _is_shuffled(options: Options) -> bool:
    return bool(options.get("weights_format", "DEFAULT") != "DEFAULT")


@helper
def in_rows(weight: torch.Tensor) -> torch.Tensor:
    """A weight [O, I] that is stored in blocks of 4 rows and 16 columns, row by row."""
    rows, columns = weight.shape
    return weight.reshape(rows // 4, columns // 16, 4, 16).transpose(1, 2).reshape(rows, columns)


def _squashed(y: Any, options: Options) -> Any:
    activation = options.get("fused_activation_function", "NONE")
    is_hybrid = len(options.inputs) > 1 and options.inputs[1].is_quantized and not options.inputs[0].is_quantized
    return activate(y, activation) if is_hybrid and activation in ("TANH", "SIGN_BIT") else y


def _rows(x: Any, weight: Any, options: Options) -> Any:
    """x, cut into rows as long as the weight's."""
    depth = known(weight, -1)
    if options.get("keep_num_dims", False) or (x.ndim == 2 and known(x, -1) == depth):
        return x
    return x.reshape(-1, depth) if depth else x.flatten(0, -2)


def fully_connected_hybrid(x: Any, weight: Any, bias: Any = None, *, options: Options) -> Any:
    """FULLY_CONNECTED of real x and integer weights: each row of x is quantized on its own.

    Source: LiteRT tflite/kernels/fully_connected.cc, EvalHybrid.
    """
    return _squashed(_HYBRID(_rows(x, weight, options), weight, bias, options=options), options)


_HYBRID = hybrid(_linear, axis=0, together=per_row, symmetric=is_symmetric)


def fully_connected_exact(x: Any, weight: Any, bias: Any = None, *, options: Options) -> Any:
    """FULLY_CONNECTED of integers, or of real x and integer weights."""
    if _is_shuffled(options):
        return shuffled_exact(x, weight, bias, options=options)
    given, made = x.dtype, options.output.dtype
    is_mixed = (given is torch.uint8) != (weight.dtype is torch.uint8)
    if is_integer(x) and (is_mixed or (given, made) not in _TYPES):
        raise UnsupportedOperatorError(
            f"kernels misread {given} with weights of {weight.dtype} and an output of {made}.",
            operators=(options.path,),
        )
    return _OF_INTEGERS(x, weight, bias, options=options)


_TYPES = {(kind, kind) for kind in (torch.int8, torch.uint8, torch.int16)} | {(torch.uint8, torch.int16)}
_OF_INTEGERS = accumulated(_linear, axis=0, double=True, hybrid=fully_connected_hybrid)


def shuffled_exact(x: Any, weight: Any, bias: Any, *, options: Options) -> Any:
    """Shuffled weights, UINT8 to INT16: the bytes are INT8 in truth, and 0 of x is 128. Second output: x so, in blocks.

    Source: LiteRT tflite/kernels/internal/reference/fully_connected.h, ShuffledFullyConnected.
    """
    source, kernel, target = options.inputs[0], options.inputs[1], options.output
    if x.dtype is not torch.uint8 or weight.dtype is not torch.uint8 or target.dtype is not torch.int16:
        raise UnsupportedOperatorError("shuffled weights are for UINT8 to INT16 only.", operators=(options.path,))
    rows = in_rows(weight.view(torch.int8)).to(torch.float64)
    sums = F.linear(_rows(centred(x, 128, torch.float64), weight, options), rows)
    sums = sums if bias is None else sums + bias.reshape(-1)
    real = float(np.float32(source.scale * kernel.scale)) / target.scale
    y = store(scale_twice(wrapped(sums), *factor(real)), 0, *activation_range(options), target.dtype)
    blocks = (x ^ 128).reshape(-1, known(weight, -1) // 16, 16).transpose(0, 1)
    return [y, blocks.reshape(*x.shape)]


def batch_matmul(x: Any, y: Any, *, options: Options) -> Any:
    """Product of the last two dimensions, the others broadcast. x: [..., A, B], y: [..., B, C] -> [..., A, C].

    adj_x: x is [..., B, A]; adj_y: y is [..., C, B]. Integers without a scale give INT32, as the output's type says.
    Source: LiteRT tflite/kernels/batch_matmul.cc.
    """
    x = x.transpose(-1, -2) if options.get("adj_x", False) else x
    y = y.transpose(-1, -2) if options.get("adj_y", False) else y
    if not x.dtype.is_floating_point:
        x, y = x.to(torch.int32), y.to(torch.int32)
    return torch.matmul(x, y)


def embedding_lookup(rows: Any, table: Any, *, options: Options) -> Any:
    """Rows of a table. rows: [N], table: [R, ...] -> [N, ...], of the table's type.

    Source: LiteRT tflite/kernels/embedding_lookup.cc. Rows outside the table are an error there and here.
    """
    found = _rows_of(table, rows)
    if options.outputs and options.output.dtype is torch.float16:  # a quantized table, made real on the way
        return found.to(torch.float16)
    return found


def _rows_of(table: Any, rows: Any) -> Any:
    return F.embedding(rows, table) if table.ndim == 2 else table.index_select(0, rows)


def embedding_lookup_sparse(rows: Any, indices: Any, shape: Any, weights: Any, table: Any, *, options: Options) -> Any:
    """Weighted sums of rows of a table. -> [*shape[:-1], ...].

    rows, weights: [N], table: [R, ...]; row n belongs to the cell indices[n] of a sparse tensor of the given shape,
    and cells that differ in their last index alone are combined. combiner: SUM; MEAN, divided by the sum of weights;
    SQRTN, by the root of the sum of their squares. Cells without rows are 0.
    Source: LiteRT tflite/kernels/embedding_lookup_sparse.cc. Indices should be in order; there, rows of one cell that
    do not follow one another are not combined as one.
    """
    sizes = tuple(ints(shape)[:-1])
    return combine_rows(rows, indices, weights, table, sizes, options.combiner)


@helper
def combine_rows(
    rows: torch.Tensor,
    indices: torch.Tensor,
    weights: torch.Tensor,
    table: torch.Tensor,
    sizes: tuple[int, ...],
    combiner: str,
) -> torch.Tensor:
    """Weighted rows of a table, added up by cell. rows, weights: [N], indices: [N, D + 1] -> [*sizes, ...]."""
    cell = torch.zeros_like(rows, dtype=torch.int64)
    for axis, size in enumerate(sizes):
        cell = cell * size + indices[:, axis]
    count = 1
    for size in sizes:
        count = count * size
    scaled = table.index_select(0, rows).flatten(1) * weights.unsqueeze(1)
    total = torch.zeros(count, scaled.shape[1], dtype=table.dtype, device=table.device).index_add(0, cell, scaled)
    if combiner != "SUM":
        parts = weights if combiner == "MEAN" else weights.square()
        divisor = torch.zeros(count, dtype=table.dtype, device=table.device).index_add(0, cell, parts)
        divisor = divisor if combiner == "MEAN" else divisor.sqrt()
        filled = torch.zeros(count, dtype=table.dtype, device=table.device).index_add(0, cell, torch.ones_like(parts))
        total = total / torch.where(filled > 0, divisor, 1.0).unsqueeze(1)
    return total.reshape(*sizes, *table.shape[1:])


def embedding_lookup_exact(rows: Any, table: Any, *, options: Options) -> Any:
    """EMBEDDING_LOOKUP in integers: rows as they are; real where the output is, one scale for all or one for each row.

    Source: LiteRT tflite/kernels/embedding_lookup.cc, EvalSimple and EvalHybrid, which reads UINT8 as INT8.
    """
    found = _rows_of(table, rows)
    if not options.output.dtype.is_floating_point:
        return found
    scales = options.inputs[1].scales
    if table.dtype is torch.uint8:
        found = found.view(torch.int8)
    if len(scales) == 1:
        return (found.to(torch.float32) * scales[0]).to(options.output.dtype)
    own = constant(options, "scales", np.array(scales, dtype=np.float32).reshape(-1, *[1] * (table.ndim - 1)))
    return (found.to(torch.float32) * own.index_select(0, rows)).to(options.output.dtype)


OPERATORS = {
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": batch_matmul,
    "EMBEDDING_LOOKUP": embedding_lookup,
    "EMBEDDING_LOOKUP_SPARSE": embedding_lookup_sparse,
}


def _product(axis: int) -> Any:
    """BATCH_MATMUL on integers, the columns of y along an axis. Source: LiteRT tflite/kernels/batch_matmul.cc."""
    of_reals = hybrid(batch_matmul, axis=axis, together=per_row, symmetric=is_symmetric)
    return accumulated(batch_matmul, axis=axis, float_product=True, hybrid=of_reals)


_PRODUCTS = {False: _product(-1), True: _product(-2)}


def batch_matmul_exact(x: Any, y: Any, *, options: Options) -> Any:
    """BATCH_MATMUL on integers, or of real x and integer y, whose rows of x are quantized one by one."""
    return _PRODUCTS[bool(options.get("adj_y", False))](x, y, options=options)


EXACT = {
    "FULLY_CONNECTED": fully_connected_exact,
    "BATCH_MATMUL": batch_matmul_exact,
    "EMBEDDING_LOOKUP": embedding_lookup_exact,
}
