"""Programs from torch.export, decomposed only where that changes something: it traces a whole program once more."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from torch._export.utils import _check_valid_to_preserve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch.export import ExportedProgram


def without_decompositions(program: ExportedProgram) -> ExportedProgram:
    """The program in the ATen dialect, which converters ask for, with its composite calls kept.

    What ``program.run_decompositions({})`` gives, without tracing where that would change no call.
    """
    if not is_decomposed(program, {}):
        decomposed: ExportedProgram = program.run_decompositions({})
        return decomposed
    return torch.export.ExportedProgram(
        root=program.graph_module,
        graph=program.graph,
        graph_signature=program.graph_signature,
        state_dict=program.state_dict,
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=program.example_inputs,
        constants=program.constants,
    )


def decomposing_where_needed(program: ExportedProgram) -> ExportedProgram:
    """The same program, whose ``run_decompositions`` returns it as it is where nothing would become of it."""
    decompose = program.run_decompositions

    def where_needed(table: Any = None, **options: Any) -> ExportedProgram:
        return program if table is not None and is_decomposed(program, table) else decompose(table, **options)

    program.run_decompositions = where_needed
    return program


def is_decomposed(program: ExportedProgram, table: Mapping[Any, Callable[..., Any]]) -> bool:
    """Whether a program stays as it is when it is decomposed by a table, which says what becomes of a call."""
    calls = {node.target for node in program.graph.nodes if node.op == "call_function"} - {operator.getitem}
    if not all(isinstance(call, torch._ops.OpOverload) for call in calls):
        return False
    return not any(call in table or call._schema.is_mutable for call in calls) and all(
        _check_valid_to_preserve(call) for call in calls if _is_composite(call)
    )


def _is_composite(call: Any) -> bool:
    found: bool = torch._C._dispatch_has_kernel_for_dispatch_key(call._name, "CompositeImplicitAutograd")
    return found
