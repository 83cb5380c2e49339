"""What LiteRT's kernels want of each builtin operator: names of its inputs and outputs, how many, which versions.

The facts stand in ``operators.toml``, which explains its keys; ``operator_table.py`` is made from it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

RUNTIME = "LiteRT 2.3"
"""Whose kernels the facts are about."""


class Argument:
    """An input or output of an operator.

    Attributes:
        name: Its name, such as ``bias``.
        optional: Whether -1 may stand in its place.
        least: None, or how often it must be there at least where it repeats.
    """

    __slots__ = ("least", "name", "optional")

    def __init__(self, text: str) -> None:
        name, star, least = text.partition("*")
        self.optional = name.endswith("?")
        self.name = name.rstrip("?")
        self.least = int(least) if star else None


class Arguments:
    """The inputs or outputs of one form of an operator.

    Attributes:
        listed: In their order; only the last repeats.
        counts: How many may be stored; None where the last repeats.
        least: The smallest number of them.
        ignores_more: Whether the kernel ignores those behind the named ones.
        together: Places of those that are given all or none.
        requires: Places of which the last is given where all others are.
    """

    __slots__ = ("counts", "ignores_more", "least", "listed", "requires", "together")

    def __init__(
        self,
        texts: Sequence[str],
        counts: tuple[int, ...] | None = None,
        ignores_more: bool = False,
        together: Sequence[Sequence[str]] = (),
        requires: Sequence[Sequence[str]] = (),
    ) -> None:
        self.listed = tuple(map(Argument, texts))
        self.ignores_more = ignores_more
        places = {argument.name: place for place, argument in enumerate(self.listed)}
        self.together = tuple(tuple(places[name] for name in group) for group in together)
        self.requires = tuple(tuple(places[name] for name in group) for group in requires)
        last = self.listed[-1].least if self.listed else None
        stored = counts or (len(self.listed),)
        self.counts: tuple[int, ...] | None = stored if last is None else None
        self.least = stored[0] if last is None else len(self.listed) - 1 + last

    def takes(self, count: int) -> bool:
        """Whether so many may be stored."""
        if self.counts is None or count in self.counts:
            return count >= self.least
        return self.ignores_more and count > self.counts[-1]

    def at(self, place: int) -> Argument | None:
        """The argument at that place; None behind the last."""
        if place < len(self.listed):
            return self.listed[place]
        return self.listed[-1] if self.counts is None else None

    def names(self, count: int) -> Iterator[str]:
        """A name for each of ``count`` stored ones; those that repeat are numbered, such as ``values[2]``."""
        for place in range(count):
            argument = self.at(place)
            if argument is None:
                yield f"inputs[{place}]"
            elif argument.least is None:
                yield argument.name
            else:
                yield f"{argument.name}[{place - len(self.listed) + 1}]"

    def wanted(self) -> str:
        """How many there must be, for a message: ``2``, ``2 or 3``, ``1 or more``."""
        if self.counts is None:
            return f"{self.least} or more"
        return " or ".join(map(str, self.counts))


class OperatorFacts:
    """What is known of one builtin operator.

    Attributes:
        name: As in the schema.
        category: What kind of operator it is, such as ``convolution``.
        versions: Oldest and newest version that LiteRT has a kernel for; None where it has none.
        reads_options: Whether LiteRT reads its options.
        options: Type of its options; None where it has none.
        needs_options: When LiteRT refuses it without them: ``load``, ``prepare``, or "" for never.
        enums_at_load, enums_at_prepare: Options of which LiteRT then refuses a value without a name.
        needed: Options that must be there.
        counted: The options that say how many ``inputs`` or ``outputs`` there are.
        longest: Vectors among the options, and how many entries LiteRT has room for.
    """

    __slots__ = (
        "_forms",
        "category",
        "counted",
        "enums_at_load",
        "enums_at_prepare",
        "longest",
        "name",
        "needed",
        "needs_options",
        "options",
        "reads_options",
        "versions",
    )

    def __init__(self, name: str, row: dict[str, Any]) -> None:
        self.name = name
        self.category: str = row["category"]
        self.versions: tuple[int, int] | None = row.get("versions")
        self.reads_options: bool = row.get("reads_options", True)
        self.options: str | None = row.get("options")
        self.needs_options: str = row.get("needs_options", "")
        self.enums_at_load: tuple[str, ...] = row.get("enums_at_load", ())
        self.enums_at_prepare: tuple[str, ...] = row.get("enums_at_prepare", ())
        self.needed: tuple[str, ...] = row.get("needed", ())
        self.counted: dict[str, str] = row.get("counted", {})
        self.longest: dict[str, int] = row.get("longest", {})
        ignored = row.get("ignores_more", ())
        self._forms = [
            (
                Arguments(
                    row["inputs"],
                    row.get("input_counts"),
                    "inputs" in ignored,
                    row.get("together", ()),
                    row.get("requires", ()),
                ),
                Arguments(row["outputs"], row.get("output_counts"), "outputs" in ignored),
            )
        ]
        other = row.get("otherwise")
        if other is not None:
            self._forms.append((Arguments(other["inputs"]), Arguments(other["outputs"])))

    def form(self, inputs: int) -> tuple[Arguments, Arguments]:
        """Inputs and outputs of the form that has so many inputs; of the usual one where none has."""
        return next((form for form in self._forms if form[0].takes(inputs)), self._forms[0])


_known: dict[str, OperatorFacts] = {}
_names: dict[tuple[str, int], tuple[str, ...]] = {}
_KEPT = 64  # names of more inputs than any kernel has are made anew each time


def operator_facts(name: str) -> OperatorFacts | None:
    """What is known of the builtin operator of that name; None where the schema has none."""
    found = _known.get(name)
    if found is None:
        from unlite.schema.operator_table import TABLE

        row = TABLE.get(name)
        if row is not None:
            found = _known[name] = OperatorFacts(name, row)
    return found


def all_operators() -> tuple[str, ...]:
    """Names of all builtin operators, by category."""
    from unlite.schema.operator_table import TABLE

    return tuple(TABLE)


def kernel_versions() -> dict[str, tuple[int, int]]:
    """Oldest and newest version of each operator that LiteRT has a kernel for."""
    from unlite.schema.operator_table import TABLE

    return {name: row["versions"] for name, row in TABLE.items() if "versions" in row}


def input_names(name: str, count: int) -> tuple[str, ...]:
    """A name for each of an operator's ``count`` stored inputs.

    Inputs that repeat are numbered: ``values[0]``, ``values[1]``. Those of custom and unknown operators are called
    ``inputs[0]`` and so on, and so are those behind the ones that a builtin operator has, such as ``inputs[3]``.
    """
    found = _names.get((name, count))
    if found is None:
        facts = operator_facts(name) or operator_facts("CUSTOM")
        found = tuple(facts.form(count)[0].names(count)) if facts is not None else ()
        if facts is not None and facts.name == name and count <= _KEPT:
            _names[name, count] = found
    return found
