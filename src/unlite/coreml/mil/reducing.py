"""MIL operators that join elements: reductions, norms, products of matrices, sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.coreml.mil.elementwise import per_channel
from unlite.coreml.mil.numbers import number, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def over_axes(function: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Tensor]:
    """A reduction over ``axes``; over all of them where none is named."""

    def reduce(x: Tensor, axes: Tensor | None, keep_dims: Tensor) -> Tensor:
        chosen = whole(axes) or list(range(x.ndim))
        return function(x, chosen, bool(keep_dims)) if x.ndim else x

    return reduce


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def of_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Index of the largest or smallest along an axis; the first of equals."""

    def reduce(x: Tensor, axis: Tensor, keep_dims: Tensor, **_: Any) -> Tensor:
        return function(x, int(number(axis)), bool(keep_dims))

    return reduce


def _first_largest(x: Tensor, axis: int, keep: bool) -> Tensor:
    return (x == x.amax(axis, keepdim=True)).to(torch.uint8).argmax(axis, keepdim=keep)


def argsort(x: Tensor, axis: Tensor, ascending: Tensor) -> Tensor:
    """Indices that sort along an axis; equals keep their order."""
    return torch.argsort(x, dim=int(number(axis)), descending=not bool(ascending), stable=True)


def topk(x: Tensor, k: Tensor, axis: Tensor, ascending: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
    """The k largest (smallest) along an axis, sorted, and their indices; of equals the first ones."""
    dim, count = int(number(axis)), int(number(k))
    order = torch.argsort(x, dim=dim, descending=not bool(ascending), stable=True)
    order = order.narrow(dim, 0, x.shape[dim] if count < 0 else count)
    return x.gather(dim, order), order


def cumsum(x: Tensor, axis: Tensor, exclusive: Tensor, reverse: Tensor) -> Tensor:
    """Sums of what comes before (and at) each place along an axis."""
    dim = int(number(axis))
    turned = x.flip(dim) if bool(reverse) else x
    sums = turned.cumsum(dim) - (turned if bool(exclusive) else 0)
    return sums.flip(dim) if bool(reverse) else sums


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Computes x @ weight.T + bias."""
    return F.linear(x, weight, bias)


def matmul(x: Tensor, y: Tensor, transpose_x: Tensor, transpose_y: Tensor) -> Tensor:
    """Product of matrices, each transposed first where told so."""
    left = x.transpose(-1, -2) if bool(transpose_x) and x.ndim > 1 else x
    right = y.transpose(-1, -2) if bool(transpose_y) and y.ndim > 1 else y
    return torch.matmul(left, right)


def einsum(values: tuple[Tensor, ...], equation: str) -> Tensor:
    """A sum of products, as the equation says."""
    return torch.einsum(equation, *values)


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """softmax(query @ key.T / sqrt(E) + mask) @ value."""
    return F.scaled_dot_product_attention(query, key, value, attn_mask)


def batch_norm(
    x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: Tensor
) -> Tensor:
    """Computes gamma * (x - mean) / sqrt(variance + epsilon) + beta, along axis 1."""
    scaled = (x - per_channel(x, mean)) * torch.rsqrt(per_channel(x, variance) + epsilon)
    return _affine(scaled, gamma, beta)


def instance_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: Tensor) -> Tensor:
    """Each channel of each picture brought to mean 0 and variance 1."""
    axes = list(range(2, x.ndim))
    centred = x - x.mean(axes, keepdim=True)
    return _affine(centred * torch.rsqrt(centred.square().mean(axes, keepdim=True) + epsilon), gamma, beta)


def _affine(x: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
    x = x if gamma is None else x * per_channel(x, gamma)
    return x if beta is None else x + per_channel(x, beta)


def layer_norm(x: Tensor, axes: Tensor | None, gamma: Tensor | None, beta: Tensor | None, epsilon: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the axes; gamma and beta have the shape of those axes."""
    chosen = sorted(axis % x.ndim for axis in whole(axes)) or list(range(x.ndim))
    centred = x - x.mean(chosen, keepdim=True)
    scaled = centred * torch.rsqrt(centred.square().mean(chosen, keepdim=True) + epsilon)
    shape = [x.shape[axis] if axis in chosen else 1 for axis in range(x.ndim)]
    scaled = scaled if gamma is None else scaled * gamma.reshape(shape)
    return scaled if beta is None else scaled + beta.reshape(shape)


def l2_norm(x: Tensor, epsilon: Tensor) -> Tensor:
    """Computes x / sqrt(sum(x * x) + epsilon) over the last three axes."""
    return x * torch.rsqrt(x.square().sum([-3, -2, -1], keepdim=True) + epsilon)


def local_response_norm(x: Tensor, size: Tensor, alpha: Tensor, beta: Tensor, k: Tensor) -> Tensor:
    """Computes x / (k + alpha / size * sum of squares of ``size`` channels around)^beta."""
    return F.local_response_norm(x, int(number(size)), number(alpha), number(beta), number(k))


OPERATORS: dict[str, Callable[..., Any]] = {
    "reduce_max": over_axes(torch.amax),
    "reduce_min": over_axes(torch.amin),
    "reduce_mean": over_axes(lambda x, axes, keep: torch.mean(x.float(), axes, keep)),
    "reduce_sum": over_axes(torch.sum),
    "reduce_prod": over_axes(_product),
    "reduce_sum_square": over_axes(lambda x, axes, keep: torch.sum(x * x, axes, keep)),
    "reduce_l1_norm": over_axes(lambda x, axes, keep: torch.sum(x.abs(), axes, keep)),
    "reduce_l2_norm": over_axes(lambda x, axes, keep: torch.sqrt(torch.sum(x * x, axes, keep))),
    "reduce_log_sum": over_axes(lambda x, axes, keep: torch.log(torch.sum(x, axes, keep))),
    "reduce_log_sum_exp": over_axes(torch.logsumexp),
    "reduce_argmax": of_place(_first_largest),
    "reduce_argmin": of_place(lambda x, axis, keep: _first_largest(-x, axis, keep)),
    "argsort": argsort,
    "topk": topk,
    "cumsum": cumsum,
    "linear": linear,
    "matmul": matmul,
    "einsum": einsum,
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "l2_norm": l2_norm,
    "local_response_norm": local_response_norm,
}
