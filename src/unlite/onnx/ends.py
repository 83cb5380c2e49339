"""A module made ready for export: what it remembers becomes inputs and outputs, and every tensor can be named.

The exporter drops what a run writes into buffers, and gives values names of its own. So the memory of a module is
handed in and out, as ONNX has no other way; and each tensor of the file is an output until it has its name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import fx

    from unlite.model.objects.subgraph import Subgraph
    from unlite.pytorch.constants import Constant


@dataclass(frozen=True)
class Traced:
    """A value of the module that is a tensor of the file.

    Attributes:
        tensors: (subgraph, index) of all the tensors that it is, in the order of the operators; never empty.
        axes: How the tensor's axes are permuted in it; None for not at all.
    """

    tensors: tuple[tuple[int, int], ...]
    axes: tuple[int, ...] | None


@dataclass(frozen=True)
class Memory:
    """A buffer that a run changes.

    Attributes:
        key: Its key in the module's state.
        initial: Values before the first run.
    """

    key: str
    initial: torch.Tensor


@dataclass(frozen=True)
class Stored:
    """A constant of the module.

    Attributes:
        constant: As it was read from the file.
        order: How its axes are permuted beyond that; () for not at all. Axes of size 1 are put in front where it has
            more than the constant.
    """

    constant: Constant
    order: tuple[int, ...]

    def axes(self) -> list[int | None]:
        """For each axis in the module, which axis of the file's tensor it is; None for an added one."""
        held: list[int | None] = list(self.constant.axes or range(len(self.constant.shape)))
        if not self.order:
            return held
        held = [*[None] * (len(self.order) - len(held)), *held]
        return [held[axis] for axis in self.order]


@dataclass(frozen=True)
class Ends:
    """What goes into a prepared module, and what comes out, in order.

    Attributes:
        examples: Inputs of the model, as the file has their shapes; the values of ``memories`` come behind them.
        inputs: What each of them is.
        outputs: What each output of the model is. Behind them come the new values of the memories, then ``traced``.
        memories: What is remembered from run to run.
        traced: Every other value that is a tensor of the file.
        constants: Key in the module's state -> the constant that it is.
    """

    examples: list[torch.Tensor]
    inputs: list[Traced]
    outputs: list[Traced | None]
    memories: list[Memory]
    traced: list[Traced]
    constants: dict[str, Stored]


def prepare(module: fx.GraphModule, subgraph: Subgraph) -> Ends:
    """Rewrites a module in place, and says what its ends are then."""
    graph = module.graph
    module.meta.setdefault("unlite.axes", {})
    nodes = list(graph.nodes)
    output = nodes[-1]
    returned: Any = output.args[0]
    results = list(returned) if isinstance(returned, (tuple, list)) else [returned]
    places = {node: found for node in nodes if (found := _traced(node)) is not None}
    placeholders = [node for node in nodes if node.op == "placeholder"]
    memories, updates = _memories(module)
    traced = [node for node in places if node.op.startswith("call_") and node not in results and node not in updates]
    output.args = ((*results, *updates, *traced),)
    graph.lint()
    module.recompile()
    return Ends(
        examples=[torch.zeros(tuple(node.meta["val"].shape), dtype=node.meta["val"].dtype) for node in placeholders],
        inputs=[
            Traced(((subgraph.index, tensor.index),), node.meta.get("axes"))
            for node, tensor in zip(placeholders, subgraph.inputs, strict=True)
        ],
        outputs=[
            _as_output(places.get(node), (subgraph.index, tensor.index))
            for node, tensor in zip(results, subgraph.outputs, strict=True)
        ],
        memories=memories,
        traced=[places[node] for node in traced],
        constants={
            str(node.target): Stored(node.meta["constant"], tuple(module.meta["unlite.axes"].get(node.target, ())))
            for node in graph.nodes
            if node.op == "get_attr" and node.meta.get("constant") is not None
        },
    )


def _traced(node: fx.Node) -> Traced | None:
    """Which tensors of the file a node's value is."""
    tensors = node.meta.get("tensors", ())
    if not tensors or not isinstance(node.meta.get("val"), torch.Tensor):
        return None
    return Traced(tuple(tensors), node.meta.get("axes"))


def _as_output(traced: Traced | None, own: tuple[int, int]) -> Traced | None:
    """A result, first of all as the model's output: of tensors that are one value, it has its own type and scale."""
    if traced is None or own not in traced.tensors:
        return traced
    return replace(traced, tensors=(own, *(tensor for tensor in traced.tensors if tensor != own)))


def _memories(module: fx.GraphModule) -> tuple[list[Memory], list[fx.Node]]:
    """Makes inputs and outputs of the buffers that a run changes. Returns them, and the nodes of their new values."""
    graph = module.graph
    body = next(node for node in graph.nodes if node.op != "placeholder")
    memories: list[Memory] = []
    updates: list[fx.Node] = []
    for key in module.meta.get("unlite.state", {}):
        reads = [node for node in graph.nodes if node.op == "get_attr" and node.target == key]
        copies = [user for node in reads for user in node.users if user.target == "copy_" and user.args[0] is node]
        if not copies:
            continue
        with graph.inserting_before(body):
            given = graph.placeholder(f"{key}_before")
        given.meta["val"] = reads[0].meta["val"]
        memories.append(Memory(key, module.get_buffer(key).detach().clone()))
        updates.append(copies[-1].args[1])
        for copy in copies:
            graph.erase_node(copy)
        for node in reads:
            node.replace_all_uses_with(given)
            graph.erase_node(node)
    return memories, updates
