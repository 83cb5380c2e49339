"""Which value of an ML program is which tensor of the file: marks that go through the exporter with the values."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import fx

MARK = "unlite_coreml::mark"
"""The marking call, by the name under which coremltools looks for its translation."""


class Place(NamedTuple):
    """A tensor of the file that a value is.

    Attributes:
        subgraph, tensor: Indices in the file.
        axes: How its axes are permuted in the value; None for not at all.
    """

    subgraph: int
    tensor: int
    axes: tuple[int, ...] | None


@functools.cache
def _operator() -> Any:
    """A call that gives back its tensor, and bears a number; no exporter takes it apart."""

    @torch.library.custom_op("unlite_coreml::mark", mutates_args=())
    def mark(x: torch.Tensor, number: int) -> torch.Tensor:  # noqa: ARG001 - the number is for the translation
        return x.clone()

    @mark.register_fake
    def _(x: torch.Tensor, number: int) -> torch.Tensor:  # noqa: ARG001
        return torch.empty_like(x)

    return torch.ops.unlite_coreml.mark.default


def mark_tensors(module: fx.GraphModule) -> list[Place]:
    """Puts a mark behind every node that is a tensor of the file, in place; its number is its place in the list."""
    places: list[Place] = []
    graph = module.graph
    call = _operator()
    for node in list(graph.nodes):
        tensors = node.meta.get("tensors", ())
        value = node.meta.get("val")
        if not tensors or not node.op.startswith("call_") or not isinstance(value, torch.Tensor):
            continue
        if value.dtype.is_complex:
            continue  # a pair of values in the program
        with graph.inserting_after(node):
            marked = graph.call_function(call, (node, len(places)))
        marked.meta = {"val": value}
        node.replace_all_uses_with(marked, delete_user_cb=lambda user, mark=marked: user is not mark)
        subgraph, index = tensors[-1]  # of several the last: it is what later operators read
        places.append(Place(subgraph, index, node.meta.get("axes")))
    return places


class Marks:
    """What the marks were put on, filled while coremltools translates."""

    def __init__(self, places: list[Place]) -> None:
        self._places = places
        self._found: dict[int, Any] = {}

    def note(self, number: int, var: Any) -> None:
        """A mark stands on a value of the program."""
        self._found[number] = var

    def names(self, function: Any) -> dict[str, Place]:
        """Name -> tensor, of the values that are still there when the program is done.

        coremltools' passes give what they put in place of a value the value's name, and one in float16 an ending.
        """
        made = [op for op in function.operations if op.op_type not in ("const", "classify")]
        shapes = {var.name: tuple(var.shape) for op in made for var in op.outputs}
        names: dict[str, Place] = {}
        for number, var in self._found.items():
            for name in (var.name, f"{var.name}_cast_fp16"):
                if name in shapes and _alike(shapes[name], tuple(var.shape)):
                    names[name] = self._places[number]
                    break
        return names


def _alike(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether shapes are equal where both have numbers."""
    return len(one) == len(other) and all(
        a == b for a, b in zip(one, other, strict=True) if isinstance(a, int) and isinstance(b, int)
    )
