"""Calls with weights as layers: ``conv2d(x, weight, bias, ...)`` becomes ``self.conv(x)``, with an ``nn.Conv2d``."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import fx

from unlite.pytorch.arithmetic.integer_layers import sums_of, taken_apart, terms_of
from unlite.pytorch.source.naming import MODULE_NAMES, Identifiers, own_name
from unlite.pytorch.source.permutes import is_impure
from unlite.pytorch.source.roles import role_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Place = tuple[int, int]
"""Subgraph and operator."""
SMALL = 1 << 12  # elements; what is larger and shared by several layers is stored once, beside them


@dataclass(frozen=True)
class Stored:
    """Where values of the written state come from.

    Attributes:
        key: Key in the state of the lowered module.
        shape: Sizes, which may differ from the module's in how they are grouped.
        dtype: PyTorch's type.
        trainable: Whether it is a parameter there.
    """

    key: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    trainable: bool


@dataclass
class Member:
    """Something that ``__init__`` makes.

    Attributes:
        kind: ``nn.Conv2d`` and its like, ``parameter``, ``buffer``, or the name of a written class.
        arguments: Of the call that makes it, by name; those that stand by position come first and have names too.
        positional: How many of them stand by position.
        state: Its part of the state: path below it -> where the values come from.
        places: The operators that it stands for.
        role: What to call it where its tensors have no names of their own.
    """

    kind: str
    arguments: dict[str, Any] = field(default_factory=dict)
    positional: int = 0
    state: dict[str, Stored] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    role: str = "layer"


class Attributes:
    """The constants of a module while its graph is taken apart.

    Args:
        module: The lowered module.
        graph: A copy of its graph; the nodes of constants get meta "stored".
    """

    def __init__(self, module: fx.GraphModule, graph: fx.Graph) -> None:
        self._module = module
        self.state_keys = frozenset(module.meta.get("unlite.state", {}))
        for node in graph.nodes:
            if node.op == "get_attr" and not isinstance(getattr(module, node.target, None), torch.nn.Module):
                node.meta["stored"] = self._stored(node.target)
        for node in list(graph.nodes):
            self._fold(node)
        graph.eliminate_dead_code(is_impure_node=is_impure)

    def _stored(self, key: str) -> Stored:
        value = getattr(self._module, key)
        return Stored(key, tuple(value.shape), value.dtype, isinstance(value, torch.nn.Parameter))

    def _fold(self, node: fx.Node) -> None:
        """A constant in another grouping of its sizes is stored that way; a single number is written as one."""
        if node.op == "call_method" and node.target == "reshape" and stored_in(node.args[0]) is not None:
            stored = node.args[0].meta["stored"]  # type: ignore[union-attr]  # a node
            shape = tuple(node.meta["val"].shape)
            if stored.key not in self.state_keys and all(not isinstance(entry, fx.Node) for entry in node.args[1:]):
                with node.graph.inserting_before(node):
                    folded = node.graph.get_attr(stored.key)
                source = node.args[0].meta.get("source")  # type: ignore[union-attr]  # a node
                folded.meta.update(node.meta, source=source)
                folded.meta["stored"] = Stored(stored.key, shape, stored.dtype, stored.trainable)
                node.replace_all_uses_with(folded)
        elif node.op == "call_function" and node.target in _ARITHMETIC:
            node.args = tuple(self._number(entry, node) for entry in node.args)

    def _number(self, entry: Any, node: fx.Node) -> Any:
        stored = stored_in(entry)
        if stored is None or stored.shape != () or stored.dtype is not torch.float32:
            return entry
        other = next((one for one in node.args if one is not entry), None)
        value = other.meta.get("val") if isinstance(other, fx.Node) else None
        if stored.key in self.state_keys or not isinstance(value, torch.Tensor) or value.dtype is not torch.float32:
            return entry
        if not value.ndim:
            return entry
        # The shortest number that is this one in float32, which is what it is used in.
        return float(str(getattr(self._module, stored.key).detach().numpy()))


_ARITHMETIC = frozenset((operator.add, operator.sub, operator.mul, operator.truediv))


def stored_in(value: Any) -> Stored | None:
    """Where a constant's values come from; None for anything else."""
    return value.meta.get("stored") if isinstance(value, fx.Node) and value.op == "get_attr" else None


def make_layers(graph: fx.Graph, taken: Iterable[str], name_of: Callable[[fx.Node], str]) -> dict[str, Member]:
    """Replaces calls with weights by layers, and other constants by parameters and buffers.

    Args:
        graph: Changed in place: layers become ``call_module``, constants ``get_attr`` of members.
        taken: Names that members may not have.
        name_of: A node's tensor, as the file calls it.

    Returns:
        The members by name, in the order of the first use.
    """
    names = Identifiers({*MODULE_NAMES, *taken})
    members: dict[str, Member] = {}
    made: dict[Any, str] = {}
    shared = _shared(graph)
    for node in list(graph.nodes):
        operands: tuple[Any, ...] = node.args[:1]
        weights: tuple[Any, ...] = node.args[1:2]
        layer = _layer(node) if node.op == "call_function" else None
        if layer is None and node.op == "call_function":
            layer, operands, weights = integer_layer(node) or integer_add(node) or (None, operands, ())
        if layer is not None and any(entry.key in shared for entry in layer.state.values()):
            layer = None
        if layer is not None:
            key = (layer.kind, repr(layer.arguments), tuple(layer.state.items()))
            if key not in made:
                made[key] = _named(names, layer, node, name_of, weights)
                members[made[key]] = layer
            place = node.meta.get("tflite")
            if place is not None and place not in members[made[key]].places:
                members[made[key]].places.append(place)
            with graph.inserting_before(node):
                call = graph.call_module(made[key], operands)
            call.meta.update(node.meta)
            node.replace_all_uses_with(call)
            graph.erase_node(node)
    graph.eliminate_dead_code(is_impure_node=is_impure)
    for node in graph.nodes:
        stored = stored_in(node)
        if stored is not None:
            if stored not in made:
                kind = "parameter" if stored.trainable else "buffer"
                member = Member(kind, {"size": stored.shape, "dtype": stored.dtype}, 1, {"": stored}, role="constant")
                name = own_name(name_of(node)) or role_of(node.meta.get("source"))
                made[stored] = names.make(name, "constant")
                members[made[stored]] = member
            node.target = made[stored]
    return members


def _shared(graph: fx.Graph) -> set[str]:
    """Large constants that layers of several kinds read: stored in a layer each, they would be several."""
    readers: dict[str, set[Any]] = {}
    sizes: dict[str, int] = {}
    for node in graph.nodes:
        layer = _layer(node) if node.op == "call_function" else None
        for argument in node.all_input_nodes:
            stored = stored_in(argument)
            if stored is not None:
                key: Any = node.name
                if layer is not None:
                    key = (layer.kind, repr(layer.arguments), tuple(layer.state.values()))
                readers.setdefault(stored.key, set()).add(key)
                sizes[stored.key] = torch.Size(stored.shape).numel()
    return {key for key, found in readers.items() if len(found) > 1 and sizes[key] > SMALL}


def _named(
    names: Identifiers, layer: Member, node: fx.Node, name_of: Callable[[fx.Node], str], weights: Iterable[Any]
) -> str:
    found = (own_name(name_of(candidate)) for candidate in (*weights, node) if isinstance(candidate, fx.Node))
    name = next((candidate for candidate in found if candidate), "")
    return names.make(name, layer.role) if name else names.numbered(layer.role)


def _layer(node: fx.Node) -> Member | None:
    """The layer that a call is; None where it is none."""
    make = _LAYERS.get(node.target)
    if make is None or len(node.args) < 2:
        return None
    weight, data = stored_in(node.args[1]), node.args[0]
    if weight is None or not weight.dtype.is_floating_point or not isinstance(data, fx.Node):
        return None
    if data.op == "get_attr" or any(isinstance(entry, fx.Node) for entry in node.args[3:]):
        return None
    return make(node, weight)


def _bias(node: fx.Node, layer: Member, weight: Stored, size: int) -> Member | None:
    """The layer with its weight and bias; None where the bias is something else."""
    given = node.args[2] if len(node.args) > 2 else node.kwargs.get("bias")
    layer.state["weight"] = weight
    if given is None:
        layer.arguments["bias"] = False
    else:
        bias = stored_in(given)
        if bias is None or bias.shape != (size,) or bias.dtype != weight.dtype:
            return None
        layer.state["bias"] = bias
    if weight.dtype is not torch.float32:
        layer.arguments["dtype"] = weight.dtype
    return layer


def _convolution(node: fx.Node, weight: Stored) -> Member | None:
    transposed = node.target in (torch.conv_transpose2d, torch.conv_transpose3d)
    rank = len(weight.shape) - 2
    given = dict(zip(_TRANSPOSED if transposed else _PLAIN, node.args[3:], strict=False)) | dict(node.kwargs)
    given.pop("bias", None)
    groups = given.pop("groups", 1)
    if not isinstance(groups, int):
        return None
    outer, inner = weight.shape[:2]
    channels_in, channels_out = (outer, inner * groups) if transposed else (inner * groups, outer)
    if not groups or not channels_in or not channels_out or any(isinstance(value, str) for value in given.values()):
        return None
    is_depthwise = groups == channels_in and groups > 1
    is_pointwise = not is_depthwise and set(weight.shape[2:]) == {1}
    role = "depthwise" if is_depthwise else "pointwise" if is_pointwise else "conv"
    kind = f"nn.Conv{'Transpose' if transposed else ''}{rank}d"
    layer = Member(kind, role=role, positional=2)
    layer.arguments.update(channels_in=channels_in, channels_out=channels_out, kernel_size=even(weight.shape[2:]))
    for name, usual in (("stride", 1), ("padding", 0), ("output_padding", 0), ("dilation", 1)):
        value = even(given.get(name, usual))
        if value != usual:
            layer.arguments[name] = value
    if groups != 1:
        layer.arguments["groups"] = groups
    return _bias(node, layer, weight, channels_out)


def integer_layer(node: fx.Node) -> tuple[Member, tuple[Any, ...], tuple[Any, ...]] | None:
    """The layer that a convolution of integers is with the scaling of its sums; what it is called with; its weight."""
    sums = sums_of(node)
    if sums is None:
        return None
    given: list[Any] = [*sums.args, *(None, 1, 0, 1, 1)[len(sums.args) - 2 :]]
    parts, data = taken_apart(given[1]), taken_apart(given[0])
    weight = None if parts is None else stored_in(parts[0])
    if parts is None or weight is None or len(weight.shape) != 4:
        return None
    x: Any = given[0]
    _, kind, weight_zero = parts
    x_zero = 0
    if data is not None and data[1] is kind:
        x, _, x_zero = data
    steps: Any = dict(zip(_PLAIN, map(even, given[3:7]), strict=True))
    if any(isinstance(value, (str, fx.Node)) for value in steps.values()) or x.op == "get_attr":
        return None
    outer, groups = weight.shape[0], steps["groups"]
    inner = weight.shape[1] * groups
    layer = Member("IntegerConv2d", {"channels_in": inner, "channels_out": outer}, 2)
    layer.role = "depthwise" if groups == inner > 1 else "pointwise" if weight.shape[2:] == (1, 1) else "conv"
    layer.arguments["kernel_size"] = even(weight.shape[2:])
    layer.arguments |= {name: value for name, value in steps.items() if value != _USUAL[name]}
    layer.state["weight"] = weight
    bias = None if given[2] is None else taken_apart(given[2])
    found = None if bias is None else stored_in(bias[0])
    if given[2] is None:
        layer.arguments["bias"] = False
    elif bias is None or found is None or bias[2] or found.shape != (outer,) or found.dtype is not torch.int32:
        return None
    else:
        layer.state["bias"] = found
    scaling: Any = node.args[1:3]
    zero_point, low, high, dtype = node.args[3:]
    numbers = {"x_zero": x_zero, "weight_zero": weight_zero, "zero_point": zero_point, "low": low, "high": high}
    layer.arguments |= numbers
    for name, value in zip(("multiplier", "shift"), scaling, strict=True):
        stored = stored_in(value)
        if stored is not None and stored.shape[-3:] == (outer, 1, 1) and stored.dtype is torch.int64:
            layer.state[name] = Stored(stored.key, stored.shape[-3:], stored.dtype, stored.trainable)
        elif isinstance(value, int):
            layer.arguments[name] = value
        else:
            return None
    kinds = {"stored": weight.dtype, "dtype": dtype, "kind": kind}
    layer.arguments |= {name: value for name, value in kinds.items() if value is not _KINDS[name]}
    return layer, (x,), parts[:1]


def integer_add(node: fx.Node) -> tuple[Member, tuple[Any, ...], tuple[Any, ...]] | None:
    """The layer that a sum of integers is, each by a table; what it is called with; and nothing."""
    terms = terms_of(node)
    if terms is None:
        return None
    (x, x_table, start), (y, y_table, other_start) = terms
    tables = [stored_in(x_table), stored_in(y_table)]
    multiplier, shift, zero_point, low, high, dtype = node.args[1:]
    if (
        None in tables
        or start != other_start
        or not isinstance(multiplier, int)
        or any(v.op == "get_attr" for v in (x, y))
    ):
        return None
    layer = Member("IntegerAdd", {"start": start, "zero_point": zero_point, "low": low, "high": high}, role="add")
    layer.arguments |= {"multiplier": multiplier, "shift": shift}
    if dtype is not torch.int8:
        layer.arguments["dtype"] = dtype
    layer.state = {name: table for name, table in zip(("x_table", "y_table"), tables, strict=True) if table is not None}
    return layer, (x, y), ()


_USUAL = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
_KINDS = {"stored": torch.int8, "dtype": torch.int8, "kind": torch.float32}

_PLAIN = ("stride", "padding", "dilation", "groups")
_TRANSPOSED = ("stride", "padding", "output_padding", "groups", "dilation")


def even(value: Any) -> Any:
    """One number for sizes that are all the same."""
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(entry, int) for entry in value):
        return value
    return value[0] if len(set(value)) == 1 else tuple(value)


def _linear(node: fx.Node, weight: Stored) -> Member | None:
    if len(weight.shape) != 2 or not all(weight.shape):
        return None
    layer = Member("nn.Linear", {"channels_in": weight.shape[1], "channels_out": weight.shape[0]}, 2, role="linear")
    return _bias(node, layer, weight, weight.shape[0])


def _prelu(_: fx.Node, weight: Stored) -> Member | None:
    if len(weight.shape) != 1 or not weight.shape[0]:
        return None
    layer = Member("nn.PReLU", {"channels": weight.shape[0]}, 1, {"weight": weight}, role="prelu")
    if weight.dtype is not torch.float32:
        layer.arguments["dtype"] = weight.dtype
    return layer


_LAYERS: dict[Any, Callable[[fx.Node, Stored], Member | None]] = {
    torch.conv2d: _convolution,
    torch.conv3d: _convolution,
    torch.conv_transpose2d: _convolution,
    torch.conv_transpose3d: _convolution,
    F.linear: _linear,
    F.prelu: _prelu,
}
