"""A repeated block as a class: which of its numbers are parameters, and what everything in it is called."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import fx
from torch.fx.node import map_arg

from unlite.pytorch.arithmetic.integer_layers import QUANTITIES
from unlite.pytorch.ops.padding import pad_same
from unlite.pytorch.source.layers import Member
from unlite.pytorch.source.naming import MODULE_NAMES, Identifiers, Symbol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHANNELS = ("channels", "channels_in", "channels_out")
BOUNDS = ("low", "high")
FORWARD = ("pad", "window", *BOUNDS)
"""What numbers are that forward needs itself."""
SIZED: frozenset[Any] = frozenset(
    (F.pad, pad_same.__wrapped__, torch.clamp)  # type: ignore[attr-defined]  # of functools.wraps
)
"""Functions whose numbers may differ from block to block."""


def is_number(value: Any) -> bool:
    """Whether an argument of such a function may be a parameter of a block. 0 stays as it is."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value != 0


@dataclass
class Block:
    """A class for a repeated run of calls.

    Attributes:
        name: Of the class.
        parameters: Name -> values that it takes in this network.
        members: What ``__init__`` makes, by name; arguments may be Symbols.
        sizes: Attributes that forward needs: name -> code for it.
        nodes: The calls of the first run, with members and sizes in place of what they stand for.
        entry: The node that stands for the tensor from outside.
        count: How often the network uses it.
    """

    name: str
    parameters: dict[str, list[Any]]
    members: dict[str, Member]
    sizes: dict[str, str]
    nodes: list[fx.Node]
    entry: fx.Node
    count: int = 0


def parametrize(hints: Sequence[str], runs: Sequence[Sequence[Any]]) -> tuple[dict[str, list[Any]], list[Any]]:
    """Which numbers of a block are parameters.

    Args:
        hints: What each number is.
        runs: The numbers of each run, in the order of the hints.

    Returns:
        Parameter -> its value in each run; and for each number what stands for it: itself, or a Symbol.
    """
    # A bound is no size, also where it is the same number.
    apart = {*BOUNDS, *QUANTITIES}
    vectors = [tuple((run[i],) if hint in apart else run[i] for run in runs) for i, hint in enumerate(hints)]
    named: dict[tuple[Any, ...], str] = {}
    names = Identifiers()
    channels = [i for i, hint in enumerate(hints) if hint in CHANNELS]
    varying = [i for i in range(len(hints)) if len(set(vectors[i])) > 1]
    for i in channels[:1]:
        if i in varying:
            last = vectors[channels[-1]]
            named[vectors[i]] = names.make("channels" if last == vectors[i] else "channels_in", "channels")
    for i in channels[-1:]:
        if i in varying and vectors[i] not in named:
            named[vectors[i]] = names.make("channels_out", "channels")
    for i in varying:
        if vectors[i] not in named and (hints[i] in CHANNELS or hints[i] == "groups"):
            named[vectors[i]] = names.make("channels_inside", "channels")
    derived: dict[tuple[Any, ...], str] = {}
    for i in sorted(varying, key=lambda i: hints[i] in FORWARD):
        if vectors[i] not in named and vectors[i] not in derived:
            code = _difference(vectors[i], named)
            if code:
                derived[vectors[i]] = code
            else:
                named[vectors[i]] = names.make(hints[i], "size")
    codes: list[Any] = []
    for i, vector in enumerate(vectors):
        # What is padded is the difference of two sizes, also where that happens to be a size of its own.
        code = (hints[i] == "pad" and _difference(vector, named)) or {**named, **derived}.get(vector, "")
        codes.append(Symbol(code) if i in varying else runs[0][i])
    places = {name: vectors.index(vector) for vector, name in named.items()}
    return {name: [run[place] for run in runs] for name, place in places.items()}, codes


def _difference(vector: tuple[Any, ...], named: dict[tuple[Any, ...], str]) -> str:
    """Code for numbers that are always the difference of two parameters; "" where they are not."""
    for more, name in named.items():
        for less, other in named.items():
            pairs = zip(more, less, vector, strict=True)
            if all(isinstance(a, int) and isinstance(b, int) and a - b == d for a, b, d in pairs):
                return f"{name} - {other}"
    return ""


def rewrite(
    nodes: list[fx.Node], entry: fx.Node, leaves: Sequence[Any], codes: list[Any], members: dict[str, Member]
) -> Block:
    """The calls of a run as a graph of their own, with parameters in place of numbers."""
    names = Identifiers(MODULE_NAMES)
    graph = fx.Graph()
    start = graph.placeholder("x")
    start.meta.update(entry.meta)
    copies: dict[fx.Node, fx.Node] = {entry: start}
    rest = iter(zip(leaves, codes, strict=True))
    own: dict[str, Member] = {}
    roles = _roles(nodes, members)
    sizes: dict[str, str] = {}
    by_code: dict[str, str] = {}

    def in_forward(leaf: Any, code: Any) -> Any:
        if not isinstance(code, Symbol):
            return code
        if code.text not in by_code:
            by_code[code.text] = names.make(leaf.hint if " " in code.text else code.text, "size")
            sizes[by_code[code.text]] = code.text
        return Symbol(f"self.{by_code[code.text]}")

    def take(member: Member) -> Member:
        arguments = dict(member.arguments)
        for name in arguments:
            if name not in ("bias", "dtype"):
                arguments[name] = next(rest)[1]
        return Member(member.kind, arguments, member.positional, dict(member.state), role=member.role)

    for node in nodes:
        for constant in node.all_input_nodes:
            if constant.op == "get_attr" and constant not in copies:
                name = names.make(roles[str(constant.target)], "constant")
                own[name] = take(members[str(constant.target)])
                copies[constant] = graph.get_attr(name)
                copies[constant].meta.update(constant.meta)
        if node.op == "call_module":
            name = names.make(roles[str(node.target)], "layer")
            own[name] = take(members[str(node.target)])
            copy = graph.call_module(name, map_arg(node.args, lambda n: copies[n]))
        else:
            args, kwargs = map_arg((node.args, dict(node.kwargs)), lambda n: copies[n])
            if node.target in SIZED:
                args, kwargs = _filled((args, kwargs), rest, in_forward)
            # Symbols are no arguments that fx knows: they are kept beside the node.
            plain = map_arg((node.args, dict(node.kwargs)), lambda n: copies[n])
            copy = graph.create_node(node.op, node.target, plain[0], plain[1])
            copy.meta["written"] = (args, kwargs)
        copies[node] = copy
        copy.meta.update(node.meta)
    return Block(_class_name(nodes, entry, members), {}, own, sizes, list(graph.nodes)[1:], start)


def _filled(value: Any, rest: Iterator[Any], code: Any) -> Any:
    """Arguments with what stands for each number in place of it."""
    if isinstance(value, (tuple, list)):
        return (
            type(value)(_filled(entry, rest, code) for entry in value)
            if type(value) in (tuple, list)
            else [_filled(entry, rest, code) for entry in value]
        )
    if isinstance(value, dict):
        return {key: _filled(entry, rest, code) for key, entry in value.items()}
    if is_number(value):
        return code(*next(rest))
    return value


def _roles(nodes: list[fx.Node], members: dict[str, Member]) -> dict[str, str]:
    """What to call the members of a block."""
    found: list[str] = []
    for node in nodes:
        found += [str(argument.target) for argument in node.all_input_nodes if argument.op == "get_attr"]
        found += [str(node.target)] if node.op == "call_module" else []
    roles = [members[name].role for name in found]
    convolutions = [role for role in roles if role in ("pointwise", "depthwise", "conv")]
    if convolutions == ["pointwise", "depthwise", "pointwise"]:
        roles[roles.index("pointwise")] = "expand"
        roles[roles.index("pointwise")] = "project"
    counts, seen = Counter(roles), Counter[str]()
    named: dict[str, str] = {}
    for name, role in zip(found, roles, strict=True):
        seen[role] += 1
        named[name] = f"{role}{seen[role]}" if counts[role] > 1 else role
    return named


def _class_name(nodes: list[fx.Node], entry: fx.Node, members: dict[str, Member]) -> str:
    """A name that says what a block does."""
    roles = Counter(members[str(node.target)].role for node in nodes if node.op == "call_module")
    is_residual = sum(entry in node.all_input_nodes for node in nodes) > 1
    if roles["depthwise"] and roles["pointwise"] > 1:
        base = "InvertedResidual" if is_residual else "InvertedBottleneck"
    elif is_residual:
        base = "ResidualBlock"
    elif roles["depthwise"] and roles["pointwise"] and next(iter(roles)) == "depthwise":
        base = "SeparableConv"
    elif nodes[-1].target is torch.sigmoid:
        base = "Gate"
    else:
        base = "LinearBlock" if roles["linear"] and not roles["conv"] + roles["pointwise"] else "ConvBlock"
    before, after = entry.meta["val"].shape, nodes[-1].meta["val"].shape
    if len(before) == len(after) == 4 and before[2] > after[2]:
        return f"Downsampling{base}"
    if is_residual and tuple(before) != tuple(after) and any(node.target is F.pad for node in nodes):
        return f"Widening{base}"
    return base


def summary(block: Block) -> str:
    """A block in words: the calls it makes, in order, and not what they are rounded to."""
    words = []
    for node in block.nodes:
        if node.op == "call_module":
            words.append(str(node.target))
        elif node.op != "get_attr" and node.target not in ("permute", torch.fake_quantize_per_tensor_affine):
            words.append(_WORDS.get(node.target, getattr(node.target, "__name__", str(node.target))))
    return ", ".join(words)


_WORDS: dict[Any, str] = {operator.add: "add", operator.mul: "multiply", F.pad: "pad", operator.getitem: "take"}


def annotation(values: Sequence[Any]) -> str:
    """The type of a parameter that takes these values."""
    kinds = {
        f"tuple[{', '.join(['int'] * len(value))}]" if isinstance(value, (tuple, list)) else type(value).__name__
        for value in values
    }
    return " | ".join(sorted(kinds))
