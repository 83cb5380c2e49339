"""A converted model as source that people read: a folder with ``model.py`` and ``model.safetensors``.

Calls with weights become layers, repeated runs of calls become classes, and what is left is written as statements. The
written file needs PyTorch and safetensors alone.
"""

from __future__ import annotations

import inspect
import json
import os
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import torch
from torch import fx
from torch.fx.node import map_arg

from unlite.errors import SaveError
from unlite.pytorch.arithmetic.integer_layers import LAYERS
from unlite.pytorch.origins import PLACES, Origin, module_origins, to_header
from unlite.pytorch.source.block_text import Block, annotation, summary
from unlite.pytorch.source.blocks import find_blocks
from unlite.pytorch.source.folder import DIGEST, MARK, SOURCE, WEIGHTS
from unlite.pytorch.source.frame import Frame, title_of
from unlite.pytorch.source.helper_text import HelperTexts, without_notes
from unlite.pytorch.source.layers import Attributes, Member, Place, Stored, make_layers
from unlite.pytorch.source.lines import WIDTH, Line, wrapped
from unlite.pytorch.source.naming import MODULE_NAMES, Identifiers, class_name, literal, own_name, quoted
from unlite.pytorch.source.permutes import remove_permutes
from unlite.pytorch.source.statements import Forward
from unlite.pytorch.trace import HELPERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from unlite.model.objects.subgraph import Subgraph

TENSORS = "unlite.tensors"
"""Key of the header of model.safetensors: JSON of key -> tensor."""
ENDS, MODE = "unlite.io", "unlite.quantized"
"""The same keys as in the module's ``meta``: what inputs and outputs are, and how numbers are carried."""
CALLS = {torch.ops.higher_order.while_loop}


@dataclass
class Source:
    """A model as source.

    Attributes:
        text: Of model.py.
        class_name: Of the network.
        tensors: Key in the state -> where its values come from.
        lines: Operator -> the line that stands for it.
    """

    text: str
    class_name: str
    tensors: dict[str, Stored]
    lines: dict[Place, int] = field(default_factory=dict)


def write_source(module: fx.GraphModule, subgraph: Subgraph, folder: str | os.PathLike[str]) -> Source:
    """Writes ``model.py`` and ``model.safetensors`` into a folder that is there.

    Args:
        module: From ``to_torch``.
        subgraph: What it was made from.
        folder: Where to.

    Raises:
        SaveError: a file cannot be written, or a type of tensor cannot be stored.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    source = Writer(module, subgraph).source()
    names = module.meta[TENSORS]
    tensors = {key: names.get(stored.key, stored.key) for key, stored in source.tensors.items()}
    places = _origins(module, source)
    target = os.fspath(folder)
    try:
        with open(os.path.join(target, SOURCE), "w", encoding="ascii", newline="\n") as file:
            file.write(source.text)
        path = os.path.join(target, WEIGHTS)
        digest = sha256(source.text.encode("ascii")).hexdigest()
        metadata = {"format": "pt", TENSORS: json.dumps(tensors), PLACES: to_header(places), DIGEST: digest}
        metadata[ENDS], metadata[MODE] = json.dumps(module.meta[ENDS]), module.meta[MODE]
        save_file(_values(module, source.tensors), path, metadata)
        os.chmod(path, os.stat(os.path.join(target, SOURCE)).st_mode & 0o777)  # for others too, as any new file is
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise SaveError(f"cannot be written: {error}", file=target) from error
    return source


def written_state(
    module: fx.GraphModule, subgraph: Subgraph
) -> tuple[dict[str, tuple[int, ...]], dict[str, Origin | None]]:
    """What ``write_source`` would call the entries of the state: key -> shape, and key -> origin; nothing is written.

    Keys without an origin are no constants of the file, such as the memory of a network.
    """
    source = Writer(module, subgraph).source()
    return {key: tuple(stored.shape) for key, stored in source.tensors.items()}, _origins(module, source)


def _origins(module: fx.GraphModule, source: Source) -> dict[str, Origin | None]:
    origins = module_origins(module)
    return {key: origins[stored.key] for key, stored in source.tensors.items() if stored.key in origins}


def _values(module: fx.GraphModule, tensors: dict[str, Stored]) -> dict[str, torch.Tensor]:
    """The state that is written. What a run changes has its first value; each tensor has memory of its own."""
    state = module.meta.get("unlite.state", {})
    found: dict[str, torch.Tensor] = {}
    seen: set[str] = set()
    for key, stored in tensors.items():
        value = getattr(module, stored.key).detach()
        if stored.key in state:
            value = state[stored.key].expand(stored.shape)
        value = value.reshape(stored.shape).contiguous()
        found[key] = value.clone() if stored.key in seen else value
        seen.add(stored.key)
    return found


class Writer:
    """Puts a file together.

    Args:
        module: From ``to_torch``.
        subgraph: What it was made from.
    """

    def __init__(self, module: fx.GraphModule, subgraph: Subgraph) -> None:
        self._module, self._subgraph = module, subgraph
        self._classes = Identifiers(
            [*(layer.__name__ for layer in LAYERS), *(function.__name__ for function in HELPERS)]
        )
        self._name = self._classes.make_class(class_name(title_of(subgraph)))
        self._helpers = HelperTexts(_helpers(module))
        self._parts: list[list[Line]] = []
        self._integer_layers: set[type[torch.nn.Module]] = set()
        # Operators that leave nothing behind, such as the DEQUANTIZE of a constant, belong to what follows them.
        self._present = {node.meta.get("tflite") for node in module.graph.nodes if node.op != "get_attr"}
        self._frame = Frame(subgraph, self._name, module, self._helpers.imports)

    def source(self) -> Source:
        """The whole file."""
        members = self._write(self._module, self._name, self._frame.docstring()[0])
        body: list[Line] = [Line(line) for text in self._helpers.texts() for line in ["", "", *text.splitlines()]]
        for layer in LAYERS:
            if layer in self._integer_layers:
                body += [Line(line) for line in ["", "", *without_notes(inspect.getsource(layer)).splitlines()]]
        for part in self._parts:
            body += [Line(""), Line(""), *part]
        body += [Line(line) for line in ["", "", *self._frame.loader(), "", "", *self._frame.main()]]
        used = "\n".join(line.text for line in body)
        lines = [Line(line) for line in [MARK, *self._frame.head(), *self._frame.imports(used)]] + body
        text = "\n".join(line.text.rstrip() for line in lines) + "\n"
        places: dict[Place, int] = {}
        for number, line in enumerate(lines, 1):
            for place in line.places:
                places.setdefault(place, number)
        tensors = {
            f"{name}.{path}" if path else name: stored
            for name, member in members.items()
            for path, stored in member.state.items()
        }
        return Source(text, self._name, tensors, places)

    # -- classes ---------------------------------------------------------------------------------------------------

    def _write(self, module: fx.GraphModule, name: str, docstring: str) -> dict[str, Member]:
        """Writes the class of a module, after the classes that it needs. Returns its members."""
        graph = fx.Graph()
        results = graph.graph_copy(module.graph, {})
        graph.output(results)
        attributes = Attributes(module, graph)
        inner: dict[str, Member] = {}
        for node in graph.nodes:
            if node.op == "get_attr" and isinstance(getattr(module, node.target), fx.GraphModule):
                kind = self._classes.make_class(class_name(node.target))
                inner[node.target] = Member(kind, role="function")
                part, text = getattr(module, node.target), f"{_task(node)} of {self._name}."
                self._hand_names(part, next(iter(node.users), None))
                self._write(part, kind, text)
        remove_permutes(graph)
        members = make_layers(graph, inner, self._tensor_name)
        self._integer_layers |= {layer for layer in LAYERS if layer.__name__ in {m.kind for m in members.values()}}
        blocks = find_blocks(graph, members, self._classes)
        for block in blocks:
            self._write_block(block)
        output = graph.output_node()
        inputs = [node for node in graph.nodes if node.op == "placeholder"]
        while module is not self._module and inputs and not inputs[-1].users:
            inputs.pop()
        parameters = self._parameters(inputs)
        taken = list(parameters.values()) + ["*_"] * (len(inputs) < len(graph.find_nodes(op="placeholder")))
        everything = _in_order(graph, {**inner, **members})
        alone = [key for key, member in members.items() if member.role == "block"]
        forward = Forward(
            graph.nodes, parameters, output.args[0], self._variable, self._reserved(), self._helpers.names, alone
        )
        lines = [*_class_head(name, docstring), *self._init(everything)]
        self._parts.append([*lines, *_method(taken, forward, _results(output))])
        self._reset(members, attributes.state_keys)
        return everything

    def _write_block(self, block: Block) -> None:
        forward = Forward(
            block.nodes, {block.entry: "x"}, block.nodes[-1], self._variable, self._reserved(), self._helpers.names
        )
        text = quoted(f"{summary(block)}; {block.count} of them.", WIDTH - 12)
        given = "".join(f", {parameter}: {annotation(values)}" for parameter, values in block.parameters.items())
        lines = [*_class_head(block.name, text), *self._init(block.members, given, block.sizes)]
        # What stands for an operator is the line that makes this block, not the lines that all blocks share.
        self._parts.append([Line(line.text) for line in [*lines, *_method(["x"], forward, "Tensor")]])

    def _init(self, members: dict[str, Member], given: str = "", sizes: Mapping[str, str] | None = None) -> list[Line]:
        """``__init__``, where there is something to make."""
        if not members and not sizes:
            return []
        lines = [Line(f"    {line}") for line in wrapped(f"def __init__(self{given}) -> None:", 4)]
        lines.append(Line("        super().__init__()"))
        lines += [Line(f"        self.{size} = {code}") for size, code in (sizes or {}).items()]
        return [*lines, *self._members(members), Line("")]

    def _members(self, members: dict[str, Member]) -> list[Line]:
        """The lines of ``__init__`` that make the members, with their operators beside them."""
        texts = {name: _made(name, member) for name, member in members.items()}
        notes = {name: self._places_text(member.places) for name, member in members.items()}
        fits = [len(text) for name, text in texts.items() if notes[name] and len(text) + len(notes[name]) + 12 <= WIDTH]
        column = max(fits, default=0)
        lines: list[Line] = []
        for name, text in texts.items():
            note, places = notes[name], members[name].places
            if note and len(text) + len(note) + 12 <= WIDTH:
                aligned = text.ljust(min(column, WIDTH - 12 - len(note)))
                lines.append(Line(f"        {aligned}  # {note}", places))
            else:
                lines += [Line(f"        # {note}", places)] if note else []
                lines += [Line(f"        {line}", places) for line in wrapped(text)]
        return lines

    def _places_text(self, places: list[Place]) -> str:
        """Operators in words: ``tflite operators 2-4, 7``."""
        texts = []
        for graph in dict.fromkeys(place[0] for place in places):
            numbers = sorted(place[1] for place in places if place[0] == graph)
            spans: list[list[int]] = []
            for number in numbers:
                if spans and not any((graph, between) in self._present for between in range(spans[-1][1] + 1, number)):
                    spans[-1][1] = number
                else:
                    spans.append([number, number])
            shown = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans[:8])
            where = "" if graph == self._subgraph.index else f" of subgraph {graph}"
            texts.append(f"operator{'s' if len(numbers) > 1 else ''} {shown}{', ...' if spans[8:] else ''}{where}")
        return f"tflite {'; '.join(texts)}" if texts else ""

    def _reset(self, members: dict[str, Member], state_keys: Iterable[str]) -> None:
        """Adds what puts the memory of a network back to its beginning."""
        keys = set(state_keys)
        names = [name for name, member in members.items() if {stored.key for stored in member.state.values()} & keys]
        if names:
            lines = [
                "",
                "    def reset_state(self) -> None:",
                '        """Puts back what earlier runs changed."""',
                "        stored = load_file(WEIGHTS)",
                *(f"        self.{name}.copy_(stored[{literal(name)}])" for name in names),
            ]
            self._parts[-1] += [Line(line) for line in lines]

    # -- names -----------------------------------------------------------------------------------------------------

    def _tensor_name(self, node: fx.Node) -> str:
        """What the file calls a value; "" where it has no name for it."""
        stored = node.meta.get("stored")
        if stored is not None:
            tensors: dict[str, str] = self._module.meta[TENSORS]
            return str(tensors.get(stored.key, stored.key))
        if "handed" in node.meta:
            return str(node.meta["handed"])
        place = node.meta.get("tflite")
        graph = self._subgraph.model.subgraphs[place[0]] if place is not None else self._subgraph
        if "tensor" in node.meta:
            return str(graph.tensors[node.meta["tensor"]].name)
        if place is None:
            return ""
        outputs = graph.operators[place[1]].outputs
        return str(outputs[0].name) if outputs and outputs[0] is not None else ""

    def _hand_names(self, part: fx.GraphModule, call: fx.Node | None) -> None:
        """What a part of a network gets is called as what it is given at first."""
        operands: list[fx.Node] = []
        map_arg((call.args, call.kwargs) if call is not None else (), operands.append)
        inputs = part.graph.find_nodes(op="placeholder")
        for node, given in zip(inputs, operands[len(operands) - len(inputs) :], strict=False):
            node.meta["handed"] = self._tensor_name(given)

    def _variable(self, node: fx.Node) -> str:
        state = _state_of(node)
        if state:
            return state
        name = self._tensor_name(node)
        return own_name(name) or (name if "tensor" in node.meta and "/" not in name else "")

    def _parameters(self, inputs: list[fx.Node]) -> dict[fx.Node, str]:
        if len(inputs) == 1:
            return {inputs[0]: "x"}
        names = Identifiers(self._reserved())
        return {node: names.make(own_name(self._tensor_name(node)) or node.name, "input") for node in inputs}

    def _reserved(self) -> set[str]:
        return {*self._helpers.names.values(), *MODULE_NAMES}


def _state_of(node: fx.Node) -> str:
    """A name for what is read from a state, or goes into it; "" for other values."""
    if node.op == "call_method" and node.target == "clone" and node.args[0].op == "get_attr":  # type: ignore[union-attr]
        return str(node.args[0].target)  # type: ignore[union-attr]  # a node
    waiting = list(node.users)
    for user in waiting:
        if user.target == "copy_":
            return f"next_{user.args[0].target}"  # type: ignore[union-attr]  # a node
        waiting += user.users if user.target == "detach" else ()
    return ""


def _task(node: fx.Node) -> str:
    """What a part of a network is for, by the call that it is handed to."""
    call = next(iter(node.users), None)
    if call is None or call.target is torch.ops.higher_order.cond:
        return "A branch"
    return "Whether the loop goes on, a part" if call.args[0] is node else "One round of the loop, a part"


def _class_head(name: str, docstring: str) -> list[Line]:
    return [Line(f"class {name}(nn.Module):"), Line(f'    """{docstring}"""'), Line("")]


def _method(inputs: list[str], forward: Forward, returns: str) -> list[Line]:
    """``forward`` with its body."""
    taken = "".join(f", {entry}: Tensor" for entry in inputs)
    lines = [Line(f"    {line}") for line in wrapped(f"def forward(self{taken}) -> {returns}:", 4)]
    return lines + [Line(f"        {line.text}", line.places) for line in forward.lines()]


def _made(name: str, member: Member) -> str:
    """The statement that makes a member."""
    if member.kind in ("parameter", "buffer"):
        dtype = member.arguments["dtype"]
        kind = "" if dtype is torch.float32 else f", dtype={literal(dtype)}"
        size = member.arguments["size"]
        sizes = ", ".join(map(literal, size)) if isinstance(size, tuple) and size else literal(size)
        empty = f"torch.empty({sizes}{kind})"
        if member.kind == "buffer":
            return f'self.register_buffer("{name}", {empty})'
        return f"self.{name} = nn.Parameter({empty})"
    parts = [
        literal(value) if place < member.positional else f"{key}={literal(value)}"
        for place, (key, value) in enumerate(member.arguments.items())
    ]
    return f"self.{name} = {member.kind}({', '.join(parts)})"


def _results(output: fx.Node) -> str:
    """The type of what is returned."""
    given = output.args[0]
    if isinstance(given, fx.Node):
        return "Tensor"
    count = len(given) if isinstance(given, (list, tuple)) else 0
    return f"tuple[{', '.join(['Tensor'] * count) if count else '()'}]" if count < 8 else "tuple[Tensor, ...]"


def _in_order(graph: fx.Graph, members: dict[str, Member]) -> dict[str, Member]:
    """Members in the order in which they are used."""
    used: dict[str, None] = {}
    for node in graph.nodes:
        for name in [*(str(n.target) for n in node.all_input_nodes if n.op == "get_attr"), str(node.target)]:
            if name in members:
                used[name] = None
    return {name: members[name] for name in used}


def _helpers(module: fx.GraphModule) -> list[Any]:
    """The helper functions that a module and those inside it call, in order."""
    found: dict[Any, None] = {}
    for inner in module.modules():
        if isinstance(inner, fx.GraphModule):
            for node in inner.graph.nodes:
                if node.target in HELPERS:
                    found[node.target] = None
                elif node.target in CALLS:
                    found[next(one for one in HELPERS if one.__name__ == "repeat_while")] = None
    return list(found)
