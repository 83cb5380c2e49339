"""MIL operators that work on each element: arithmetic, activations, comparisons, quantization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.coreml.mil.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

BOUNDS = {"int8": (-128, 127), "uint8": (0, 255)}


def of_one(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """An operator of one tensor, ``x``."""

    def compute(x: Tensor) -> Tensor:
        return function(x)

    return compute


def of_two(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """An operator of two tensors that broadcast, ``x`` and ``y``."""

    def compute(x: Tensor, y: Tensor) -> Tensor:
        return function(x, y)

    return compute


def real_div(x: Tensor, y: Tensor) -> Tensor:
    """Computes x / y; between integers rounded towards zero."""
    return torch.div(x, y) if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def power(x: Tensor, y: Tensor) -> Tensor:
    """Computes x to the power of y."""
    return torch.pow(x.double(), y.double()).to(x.dtype) if not x.is_floating_point() else torch.pow(x, y)


def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Computes a where cond is true, else b."""
    return torch.where(cond.bool(), a, b)


def cast(x: Tensor, dtype: str) -> Tensor:  # noqa: ARG001 - the type declared for the result is the one named here
    """x; the evaluator gives it the declared type. Real numbers are cut off towards zero, bool is x != 0."""
    return x


def clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Computes x within alpha..beta."""
    return x.clamp(number(alpha), number(beta))


def log(x: Tensor, epsilon: Tensor) -> Tensor:
    """Natural logarithm of x + epsilon."""
    return torch.log(x + epsilon)


def rsqrt(x: Tensor, epsilon: Tensor) -> Tensor:
    """1 / sqrt(x + epsilon)."""
    return torch.rsqrt(x + epsilon)


def inverse(x: Tensor, epsilon: Tensor) -> Tensor:
    """1 / (x + epsilon)."""
    return torch.reciprocal(x + epsilon)


def threshold(x: Tensor, alpha: Tensor) -> Tensor:
    """max(x, alpha)."""
    return torch.clamp(x, min=number(alpha))


def gelu(x: Tensor, mode: str | None = None) -> Tensor:
    """Computes x * P(X <= x) of a normal X, or one of its two approximations."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


def per_channel(x: Tensor, alpha: Tensor) -> Tensor:
    """A vector along axis 1 of x."""
    return alpha.reshape(1, -1, *[1] * (x.ndim - 2))


def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """x, and alpha * x where it is negative; alpha runs along axis 1."""
    return torch.where(x > 0, x, x * per_channel(x, alpha))


def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Computes alpha * log(1 + exp(beta * x)); both run along axis 1."""
    return per_channel(x, alpha) * F.softplus(per_channel(x, beta) * x)


def softmax(x: Tensor, axis: Tensor | None) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis, the last one where none is named."""
    return torch.softmax(x, int(number(axis, -1)))


def along(values: Tensor | None, like: Tensor, axis: Tensor | None) -> Tensor | float:
    """One number, or a vector that runs along an axis."""
    if values is None:
        return 0.0
    if values.numel() == 1:
        return values.reshape(())
    return values.reshape([-1 if i == int(number(axis)) % like.ndim else 1 for i in range(like.ndim)])


def quantize(
    input: Tensor,  # noqa: A002 - MIL's own name
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """round(input / scale) + zero_point, within what the integers hold; halves go to the even one."""
    low, high = BOUNDS[output_dtype]
    rounded = torch.round(input / along(scale, input, axis)) + along(zero_point, input, axis)
    return torch.clamp(rounded, low, high)


def dequantize(
    input: Tensor,  # noqa: A002 - MIL's own name
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """(input - zero_point) * scale."""
    return (input.float() - along(zero_point, input, axis)) * along(scale, input, axis)


OPERATORS: dict[str, Callable[..., Any]] = {
    "abs": of_one(torch.abs),
    "acos": of_one(torch.acos),
    "asin": of_one(torch.asin),
    "atan": of_one(torch.atan),
    "atanh": of_one(torch.atanh),
    "ceil": of_one(torch.ceil),
    "cos": of_one(torch.cos),
    "cosh": of_one(torch.cosh),
    "erf": of_one(torch.erf),
    "exp": of_one(torch.exp),
    "exp2": of_one(torch.exp2),
    "floor": of_one(torch.floor),
    "identity": of_one(lambda x: x),
    "logical_not": of_one(torch.logical_not),
    "relu": of_one(torch.relu),
    "relu6": of_one(lambda x: x.clamp(0, 6)),
    "round": of_one(torch.round),
    "sigmoid": of_one(torch.sigmoid),
    "sign": of_one(torch.sign),
    "silu": of_one(F.silu),
    "sin": of_one(torch.sin),
    "sinh": of_one(torch.sinh),
    "softplus": of_one(F.softplus),
    "softsign": of_one(F.softsign),
    "sqrt": of_one(torch.sqrt),
    "square": of_one(torch.square),
    "tan": of_one(torch.tan),
    "tanh": of_one(torch.tanh),
    "add": of_two(torch.add),
    "equal": of_two(torch.eq),
    "floor_div": of_two(torch.floor_divide),
    "greater": of_two(torch.gt),
    "greater_equal": of_two(torch.ge),
    "less": of_two(torch.lt),
    "less_equal": of_two(torch.le),
    "logical_and": of_two(torch.logical_and),
    "logical_or": of_two(torch.logical_or),
    "logical_xor": of_two(torch.logical_xor),
    "maximum": of_two(torch.maximum),
    "minimum": of_two(torch.minimum),
    "mod": of_two(torch.remainder),
    "mul": of_two(torch.mul),
    "not_equal": of_two(torch.ne),
    "sub": of_two(torch.sub),
    "real_div": real_div,
    "pow": power,
    "select": select,
    "cast": cast,
    "clip": clip,
    "log": log,
    "rsqrt": rsqrt,
    "inverse": inverse,
    "threshold": threshold,
    "gelu": gelu,
    "prelu": prelu,
    "softplus_parametric": softplus_parametric,
    "softmax": softmax,
    "clamped_relu": lambda x, alpha, beta: torch.minimum(torch.where(x >= 0, x, x * alpha), beta),
    "elu": lambda x, alpha: torch.where(x >= 0, x, alpha * torch.expm1(x)),
    "leaky_relu": lambda x, alpha: torch.where(x >= 0, x, x * alpha),
    "linear_activation": lambda x, alpha, beta: alpha * x + beta,
    "scaled_tanh": lambda x, alpha, beta: alpha * torch.tanh(beta * x),
    "sigmoid_hard": lambda x, alpha, beta: torch.clamp(alpha * x + beta, 0, 1),
    "thresholded_relu": lambda x, alpha: torch.where(x >= alpha, x, torch.zeros_like(x)),
    "quantize": quantize,
    "dequantize": dequantize,
}
