"""Programs from torch.export, decomposed only where that changes something: it traces a whole program once more."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch.export import ExportedProgram


def without_decompositions(program: ExportedProgram) -> ExportedProgram:
    """The program in the ATen dialect, which converters ask for, with its composite calls kept.

    What ``program.run_decompositions({})`` gives, in a tenth of the time where no call is other than it says: in place
    of others, or a conversion.
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
    return all(_stays(node.target, table) for node in program.graph.nodes if node.op == "call_function")


def _stays(call: Any, table: Mapping[Any, Callable[..., Any]]) -> bool:
    if not isinstance(call, torch._ops.OpOverload):
        return call is operator.getitem
    if call in table or call._schema.is_mutable:
        return False
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(call._name, "CompositeImplicitAutograd")
    return not composite or call in torch.export.default_decompositions()  # conversions are composite, and not listed
