"""Operators that run other subgraphs: conditions, loops, composites, and what runs once before the first run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import CorruptFileError
from unlite.pytorch.bodies import choose, loop
from unlite.pytorch.calls import called
from unlite.pytorch.trace import ints

if TYPE_CHECKING:
    from unlite.model.objects.subgraph import Subgraph
    from unlite.pytorch.options import Options


def if_(condition: Any, *arguments: Any, options: Options) -> list[Any]:
    """What one of two subgraphs returns: the first where the condition is true. condition: bool, one element.

    A condition that is known while the model is lowered leaves only its branch.
    Source: LiteRT tflite/kernels/if.cc.
    """
    then, otherwise = _subgraphs(options)
    return _chosen(condition, [otherwise, then], arguments, options)


def stablehlo_case(index: Any, *arguments: Any, options: Options) -> list[Any]:
    """What the subgraph with the given number returns, the last one for a number out of range.

    index: int32, one element.
    Source: LiteRT tflite/kernels/stablehlo_case.cc.
    """
    return _chosen(index, _subgraphs(options), arguments, options)


def _chosen(index: Any, graphs: list[Subgraph], arguments: Any, options: Options) -> list[Any]:
    lowering = options.lowering
    if not graphs:
        raise CorruptFileError("it has no branches.")
    if index.constant is not None or len(graphs) == 1:
        number = int(ints(index)[0]) if len(graphs) > 1 else 0
        known: list[Any] = lowering.inline(graphs[number if 0 <= number < len(graphs) else -1], arguments)
        return known
    return choose(lowering, index, [lowering.body(graph, arguments) for graph in graphs], arguments)


def while_(*arguments: Any, options: Options) -> list[Any]:
    """The arguments after the body subgraph has run on them for as long as the condition subgraph gives true.

    Values that the body hands on unchanged are no part of the loop.
    Source: LiteRT tflite/kernels/while.cc.
    """
    condition, body = (options.lowering.body(graph, arguments) for graph in _subgraphs(options))
    return loop(options.lowering, condition, body, arguments)


def call(*arguments: Any, options: Options) -> list[Any]:
    """What another subgraph returns. Its operators take the place of this one: for a composite, its decomposition.

    Source: LiteRT tflite/kernels/stablehlo_composite.cc.
    """
    (graph,) = _subgraphs(options)
    results: list[Any] = options.lowering.inline(graph, arguments)
    return results


def call_once(*, options: Options) -> list[Any]:
    """Nothing: the subgraph runs while the model is lowered, and what it assigns are the variables' initial values.

    Source: LiteRT tflite/kernels/call_once.cc.
    """
    (graph,) = _subgraphs(options)
    options.lowering.run_once(graph)
    return []


def _subgraphs(options: Options) -> list[Subgraph]:
    return called(options.operator) if options.operator is not None else []


OPERATORS = {
    "IF": if_,
    "WHILE": while_,
    "STABLEHLO_CASE": stablehlo_case,
    "STABLEHLO_WHILE": while_,
    "STABLEHLO_COMPOSITE": call,
    "CALL": call,
    "CALL_ONCE": call_once,
}
MOVES = tuple(OPERATORS)
