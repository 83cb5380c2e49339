"""Complex numbers for exporters, which know them as what Fourier transforms give, and take their parts.

What moves complex numbers on the way to their parts moves the parts instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import fx

PARTS: tuple[Any, ...] = (torch.real, torch.imag, torch.abs, torch.angle)
MOVES = ("squeeze", "unsqueeze", "reshape", "permute", "transpose", "flatten")


def take_parts_first(module: fx.GraphModule) -> None:
    """Takes the parts of complex numbers before they are moved, in place, where nothing else is made of them."""
    graph = module.graph
    for node in reversed(list(graph.nodes)):  # of several moves the last first
        value = node.meta.get("val")
        if node.op != "call_method" or node.target not in MOVES or not isinstance(value, torch.Tensor):
            continue
        if not value.dtype.is_complex or not all(user.target in PARTS for user in node.users):
            continue
        source, *where = node.args
        for user in list(node.users):
            with graph.inserting_before(user):
                part = graph.call_function(user.target, (source,))
                moved = graph.call_method(str(node.target), (part, *where), node.kwargs)
            given: Any = source.meta["val"]
            part.meta = {"val": user.meta["val"].new_empty(given.shape), "tflite": user.meta.get("tflite")}
            moved.meta = user.meta
            user.replace_all_uses_with(moved)
            graph.erase_node(user)
        graph.erase_node(node)
    module.recompile()
