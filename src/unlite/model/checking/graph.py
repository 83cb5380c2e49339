"""Whether the operators of a model fit together: indices, order, and which subgraphs call which."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from unlite.flatbuffers import view as v
from unlite.model.checking.kernels import KERNELS, NEED_OPTIONS, WITHOUT_INPUTS, WITHOUT_PARAMETERS
from unlite.model.checking.tensors import CONSTANT, NO_DATA, UNKNOWN, VARIABLE, check_tensor

if TYPE_CHECKING:
    from unlite.flatbuffers.findings import Severity
    from unlite.flatbuffers.schema import Field
    from unlite.flatbuffers.view import Table
    from unlite.model.facts.inspection import Inspection

ABSENT = -1  # an optional input that is left out
INPUT = -2  # in place of an operator's number: who makes a tensor
NOBODY = -3
KEPT = 50  # what remembering a call costs, as work
MANY = 1000  # so many tensors may wait for who writes them; a model with more is told of these


class _Graph:
    """One subgraph under check.

    Attributes:
        kinds: For each tensor whether it has data of its own: CONSTANT, VARIABLE, NO_DATA, or UNKNOWN.
        makers: For each tensor the operator that writes it, or INPUT, or NOBODY.
        waiting: Tensors that were read before anybody wrote them, with the operator and field that did.
        calls: Subgraphs that its operators call, with one operator that does.
    """

    def __init__(self, check: Inspection, tensors: int, calls: dict[int, Table]) -> None:
        self.check = check
        self.kinds = bytearray([UNKNOWN]) * tensors
        self.makers = array("q", [NOBODY]) * tensors
        self.waiting: dict[int, tuple[Table, str]] = {}
        self.calls = calls


def check_subgraph(check: Inspection, subgraph: Table, calls: dict[int, Table]) -> None:
    """Checks tensors and operators of a subgraph; fills in which subgraphs it calls."""
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
    for index, (operator, name) in graph.waiting.items():
        check.say("warning", operator, name, f"tensor {index} has no data, and nothing writes it.")
    for index in check.guard(_ends, graph, subgraph, "outputs") or ():
        if graph.makers[index] == NOBODY and graph.kinds[index] == NO_DATA:
            check.say("warning", subgraph, "outputs", f"tensor {index} has no data, and nothing writes it.")
    if not v.is_present(subgraph, subgraph._object.by_name["operators"]):
        check.say("warning", subgraph, "operators", "is absent.")


def _ends(graph: _Graph, subgraph: Table, name: str) -> array[int]:
    """The inputs or outputs of a subgraph that exist."""
    found = array("q")
    for place, index in enumerate(graph.check.integers(getattr(subgraph, name))):
        if graph.check.index(subgraph, f"{name}[{place}]", index, len(graph.kinds), "tensor"):
            found.append(index)
    return found


def _operator(graph: _Graph, number: int, operator: Table) -> None:
    check = graph.check
    code = operator.opcode_index
    name, custom = "", False
    if check.index(operator, "opcode_index", code, len(check.operators), "operator code"):
        name, custom = check.operators[code]
    check.guard(_connect, graph, number, operator, name, custom)
    check.guard(_intermediates, graph, operator)
    check.guard(_custom_options, check, operator, custom)
    check.guard(_options, graph, operator, name)


def _connect(graph: _Graph, number: int, operator: Table, name: str, custom: bool) -> None:
    check, count = graph.check, len(graph.kinds)
    read: set[int] = set()
    for place, index in enumerate(check.integers(operator.inputs)):
        where = f"inputs[{place}]"
        if index != ABSENT and check.index(operator, where, index, count, "tensor"):
            read.add(index)
            if graph.makers[index] == NOBODY and graph.kinds[index] == NO_DATA and len(graph.waiting) < MANY:
                graph.waiting.setdefault(index, (operator, where))
    for place, index in enumerate(check.integers(operator.outputs)):
        where = f"outputs[{place}]"
        if index != ABSENT and check.index(operator, where, index, count, "tensor"):
            if index in read and not custom:
                # subgraph.cc asks for this where it holds parameters of the operator.
                harmless = name in WITHOUT_PARAMETERS
                severity: Severity = "warning" if harmless else "error"
                check.say(severity, operator, where, f"writes tensor {index}, which it reads.")
            _write(graph, number, operator, where, index)
    if not operator.inputs and name in KERNELS and name not in WITHOUT_INPUTS:
        check.say("error", operator, "inputs", f"{name} has none.")


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
        reader, name = graph.waiting.pop(index)
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


def _options(graph: _Graph, operator: Table, name: str) -> None:
    check = graph.check
    found = [kind for kind in (operator.builtin_options_type, operator.builtin_options_2_type) if kind != "NONE"]
    if len(found) > 1:
        check.say("warning", operator, "builtin_options_2", "there are builtin_options too; readers take one of them.")
    wanted = check.options.get(f"{name.replace('_', '').lower()}options")
    if wanted is not None and wanted not in found:
        if name in NEED_OPTIONS:
            check.say("error", operator, "builtin_options", f"{name} needs {wanted}.")
        elif found:
            check.say("warning", operator, "builtin_options", f"{found[0]}, but {name} takes {wanted}.")
    for union in ("builtin_options", "builtin_options_2"):
        options = check.guard(getattr, operator, union)
        if isinstance(options, v.Table):
            for field in options._object.fields:
                _option(graph, operator, options, field, f"{union}.{field.name}")


def _option(graph: _Graph, operator: Table, options: Table, field: Field, where: str) -> None:
    """Looks at types of elements and numbers of subgraphs; other options are the operator's own matter."""
    name, check = field.name, graph.check
    if field.enum is not None and field.enum.name == "tflite.TensorType":
        kind = getattr(options, name)
        if isinstance(kind, int):
            check.say("error", operator, where, f"{kind} is no type of tensors; the file may be of a newer schema.")
    elif (
        name.endswith(("subgraph_index", "subgraph_indices"))
        or name == "called_computations"
        or (name == "subgraph" and options._object.name == "tflite.CallOptions")
    ):
        value = getattr(options, name)
        for index in [value] if isinstance(value, int) else check.integers(value):
            if check.index(operator, where, index, check.subgraphs, "subgraph") and index not in graph.calls:
                check.work.spend(KEPT)
                graph.calls[index] = operator


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
