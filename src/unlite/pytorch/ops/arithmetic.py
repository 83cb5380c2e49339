"""Arithmetic of two tensors (ADD_N: of any number), element by element.

Both sides broadcast as in NumPy: sizes are aligned from the last one, and a size of 1 is repeated. Results have the
type of the operands; integers wrap around. Fused activations are not included.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import torch

from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def add(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x + y``, integers wrapping. Source: LiteRT tflite/kernels/internal/reference/add.h, BroadcastAdd6DSlow."""
    return x + y


def sub(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x - y``, integers wrapping. Source: LiteRT tflite/kernels/internal/reference/sub.h, BroadcastSubSlow."""
    return x - y


def mul(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x * y``, integers wrapping, also unsigned and complex ones. Source: LiteRT tflite/kernels/mul.cc, EvalMul."""
    return x * y


def div(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x / y``; the quotient of integers is rounded towards zero.

    1 / 0 is infinity. LiteRT's reference kernel gives the largest finite number there, its XNNPACK kernel infinity.
    Source: LiteRT tflite/kernels/internal/reference/div.h, Div.
    """
    return x / y if x.dtype.is_floating_point else torch.div(x, y, rounding_mode="trunc")


def floor_div(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x / y``, rounded down. Of real numbers the exact quotient counts: -0.3 / 0.1 is -4 in float32.

    Source: LiteRT tflite/kernels/internal/reference/floor_div.h, FloorDiv, which divides in double precision.
    """
    return torch.div(x, y, rounding_mode="floor")


def floor_mod(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """What is left of x after FLOOR_DIV by y: it has the sign of y.

    Source: LiteRT tflite/kernels/internal/reference/floor_mod.h, FloorMod.
    """
    return torch.remainder(x, y)


def power(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """``x`` to the power of y; for integers see ``integer_power``. Source: LiteRT tflite/kernels/pow.cc."""
    return torch.pow(x, y) if x.dtype.is_floating_point else integer_power(x, y)


@helper
def integer_power(x: Tensor, y: Tensor) -> Tensor:
    """``x`` to the power of y >= 0 for INT32; -2^31 where that is no INT32.

    LiteRT computes in double precision and converts, which gives that value on x86-64; only where y is a single
    number, and x is more than one, its product wraps around.
    Source: LiteRT tflite/kernels/internal/reference/reference_ops.h, Pow.
    """
    exact = torch.pow(x.double(), y.double())
    return torch.where(exact.abs() < 2**31, exact, -(2.0**31)).to(x.dtype)


def maximum(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """The larger of x and y; NaN where either is (LiteRT: where y is).

    Source: LiteRT tflite/kernels/maximum_minimum.cc, MaximumOp.
    """
    return torch.maximum(x, y)


def minimum(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """The smaller of x and y; NaN where either is (LiteRT: where y is).

    Source: LiteRT tflite/kernels/maximum_minimum.cc, MinimumOp.
    """
    return torch.minimum(x, y)


def squared_difference(x: Tensor, y: Tensor, **_: Options) -> Tensor:
    """(x - y)^2, integers wrapping. Source: LiteRT tflite/kernels/squared_difference.cc, SquaredDifference."""
    return torch.square(x - y)


def add_n(*terms: Tensor, **_: Options) -> Tensor:
    """The sum of two or more tensors of one shape. Source: LiteRT tflite/kernels/add_n.cc."""
    return reduce(lambda total, term: total + term, terms)


def atan2(y: Tensor, x: Tensor, **_: Options) -> Tensor:
    """The angle of the point (x, y) in radians, -pi to pi. Source: LiteRT tflite/kernels/atan2.cc."""
    return torch.atan2(y, x)


OPERATORS = {
    "ADD": add,
    "SUB": sub,
    "MUL": mul,
    "DIV": div,
    "FLOOR_DIV": floor_div,
    "FLOOR_MOD": floor_mod,
    "POW": power,
    "MAXIMUM": maximum,
    "MINIMUM": minimum,
    "SQUARED_DIFFERENCE": squared_difference,
    "ADD_N": add_n,
    "ATAN2": atan2,
}
