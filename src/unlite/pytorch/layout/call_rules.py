"""What each call needs to work on values whose axes are stored in another order: other axes, other sizes, other pads.

A call without a rule here gets its operands in the file's order, and gives its result in it.
"""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import fx

from unlite.pytorch.layout import axis_rules
from unlite.pytorch.layout.axis_orders import (
    AnyOrder,
    Axes,
    Broadcast,
    Call,
    Held,
    Known,
    Link,
    Rule,
    Size,
    one_to_one,
    parts_of,
    rank_of,
    tensor_of,
)
from unlite.pytorch.ops.pads import mirror, pad_with
from unlite.pytorch.ops.reducing import count_along
from unlite.pytorch.ops.slicing import take_block
from unlite.pytorch.trace import AXES

if TYPE_CHECKING:
    from collections.abc import Callable


def rule_of(node: fx.Node, known: Known) -> Rule | None:
    """The rule of a call; None where there is none, or its arguments are computed by the model."""
    args: Any = node.args
    if node.op not in ("call_function", "call_method") or not args:
        return None
    if node.target in (_ELEMENTWISE_FUNCTIONS if node.op == "call_function" else _ELEMENTWISE_METHODS):
        return _elementwise(node)
    target: Any = node.target
    make = _HELPERS.get(AXES.get(target, "")) or (_FUNCTIONS if node.op == "call_function" else _METHODS).get(target)
    if make is None:
        return None
    if node.target in (torch.cat, torch.stack):
        return make(node)
    operand = args[0]
    if make is _elementwise:
        return _elementwise(node)
    if tensor_of(operand) is None or operand in _nodes((args[1:], node.kwargs)):
        return None
    if node.target == "reshape":
        return axis_rules.reshape(node, known)
    return make(node)


def _nodes(value: Any) -> list[fx.Node]:
    found: list[fx.Node] = []

    def note(node: fx.Node) -> fx.Node:
        found.append(node)
        return node

    fx.node.map_arg(value, note)
    return found


def _inner(helper: Any) -> Any:
    """What the graph calls for a helper."""
    return helper.__wrapped__


# -- element by element ------------------------------------------------------------------------------------------------


def _elementwise(node: fx.Node) -> Rule | None:
    parts = parts_of(node)
    result = parts[0] if parts else tensor_of(node)
    if result is None:
        return None
    links: dict[fx.Node, Link] = {}
    for operand in node.all_input_nodes:
        value = tensor_of(operand)
        if value is None:
            if not isinstance(operand.meta.get("val"), (int, float)):
                return None
        elif operand.op == "get_attr" and value.numel() == 1:
            links[operand] = AnyOrder(value.ndim, result.ndim)
        elif value.ndim == result.ndim:
            links[operand] = one_to_one(tuple(range(result.ndim)))
        elif value.ndim < result.ndim:
            links[operand] = Broadcast(value.ndim, result.ndim)
        else:
            return None
    return Rule(links, lambda _order, _held: (node.args, node.kwargs), gives_parts=bool(parts))


_ELEMENTWISE_FUNCTIONS: frozenset[Any] = frozenset(
    (
        *(operator.add, operator.sub, operator.mul, operator.truediv, operator.neg),
        *(torch.maximum, torch.minimum, torch.pow, torch.div, torch.remainder, torch.atan2, torch.where, torch.clamp),
        *(torch.eq, torch.ne, torch.lt, torch.le, torch.gt, torch.ge),
        *(torch.logical_and, torch.logical_or, torch.logical_not),
        *(torch.bitwise_and, torch.bitwise_xor, torch.bitwise_left_shift, torch.bitwise_right_shift),
        *(torch.abs, torch.exp, torch.log, torch.sqrt, torch.rsqrt, torch.square, torch.sin, torch.cos, torch.sign),
        *(torch.ceil, torch.floor, torch.round, torch.trunc, torch.copysign, torch.sigmoid, torch.tanh),
        *(torch.zeros_like, torch.ones_like, torch.full_like, torch.real, torch.imag),
        *(F.relu, F.relu6, F.hardswish, F.elu, F.gelu, F.leaky_relu),
        *(torch.fake_quantize_per_tensor_affine,),
    )
)
_ELEMENTWISE_METHODS = frozenset(
    ("to", "long", "float", "double", "clone", "detach", "contiguous", "clamp", "eq", "copy_")
)


# -- the same axes, one of them named ----------------------------------------------------------------------------------


def _along(at: int, name: str = "dim") -> Callable[[fx.Node], Rule | None]:
    """A call that works along an axis, or several, named by argument ``at``; the others stay what they are."""

    def rule(node: fx.Node) -> Rule | None:
        args: Any = node.args
        operands = args[0] if isinstance(args[0], (list, tuple)) else args[:1]
        values = [tensor_of(operand) for operand in operands]
        dims: Any = args[at] if len(args) > at else node.kwargs.get(name, 0 if node.target is torch.cat else None)
        several: list[Any] = list(dims) if isinstance(dims, (list, tuple)) else [dims]
        if not values or not all(isinstance(dim, int) for dim in several):
            return None
        rank = values[0].ndim if values[0] is not None else 0
        if any(value is None or value.ndim != rank for value in values) or not rank:
            return None

        def write(order: Axes, _held: Held) -> Call:
            moved = [order.index(dim % rank) for dim in several]
            given = moved if isinstance(dims, (list, tuple)) else moved[0]
            if len(args) > at:
                return (*args[:at], given, *args[at + 1 :]), node.kwargs
            return args, {**node.kwargs, name: given}

        links: dict[fx.Node, Link] = dict.fromkeys(operands, one_to_one(tuple(range(rank))))
        changed: dict[int, Size] = dict.fromkeys(dim % rank for dim in several)
        parts = parts_of(node)
        if tensor_of(node) is None and not parts:
            return None
        return Rule(links, write, changed, gives_parts=bool(parts))

    return rule


def _pad(node: fx.Node) -> Rule | None:
    """F.pad and ``pad_with``: pairs run from the last axis to the first."""
    args: Any = node.args
    around = args[1] if len(args) > 1 else None
    mode = args[2] if len(args) > 2 else node.kwargs.get("mode", "constant")
    by_helper = node.target is not F.pad
    if not isinstance(around, (list, tuple)) or not (by_helper or mode == "constant"):
        return None
    rank = rank_of(args[0])
    pairs = {rank - 1 - place: tuple(around[2 * place : 2 * place + 2]) for place in range(len(around) // 2)}

    def write(order: Axes, _held: Held) -> Call:
        moved = [pairs.get(axis, (0, 0)) for axis in order]
        while len(moved) > 1 and moved[0] == (0, 0):
            moved = moved[1:]
        return (args[0], [count for pair in reversed(moved) for count in pair], *args[2:]), node.kwargs

    sizes = {axis: _longer(*pair) for axis, pair in pairs.items() if pair != (0, 0)}
    return _same(node, write, sizes)


def _longer(before: Any, behind: Any) -> Size:
    """The size of an axis with cells before and behind."""
    return (lambda size: size + before + behind) if isinstance(before, int) and isinstance(behind, int) else None


def _mirror(node: fx.Node) -> Rule | None:
    args: Any = node.args
    rule = _along(1)(node)
    return None if rule is None else replace(rule, sizes=dict.fromkeys(rule.sizes, _longer(*args[2:4])))


def _same(node: fx.Node, write: Callable[[Axes, Held], Call], sizes: dict[int, Size]) -> Rule:
    """Of a call whose result has the axes of its first operand; ``sizes``: of those that change them."""
    args: Any = node.args
    return Rule({args[0]: one_to_one(tuple(range(rank_of(args[0]))))}, write, sizes)


def _first_alone(node: fx.Node) -> Rule | None:
    """Element by element on the first operand; the others are tables."""
    return _same(node, lambda _order, _held: (node.args, node.kwargs), {})


def _by_axis(node: fx.Node) -> Rule | None:
    """Calls that are told a number for each axis: expand, repeat, ``take_block``."""
    args: Any = node.args
    if node.kwargs:
        return None
    as_list = isinstance(args[1], (list, tuple))
    lists = args[1:] if as_list else (args[1:],)
    rank = rank_of(args[0])
    if any(not isinstance(numbers, (list, tuple)) or len(numbers) != rank for numbers in lists):
        return None

    def write(order: Axes, _held: Held) -> Call:
        moved = [[numbers[axis] for axis in order] for numbers in lists]
        return (args[0], *(moved if as_list else moved[0])), node.kwargs

    return _same(node, write, dict.fromkeys(range(rank)))


def _size(node: fx.Node) -> Rule | None:
    """The size of an axis, or the number of axes."""
    args: Any = node.args
    rank = rank_of(args[0])
    if node.target == "size" and not (len(args) == 2 and isinstance(args[1], int)):
        return None

    def write(_order: Axes, held: Held) -> Call:
        if node.target != "size":
            return args, node.kwargs
        return (args[0], held[args[0]].index(args[1] % rank)), node.kwargs

    return Rule({args[0]: AnyOrder(rank, 0)}, write)


def _count(node: fx.Node) -> Rule | None:
    """How many entries there are along axes."""
    args: Any = node.args

    def write(_order: Axes, held: Held) -> Call:
        return (args[0], sorted(held[args[0]].index(axis % rank_of(args[0])) for axis in args[1])), {}

    return Rule({args[0]: AnyOrder(rank_of(args[0]), 0)}, write)


_HELPERS: dict[str, Callable[[fx.Node], Rule | None]] = {
    "elementwise": _elementwise,
    "by_table": _first_alone,
    "along_axes": _along(1),
    "reducing": axis_rules.reduce_axes,
}
"""By what a helper says of itself."""

_FUNCTIONS: dict[Any, Callable[..., Rule | None]] = {
    F.pad: _pad,
    torch.stack: axis_rules.add_axis,
    operator.getitem: axis_rules.take,
    **dict.fromkeys((F.softmax, F.log_softmax, torch.cat), _along(1)),
    F.normalize: _along(2),
    **{
        _inner(helper): rule
        for helper, rule in (
            (count_along, _count),
            (mirror, _mirror),
            (pad_with, _pad),
            (take_block, _by_axis),
        )
    },
}
_METHODS: dict[Any, Callable[..., Rule | None]] = {
    **dict.fromkeys(("cumsum", "index_select", "flip", "narrow"), _along(1)),
    **dict.fromkeys(("chunk", "split", "roll"), _along(2)),
    **dict.fromkeys(("mean", "sum", "prod", "amax", "amin", "any", "all", "argmax", "argmin"), axis_rules.reduce_axes),
    **dict.fromkeys(("unbind", "select", "squeeze"), axis_rules.drop_axes),
    **dict.fromkeys(("expand", "repeat"), _by_axis),
    **dict.fromkeys(("size", "dim"), _size),
    "permute": axis_rules.permute,
    "unsqueeze": axis_rules.add_axis,
    "flatten": axis_rules.flatten,
    "unflatten": axis_rules.unflatten,
    "reshape": axis_rules.reshape,
}
