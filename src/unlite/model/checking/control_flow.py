"""Whether the subgraphs that an operator calls exist, and take and give as many tensors as the operator.

Source: Prepare in LiteRT tflite/kernels/if.cc, while.cc, call_once.cc, stablehlo_case.cc, stablehlo_composite.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.flatbuffers import view as v

if TYPE_CHECKING:
    from unlite.flatbuffers.view import Table
    from unlite.model.checking.operators import Refuse
    from unlite.model.facts.inspection import Inspection
    from unlite.schema.operators import OperatorFacts

KEPT = 50  # what remembering a call costs, as work


def check_calls(
    refuse: Refuse, check: Inspection, operator: Table, facts: OperatorFacts | None, calls: dict[int, Table]
) -> None:
    """Checks numbers of subgraphs in the options, and fills in which subgraphs they are, and that the operator calls.

    Args:
        refuse: Told what LiteRT refuses when it prepares the operator.
        check: Gets the other findings.
        operator: The operator.
        facts: What is known of it.
        calls: For each subgraph that is called, an operator that does.
    """
    for union in ("builtin_options", "builtin_options_2"):
        options = check.guard(getattr, operator, union)
        if not isinstance(options, v.Table):
            continue
        for field in options._object.fields:
            name = field.name
            if (
                name.endswith(("subgraph_index", "subgraph_indices"))
                or name == "called_computations"
                or (name == "subgraph" and options._object.name == "tflite.CallOptions")
            ):
                value, where = getattr(options, name), f"{union}.{name}"
                for index in [value] if isinstance(value, int) else check.integers(value):
                    if check.index(operator, where, index, check.subgraphs, "subgraph"):
                        if index not in calls:
                            check.work.spend(KEPT)
                            calls[index] = operator
                        if facts is not None:
                            check.guard(_ends, refuse, check, operator, facts.name, name, index)


def _ends(refuse: Refuse, check: Inspection, operator: Table, name: str, option: str, index: int) -> None:
    """Compares the inputs and outputs of one called subgraph with the operator's."""
    inputs, outputs = len(operator.inputs or ()), len(operator.outputs or ())
    wanted = {
        "IF": (inputs - 1, outputs),
        "STABLEHLO_CASE": (inputs - 1, outputs),
        "STABLEHLO_COMPOSITE": (inputs, outputs),
        "CALL_ONCE": (0, 0),
        "WHILE": (inputs, 1 if option == "cond_subgraph_index" else inputs),
    }.get(name)
    if wanted is None:
        return
    if name == "WHILE" and inputs != outputs:
        refuse(operator, "outputs", f"there are {outputs}, and WHILE has as many as inputs, {inputs}.")
        return
    subgraph: Any = check.root.subgraphs[index]
    for what, count in zip(("inputs", "outputs"), wanted, strict=True):
        there = len(getattr(subgraph, what) or ())
        if there != count:
            refuse(operator, what, f"subgraph {index} has {there} {what}; {name} calls it with {max(count, 0)}.")
