"""Inputs and outputs of a program: their names, and what stands between them and the module."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from unlite.pytorch.constants import Names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import fx

    from unlite.coreml.images import Picture
    from unlite.model.objects.subgraph import Subgraph

IO = "unlite.io"
SCALAR, LINES = "SCALAR", "N1HW"
"""Layouts beside "file" and "NCHW": [1] for a number without axes; [1, 1, H, W] where the file has [1, H, W]."""
NARROW = (torch.int8, torch.uint8, torch.int16, torch.uint16, torch.uint32)
WIDER = dict.fromkeys(NARROW, torch.int32) | {torch.float16: torch.float32, torch.float64: torch.float32}
"""What stands for types that programs have no inputs of, or compute little in."""
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass
class Ends:
    """What goes into a program, and what comes out.

    Attributes:
        inputs, outputs: Their names, in the file's order: letters, digits and underscores.
        examples: Tensors like those that go in.
        free: Place of an input -> its axes whose size is free.
        pictures: Inputs that are images, by their place.
        facts: What is written as ``unlite.io``: see ``layout.record_ends``. Beside that: ``feature``, the name in the
            program; ``zero_point``, as ``scale``; ``image``, colour, scale and bias of an input that takes pictures.
    """

    inputs: list[str]
    outputs: list[str]
    examples: list[torch.Tensor]
    pictures: Mapping[int, Picture]
    free: dict[int, tuple[int, ...]] = field(default_factory=dict)
    facts: list[dict[str, Any]] = field(default_factory=list)


def prepare(
    module: fx.GraphModule, graph: Subgraph, pictures: Mapping[int, Picture], *, file_layout: bool = False
) -> Ends:
    """Rewrites a module's ends in place, for pictures and layouts, and says what they are then."""
    nodes = list(module.graph.nodes)
    placeholders = [node for node in nodes if node.op == "placeholder"]
    facts = [dict(fact) for fact in module.meta[IO]]
    of = {(fact["kind"], fact["index"]): fact for fact in facts}
    for place, node in enumerate(placeholders):
        fact = of["input", place]
        if place in pictures:
            _take_picture(module.graph, node, pictures[place], fact)
        elif file_layout and fact["layout"] == "NCHW":
            _insert(module.graph, node, TO_FIRST)
            fact["layout"] = "file"
        elif node.meta["val"].ndim == 0:  # Core ML has no such inputs
            _insert_after(module.graph, node, "reshape", ((),))
            node.meta = {**node.meta, "val": node.meta["val"].reshape(1)}
            fact["layout"] = SCALAR
    _give_outputs(module, of, file_layout=file_layout)
    _widen(module)
    module.graph.lint()
    module.recompile()
    names = Names()
    inputs = [names.make(tensor.name, "input") for tensor in graph.inputs]
    outputs = [names.make(tensor.name, "output") for tensor in graph.outputs]
    for (kind, place), fact in of.items():
        tensor = (graph.inputs if kind == "input" else graph.outputs)[place]
        zero = tensor.quantization.zero_point if tensor.quantization is not None else ()
        fact["feature"] = (inputs if kind == "input" else outputs)[place]
        fact["zero_point"] = int(zero[0]) if fact["scale"] is not None and zero else None
    examples = [
        torch.zeros(tuple(node.meta["val"].shape), dtype=WIDER.get(node.meta["val"].dtype, node.meta["val"].dtype))
        for node in placeholders
    ]
    free = {
        place: axes
        for place, tensor in enumerate(graph.inputs)
        if place not in pictures and (axes := _free_axes(tensor.shape_signature, of["input", place]["layout"]))
    }
    return Ends(inputs, outputs, examples, pictures, free, facts)


def _free_axes(signature: Sequence[int], layout: str) -> tuple[int, ...]:
    """The axes of an input that the file leaves open."""
    order = TO_FIRST if layout == "NCHW" else range(len(signature))
    return tuple(place for place, axis in enumerate(order) if signature[axis] == -1)


def _widen(module: fx.GraphModule) -> None:
    """Constants in the types that programs compute in."""
    for key, values in [*module.named_parameters(), *module.named_buffers()]:
        if values.dtype in WIDER:
            parent = module.get_submodule(key.rpartition(".")[0])
            name = key.rpartition(".")[2]
            wide = values.detach().to(WIDER[values.dtype])
            if name in parent._parameters:
                parent._parameters[name] = torch.nn.Parameter(wide, requires_grad=wide.is_floating_point())
            else:
                parent._buffers[name] = wide


def _take_picture(graph: fx.Graph, node: fx.Node, picture: Picture, fact: dict[str, Any]) -> None:
    """An input becomes [1, C, H, W]; what the module gets of it is as it was."""
    shape = (1, picture.channels, picture.height, picture.width)
    wanted = tuple(node.meta["val"].shape)
    last = node
    if len(set(picture.scale)) > 1:  # Core ML's images have one scale; several are part of the program
        scale, bias = (
            torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1) for values in (picture.scale, picture.bias)
        )
        for name, values, call in (("image_scale", scale, torch.mul), ("image_bias", bias, torch.add)):
            module: Any = graph.owning_module
            module.register_buffer(f"{node.name}_{name}", values)
            with graph.inserting_after(last):
                read = graph.get_attr(f"{node.name}_{name}")
            with graph.inserting_after(read):
                made = graph.call_function(call, (last, read))
            _put_behind(last, made)
            last = made
    if picture.arrange == "NHW":
        _insert_after(graph, last, "reshape", wanted)
    elif picture.arrange == "NHWC" and fact["layout"] == "file":
        _insert_after(graph, last, "permute", TO_LAST)
    node.meta = {**node.meta, "val": torch.empty(shape)}
    fact["layout"] = {"NHWC": "NCHW", "NCHW": "file", "NHW": LINES}[picture.arrange]
    fact["image"] = {"color": picture.color, "scale": list(picture.scale), "bias": list(picture.bias)}


def _insert(graph: fx.Graph, node: fx.Node, axes: tuple[int, ...]) -> None:
    """The module gets an input permuted; the input itself is the other way round."""
    _insert_after(graph, node, "permute", axes)
    back = TO_LAST if axes == TO_FIRST else TO_FIRST
    node.meta = {**node.meta, "val": node.meta["val"].permute(back)}


def _insert_after(graph: fx.Graph, node: fx.Node, method: str, numbers: tuple[Any, ...]) -> None:
    with graph.inserting_after(node):
        made = graph.call_method(method, (node, *numbers))
    _put_behind(node, made)


def _put_behind(node: fx.Node, made: fx.Node) -> None:
    """All that used a node use what was made of it."""
    node.replace_all_uses_with(made, delete_user_cb=lambda user: user is not made)


def _give_outputs(module: fx.GraphModule, of: Mapping[tuple[str, int], dict[str, Any]], *, file_layout: bool) -> None:
    """Each output a value of its own: one that is an input or a constant, or stands twice, is copied."""
    graph = module.graph
    output = next(node for node in graph.nodes if node.op == "output")
    returned: Any = output.args[0]
    results = list(returned) if isinstance(returned, (tuple, list)) else [returned]
    for place, node in enumerate(results):
        fact = of["output", place]
        with graph.inserting_before(output):
            if file_layout and fact["layout"] == "NCHW":
                results[place] = graph.call_method("permute", (node, *TO_LAST))
                fact["layout"] = "file"
            elif isinstance(node.meta.get("val"), torch.Tensor) and node.meta["val"].ndim == 0:
                results[place] = graph.call_method("reshape", (node, 1))
                fact["layout"] = SCALAR
            elif node.op in ("placeholder", "get_attr") or node in results[:place]:
                results[place] = graph.call_method("clone", (node,))
    output.args = (tuple(results) if isinstance(returned, (tuple, list)) else results[0],)
