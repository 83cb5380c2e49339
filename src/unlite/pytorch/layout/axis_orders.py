"""The order in which a value's axes are stored, and how it goes through a call.

An order is a tuple of axes: a value stored in order ``axes`` is ``value.permute(axes)`` of the value that the file
means. ``(0, 1, 2, 3)`` is the file's own, ``(0, 3, 1, 2)`` turns [N, H, W, C] into [N, C, H, W]. An order longer than
the value's rank means: first axes of size 1 in front, as broadcasting adds them, then permuted.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import fx

Axes: TypeAlias = "tuple[int, ...]"
Blocks: TypeAlias = Sequence[Axes]

Sizes: TypeAlias = "tuple[int | None, ...]"
"""What is known of a value's sizes whatever the inputs' shapes are; None for what depends on them."""

Known: TypeAlias = Mapping[fx.Node, Sizes]
Size: TypeAlias = "int | Callable[[int], int] | None"
Call: TypeAlias = "tuple[tuple[Any, ...], dict[str, Any]]"
Held: TypeAlias = Mapping[fx.Node, Axes]


def plain(rank: int) -> Axes:
    """The file's own order."""
    return tuple(range(rank))


class Link:
    """Which axes of an operand become which axes of a result.

    Args:
        operand_rank, result_rank: Numbers of axes.
        pairs: Blocks of axes, of the operand and of the result. A block stays together, in rising order; the blocks
            come in any order, the same on both sides. Axes of the operand in no block vanish, those of the result in
            no block are new.
    """

    def __init__(self, operand_rank: int, result_rank: int, pairs: Sequence[tuple[Axes, Axes]]) -> None:
        self._ranks = operand_rank, result_rank
        self._operand = [block for block, _ in pairs]
        self._result = [block for _, block in pairs]
        self._known: dict[tuple[Axes, Axes], bool] = {}

    def pull(self, order: Axes) -> Axes | None:
        """An order of the operand that gives the result in ``order``; None where there is none."""
        return _carried(order, self._result, self._operand, self._ranks[0])

    def push(self, order: Axes) -> Axes | None:
        """An order of the result that an operand in ``order`` gives; None where there is none."""
        return _carried(order, self._operand, self._result, self._ranks[1])

    def agrees(self, held: Axes, order: Axes) -> bool:
        """Whether an operand stored as ``held`` gives a result stored in ``order``."""
        found = self._known.get((held, order))
        if found is None:
            blocks = _sequence(held, self._operand)
            found = blocks is not None and blocks == _sequence(order, self._result)
            self._known[held, order] = found
        return found

    def source(self, axis: int) -> int | None:
        """The axis of the operand that becomes an axis of the result on its own; None where there is no such axis."""
        for one, other in zip(self._operand, self._result, strict=True):
            if other == (axis,) and len(one) == 1:
                return one[0]
        return None


def one_to_one(axes: Axes) -> Link:
    """Axis i of the result is axis ``axes[i]`` of the operand: permute, and what keeps every axis in its place."""
    return Link(len(axes), len(axes), [((axis,), (place,)) for place, axis in enumerate(axes)])


class Broadcast(Link):
    """An operand of fewer axes than the result: broadcasting puts axes of size 1 in front."""

    def __init__(self, operand_rank: int, result_rank: int) -> None:
        super().__init__(operand_rank, result_rank, [])
        self._more = result_rank - operand_rank

    def pull(self, order: Axes) -> Axes:
        return order

    def push(self, order: Axes) -> Axes:
        return (*range(self._more), *(self._more + axis for axis in order))

    def agrees(self, held: Axes, order: Axes) -> bool:
        return order[self._more :] == tuple(self._more + axis for axis in held)

    def source(self, axis: int) -> int | None:
        return axis - self._more if axis >= self._more else None


class AnyOrder(Link):
    """An operand whose order makes no difference: a single number, or one whose sizes alone are read."""

    def __init__(self, operand_rank: int, result_rank: int) -> None:
        super().__init__(operand_rank, result_rank, [])

    def agrees(self, held: Axes, order: Axes) -> bool:  # noqa: ARG002 - as the base class has it
        return True


def _sequence(order: Axes, blocks: Blocks) -> list[int] | None:
    """Which blocks follow one another in an order, other axes left out; None where a block is torn apart."""
    members = {axis for block in blocks for axis in block}
    first = {block[0]: place for place, block in enumerate(blocks)}
    kept = tuple(axis for axis in order if axis in members)
    found: list[int] = []
    at = 0
    while at < len(kept):
        place = first.get(kept[at])
        if place is None or kept[at : at + len(blocks[place])] != tuple(blocks[place]):
            return None
        found.append(place)
        at += len(blocks[place])
    return found


def _carried(order: Axes, before: Blocks, behind: Blocks, rank: int) -> Axes | None:
    """An order on a link's other side. An axis that is only there comes after the one it follows in the file."""
    blocks = _sequence(order, before)
    if blocks is None:
        return None
    made = [axis for block in blocks for axis in behind[block]]
    for axis in range(rank):
        if axis not in made:
            made.insert(made.index(axis - 1) + 1 if axis else 0, axis)
    return tuple(made)


@dataclass(frozen=True)
class Rule:
    """How a call follows the order of its operands.

    Attributes:
        links: Operand -> how its axes become the result's. Operands that are left out are wanted in the file's order.
        write: Arguments for a result in an order, from operands in the orders that they are held in.
        sizes: Axes of the result whose size is not the operands', and what it is: a number, None for unknown, or a
            function of the operand's size.
        is_permute: The call does nothing but permute: it is needed only where orders do not meet.
        gives_parts: The result is a tuple of tensors, all in the same order.
    """

    links: dict[fx.Node, Link]
    write: Callable[[Axes, Held], Call]
    sizes: dict[int, Size] = field(default_factory=dict)
    is_permute: bool = False
    gives_parts: bool = False

    def allows(self, order: Axes) -> bool:
        """Whether the call can give its result in an order."""
        return all(link.pull(order) is not None for link in self.links.values())


def tensor_of(node: Any) -> torch.Tensor | None:
    """The fake tensor of a node; None where it gives something else, or its shape is a guess."""
    value = node.meta.get("val") if isinstance(node, fx.Node) and not node.meta.get("guessed") else None
    return value if isinstance(value, torch.Tensor) else None


def parts_of(node: fx.Node) -> list[torch.Tensor]:
    """The fake tensors of a node that gives several of one rank, each taken by its number; none of any other."""
    value = node.meta.get("val")
    if not isinstance(value, (tuple, list)) or node.meta.get("guessed"):
        return []
    alike = all(isinstance(part, torch.Tensor) and part.ndim == value[0].ndim for part in value)
    taken = all(user.target is operator.getitem and isinstance(user.args[1], int) for user in node.users)
    return list(value) if alike and taken else []


def rank_of(node: Any) -> int:
    """The number of axes of what a node gives; 0 for what is no tensor, too."""
    value = tensor_of(node)
    return value.ndim if value is not None else 0
