"""Loops and conditions: subgraphs as functions of tensors, handed to torch's control flow operators.

A function here owns no weights: whatever it reads beside its inputs (constants, variables) it gets as further inputs,
so that all parameters live in the root module, take part in training, and are told apart by torch.export. Variables
that it assigns are further outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import fx

from unlite.errors import CorruptFileError, UnsupportedOperatorError
from unlite.pytorch.constants import Constant, Names
from unlite.pytorch.examples import UNKNOWN
from unlite.pytorch.state import Resource, Variable
from unlite.pytorch.trace import Value, helper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from unlite.pytorch.lower import Lowering

Item: TypeAlias = "int | Constant | Variable"
"""What a function gets: one of the subgraph's own inputs by its position, a constant, or a variable."""


class Body:
    """A subgraph as a function.

    Attributes:
        inputs, outputs: Stand-ins in its own graph; handles are the same everywhere.
    """

    def __init__(self, lowering: Lowering, inputs: list[Any], outputs: list[Any]) -> None:
        self.lowering, self.inputs, self.outputs = lowering, inputs, outputs
        self.results: list[Value] = []

    @property
    def assigned(self) -> list[Variable]:
        """The variables that it gives values to."""
        return list(self.lowering.assigned)

    def end_with(self, results: list[Value]) -> None:
        """Fixes what the function returns. What would alias an input or another result is copied."""
        tracer = self.lowering.tracer
        tracer.place = None
        given = [value for value in self.inputs if isinstance(value, Value)]
        given += [tracer.proxy(node) for node in self.lowering.attributes().values()]
        taken = {_storage(value) for value in given}
        for result in results:
            storage = _storage(result)
            own: Any = result.clone() if storage in taken or storage is UNKNOWN else result
            self.results.append(own)
            taken.add(storage)
        tracer.graph.output(tuple(result.node for result in self.results))
        self.lowering.sweep()

    def items(self) -> list[Item]:
        """What it needs, in order: inputs that it uses, then constants and variables."""
        used: list[Item] = [i for i, value in enumerate(self.inputs) if isinstance(value, Value) and value.node.users]
        return used + list(self.lowering.attributes())

    def function(self, items: Sequence[Item], *, single: bool = False) -> fx.GraphModule:
        """The function, with exactly the inputs ``items``; it returns a tuple, or its only result."""
        nodes: dict[Any, fx.Node] = {**self.lowering.attributes()}
        nodes.update((i, value.node) for i, value in enumerate(self.inputs) if isinstance(value, Value))
        graph, names = fx.Graph(), Names()
        replaced: dict[fx.Node, fx.Node] = {}
        for item in items:
            node = nodes.get(item)
            name = "unused" if node is None else node.name if isinstance(item, int) else item.name
            placeholder = graph.placeholder(names.make(name, "input"))
            if node is not None:
                placeholder.meta.update(node.meta)
                replaced[node] = placeholder
        returned: Any = graph.graph_copy(self.lowering.tracer.graph, replaced)
        graph.output(returned[0] if single else returned)
        return fx.GraphModule(self.lowering.root, graph)

    def fakes(self) -> tuple[Any, ...]:
        """Fake tensors like its results."""
        return tuple(result.fake for result in self.results)


def _storage(value: Value) -> Any:
    return value.fake.untyped_storage()._cdata if isinstance(value.fake, torch.Tensor) else UNKNOWN


def _union(lists: Iterable[Iterable[Any]]) -> list[Any]:
    return list(dict.fromkeys(entry for entries in lists for entry in entries))


def _argument(lowering: Lowering, arguments: Sequence[Any], item: Item) -> Value:
    """What the lowering around a body gives it for an item."""
    if isinstance(item, int):
        value: Value = arguments[item]
        return value
    return lowering.attribute(item) if isinstance(item, Constant) else lowering.read(item)


def choose(lowering: Lowering, index: Value, branches: list[Body], arguments: Sequence[Any]) -> list[Any]:
    """Outputs of ``branches[index]``, of the last one for an index out of range: torch's ``cond``, as often as needed.

    index: an int, or a bool where two branches stand for false and true; one element.
    """
    count = len(branches[0].outputs)
    if any(len(branch.outputs) != count for branch in branches):
        raise CorruptFileError("its branches have different numbers of outputs.")
    handles = {i: value for i, value in enumerate(branches[0].outputs) if isinstance(value, Resource)}
    if any(branch.outputs[i] != handle for i, handle in handles.items() for branch in branches):
        raise UnsupportedOperatorError("it depends on values which variable is meant.", operators=())
    tensors = [i for i in range(count) if i not in handles]
    variables = _union(branch.assigned for branch in branches)
    for branch in branches:
        branch.end_with([branch.outputs[i] for i in tensors] + [branch.lowering.read(v) for v in variables])
    items = _union(branch.items() for branch in branches)
    operands = [_argument(lowering, arguments, item) for item in items]
    if len(branches) > 2:
        items.append(INDEX)
        operands.append(index)
    functions = [branch.function(items) for branch in branches]
    found = _ask(lowering, index, 0, functions, operands, branches[0].fakes())
    for variable, value in zip(variables, found[len(tensors) :], strict=True):
        lowering.assign(variable, value)
    results: dict[int, Any] = {**handles, **dict(zip(tensors, found, strict=False))}
    return [results[i] for i in range(count)]


INDEX = -1
"""Stands for the index among the items of a branch that does not look at it."""


def _ask(
    lowering: Lowering, index: Value, number: int, functions: list[fx.GraphModule], operands: list[Value], fakes: Any
) -> list[Value]:
    """The results of ``functions[index - number]``."""
    first, *others = functions
    if index.dtype is torch.bool:
        question, first, others = index.reshape(()), others[0], [first]
    else:
        question = index.eq(number).reshape(())
    other = others[0] if len(others) == 1 else _question(lowering, number + 1, others, operands, fakes)
    named = (lowering.submodule(first, "branch"), lowering.submodule(other, "branch"))
    chosen: Any = lowering.tracer.known(torch.ops.higher_order.cond, (question, *named, tuple(operands)), fakes)
    return [chosen[i] for i in range(len(fakes))]


def _question(
    lowering: Lowering, number: int, functions: list[fx.GraphModule], operands: list[Value], fakes: Any
) -> fx.GraphModule:
    """A function that gets what the given functions get, the index last, and calls one of them."""
    inner = lowering.empty()
    inputs = [inner.tracer.create_proxy("placeholder", f"input_{i}", (), {}) for i in range(len(operands))]
    for value, operand in zip(inputs, operands, strict=True):
        value.node.meta["val"] = operand.fake
    found = _ask(inner, inputs[-1], number, functions, inputs, fakes)
    inner.tracer.graph.output(tuple(value.node for value in found))
    return fx.GraphModule(inner.root, inner.tracer.graph)


def loop(lowering: Lowering, condition: Body, body: Body, arguments: Sequence[Any]) -> list[Any]:
    """Outputs of a loop: ``while condition(values): values = body(values)``."""
    count = len(arguments)
    if len(body.outputs) != count or len(condition.outputs) != 1:
        raise CorruptFileError(f"a loop over {count} values whose body or condition returns another number.")
    if condition.assigned:
        raise UnsupportedOperatorError("the condition of a loop assigns a variable.", operators=())
    carried = [i for i in range(count) if not _is_same(body.inputs[i], body.outputs[i])]
    if any(isinstance(body.outputs[i], Resource) for i in carried):
        raise UnsupportedOperatorError("a loop that goes from variable to variable.", operators=())
    variables = body.assigned
    body.end_with([body.outputs[i] for i in carried] + [body.lowering.read(v) for v in variables])
    condition.end_with([condition.outputs[0].reshape(())])
    changing: list[Item] = [*carried, *variables]
    fixed = [item for item in _union((condition.items(), body.items())) if item not in changing]
    values = tuple(_argument(lowering, arguments, item) for item in changing)
    others = tuple(_argument(lowering, arguments, item) for item in fixed)
    found: Any = lowering.tracer.known(
        repeat_while.__wrapped__,  # type: ignore[attr-defined]  # the function that ``helper`` wraps
        (
            lowering.submodule(condition.function([*changing, *fixed], single=True), "condition"),
            lowering.submodule(body.function([*changing, *fixed]), "body"),
            values,
            others,
        ),
        body.fakes(),
    )
    for place, variable in enumerate(variables, len(carried)):
        lowering.assign(variable, found[place])
    results: dict[int, Any] = {i: found[place] for place, i in enumerate(carried)}
    return [results.get(i, arguments[i]) for i in range(count)]


def _is_same(before: Any, after: Any) -> bool:
    if isinstance(before, Value) and isinstance(after, Value):
        return before.node is after.node
    return bool(before == after)


@helper
def repeat_while(
    condition: Callable[..., torch.Tensor],
    body: Callable[..., tuple[torch.Tensor, ...]],
    values: tuple[torch.Tensor, ...],
    others: tuple[torch.Tensor, ...],
) -> tuple[torch.Tensor, ...]:
    """The values when the condition no longer holds. While it runs, their shapes may change from round to round.

    Exporters get torch's while_loop. It is not used otherwise: its gradient misses all rounds but the last where the
    first values need none.
    """
    if torch.compiler.is_compiling():
        values = tuple(value.clone() for value in values)  # it takes none that is another one as well
        return torch.ops.higher_order.while_loop(condition, body, values, others)  # type: ignore[no-any-return]
    while condition(*values, *others):
        values = body(*values, *others)
    return values
