"""Whether an operator has the inputs, outputs and options that LiteRT's kernel of it wants.

What a kernel finds out from types, shapes and values when it prepares is not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.flatbuffers import view as v

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.flatbuffers.view import Table
    from unlite.model.facts.inspection import Inspection
    from unlite.schema.operators import Arguments, OperatorFacts

    Refuse = Callable[[Table, str, str], None]
    """Tells what LiteRT refuses when it prepares the operator, which it does only if the subgraph can be reached."""

ABSENT = -1  # an optional input that is left out
_NOT_EMPTY = ("branch_subgraph_indices", "window_dimensions")  # of the options that must be there
_MORE = 20  # so many arguments that are absent are named
_LIKE = {
    "STABLEHLO_PAD": ("edge_padding_low", {"edge_padding_high": 1, "interior_padding": 1}, False),
    "STABLEHLO_REDUCE_WINDOW": (
        "window_dimensions",
        {"window_strides": 1, "base_dilations": 1, "window_dilations": 1, "padding": 2},
        True,
    ),
}
"""Vectors among the options that are as long as another one, or twice as long; and whether they may be empty."""


def check_arguments(
    refuse: Refuse, check: Inspection, operator: Table, facts: OperatorFacts, inputs: list[int], outputs: list[int]
) -> None:
    """Checks how many inputs and outputs there are, and which of them are left out.

    Source: the kernels in LiteRT tflite/kernels, Prepare; see ``schema/operators.toml``.
    """
    takes, makes = facts.form(len(inputs))
    _arguments(refuse, check, operator, facts, "inputs", takes, inputs)
    _arguments(refuse, check, operator, facts, "outputs", makes, outputs)
    names = [argument.name for argument in takes.listed]
    for group in takes.together:
        given = [place for place in group if place < len(inputs) and inputs[place] != ABSENT]
        if given and len(given) < len(group):
            missing = next(place for place in group if place not in given)
            message = f"{facts.name} takes {names[missing]} and {names[given[0]]} together or not at all."
            refuse(operator, f"inputs[{missing}]", message)
    for group in takes.requires:
        given = [place for place in group if place < len(inputs) and inputs[place] != ABSENT]
        if given == list(group[:-1]):
            message = f"{facts.name} needs {names[group[-1]]} where there is {names[group[-2]]}."
            refuse(operator, f"inputs[{group[-1]}]", message)


def _arguments(
    refuse: Refuse,
    check: Inspection,
    operator: Table,
    facts: OperatorFacts,
    what: str,
    arguments: Arguments,
    indices: list[int],
) -> None:
    count, listed = len(indices), len(arguments.listed)
    if not arguments.takes(count):
        refuse(operator, what, f"there {_are(count)}; {facts.name} takes {arguments.wanted()}.")
    elif arguments.ignores_more and arguments.counts is not None and count > listed:
        check.say("warning", operator, what, f"there {_are(count)}; {facts.name} ignores all but {listed}.")
    told = 0
    for place, index in enumerate(indices):
        if index == ABSENT and told < _MORE:
            argument = arguments.at(place)
            if argument is not None and not argument.optional:
                told += 1
                refuse(operator, f"{what}[{place}]", f"{facts.name} needs {argument.name}, and -1 leaves it out.")


def _are(count: int) -> str:
    return "is none" if count == 0 else "is 1" if count == 1 else f"are {count}"


_OUTPUTS: dict[str, Callable[[Any], int]] = {
    "FULLY_CONNECTED": lambda options: 2 if options and options.weights_format == "SHUFFLED4x16INT8" else 1,
    "BIDIRECTIONAL_SEQUENCE_LSTM": lambda options: 1 if options and options.merge_outputs else 2,
    "BIDIRECTIONAL_SEQUENCE_RNN": lambda options: 1 if options and options.merge_outputs else 2,
}
"""How many outputs there are where options decide; without options LiteRT takes zeros."""


def _check_counts(refuse: Refuse, operator: Table, facts: OperatorFacts, options: Table | None) -> None:
    """Checks how many inputs or outputs there are where an option says so."""
    wanted: dict[str, tuple[int, str]] = {}
    if options is not None:
        wanted |= {what: (getattr(options, name), f"{name} says") for what, name in facts.counted.items()}
    if facts.name in _OUTPUTS:
        wanted["outputs"] = _OUTPUTS[facts.name](options), f"{facts.name} with these options has"
    for what, (count, says) in wanted.items():
        there = len(getattr(operator, what) or ())
        if there != count:
            refuse(operator, what, f"there {_are(there)}; {says} {count}.")


def check_options(refuse: Refuse, check: Inspection, operator: Table, facts: OperatorFacts | None) -> None:
    """Checks whether options are there, and their enums and vectors.

    Source: LiteRT tflite/core/api/flatbuffer_conversions.cc.
    """
    found = [kind for kind in (operator.builtin_options_type, operator.builtin_options_2_type) if kind != "NONE"]
    if len(found) > 1:
        check.say("warning", operator, "builtin_options_2", "there are builtin_options too; readers take one of them.")
    if facts is None or facts.options is None:
        return
    union, options = _options_of(check, operator, facts.options)
    _check_counts(refuse, operator, facts, options)
    if options is not None:
        _check_fields(refuse, check, operator, facts, options, union)
        return
    message = f"{facts.name} needs {facts.options}."
    if facts.needs_options == "load":
        check.say("error", operator, "builtin_options", message)
    elif facts.needs_options:
        refuse(operator, "builtin_options", message)
    elif found:
        check.say("warning", operator, "builtin_options", f"{found[0]}, but {facts.name} takes {facts.options}.")


def _options_of(check: Inspection, operator: Table, wanted: str) -> tuple[str, Table | None]:
    for union in ("builtin_options", "builtin_options_2"):
        options = check.guard(getattr, operator, union)
        if isinstance(options, v.Table) and options._object.name == f"tflite.{wanted}":
            return union, options
    return "", None


def _check_fields(
    refuse: Refuse, check: Inspection, operator: Table, facts: OperatorFacts, options: Table, union: str
) -> None:
    def at_load(table: Table, name: str, message: str) -> None:
        check.say("error", table, name, message)

    for say, names in ((at_load, facts.enums_at_load), (refuse, facts.enums_at_prepare)):
        for name in names:
            value = getattr(options, name)
            if isinstance(value, int) or value == "UNSUPPORTED":
                say(operator, f"{union}.{name}", f"{facts.name} has no meaning for {value}.")
    for name in facts.needed:
        value = getattr(options, name)
        if value is None:
            check.say("error", operator, f"{union}.{name}", f"is absent; {facts.name} needs it.")
        elif name in _NOT_EMPTY and not len(value):
            check.say("error", operator, f"{union}.{name}", "is empty.")
    for name, longest in facts.longest.items():
        vector = getattr(options, name)
        if vector is not None and len(vector) > longest:
            message = f"has {len(vector)} entries; LiteRT has room for {longest}."
            check.say("error", operator, f"{union}.{name}", message)
    if facts.name in _LIKE:
        _check_lengths(check, operator, facts, options, union)


def _check_lengths(check: Inspection, operator: Table, facts: OperatorFacts, options: Table, union: str) -> None:
    first, others, may_be_empty = _LIKE[facts.name]
    length = len(getattr(options, first) or ())
    for name, factor in others.items():
        vector = getattr(options, name)
        if vector is not None and len(vector) != factor * length and (len(vector) or not may_be_empty):
            message = f"has {len(vector)} entries, {first} has {length}; there must be {factor * length}."
            check.say("error", operator, f"{union}.{name}", message)
