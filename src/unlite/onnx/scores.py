"""Scores that leave a network: sigmoids with all their digits.

ONNX Runtime computes Sigmoid right to the last bit of 1, and of a score of a millionth that leaves one digit in ten.
Inside a network nobody sees it. Where the sigmoid is a result, it is written as 1 / (1 + exp(-x)), which keeps them.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import fx

MOVES = ("reshape", "permute", "squeeze", "unsqueeze", "flatten", torch.cat)
"""Calls that hand on what they get."""


def keep_digits(module: fx.GraphModule) -> None:
    """Rewrites the sigmoids that are results of a module, or become such by being moved alone, in place."""
    graph = module.graph
    waiting = list(graph.output_node().all_input_nodes)
    for node in waiting:  # grows while it is walked
        if node.target in MOVES:
            waiting += [given for given in node.all_input_nodes if given not in waiting]
        elif node.target is torch.sigmoid:
            facts: dict[str, Any] = {key: node.meta[key] for key in ("tflite", "val") if key in node.meta}
            with graph.inserting_before(node):
                power = graph.call_method("exp", (graph.call_method("neg", node.args),))
                node.args = (graph.call_function(operator.add, (power, 1.0)),)
            node.op, node.target = "call_method", "reciprocal"
            for made in (node.args[0], power, *power.all_input_nodes):
                made.meta.update(facts)
