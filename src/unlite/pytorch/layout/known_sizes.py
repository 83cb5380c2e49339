"""Sizes that follow from a model's weights and operators alone, whatever shapes its inputs have.

What the example shapes say may be otherwise in the next run. That a size is 1 for certain lets a reshape do without a
permute before it.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import fx

from unlite.pytorch.layout.axis_orders import AnyOrder, Rule, Sizes, tensor_of
from unlite.pytorch.layout.call_rules import rule_of
from unlite.pytorch.ops.padding import pad_same
from unlite.pytorch.ops.pooling import average_inside

_CONVOLUTIONS: tuple[Any, ...] = (torch.conv2d, torch.conv3d)
_CHANNELWISE: tuple[Any, ...] = (
    *(F.avg_pool2d, F.max_pool2d, F.avg_pool3d, F.max_pool3d, F.interpolate),
    *(helper.__wrapped__ for helper in cast("Any", (pad_same, average_inside))),  # what the graph calls
)


def known_sizes(graph: fx.Graph, rules: dict[fx.Node, Rule]) -> dict[fx.Node, Sizes]:
    """The sizes of each tensor of a lowered graph, None for those not known. Fills ``rules``, which need them."""
    known: dict[fx.Node, Sizes] = {}
    for node in graph.nodes:
        rule = rule_of(node, known)
        if rule is not None:
            rules[node] = rule
        value = tensor_of(node)
        if value is not None:
            known[node] = _sizes(node, rule, value.ndim, known)
    return known


def _sizes(node: fx.Node, rule: Rule | None, rank: int, known: dict[fx.Node, Sizes]) -> Sizes:
    if node.op == "get_attr":
        return tuple(node.meta["val"].shape)
    if rule is not None:
        joined: Any = node.args[0] if node.target is torch.cat else ()
        return tuple(
            _total([known[part][axis] for part in joined])
            if joined and axis in rule.sizes
            else _changed(rule, axis, _broadcast(rule, axis, known))
            for axis in range(rank)
        )
    found: list[int | None] = [None] * rank
    args: Any = node.args
    if node.op == "call_function" and args and args[0] in known:
        given = known[args[0]]
        if node.target is torch.prelu:
            return given
        if node.target in _CHANNELWISE:
            found[:2] = given[:2]
        weight = known.get(args[1], ()) if len(args) > 1 and isinstance(args[1], fx.Node) else ()
        if weight and node.target in _CONVOLUTIONS:
            found = _convolved(given, weight, args[3:6])
        if weight and node.target is F.linear:
            found = [*given[:-1], weight[0]]
    return tuple(found)


def _convolved(given: Sizes, weight: Sizes, window: tuple[Any, ...]) -> list[int | None]:
    """Of [N, C, *sizes] and [O, C, *kernel]; window: stride, padding and dilation."""
    found = [given[0], weight[0]]
    for axis, (size, kernel) in enumerate(zip(given[2:], weight[2:], strict=True)):
        numbers = [entry[axis] if isinstance(entry, (tuple, list)) else entry for entry in window]
        if size is None or kernel is None or len(numbers) < 3 or not all(isinstance(n, int) for n in numbers):
            found.append(None)
        else:
            stride, padding, dilation = numbers
            found.append((size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1)
    return found


def _total(sizes: list[int | None]) -> int | None:
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _changed(rule: Rule, axis: int, size: int | None) -> int | None:
    """The size of an axis of the result, ``size`` being that of the operands."""
    change = rule.sizes.get(axis, size)
    if change is None or isinstance(change, int):
        return change
    return None if size is None else change(size)


def _broadcast(rule: Rule, axis: int, known: dict[fx.Node, Sizes]) -> int | None:
    """What the operands' sizes along an axis of the result broadcast to."""
    sizes: list[int | None] = []
    for operand, link in rule.links.items():
        if not isinstance(link, AnyOrder):
            source = link.source(axis)
            sizes.append(1 if source is None else known[operand][source])
    larger = [size for size in sizes if size not in (1, None)]
    return larger[0] if larger else None if None in sizes else 1
