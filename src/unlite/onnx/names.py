"""The values of an exported graph get the names of the file's tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import onnx_ir as ir

from unlite.pytorch.unique_names import UniqueNames

if TYPE_CHECKING:
    from unlite.model.objects.subgraph import Subgraph
    from unlite.onnx.ends import Ends, Stored, Traced

Place: TypeAlias = "tuple[int, int, tuple[int, ...] | None]"
"""A tensor of the file that a value is: subgraph, index, and how its axes are permuted in the value."""

NEXT = ".next"
"""Stands behind the name of a memory's new value."""


def give_names(made: ir.Model, ends: Ends, graph: Subgraph) -> Names:
    """Names inputs, outputs, constants and all values that are tensors of the file.

    What is an output only to tell which value is which tensor is none any more afterwards.
    """
    names = Names()
    inputs, outputs = list(made.graph.inputs), list(made.graph.outputs)
    given, count = len(graph.inputs), len(graph.outputs) + len(ends.memories)
    for value, tensor, traced in zip(inputs, graph.inputs, ends.inputs, strict=False):
        names.give(value, tensor.name, traced)
    for value, memory in zip(inputs[given:], ends.memories, strict=True):
        names.give(value, memory.key)
    own = _own_outputs(made, count)
    for value, tensor, end in zip(own, graph.outputs, ends.outputs, strict=False):
        names.give(value, tensor.name, end)
    for value, memory in zip(own[len(graph.outputs) :], ends.memories, strict=True):
        names.give(value, f"{memory.key}{NEXT}")
    for value, traced in zip(outputs[count:], ends.traced, strict=True):
        tensor = graph.model.subgraphs[traced.tensors[0][0]].tensors[traced.tensors[0][1]]
        if value.producer() is not None and not tensor.dtype.startswith("COMPLEX"):  # which are pairs in ONNX
            names.give(value, tensor.name, traced)
    _name_constants(made, names, ends)
    names.finish(made)
    return names


def give_initial_values(made: ir.Model, ends: Ends) -> None:
    """Gives the inputs that stand for memories their values before the first run, for when they are left out.

    Done last: as long as a graph is optimized, they must not pass for constants.
    """
    count = len(ends.memories)
    for value, memory in zip(made.graph.inputs[-count:] if count else (), ends.memories, strict=True):
        value.const_value = ir.tensor(memory.initial.numpy(), name=value.name)
        made.graph.initializers[str(value.name)] = value


def _name_constants(made: ir.Model, names: Names, ends: Ends) -> None:
    initializers = made.graph.initializers
    keys = list(initializers.items())
    initializers.clear()  # a new name may be another one's key
    for key, value in keys:
        own = key.removeprefix("module.")
        stored = ends.constants.get(own)
        names.give(value, own if stored is None else stored.constant.name)
        initializers[str(value.name)] = value
        if stored is not None:
            names.constants[value] = stored


def _own_outputs(made: ir.Model, count: int) -> list[ir.Value]:
    """Leaves the model's own outputs, each a value of its own: one that is an input, or stands twice, is copied."""
    own: list[ir.Value] = []
    for value in list(made.graph.outputs)[:count]:
        if value in own or value.producer() is None:
            copy = ir.node("Identity", [value])
            made.graph.append(copy)
            copied = copy.outputs[0]
            copied.shape, copied.type = value.shape, value.type
            own.append(copied)
        else:
            own.append(value)
    made.graph.outputs.clear()
    made.graph.outputs.extend(own)
    return own


class Names:
    """Names of one model, each given once: of tensors of one name, the second gets a number.

    Attributes:
        places: Name -> tensor of the file, of inputs, outputs and what lies between them.
        constants: Initializer -> the constant that it is.
    """

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.constants: dict[ir.Value, Stored] = {}
        self._names = UniqueNames()
        self._given: set[ir.Value] = set()

    def give(self, value: ir.Value, name: str, traced: Traced | None = None) -> None:
        """Names a value like a tensor, and notes which it is; nothing happens where it has a name already."""
        if value in self._given:
            return
        self._given.add(value)
        value.name = self.make(name)
        if traced is not None:
            self.places[value.name] = (*traced.tensors[0], traced.axes)

    def make(self, name: str) -> str:
        """A name like ``name``: text that UTF-8 can write, with a number behind it where that is taken."""
        return self._names.take(name.encode("utf-8", "replace").decode("utf-8").strip() or "tensor")

    def release(self, name: str) -> None:
        """Gives a name free."""
        self._names.release(name)

    def finish(self, made: ir.Model) -> None:
        """Gives values that are no tensors other names, where theirs are taken."""
        for node in made.graph.all_nodes():
            for value in node.outputs:
                if value not in self._given and value.name is not None:
                    self.give(value, value.name)
