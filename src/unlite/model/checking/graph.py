"""Whether the operators of a model fit together: indices, order, and which subgraphs call which."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from unlite.flatbuffers import view as v
from unlite.model.checking.control_flow import KEPT, check_calls
from unlite.model.checking.operators import ABSENT, check_arguments, check_options
from unlite.model.checking.tensors import CONSTANT, NO_DATA, UNKNOWN, VARIABLE, check_tensor, may_lack_data
from unlite.schema.operators import operator_facts

if TYPE_CHECKING:
    from unlite.flatbuffers.findings import Severity
    from unlite.flatbuffers.view import Table
    from unlite.model.facts.inspection import Inspection
    from unlite.schema.operators import OperatorFacts

    Refusal = tuple[Table, str, str]
    """What LiteRT refuses in a subgraph that it runs: an operator, a field of it, and why."""

INPUT = -2  # in place of an operator's number: who makes a tensor
NOBODY = -3
MANY = 1000  # so many tensors may wait for who writes them; a model with more is told of these


class _Graph:
    """One subgraph under check.

    Attributes:
        kinds: For each tensor whether it has data of its own: CONSTANT, VARIABLE, NO_DATA, or UNKNOWN.
        makers: For each tensor the operator that writes it, or INPUT, or NOBODY.
        waiting: Tensors that were read before anybody wrote them, with the operator and field that
            did, and whether it is a custom operator.
        calls: Subgraphs that its operators call, with one operator that does.
        refused: What LiteRT refuses if it runs this subgraph.
    """

    def __init__(self, check: Inspection, tensors: int, calls: dict[int, Table]) -> None:
        self.check = check
        self.kinds = bytearray([UNKNOWN]) * tensors
        self.makers = array("q", [NOBODY]) * tensors
        self.waiting: dict[int, tuple[Table, str, bool]] = {}
        self.calls = calls
        self.refused: list[Refusal] = []

    def refuse(self, operator: Table, name: str, message: str) -> None:
        """Notes what LiteRT refuses when it prepares or runs an operator."""
        if len(self.refused) < MANY:
            self.check.work.spend(KEPT)
            self.refused.append((operator, name, message))


def check_subgraph(check: Inspection, subgraph: Table, calls: dict[int, Table]) -> list[Refusal]:
    """Checks tensors and operators of a subgraph; fills in which subgraphs it calls.

    Returns:
        What LiteRT refuses if the subgraph is one that it runs.
    """
    tensors = subgraph.tensors
    if tensors is None:
        check.say("error", subgraph, "tensors", "is absent.")
    count = 0 if tensors is None else len(tensors)
    graph = _Graph(check, count, calls)
    for index, tensor in check.entries(tensors):
        kind = check.guard(check_tensor, check, tensor, count)
        graph.kinds[index] = UNKNOWN if kind is None else kind
    for index in check.guard(_ends, graph, subgraph, "inputs") or ():
        graph.makers[index] = INPUT
    for number, operator in check.entries(check.guard(getattr, subgraph, "operators")):
        check.guard(_operator, graph, number, operator)
    for index, (operator, name, custom) in graph.waiting.items():
        message = f"tensor {index} has no data, and nothing writes it."
        if custom or may_lack_data(check, subgraph, index):  # accelerators list their scratch memory among the inputs
            check.say("warning", operator, name, message)
        else:
            graph.refuse(operator, name, message)
    for index in check.guard(_ends, graph, subgraph, "outputs") or ():
        if graph.makers[index] == NOBODY and graph.kinds[index] == NO_DATA:
            check.say("warning", subgraph, "outputs", f"tensor {index} has no data, and nothing writes it.")
    if not v.is_present(subgraph, subgraph._object.by_name["operators"]):
        check.say("warning", subgraph, "operators", "is absent.")
    return graph.refused


def _ends(graph: _Graph, subgraph: Table, name: str) -> array[int]:
    """The inputs or outputs of a subgraph that exist; a warning where two tensors among them have one name."""
    check, found = graph.check, array("q")
    names: dict[str, tuple[int, int]] = {}
    for place, index in enumerate(check.integers(getattr(subgraph, name))):
        if check.index(subgraph, f"{name}[{place}]", index, len(graph.kinds), "tensor"):
            found.append(index)
            label = check.guard(lambda index=index: subgraph.tensors[index].name) or ""
            check.work.spend(len(label))
            first, tensor = names.setdefault(label, (place, index))
            if tensor != index and label:
                check.say("warning", subgraph, f"{name}[{place}]", f"{label!r:.60} is the name of {name}[{first}] too.")
    return found


def _operator(graph: _Graph, number: int, operator: Table) -> None:
    check = graph.check
    code = operator.opcode_index
    name, custom = "", False
    if check.index(operator, "opcode_index", code, len(check.operators), "operator code"):
        name, custom = check.operators[code]
    facts = operator_facts(name)
    check.guard(_connect, graph, number, operator, facts, custom)
    check.guard(_intermediates, graph, operator)
    check.guard(_custom_options, check, operator, custom)
    check.guard(check_options, graph.refuse, check, operator, facts)
    check.guard(check_calls, graph.refuse, check, operator, facts, graph.calls)


def _connect(graph: _Graph, number: int, operator: Table, facts: OperatorFacts | None, custom: bool) -> None:
    check, count = graph.check, len(graph.kinds)
    read: set[int] = set()
    inputs, outputs = list(check.integers(operator.inputs)), list(check.integers(operator.outputs))
    for place, index in enumerate(inputs):
        where = f"inputs[{place}]"
        if index == ABSENT or check.index(operator, where, index, count, "tensor"):
            read.add(index)
            if index != ABSENT and graph.makers[index] == NOBODY and graph.kinds[index] == NO_DATA:
                is_shape = facts is not None and facts.name == "RESHAPE" and place == 1
                if len(graph.waiting) < MANY and not is_shape:  # LiteRT may take the shape from the options
                    graph.waiting.setdefault(index, (operator, where, custom))
    for place, index in enumerate(outputs):
        where = f"outputs[{place}]"
        if index in read and not custom:
            # subgraph.cc asks for this where it holds parameters of the operator, of absent tensors too.
            severity: Severity = "error" if facts is None or facts.reads_options else "warning"
            message = "leaves out an output and an input; LiteRT takes both for one tensor."
            message = message if index == ABSENT else f"writes tensor {index}, which it reads."
            check.say(severity, operator, where, message)
        if index != ABSENT and check.index(operator, where, index, count, "tensor"):
            _write(graph, number, operator, where, index)
    if facts is not None and facts.versions is not None:
        check_arguments(graph.refuse, check, operator, facts, inputs, outputs)


def _write(graph: _Graph, number: int, operator: Table, where: str, index: int) -> None:
    say, kind, maker = graph.check.say, graph.kinds[index], graph.makers[index]
    if kind in (CONSTANT, VARIABLE):
        what = "a constant" if kind == CONSTANT else "a variable"
        say("warning", operator, where, f"writes tensor {index}, which is {what}.")
    elif maker == INPUT:
        say("warning", operator, where, f"writes tensor {index}, which is an input of the subgraph.")
    elif maker != NOBODY:
        say("warning", operator, where, f"writes tensor {index}, which operators[{maker}] writes too.")
    if index in graph.waiting:
        reader, name, _ = graph.waiting.pop(index)
        if reader is not operator:
            say("warning", reader, name, f"reads tensor {index} before operators[{number}] writes it.")
    graph.makers[index] = number


def _intermediates(graph: _Graph, operator: Table) -> None:
    for place, index in enumerate(graph.check.integers(operator.intermediates)):
        graph.check.index(operator, f"intermediates[{place}]", index, len(graph.kinds), "tensor", ABSENT)


def _custom_options(check: Inspection, operator: Table, custom: bool) -> None:
    options = operator.custom_options
    if not custom:
        if options is not None:
            check.say("warning", operator, "custom_options", "only custom operators have them; readers ignore these.")
    elif options is None and operator.large_custom_options_offset > 1:
        offset, size = operator.large_custom_options_offset, operator.large_custom_options_size
        check.outside(operator, "large_custom_options_offset", offset, size)


def find_recursion(check: Inspection, calls: dict[int, dict[int, Table]]) -> None:
    """An error for each operator whose call leads back to its own subgraph: LiteRT would never come to an end.

    Args:
        check: Gets the findings.
        calls: For each subgraph the subgraphs that it calls, and an operator that does.
    """
    done: set[int] = set()
    for start in calls:
        path: dict[int, None] = {}
        steps = [iter((start,))]
        while steps:
            index = next(steps[-1], None)
            if index is None:
                steps.pop()
                if path:
                    done.add(path.popitem()[0])
            elif index in path:
                caller = next(reversed(path))
                check.say("error", calls[caller][index], "", f"calls subgraph {index}, which leads back here.")
            elif index not in done:
                path[index] = None
                steps.append(iter(calls.get(index, ())))


def find_reached(calls: dict[int, dict[int, Table]], started: set[int]) -> set[int]:
    """The subgraphs that LiteRT can come to.

    Args:
        calls: For each subgraph the subgraphs that it calls.
        started: Where it starts: the main subgraph, and those of signatures.
    """
    reached, left = set(started), list(started)
    while left:
        for index in calls.get(left.pop(), ()):
            if index not in reached:
                reached.add(index)
                left.append(index)
    return reached
