"""Repeated blocks: where a network does the same thing several times, its source says it once, as a class.

A block is a run of calls that reads one tensor from outside and gives one tensor to the outside. Two runs are the same
block when they make the same calls in the same order; sizes may differ, and become parameters of the class.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import fx
from torch.fx.node import map_arg

from unlite.pytorch.source.block_text import BOUNDS, SIZED, Block, is_number, parametrize, rewrite
from unlite.pytorch.source.layers import Member
from unlite.pytorch.source.naming import MODULE_NAMES, Identifiers, Symbol
from unlite.pytorch.source.permutes import ELEMENTWISE, axes_of, is_impure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST = 40  # calls in a block
NEAR = 16  # calls: where the tensor that a block reads is used this near outside of it, it is part of something larger
SHORTEST, LAYERS = 3, 2  # calls and layers that make a block worth a class


@dataclass
class _Run:
    """A run of calls in the graph: ``order[start:stop]``."""

    start: int
    stop: int
    entry: fx.Node


@dataclass
class _Leaf:
    """A number in a run that may differ from run to run."""

    hint: str
    value: Any
    in_forward: bool = False


@dataclass
class _Search:
    """The runs that could be blocks, by what they do."""

    order: list[fx.Node]
    members: dict[str, Member]
    taken: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.index = {node: place for place, node in enumerate(self.order)}
        self.taken = [is_impure(node) for node in self.order]
        self._last = [max((self._place(user) for user in node.users), default=-1) for node in self.order]
        self._uses = Counter(name for node in self.order for name in self._member_names(node))
        # What each call does, whichever run it is in; and where its operands are.
        self._calls = [token(node, self.members) for node in self.order]
        self._operands = [
            [self.index.get(n, -1) for n in _listed((node.args, node.kwargs)) if n.op != "get_attr"]
            for node in self.order
        ]
        self._numbers: dict[Any, int] = {}  # (number of the run without its last call, that call) -> number

    def _place(self, node: fx.Node) -> int:
        return self.index.get(node, len(self.order))  # behind everything: the output

    def _member_names(self, node: fx.Node) -> list[str]:
        own = [str(node.target)] if node.op == "call_module" else []
        return own + [str(argument.target) for argument in node.all_input_nodes if argument.op == "get_attr"]

    def runs(self) -> dict[int, list[_Run]]:
        """All runs that are valid as blocks and lie on free ground, by signature."""
        found: dict[int, list[_Run]] = {}
        for start in range(len(self.order)):
            if self.order[start].target not in ELEMENTWISE:
                for signature, run in self._from(start):
                    found.setdefault(signature, []).append(run)
        return found

    def _from(self, start: int) -> Iterator[tuple[int, _Run]]:
        entry: fx.Node | None = None
        signature, layers, used_to = 0, 0, -1
        for stop in range(start, min(len(self.order), start + LONGEST)):
            node = self.order[stop]
            names = self._member_names(node)
            if self.taken[stop] or any(self._uses[name] > 1 or name not in self.members for name in names):
                return
            outside = {n for n in node.all_input_nodes if n.op != "get_attr" and self.index.get(n, -1) < start}
            if len(outside | ({entry} if entry is not None else set())) > 1:
                return
            entry = next(iter(outside), entry)
            layers += node.op == "call_module" and self.members[str(node.target)].kind != "nn.PReLU"
            operands = tuple(place - start if place >= start else -1 for place in self._operands[stop])
            key = signature, self._calls[stop], operands
            signature = self._numbers.setdefault(key, len(self._numbers) + 1)
            if entry is not None and used_to <= stop and stop - start + 1 >= SHORTEST and layers >= LAYERS:
                run = _Run(start, stop + 1, entry)
                if self._is_whole(run):
                    yield signature, run
            used_to = max(used_to, self._last[stop])

    def _is_whole(self, run: _Run) -> bool:
        last = self.order[run.stop - 1]
        if not all(isinstance(node.meta.get("val"), torch.Tensor) for node in (run.entry, last)):
            return False
        users = list(last.users)
        if len(users) == 1 and (users[0].target in ELEMENTWISE or self._is_prelu(users[0])):
            return False
        for user in run.entry.users:
            place = self._place(user)
            if not run.start <= place < run.stop and place >= run.start - NEAR and place < run.stop + NEAR:
                return False
        return not (self.index.get(run.entry, -1) >= 0 and axes_of(last) is not None)

    def _is_prelu(self, node: fx.Node) -> bool:
        return node.op == "call_module" and self.members[str(node.target)].kind == "nn.PReLU"


def _listed(value: Any) -> list[fx.Node]:
    """All nodes in arguments, in order, with repetitions."""
    found: list[fx.Node] = []
    map_arg(value, found.append)
    return found


def token(node: fx.Node, members: dict[str, Member]) -> str:
    """What a call does, without its operands, and without numbers that may differ."""

    def place(operand: fx.Node) -> Any:
        constant = members.get(str(operand.target)) if operand.op == "get_attr" else None
        if constant is None:
            return Symbol("")
        return Symbol(f"{constant.kind} {len(constant.arguments['size'])} {constant.arguments['dtype']}")

    if node.op == "call_module":
        member = members[str(node.target)]
        fixed = {name: value for name, value in member.arguments.items() if name in ("bias", "dtype")}
        call: Any = (member.kind, member.role, tuple(member.arguments), fixed)
    else:
        call = (node.op, getattr(node.target, "__qualname__", node.target), id(node.target))
    given = map_arg((node.args, dict(node.kwargs)), place)
    if node.target in SIZED:
        given = _without_numbers(given)
    return repr((call, _readable(given)))


def _without_numbers(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_without_numbers(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _without_numbers(entry) for key, entry in value.items()}
    return "#" if is_number(value) else value


def _readable(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_readable(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _readable(entry) for key, entry in value.items()}
    return f"<{value.text}>" if isinstance(value, Symbol) else value


def find_blocks(graph: fx.Graph, members: dict[str, Member], names: Identifiers) -> list[Block]:
    """Finds repeated blocks and puts calls of their classes in place of them, in ``graph`` and ``members``.

    Args:
        graph: With layers as ``call_module``.
        members: By name; those inside blocks move there.
        names: For classes.
    """
    order = [node for node in graph.nodes if node.op in ("call_module", "call_function", "call_method")]
    search = _Search(order, members)
    chosen: list[list[_Run]] = []
    while True:
        best = max((_apart(runs) for runs in search.runs().values()), key=_gain, default=[])
        if _gain(best) <= 0:
            break
        chosen.append(best)
        for run in best:
            search.taken[run.start : run.stop] = [True] * (run.stop - run.start)
    blocks: list[Block] = []
    places: list[tuple[_Run, Block, dict[str, Any]]] = []
    for runs in sorted(chosen, key=lambda runs: runs[0].start):
        block, arguments = _make(order, runs, members, names)
        blocks.append(block)
        places += [(run, block, given) for run, given in zip(runs, arguments, strict=True)]
    places.sort(key=lambda place: place[0].start)
    taken = Identifiers({*MODULE_NAMES, *members})
    for run, block, given in places:
        _replace(graph, order[run.start : run.stop], block, given, members, taken.numbered("block"))
    return blocks


def _gain(runs: Sequence[_Run]) -> int:
    """Calls that need not be written, less what a class costs."""
    return (len(runs) - 1) * (runs[0].stop - runs[0].start) - 2 if len(runs) > 1 else 0


def _apart(runs: list[_Run]) -> list[_Run]:
    """Runs that do not overlap, from the front."""
    free: list[_Run] = []
    for run in runs:
        if not free or run.start >= free[-1].stop:
            free.append(run)
    return free


def _leaves(nodes: list[fx.Node], members: dict[str, Member]) -> list[_Leaf]:
    """The numbers of a run that may differ, in order."""
    found: list[_Leaf] = []
    for node in nodes:
        constants = [members[str(given.target)] for given in node.all_input_nodes if given.op == "get_attr"]
        found += [_Leaf("size", tuple(constant.arguments["size"])) for constant in constants]
        if node.op == "call_module":
            for name, value in members[str(node.target)].arguments.items():
                if name not in ("bias", "dtype"):
                    found.append(_Leaf(name, value))
        elif node.target in SIZED:
            if node.target is torch.clamp:
                given = {"min": "low", "max": "high"}
                bounds = [*zip(BOUNDS, node.args[1:], strict=False), *((given[k], v) for k, v in node.kwargs.items())]
                found += [_Leaf(hint, value, in_forward=True) for hint, value in bounds if is_number(value)]
            else:
                _collect((node.args, dict(node.kwargs)), "pad" if node.target is F.pad else "window", found)
    return found


def _collect(value: Any, hint: str, found: list[_Leaf]) -> None:
    if isinstance(value, (tuple, list)):
        for entry in value:
            _collect(entry, hint, found)
    elif isinstance(value, dict):
        for entry in value.values():
            _collect(entry, hint, found)
    elif is_number(value):
        found.append(_Leaf(hint, value, in_forward=True))


def _make(
    order: list[fx.Node], runs: list[_Run], members: dict[str, Member], names: Identifiers
) -> tuple[Block, list[dict[str, Any]]]:
    """The class for some runs, and the arguments that each of them gives it."""
    nodes = [order[run.start : run.stop] for run in runs]
    leaves = [_leaves(run, members) for run in nodes]
    parameters, codes = parametrize([leaf.hint for leaf in leaves[0]], [[leaf.value for leaf in run] for run in leaves])
    block = rewrite(nodes[0], runs[0].entry, leaves[0], codes, members)
    block.name, block.parameters, block.count = names.make_class(block.name), parameters, len(runs)
    return block, [{name: values[i] for name, values in parameters.items()} for i in range(len(runs))]


def _replace(
    graph: fx.Graph,
    nodes: list[fx.Node],
    block: Block,
    given: dict[str, Any],
    members: dict[str, Member],
    name: str,
) -> None:
    """Puts one call in place of a run."""
    own: list[str] = []
    inside = set(nodes)
    # Not the entry that was found: that may have been in a run that is one call by now.
    entry = next(n for node in nodes for n in node.all_input_nodes if n.op != "get_attr" and n not in inside)
    for node in nodes:
        own += [str(argument.target) for argument in node.all_input_nodes if argument.op == "get_attr"]
        own += [str(node.target)] if node.op == "call_module" else []
    state = {
        f"{inner}.{path}" if path else inner: stored
        for inner, outer in zip(block.members, dict.fromkeys(own), strict=True)
        for path, stored in members[outer].state.items()
    }
    places = sorted({node.meta["tflite"] for node in nodes if node.meta.get("tflite") is not None})
    positional = sum(parameter.startswith("channels") for parameter in given)
    members[name] = Member(block.name, given, positional, state, places, "block")
    last = nodes[-1]
    with graph.inserting_before(last):
        call = graph.call_module(name, (entry,))
    call.meta.update(last.meta)
    last.replace_all_uses_with(call)
    for node in reversed(nodes):
        graph.erase_node(node)
    for outer in own:
        members.pop(outer, None)
    for node in list(graph.nodes):
        if node.op == "get_attr" and not node.users:
            graph.erase_node(node)
