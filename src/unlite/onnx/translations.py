"""Calls that PyTorch's exporter does not translate, or not as well as ONNX can say them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import torch
from onnxscript import opset20

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

op: Any = opset20  # its annotations know ONNX's messages, not what is built while the exporter traces

GRIDS = {
    (-128, 127): ir.DataType.INT8,
    (0, 255): ir.DataType.UINT8,
    (-32768, 32767): ir.DataType.INT16,
    (0, 65535): ir.DataType.UINT16,
    (-8, 7): ir.DataType.INT4,
    (0, 15): ir.DataType.UINT4,
}
"""Lowest and highest integer -> the type that has just these."""


def _number(value: float) -> Any:
    return op.Constant(value=ir.tensor(np.float32(value)))


@torch.library.custom_op("unlite::on_grid", mutates_args=())
def on_grid(x: torch.Tensor, scale: float, zero_point: int, low: int, high: int) -> torch.Tensor:
    """A value on a grid. PyTorch's own call for it, which a layer makes inside, is not traced where sizes are free."""
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, low, high)


@on_grid.register_fake
def _like(x: torch.Tensor, *_: Any) -> torch.Tensor:
    return torch.empty_like(x)


def write_grid(types: Collection[ir.DataType]) -> Callable[..., Any]:
    """How a value is put on a grid: QuantizeLinear and DequantizeLinear where they have its type, else arithmetic."""

    def write(x: Any, scale: float, zero_point: int, low: int, high: int) -> Any:
        dtype = GRIDS.get((low, high))
        if dtype is not None and dtype in types:
            step = _number(scale)
            middle = op.Constant(value=ir.tensor(np.asarray(zero_point).astype(dtype.numpy()), dtype=dtype))
            stored = op.QuantizeLinear(x, step, middle)
            stored.dtype = dtype
            return op.DequantizeLinear(stored, step, middle)
        steps = op.Round(op.Div(x, _number(scale)))
        steps = op.Clip(steps, _number(low - zero_point), _number(high - zero_point))
        return op.Mul(steps, _number(scale))

    return write


def sort(self: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:  # noqa: ARG001 - as it is called
    """Values and their places. Of equal ones TopK puts the first first, so that it is stable."""
    size = op.Gather(op.Shape(self), op.Constant(value_ints=[dim]))
    return op.TopK(self, size, axis=dim, largest=int(descending), sorted=1)


def signbit(self: Any) -> Any:
    """Whether a number is below 0; -0.0 counts as 0."""
    return op.Less(self, op.CastLike(_number(0), self))


def left_shift(self: Any, other: Any) -> Any:
    """Integers times 2^other: BitShift takes unsigned ones only."""
    return op.Mul(self, _power_of_two(self, other))


def right_shift(self: Any, other: Any) -> Any:
    """Integers divided by 2^other, rounded down."""
    power = _power_of_two(self, other)
    return op.Div(op.Sub(self, op.Mod(self, power)), power)


def _power_of_two(like: Any, exponent: Any) -> Any:
    power = op.Pow(op.Constant(value=ir.tensor(np.float64(2))), op.Cast(exponent, to=ir.DataType.DOUBLE))
    return op.CastLike(power, like)


def prelu(self: Any, weight: Any) -> Any:
    """Numbers above 0, and slopes times those below. ONNX Runtime is twice as fast at this as at its own PRelu."""
    rank = len(self.shape)
    slopes = op.Unsqueeze(weight, op.Constant(value_ints=list(range(1, rank - 1)))) if rank > 2 else weight
    return op.Add(op.Relu(self), op.Mul(slopes, op.Min(self, op.CastLike(_number(0), self))))


def amax(self: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The largest numbers along axes; all axes where none is named."""
    axes = list(dim) if isinstance(dim, (list, tuple)) else [dim]
    if not axes:
        return op.ReduceMax(self, keepdims=int(keepdim))
    return op.ReduceMax(self, op.Constant(value_ints=axes), keepdims=int(keepdim))


def table(types: Collection[ir.DataType]) -> dict[Callable[..., Any], Callable[..., Any]]:
    """For the exporter: call -> how it is written in ONNX. ``types``: integers that QuantizeLinear has."""
    aten = torch.ops.aten
    return {
        torch.ops.unlite.on_grid.default: write_grid(types),
        aten.fake_quantize_per_tensor_affine.default: write_grid(types),
        aten.sort.stable: sort,
        aten.amax.default: amax,
        aten.prelu.default: prelu,
        aten.__lshift__.Tensor: left_shift,
        aten.__rshift__.Tensor: right_shift,
        aten.bitwise_left_shift.Tensor: left_shift,
        aten.bitwise_right_shift.Tensor: right_shift,
        torch.ops.prims.signbit.default: signbit,
    }
