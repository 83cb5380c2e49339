"""Convolutions of integers as layers of a written network: one name for zero points, sums and their scaling."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor, fx, nn

from unlite.pytorch.arithmetic.quantized import look_up, requantize


class IntegerConv2d(nn.Module):
    """A convolution of integers whose sums are brought to the output's integers.

    x_zero, weight_zero, zero_point: what stands for 0 in x, weight and output. multiplier, shift: the scaling of all
    channels; where they are left out, each channel has its own. kind: a real type in which sums are exact.
    """

    weight: Tensor
    bias: Tensor | None
    multiplier: int | Tensor
    shift: int | Tensor

    def __init__(  # noqa: PLR0917 - as many as it has
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        x_zero: int = 0,
        weight_zero: int = 0,
        zero_point: int = 0,
        low: int = -128,
        high: int = 127,
        multiplier: int | None = None,
        shift: int | None = None,
        stored: torch.dtype = torch.int8,
        dtype: torch.dtype = torch.int8,
        kind: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        kernel = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        self.register_buffer("weight", torch.empty(channels_out, channels_in // groups, *kernel, dtype=stored))
        self.register_buffer("bias", torch.empty(channels_out, dtype=torch.int32) if bias else None)
        if multiplier is None or shift is None:
            self.register_buffer("multiplier", torch.empty(channels_out, 1, 1, dtype=torch.int64))
            self.register_buffer("shift", torch.empty(channels_out, 1, 1, dtype=torch.int64))
        else:
            self.multiplier, self.shift = multiplier, shift
        self.steps = stride, padding, dilation, groups
        self.zeros = x_zero, weight_zero
        self.ends = zero_point, low, high, dtype
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        x_zero, weight_zero = self.zeros
        bias = None if self.bias is None else self.bias.to(self.kind)
        sums = F.conv2d(x.to(self.kind) - x_zero, self.weight.to(self.kind) - weight_zero, bias, *self.steps)
        return requantize(sums, self.multiplier, self.shift, *self.ends)


class IntegerAdd(nn.Module):
    """The sum of integers of two scales: tables bring both to one, the sum is brought to the output's.

    start: the lowest integer of x and y, whose entries come first.
    """

    x_table: Tensor
    y_table: Tensor

    def __init__(
        self,
        start: int,
        zero_point: int,
        low: int,
        high: int,
        multiplier: int,
        shift: int,
        dtype: torch.dtype = torch.int8,
    ) -> None:
        super().__init__()
        self.register_buffer("x_table", torch.empty(256, dtype=torch.int32))
        self.register_buffer("y_table", torch.empty(256, dtype=torch.int32))
        self.start = start
        self.scaling = multiplier, shift, zero_point, low, high, dtype

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return requantize(look_up(x, self.x_table, self.start) + look_up(y, self.y_table, self.start), *self.scaling)


LAYERS: tuple[type[nn.Module], ...] = (IntegerConv2d, IntegerAdd)
"""The classes of this module, in the order in which they are written."""

QUANTITIES = ("start", "x_zero", "weight_zero", "zero_point", "low", "high", "multiplier", "shift")
"""Arguments that are no sizes."""


def taken_apart(node: Any) -> tuple[fx.Node, torch.dtype, int] | None:
    """What ``value.to(kind) - zero_point`` is made of; None for anything else."""
    zero_point = 0
    if isinstance(node, fx.Node) and node.target is operator.sub and isinstance(node.args[1], int):
        node, zero_point = node.args[0], node.args[1]
    if not isinstance(node, fx.Node) or node.target != "to" or len(node.args) != 2:
        return None
    value, kind = node.args
    return (value, kind, zero_point) if isinstance(value, fx.Node) and isinstance(kind, torch.dtype) else None


def looked_up(node: Any) -> tuple[Any, ...] | None:
    """The x, table and lowest integer of ``look_up(x, table, low)``, where nothing else uses its result."""
    is_call = isinstance(node, fx.Node) and node.target is look_up.__wrapped__  # type: ignore[attr-defined]  # a helper
    if not is_call or node.kwargs or len(node.users) != 1 or not isinstance(node.args[0], fx.Node):
        return None
    return tuple(node.args)


def terms_of(node: fx.Node) -> tuple[Any, Any] | None:
    """What ``look_up`` gives twice, added and scaled by a call of ``requantize``."""
    if node.target is not requantize.__wrapped__ or node.kwargs:  # type: ignore[attr-defined]  # as helpers are
        return None
    total: Any = node.args[0]
    if total.target is not operator.add or len(total.users) != 1:
        return None
    first, second = looked_up(total.args[0]), looked_up(total.args[1])
    return None if first is None or second is None else (first, second)


def sums_of(node: fx.Node) -> fx.Node | None:
    """The convolution that a call of ``requantize`` scales, where nothing else uses its sums."""
    if node.target is not requantize.__wrapped__ or node.kwargs:  # type: ignore[attr-defined]  # as helpers are
        return None
    sums: Any = node.args[0]
    return sums if sums.target is torch.conv2d and len(sums.users) == 1 and not sums.kwargs else None
