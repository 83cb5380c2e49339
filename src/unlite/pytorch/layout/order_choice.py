"""Which order each value of a graph is stored in, so that as few permutes as possible are needed.

The search starts with the file's order everywhere, and takes no step that adds a permute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unlite.pytorch.layout.axis_orders import AnyOrder, Axes, Link, Rule, parts_of, plain
from unlite.pytorch.layout.known_sizes import known_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import fx

CHANNELS_FIRST = (0, 3, 1, 2)
ROUNDS = 8  # through the whole graph; two or three find nothing more in models as people make them


class Orders:
    """The order of each value of a graph.

    Args:
        graph: A lowered graph.
        ends: Whether inputs and outputs may become NCHW.

    Attributes:
        rules: Call -> its rule, for those that have one.
    """

    def __init__(self, graph: fx.Graph, *, ends: bool) -> None:
        self._nodes = list(graph.nodes)
        self._ends = ends
        self.rules: dict[fx.Node, Rule] = {}
        known_sizes(graph, self.rules)
        self._held: dict[fx.Node, Axes] = {}
        self._whole: dict[fx.Node, fx.Node] = {}  # one of several results -> the call that gives them
        for node in self._nodes:
            rule = self.rules.get(node)
            if rule is not None and rule.gives_parts:
                self._held[node] = plain(parts_of(node)[0].ndim)
                self._whole.update(dict.fromkeys(node.users, node))
            else:
                value = node.meta.get("val")
                self._held[node] = plain(value.ndim) if isinstance(value, torch.Tensor) else ()

    def of(self, node: fx.Node) -> Axes:
        """The order in which a value is stored."""
        return self._held[self._whole.get(node, node)]

    def is_part(self, node: fx.Node) -> bool:
        """Whether a node takes one of several results."""
        return node in self._whole

    def wanted(self, user: fx.Node, value: fx.Node) -> Axes:
        """The order in which a node wants a value: the one that it is stored in, where that will do."""
        held = self.of(value)
        if self._whole.get(user) is value:
            return held
        if user.op == "output":
            return held if self._ends and held == CHANNELS_FIRST else plain(len(held))
        link = self._links(user).get(value)
        if link is None:
            return plain(len(held))
        order = self.of(user)
        if link.agrees(held, order):
            return held
        return link.pull(order) or plain(len(held))

    def stored(self, constant: fx.Node) -> Axes:
        """The order in which a constant is to be stored: the only one wanted, else the file's."""
        wanted = {self.wanted(user, constant) for user in constant.users}
        indifferent = any(isinstance(self._links(user).get(constant), AnyOrder) for user in constant.users)
        return wanted.pop() if len(wanted) == 1 and not indifferent else self.of(constant)

    def total(self) -> int:
        """The number of permutes."""
        return sum(map(self._permutes, self._nodes))

    def improve(self) -> None:
        """Chooses orders, from the file's own on: node by node, and where that gets no further by whole regions."""
        self._settle()
        for _ in range(ROUNDS):
            moves = dict.fromkeys(move for value in self._nodes for move in self._moves(value))
            if not any([self._flood(*move) for move in moves]):  # noqa: C419 - all of them
                break
            self._settle()

    def _settle(self) -> None:
        """Node by node: forth, each after its operands, then back, each after its users, and again."""
        self._sweep(forth=True)
        best = self.total()
        for _ in range(ROUNDS):
            self._sweep(forth=False)
            self._sweep(forth=True)
            reached, best = best, self.total()
            if best == reached:
                break

    def _moves(self, value: fx.Node) -> Iterator[tuple[fx.Node, Axes, bool]]:
        """What would make a permute of a value needless: another order of the value, or of who uses it."""
        held = self.of(value)
        for user in value.users:
            order = self.wanted(user, value)
            if order == held or value.op == "get_attr":
                continue
            yield value, order, False
            yield value, order, True
            link = self._links(user).get(value)
            pushed = None if link is None else link.push(held)
            if pushed is not None:
                yield user, pushed, True

    def _flood(self, start: fx.Node, order: Axes, both: bool) -> bool:
        """Gives a node an order, and its operands, theirs and so on what they then should have; ``both``: users too.

        Everything is put back unless fewer permutes are needed then.
        """
        before: dict[fx.Node, Axes] = {}
        waiting = [(start, order)]
        while waiting:
            node, wanted = waiting.pop()
            node = self._whole.get(node, node)
            if node in before or self._held[node] == wanted or not self._may_have(node, wanted):
                continue
            before[node], self._held[node] = self._held[node], wanted
            waiting += [(operand, self.wanted(node, operand)) for operand in self._links(node)]
            for value in self._values(node) if both else ():
                pushed = ((user, self._links(user).get(value)) for user in value.users)
                waiting += [
                    (user, then)
                    for user, link in pushed
                    if link is not None and not link.agrees(wanted, self.of(user))
                    for then in (link.push(wanted),)
                    if then is not None
                ]
        touched = {value for node in before for value in (*self._links(node), *self._values(node))}
        cost = sum(map(self._permutes, touched))
        after = {node: self._held[node] for node in before}
        self._held.update(before)
        if cost >= sum(map(self._permutes, touched)):
            return False
        self._held.update(after)
        return True

    def _may_have(self, node: fx.Node, order: Axes) -> bool:
        """Whether a value may be stored in an order."""
        if node.op == "placeholder":
            return self._ends and order in (plain(len(CHANNELS_FIRST)), CHANNELS_FIRST)
        rule = self.rules.get(node)
        return rule is not None and len(order) == len(self._held[node]) and rule.allows(order)

    def _values(self, node: fx.Node) -> list[fx.Node]:
        """The tensors that a node gives: itself, or what takes its parts."""
        rule = self.rules.get(node)
        return list(node.users) if rule is not None and rule.gives_parts else [node]

    def _links(self, node: fx.Node) -> dict[fx.Node, Link]:
        rule = self.rules.get(node)
        return {} if rule is None or node in self._whole else rule.links

    def _permutes(self, value: fx.Node) -> int:
        """How many permutes of a value are needed."""
        held = self.of(value)
        if value.op == "get_attr":
            wanted = {self.wanted(user, value) for user in value.users}
            return max(len(wanted) - 1, 0)
        wanted = {self.wanted(user, value) for user in value.users} - {held}
        return sum(1 for order in wanted if len(held) > 1 or len(order) == len(held))  # a vector is only reshaped

    def _sweep(self, *, forth: bool) -> None:
        for node in self._nodes if forth else reversed(self._nodes):
            if node.op == "placeholder":
                self._choose_input(node)
            elif node in self.rules and node not in self._whole:
                self._choose(node, forth)

    def _choose_input(self, node: fx.Node) -> None:
        if self._ends and len(self._held[node]) == len(CHANNELS_FIRST):
            orders = (plain(len(CHANNELS_FIRST)), CHANNELS_FIRST)
            self._held[node] = min(orders, key=lambda order: self._cost(node, [node], order))

    def _choose(self, node: fx.Node, forth: bool) -> None:
        """Takes the order with the fewest permutes around a node; of equal ones the operands', or the users'."""
        rule = self.rules[node]
        values = self._values(node)
        rank = len(self._held[node])
        if rank < 2:
            return
        pushed = (link.push(self.of(operand)) for operand, link in rule.links.items())
        pulled = (self.wanted(user, value) for value in values for user in value.users)
        first, then = (pushed, pulled) if forth else (pulled, pushed)
        orders = dict.fromkeys((*first, *then, self._held[node], plain(rank)))
        allowed = [order for order in orders if order is not None and self._may_have(node, order)]
        if len(allowed) > 1:
            around = [*rule.links, *values]
            self._held[node] = min(allowed, key=lambda order: self._cost(node, around, order))

    def _cost(self, node: fx.Node, around: Iterable[fx.Node], order: Axes) -> int:
        before, self._held[node] = self._held[node], order
        cost = sum(map(self._permutes, around))
        self._held[node] = before
        return cost
