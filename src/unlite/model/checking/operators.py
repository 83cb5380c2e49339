"""Whether an operator has the inputs, outputs and options that LiteRT's kernel of it wants.

What a kernel finds out from types, shapes and values when it prepares is not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlite.flatbuffers import view as v

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.flatbuffers.view import Table
    from unlite.model.facts.inspection import Inspection
    from unlite.schema.operators import Arguments, OperatorFacts

    Refuse = Callable[[Table, str, str], None]
    """Tells what LiteRT refuses when it prepares the operator, which it does only if the subgraph can be reached."""

ABSENT = -1  # an optional input that is left out
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
    for group in takes.together:
        given = [place for place in group if place < len(inputs) and inputs[place] != ABSENT]
        if given and len(given) < len(group):
            missing = next(place for place in group if place not in given)
            names = [argument.name for argument in takes.listed]
            message = f"{facts.name} takes {names[missing]} and {names[given[0]]} together or not at all."
            refuse(operator, f"inputs[{missing}]", message)


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
        if value is None or (name == "window_dimensions" and not len(value)):
            check.say("error", operator, f"{union}.{name}", f"is absent; {facts.name} needs it.")
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
