"""A converted module run node by node: every tensor of the file, and single tensors from given ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx
from torch.fx.node import map_arg

from unlite.comparison.distance import dequantized
from unlite.comparison.names import IO, end_axes, inverse, node_places
from unlite.pytorch.carrying import is_quantized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

    Array = NDArray[Any]

FAILURES = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError, ArithmeticError)
"""What a module that was damaged or misbuilt raises when it is run."""


class NodeError(Exception):
    """A node of a module that cannot be computed.

    Args:
        node: The node.
        message: What PyTorch says.
    """

    def __init__(self, node: fx.Node, message: str) -> None:
        super().__init__(message)
        self.node = node


def results_of(node: fx.Node, subgraph: int) -> list[int]:
    """Which results of operators of a subgraph a node is: none, one, or several where operators change nothing."""
    return [place.tensor for place in node_places(node) if place.subgraph == subgraph]


def tensors_of(node: fx.Node, subgraph: int) -> list[int]:
    """Which tensors of a subgraph a node is: an input, as it is given or as it is computed with, and results."""
    found = results_of(node, subgraph)
    is_input = node.op != "get_attr" and node.meta.get("tflite") is None and "tensor" in node.meta
    return [node.meta["tensor"], *found] if is_input else found


def in_file_order(value: torch.Tensor, axes: tuple[int, ...] | None, rank: int) -> torch.Tensor:
    """A value that is stored with its axes in another order, as the file has it."""
    if axes is None:
        return value
    value = value.permute(inverse(axes))
    return value.reshape(value.shape[len(axes) - rank :]) if len(axes) > rank else value


def in_order(value: torch.Tensor, axes: tuple[int, ...] | None) -> torch.Tensor:
    """A value of the file with its axes in the order in which a module stores it."""
    if axes is None:
        return value
    return value.reshape((1,) * (len(axes) - value.ndim) + tuple(value.shape)).permute(axes)


class Walk(fx.Interpreter):
    """Runs a module, and shows each value that is a tensor of the file.

    Args:
        module: The module, in any layout.
        subgraph: The subgraph that it was made from.
        visit: Called with tensor index and value, its axes in the file's order; what it returns, if anything, goes on
            in the value's place.
    """

    def __init__(
        self, module: fx.GraphModule, subgraph: Subgraph, visit: Callable[[int, torch.Tensor], torch.Tensor | None]
    ) -> None:
        super().__init__(module)
        self._subgraph = subgraph
        self._visit = visit

    def run_node(self, n: fx.Node) -> Any:
        try:
            value = super().run_node(n)
        except FAILURES as error:
            raise NodeError(n, first_line(error)) from error
        if isinstance(value, torch.Tensor):
            axes = n.meta.get("axes")
            for index in results_of(n, self._subgraph.index):
                rank = len(self._subgraph.tensors[index].shape)
                instead = self._visit(index, in_file_order(value, axes, rank))
                value = value if instead is None else in_order(instead, axes)
        return value


def first_line(error: Exception) -> str:
    """What an error of PyTorch says, without the trace of the graph behind it."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


class Replay:
    """Computes single tensors of a module from the reference's values: a wrong operator is told from drift.

    Args:
        module: The module.
        subgraph: The subgraph that it was made from.
        reference: Index -> stored values; inputs of the model among them.
    """

    def __init__(self, module: fx.GraphModule, subgraph: Subgraph, reference: Mapping[int, Array]) -> None:
        self._module = module
        self._subgraph = subgraph
        self._reference = reference
        self._nodes: dict[int, fx.Node] = {}
        for node in module.graph.nodes:
            for index in tensors_of(node, subgraph.index):
                self._nodes.setdefault(index, node)

    def nodes(self) -> Iterator[int]:
        """Indices of the tensors that the module computes."""
        return iter(self._nodes)

    def value(self, index: int, change: Callable[[Any], Any] = lambda value: value) -> torch.Tensor:
        """A tensor, from the nearest values that the reference has.

        Args:
            index: The tensor.
            change: Applied to each value that goes in.

        Raises:
            NodeError: it cannot be computed.
        """
        target = self._nodes[index]
        return in_file_order(
            self._stored(index, target, change), target.meta.get("axes"), len(self._subgraph.tensors[index].shape)
        )

    def _stored(self, index: int, target: fx.Node, change: Callable[[Any], Any]) -> torch.Tensor:
        """A node's value, in the order in which the module stores it."""
        own = tensors_of(target, self._subgraph.index)
        before = [i for i in own[: own.index(index)] if i in self._reference]
        if before:  # an operator that changes nothing: its input is the value
            return change(self._given(before[-1], target))  # type: ignore[no-any-return]
        values: dict[fx.Node, Any] = {}
        with torch.no_grad():
            for node in self._order(target):
                found = None if node is target else self._known(node)
                try:
                    values[node] = change(found) if found is not None else self._compute(node, values, change)
                except FAILURES as error:
                    raise NodeError(node, first_line(error)) from error
        return values[target]  # type: ignore[no-any-return]

    def _order(self, target: fx.Node) -> list[fx.Node]:
        """What has to be known for a node, in the graph's order; nothing before what the reference has."""
        needed, waiting = {target}, [target]
        while waiting:
            node = waiting.pop()
            if node is target or self._place(node) is None:
                fresh = [n for n in node.all_input_nodes if n not in needed]
                needed.update(fresh)
                waiting += fresh
        return [node for node in self._module.graph.nodes if node in needed]

    def _place(self, node: fx.Node) -> int | None:
        """The tensor by which the reference has a node's value: the last, which later operators read."""
        known = [index for index in tensors_of(node, self._subgraph.index) if index in self._reference]
        return known[-1] if known else None

    def _known(self, node: fx.Node) -> torch.Tensor | None:
        place = self._place(node)
        return None if place is None else self._given(place, node)

    def _given(self, index: int, node: fx.Node) -> torch.Tensor:
        fake = node.meta.get("val")
        floats = isinstance(fake, torch.Tensor) and fake.dtype.is_floating_point
        return in_order(carried(self._reference[index], self._subgraph.tensors[index], floats), node.meta.get("axes"))

    def _compute(self, node: fx.Node, values: Mapping[fx.Node, Any], change: Callable[[Any], Any]) -> Any:
        if node.op == "get_attr":
            found: Any = self._module
            for part in str(node.target).split("."):
                found = getattr(found, part)
            return change(found) if isinstance(found, torch.Tensor) else found
        args, kwargs = map_arg((node.args, node.kwargs), lambda n: values[n])
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        if node.op == "call_module":
            return self._module.get_submodule(str(node.target))(*args, **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]  # call_function


def carried(stored: Array, tensor: Tensor, floats: bool) -> torch.Tensor:
    """Stored values as a module carries them: real numbers for quantized ones, where it computes with ``floats``."""
    if stored.dtype.name == "bfloat16":
        return torch.from_numpy(np.array(stored).view(np.int16)).view(torch.bfloat16)
    if (
        floats
        and stored.dtype.kind in "iu"
        and is_quantized(tensor)
        and tensor.quantization is not None
        and tensor.quantization.scale
    ):
        return torch.from_numpy(dequantized(stored, tensor.quantization))
    return torch.from_numpy(np.array(stored, order="C"))


def as_array(value: torch.Tensor) -> Array:
    """A tensor's values as NumPy knows them; bfloat16 as float32."""
    value = value.detach().resolve_conj().resolve_neg()
    return (value.float() if value.dtype == torch.bfloat16 else value).contiguous().numpy()


def module_inputs(module: torch.nn.Module, subgraph: Subgraph, inputs: Sequence[Array]) -> list[torch.Tensor]:
    """Stored inputs as a module wants them: real or stored numbers, in its own layout."""
    wanted: list[bool] = [True] * len(inputs)
    if isinstance(module, fx.GraphModule):
        fakes = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
        wanted = [not isinstance(fake, torch.Tensor) or fake.dtype.is_floating_point for fake in fakes]
        wanted += [True] * (len(inputs) - len(wanted))
    ends = zip(inputs, subgraph.inputs, wanted, strict=False)
    values = [carried(array, tensor, floats) for array, tensor, floats in ends]
    return [in_order(value, axes) for value, axes in zip(values, module_ends(module, "input", values), strict=True)]


def module_ends(module: Any, kind: str, values: Sequence[Any]) -> list[tuple[int, ...] | None]:
    """The order of the axes of each input or output that a module has, as its ``meta["unlite.io"]`` says."""
    layouts = {end["index"]: end["layout"] for end in getattr(module, "meta", {}).get(IO, ()) if end["kind"] == kind}
    return [
        end_axes(layouts.get(place, "file"), value.ndim if isinstance(value, torch.Tensor) else 0)
        for place, value in enumerate(values)
    ]


class Unchanged:
    """Context in which a module's buffers may change; afterwards they are what they were."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        self._buffers: dict[str, torch.Tensor] = {}

    def __enter__(self) -> None:
        state: dict[str, torch.Tensor] | None = getattr(self._module, "meta", {}).get("unlite.state")
        names = None if state is None else set(state)  # of a module that says what changes, no weights are copied
        self._buffers = {
            name: buffer.clone() for name, buffer in self._module.named_buffers() if names is None or name in names
        }

    def __exit__(self, *_: object) -> None:
        with torch.no_grad():
            for name, values in self._buffers.items():
                self._module.get_buffer(name).copy_(values)
