"""Fewer permutes in source that people read: those that undo each other vanish, the others move behind what lets them.

Lowering puts a permute on both sides of every convolution. Here a permute is carried past element-wise calls, padding,
joins and reductions, so that it meets the one that undoes it. Every value that is left is computed from the same
numbers in the same way.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import fx
from torch.fx.node import map_arg

if TYPE_CHECKING:
    from collections.abc import Callable

Axes: TypeAlias = "tuple[int, ...]"

_UNARY: frozenset[Any] = frozenset(
    (
        *(F.relu, F.relu6, F.hardswish, F.hardsigmoid, F.elu, F.leaky_relu, F.gelu, F.silu, F.softplus),
        *(torch.sigmoid, torch.tanh, torch.clamp, torch.abs, torch.exp, torch.log, torch.sqrt, torch.rsqrt),
        *(torch.square, torch.sin, torch.cos, torch.ceil, torch.floor, torch.round, torch.sign, operator.neg),
    )
)
_BINARY: frozenset[Any] = frozenset(
    (
        *(operator.add, operator.sub, operator.mul, operator.truediv),
        *(torch.maximum, torch.minimum, torch.pow),
    )
)
ELEMENTWISE = _UNARY
REDUCTIONS = ("mean", "sum", "amax", "amin")


def axes_of(node: Any) -> Axes | None:
    """The axes of a permute; None for anything else."""
    if not isinstance(node, fx.Node) or node.kwargs:
        return None
    if node.op == "call_method" and node.target == "transpose":
        return _swapped(node)
    if not (node.op == "call_method" and node.target == "permute"):
        return None
    given = node.args[1:]
    axes = given[0] if len(given) == 1 and isinstance(given[0], (list, tuple)) else given
    whole = [axis for axis in axes if isinstance(axis, int)]
    return tuple(axis % len(axes) for axis in whole) if len(whole) == len(axes) else None


def _swapped(node: fx.Node) -> Axes | None:
    """The axes of a transpose, as a permute has them."""
    value, swapped = node.meta.get("val"), node.args[1:]
    if not isinstance(value, torch.Tensor) or not all(isinstance(axis, int) for axis in swapped):
        return None
    axes = list(range(value.ndim))
    first, second = (axis % value.ndim for axis in swapped if isinstance(axis, int))
    axes[first], axes[second] = second, first
    return tuple(axes)


def remove_permutes(graph: fx.Graph) -> None:
    """Cancels and moves permutes, in place."""
    made: dict[tuple[fx.Node, Axes], fx.Node] = {}
    for node in list(graph.nodes):
        if axes_of(node) is not None:
            _merge(node, made)
        elif _rule(node) is not None:
            _sink(node, made)
    graph.eliminate_dead_code(is_impure_node=is_impure)


def is_impure(node: fx.Node) -> bool:
    """Whether a node does more than give a value."""
    return node.op in ("placeholder", "output") or (node.op == "call_method" and str(node.target).endswith("_"))


def _merge(node: fx.Node, made: dict[tuple[fx.Node, Axes], fx.Node]) -> None:
    """A permute of a permute is one permute, or none; two of the same are one."""
    axes, source = axes_of(node), node.args[0]
    inner = axes_of(source)
    if inner is not None and axes is not None:
        axes, source = tuple(inner[axis] for axis in axes), source.args[0]  # type: ignore[union-attr]  # a node
    if axes == tuple(range(len(axes or ()))):
        node.replace_all_uses_with(source)  # type: ignore[arg-type]  # a node
        return
    earlier = made.get((source, axes))  # type: ignore[arg-type]  # a node
    if earlier is not None:
        node.replace_all_uses_with(earlier)
        return
    if inner is not None:
        node.target, node.args = "permute", (source, *(axes or ()))
    made[source, axes] = node  # type: ignore[index]  # a node


def _sink(node: fx.Node, made: dict[tuple[fx.Node, Axes], fx.Node]) -> None:
    """Carries the permute before a node behind it."""
    rule = _rule(node)
    permuted = [source for source in node.all_input_nodes if axes_of(source) is not None]
    if rule is None or not permuted:
        return
    axes = axes_of(permuted[0]) or ()
    if any(axes_of(source) != axes for source in node.all_input_nodes):
        return
    if any(axes_of(user) is None and _rule(user) is None for source in permuted for user in source.users):
        return  # the permute would stay for others, and be one more
    changed = rule(node, axes)
    if changed is None:
        return
    args, kwargs, behind = changed
    graph = node.graph
    with graph.inserting_before(node):
        args, kwargs = map_arg(args, _before), map_arg(kwargs, _before)
        plain = graph.create_node(node.op, node.target, args, kwargs, node.name)
        plain.meta.update(node.meta)
        if behind == tuple(range(len(behind))):
            node.replace_all_uses_with(plain)
            return
        permute = graph.call_method("permute", (plain, *behind))
    permute.meta.update(node.meta)
    node.replace_all_uses_with(permute)
    made[plain, behind] = permute


def _before(node: fx.Node) -> Any:
    return node.args[0] if axes_of(node) is not None else node


def _rule(node: fx.Node) -> Callable[[fx.Node, Axes], Any] | None:
    """How a call changes when its operands lose their permutes: to args, kwargs, and the axes of the permute behind."""
    if node.op == "call_method":
        return _reduce if node.target in REDUCTIONS else None
    if node.op != "call_function":
        return None
    if node.target in _UNARY or node.target in _BINARY:
        return _same
    return _RULES.get(node.target)


def _same(node: fx.Node, axes: Axes) -> Any:
    return node.args, node.kwargs, axes


def _pad(node: fx.Node, axes: Axes) -> Any:
    given: list[Any] = list(node.args)
    around = given[1] if len(given) > 1 else None
    if not isinstance(around, (list, tuple)) or node.kwargs.get("mode", "constant") != "constant":
        return None
    # Pairs run from the last axis to the first; axis i of the permuted tensor is axis ``axes[i]`` of the plain one.
    pairs: list[Any] = [(0, 0)] * len(axes)
    for place in range(len(around) // 2):
        pairs[axes[len(axes) - 1 - place]] = tuple(around[2 * place : 2 * place + 2])
    while len(pairs) > 1 and pairs[0] == (0, 0):
        pairs = pairs[1:]
    moved = [amount for pair in reversed(pairs) for amount in pair]
    return (given[0], moved, *given[2:]), node.kwargs, axes


def _join(node: fx.Node, axes: Axes) -> Any:
    given: list[Any] = list(node.args)
    dim = given[1] if len(given) > 1 else node.kwargs.get("dim", 0)
    if not isinstance(dim, int):
        return None
    rest = {key: value for key, value in node.kwargs.items() if key != "dim"}
    return (given[0], axes[dim % len(axes)], *given[2:]), rest, axes


def _reduce(node: fx.Node, axes: Axes) -> Any:
    given: list[Any] = list(node.args)
    dims = given[1] if len(given) > 1 else None
    if not isinstance(dims, (list, tuple)) or not dims or not all(isinstance(dim, int) for dim in dims) or node.kwargs:
        return None
    reduced = {dim % len(axes) for dim in dims if isinstance(dim, int)}
    args = given[0], sorted(axes[dim] for dim in reduced), *given[2:]
    if len(given) > 2 and given[2] is True:
        return args, {}, axes
    left = [axis for place, axis in enumerate(axes) if place not in reduced]
    return args, {}, tuple(sorted(left).index(axis) for axis in left)


_RULES: dict[Any, Callable[[fx.Node, Axes], Any]] = {F.pad: _pad, torch.cat: _join}
