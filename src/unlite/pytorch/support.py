"""Whether a subgraph can be lowered at all: asked before any work, and answered with everything that is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.calls import reached
from unlite.pytorch.ops import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unlite.model.operator import Operator
    from unlite.model.subgraph import Subgraph

VALUELESS = {"STRING": "strings", "VARIANT": "variants"}


def check_supported(subgraph: Subgraph, custom: Mapping[str, Callable[..., Any]]) -> None:
    """Raises UnsupportedOperatorError that lists every operator without a meaning here, in all subgraphs reached."""
    graphs = reached(subgraph)
    missing: dict[Operator, str] = {}
    for operator in (operator for graph in graphs for operator in graph.operators):
        reason = _reason(operator, custom)
        if reason is not None:
            missing[operator] = reason
    if not missing:
        return
    counts: dict[str, int] = {}
    for operator in missing:
        counts[operator.name] = counts.get(operator.name, 0) + 1
    first, reason = next(iter(missing.items()))
    listed = ", ".join(f"{name} x{count}" for name, count in counts.items())
    total = sum(len(graph.operators) for graph in graphs)
    raise UnsupportedOperatorError(
        f"no PyTorch meaning for {first.name} ({first.label}){reason and ': '}{reason}.\n"
        f"  {len(missing)} of {total} operators are unsupported: {listed}.",
        operators=tuple(operator.label for operator in missing),
        file=subgraph.model.file.name,
        path=first.path,
        mend="Cut the model before or after them." if reason else "To add one, see docs/add-an-operator.md.",
    )


def _reason(operator: Operator, custom: Mapping[str, Callable[..., Any]]) -> str | None:
    """Why an operator cannot be lowered: "" where it has no meaning yet. None where it can be."""
    dtypes = {tensor.dtype for tensor in (*operator.inputs, *operator.outputs) if tensor is not None}
    for dtype, plural in VALUELESS.items():
        if dtype in dtypes:
            return f"it works on {plural}, which PyTorch has no values for"
    if operator.name.startswith("HASHTABLE") and not operator.custom:
        return "PyTorch has no hash tables"
    return None if operator.name in (custom if operator.custom else OPERATORS) else ""
