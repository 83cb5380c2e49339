"""Whether a subgraph can be lowered at all: asked before any work, and answered with everything that is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import UnsupportedOperatorError
from unlite.flatbuffers.view import UnknownUnion
from unlite.pytorch.calls import UNKNOWN_OPTIONS, reached
from unlite.pytorch.carrying import is_quantized
from unlite.pytorch.ops import CUSTOM, EXACT, EXACT_CUSTOM, MOVES, OPERATORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unlite.model.objects.operator import Operator
    from unlite.model.objects.subgraph import Subgraph

VALUELESS = {"STRING": "strings", "VARIANT": "variants"}


def check_supported(subgraph: Subgraph, custom: Mapping[str, Callable[..., Any]], exact: bool = False) -> None:
    """Raises UnsupportedOperatorError that lists every operator without a meaning here, in all subgraphs reached.

    exact: an operator on quantized tensors needs a meaning in integers.
    """
    graphs = reached(subgraph)
    missing: dict[Operator, str] = {}
    for operator in (operator for graph in graphs for operator in graph.operators):
        reason = _reason(operator, custom, exact)
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
        hint="Cut the model before or after them." if reason else "To add one, see docs/add-an-operator.md.",
    )


def _reason(operator: Operator, custom: Mapping[str, Callable[..., Any]], exact: bool) -> str | None:
    """Why an operator cannot be lowered: "" where it has no meaning yet. None where it can be."""
    dtypes = {tensor.dtype for tensor in (*operator.inputs, *operator.outputs) if tensor is not None}
    for dtype, plural in VALUELESS.items():
        if dtype in dtypes:
            return f"it works on {plural}, which PyTorch has no values for"
    if isinstance(operator.options, UnknownUnion):
        return UNKNOWN_OPTIONS
    if operator.name.startswith("HASHTABLE") and not operator.custom:
        return "PyTorch has no hash tables"
    if operator.name not in (custom if operator.custom else OPERATORS):
        return ""
    ends = (*operator.inputs, *operator.outputs)
    if not exact or not any(end is not None and is_quantized(end) for end in ends):
        return None
    if operator.custom:
        known = operator.name in EXACT_CUSTOM or custom[operator.name] is not CUSTOM.get(operator.name)
    else:
        known = operator.name in EXACT or operator.name in MOVES
    return None if known else 'it has no meaning in integers; quantized="float" has one in real numbers'
