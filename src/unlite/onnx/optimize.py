"""What the exporter wrote, made small: constants folded, leftovers removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

LARGEST = 2048
"""Entries of a result that is computed here; more would be stored in the file."""

KEPT_FOLDED = ("DequantizeLinear", "QuantizeLinear", "Cast")
"""Weights stand behind them so that the file stays small; a runtime folds them when it loads it."""


def optimize(made: ir.Model) -> None:
    """Optimizes a graph in place. Values keep their names where they are still there."""
    from onnx_ir.passes import common
    from onnxscript.optimizer import optimize_ir

    optimize_ir(made, should_fold=_may_fold, output_size_limit=LARGEST)
    for node in made.graph.all_nodes():
        node.name = node.outputs[0].name  # what a runtime says of a node then names the file's tensor
    common.ClearMetadataAndDocStringPass()(made)


def _may_fold(node: ir.Node) -> bool | None:
    """False for what keeps a stored constant small; None leaves it to the optimizer."""
    stored = [value for value in node.inputs[:1] if value is not None and value.is_initializer()]
    return False if stored and node.op_type in KEPT_FOLDED else None
