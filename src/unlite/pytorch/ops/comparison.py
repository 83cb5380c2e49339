"""Comparisons, logic on BOOL, and selection by BOOL. All but SELECT broadcast as arithmetic does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.pytorch.arithmetic.quantized import factor, rescale, scale_down

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unlite.pytorch.options import Options


def equal(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """Whether x == y, BOOL. Source: LiteRT tflite/kernels/comparisons.cc, EqualEval."""
    return torch.eq(x, y)


def not_equal(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """Whether x != y, BOOL. Source: LiteRT tflite/kernels/comparisons.cc, NotEqualEval."""
    return torch.ne(x, y)


def less(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """Whether x < y, BOOL. Source: LiteRT tflite/kernels/comparisons.cc, LessEval."""
    return torch.lt(x, y)


def less_equal(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """Whether x <= y, BOOL. Source: LiteRT tflite/kernels/comparisons.cc, LessEqualEval."""
    return torch.le(x, y)


def greater(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """Whether x > y, BOOL. Source: LiteRT tflite/kernels/comparisons.cc, GreaterEval."""
    return torch.gt(x, y)


def greater_equal(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """Whether x >= y, BOOL. Source: LiteRT tflite/kernels/comparisons.cc, GreaterEqualEval."""
    return torch.ge(x, y)


def logical_and(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """Whether both are true. Source: LiteRT tflite/kernels/logical.cc, LogicalAnd."""
    return torch.logical_and(x, y)


def logical_or(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """Whether one or both are true. Source: LiteRT tflite/kernels/logical.cc, LogicalOr."""
    return torch.logical_or(x, y)


def logical_not(x: Tensor, **_: Options) -> Tensor:
    """Whether x is false. Source: LiteRT tflite/kernels/elementwise.cc, LogicalNotEval."""
    return torch.logical_not(x)


def select(condition: Any, x: Any, y: Any, *, options: Options) -> Any:
    """``x`` where the condition is true, y elsewhere; x and y have one shape, [N, ...].

    condition: the same shape, a single value [], or one for each entry of the first axis, [N].
    Source: LiteRT tflite/kernels/select.cc, SelectPrepare<kVersionOne>; reference/select.h, RankOneSelect.
    """
    if condition.ndim == 1 and x.ndim > 1:
        condition = condition.reshape(-1, *[1] * (x.ndim - 1))
    return _as_stored(torch.where(condition, x, y), (condition, x, y), options)


def select_v2(condition: Any, x: Any, y: Any, *, options: Options) -> Any:
    """``x`` where the condition is true, y elsewhere; all three broadcast.

    Source: LiteRT tflite/kernels/select.cc, SelectPrepare<kVersionTwo>.
    """
    return _as_stored(torch.where(condition, x, y), (condition, x, y), options)


def _as_stored(result: Any, operands: tuple[Any, ...], options: Options) -> Any:
    """Single elements of different rank, [] and [1], take the output's shape as the file states it."""
    single = all((x if isinstance(x, torch.Tensor) else x.fake).numel() == 1 for x in operands)
    if single and options.outputs and result.ndim != len(options.output.shape):
        return result.reshape(options.output.shape)
    return result


def _compared(function: Callable[..., Any], *raw: torch.dtype) -> Callable[..., Any]:
    """A comparison of quantized tensors: both sides are scaled as integers, with 8 bits to spare, rounded twice.

    raw: types whose integers the kernel compares as they are, whatever the scales.
    Source: LiteRT tflite/kernels/comparisons.cc, ComparisonQuantized; internal/reference/comparisons.h.
    """

    def exact(x: Any, y: Any, *, options: Options) -> Any:
        if x.dtype in (torch.int32, torch.int64, *raw):
            return function(x, y)
        sides = []
        for side, end in zip((x, y), options.inputs, strict=True):
            multiplier, shift = factor(end.scale)
            if shift > 0:  # scales from 1 up
                sides.append(scale_down((side.to(torch.int64) - end.zero_point) << 8, multiplier, shift))
            else:
                sides.append(rescale(side, end.zero_point, 8, multiplier, shift))
        return function(*sides)

    return exact


EXACT = {
    "EQUAL": _compared(equal),
    "NOT_EQUAL": _compared(not_equal),
    "LESS": _compared(less, torch.int16),
    "LESS_EQUAL": _compared(less_equal, torch.int16),
    "GREATER": _compared(greater, torch.int16),
    "GREATER_EQUAL": _compared(greater_equal, torch.int16),
    "SELECT": select,
    "SELECT_V2": select_v2,
}
OPERATORS = {
    "EQUAL": equal,
    "NOT_EQUAL": not_equal,
    "LESS": less,
    "LESS_EQUAL": less_equal,
    "GREATER": greater,
    "GREATER_EQUAL": greater_equal,
    "LOGICAL_AND": logical_and,
    "LOGICAL_OR": logical_or,
    "LOGICAL_NOT": logical_not,
    "SELECT": select,
    "SELECT_V2": select_v2,
}
