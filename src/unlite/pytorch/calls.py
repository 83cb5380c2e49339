"""Which operators run which other subgraphs, and that this comes to an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import CorruptFileError, UnsupportedOperatorError
from unlite.flatbuffers.view import UnknownUnion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unlite.model.objects.operator import Operator
    from unlite.model.objects.subgraph import Subgraph

CALLS = {
    "CALL": ("subgraph",),
    "CALL_ONCE": ("init_subgraph_index",),
    "IF": ("then_subgraph_index", "else_subgraph_index"),
    "STABLEHLO_CASE": ("branch_subgraph_indices",),
    "STABLEHLO_COMPOSITE": ("decomposition_subgraph_index",),
    "STABLEHLO_WHILE": ("cond_subgraph_index", "body_subgraph_index"),
    "WHILE": ("cond_subgraph_index", "body_subgraph_index"),
}
"""Operators that run other subgraphs -> their options that say which."""

LARGEST = 1 << 18  # operators, each call of a subgraph counted anew


UNKNOWN_OPTIONS = "its options are of a type that the schema does not know"


def known_options(operator: Operator) -> Any:
    """The table of an operator's options; None where it has none.

    Raises:
        UnsupportedOperatorError: their type is one that the schema does not know.
    """
    options = operator.options
    if isinstance(options, UnknownUnion):
        raise UnsupportedOperatorError(
            f"cannot be expressed: {UNKNOWN_OPTIONS}.", operators=(operator.label,), path=operator.label
        )
    return options


def called(operator: Operator) -> list[Subgraph]:
    """The subgraphs that an operator runs. Raises CorruptFileError for one that the model does not have."""
    graphs = operator.subgraph.model.subgraphs
    found: list[Subgraph] = []
    for field in CALLS.get(operator.name, ()):
        options = known_options(operator)
        value: Any = options[field] if options is not None else None
        for index in value if hasattr(value, "__iter__") else (value,):
            if not isinstance(index, int) or not 0 <= index < len(graphs):
                raise CorruptFileError(f"{field}: there is no subgraph {index}.", path=operator.path)
            found.append(graphs[index])
    return found


def reached(subgraph: Subgraph) -> list[Subgraph]:
    """A subgraph and all that its operators run, directly or not.

    Raises CorruptFileError where a subgraph runs itself, or where subgraphs that call each other would make a graph of
    more than LARGEST operators.
    """
    sizes: dict[int, int] = {}
    found: list[Subgraph] = [subgraph]
    stack: list[tuple[Subgraph, Iterator[Subgraph]]] = [(subgraph, _callees(subgraph))]
    open_ = {subgraph.index}
    while stack:
        graph, rest = stack[-1]
        callee = next(rest, None)
        if callee is None:
            stack.pop()
            open_.discard(graph.index)
            sizes[graph.index] = len(graph.operators) + sum(sizes[other.index] for other in _callees(graph))
            if sizes[graph.index] > LARGEST:
                raise CorruptFileError(
                    f"its operators and those of the subgraphs it calls are {sizes[graph.index]}, more than {LARGEST}.",
                    path=graph.path,
                )
        elif callee.index in open_:
            raise CorruptFileError("a subgraph that runs itself would never end.", path=callee.path)
        elif callee.index not in sizes:
            found.append(callee)
            open_.add(callee.index)
            stack.append((callee, _callees(callee)))
    return found


def _callees(subgraph: Subgraph) -> Iterator[Subgraph]:
    return (graph for operator in subgraph.operators for graph in called(operator))
