"""Prints docs/operators.md from the tables of the operators: ``python docs/operators.py > docs/operators.md``."""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from unlite.pytorch.differences import DIFFERENCES, EXACT_DIFFERENCES, LIMITS, REFUSED, Difference
from unlite.pytorch.ops import CUSTOM, EXACT, EXACT_CUSTOM, FAMILIES, MOVES, OPERATORS
from unlite.schema import load
from unlite.schema.operators import RUNTIME, kernel_versions

if TYPE_CHECKING:
    from collections.abc import Callable

KERNELS = kernel_versions()
NO_OPERATORS = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
"""Entries of the schema's enum that stand for something else than an operator."""
MEASURED = Path(__file__).with_name("measured")
TARGETS = {"ONNX": "onnx.json", "Core ML": "coreml.json"}
"""Columns that were measured, and where. An empty cell there: not measured."""
HEAD = """\
# Which operators are converted?

This page is printed from the tables in the source by `python docs/operators.py > docs/operators.md`; the tests
compare.

{summary}

- **versions**: those that {runtime} has a kernel for; a conversion looks at what an operator says, not at its version.
- **float**: `quantized="float"`, the default. Quantized tensors are real numbers.
- **exact**: `quantized="exact"`, where [quantized tensors are their integers](quantized-models.md). Empty: a model in
  which this operator has quantized tensors is refused; elsewhere there is no difference to float.
{measured}\
- Tensors of type STRING and VARIANT have no values in PyTorch: any operator that touches one is refused.
- Shapes that follow from values computed on the way run eagerly; `torch.export` may refuse them.
- \\*: differs from LiteRT in cases [listed below](#what-differs-from-litert).

A refused operator stops a conversion before anything is written, and all of them are listed with their places. To add
one: [add an operator](add-an-operator.md); one operator of your own needs no change here:
[custom operators](convert-to-pytorch.md#custom-operators).
"""
DIFFERING = tuple(name for difference in DIFFERENCES for name in difference.operators)


def main() -> None:
    """Prints the page."""
    sys.stdout.write(page())


def page() -> str:
    """The page."""
    columns = ("operator", "versions", "defined in", *WAYS)
    builtin = [(name, _versions(name), *_facts(name, "OPERATORS")) for name in sorted(KERNELS)]
    custom = [(name, *_facts(name, "CUSTOM")) for name in sorted(CUSTOM)]
    others = [name for name in _schema_names() if name not in KERNELS and name not in OPERATORS]
    without_kernel = sorted(set(OPERATORS) - set(KERNELS))
    return "\n".join(
        [
            HEAD.format(summary=summary(), runtime=RUNTIME, measured="".join(map(_reached, TARGETS))),
            f"## Operators of {RUNTIME}\n",
            *_table(columns, builtin),
            "\n## Custom operators\n",
            "By their custom code.\n",
            *_table((columns[0], *columns[2:]), custom),
            "\n## Operators that LiteRT has no kernel for\n",
            "The schema names them, and LiteRT refuses a model with one.",
            f"Converted all the same: {', '.join(map(_code, without_kernel))}.\n",
            f"Refused: {', '.join(map(_code, others))}.",
            *(line for title in TARGETS for line in _unreached(title)),
            "\n## What differs from LiteRT\n",
            "On purpose, and noise in the last digits aside: see [when outputs differ](when-outputs-differ.md).",
            "LiteRT's side is that of its reference kernels.\n",
            *_differing(DIFFERENCES),
            '\nIntegers of `quantized="exact"` are equal in every element, except:\n',
            *_differing(EXACT_DIFFERENCES),
            "",
        ]
    )


def summary() -> str:
    """The page in one sentence."""
    count = sum(name in OPERATORS for name in KERNELS)
    measured = {title: [each["passes"] for each in _measured(title).values()] for title in TARGETS}
    reached = ", ".join(f"{sum(passes)} of {len(passes)} reach {title}" for title, passes in measured.items() if passes)
    return (
        f"{count} of the {len(KERNELS)} builtin operators that {RUNTIME} has kernels for are converted to PyTorch, and "
        f"{len(CUSTOM)} custom operators.{f' Measured so far: {reached}.' if reached else ''}"
    )


def _facts(name: str, table: str) -> tuple[str, ...]:
    """What the tables say of an operator: the family's file, and a cell for each way of converting."""
    return _family(name, table), *(cell(name) for cell in WAYS.values())


def _differing(differences: tuple[Difference, ...]) -> list[str]:
    rows = [
        (", ".join(map(_code, each.operators)), each.when, each.here, each.litert, _code(each.source))
        for each in differences
    ]
    return _table(("operator", "when", "here", "LiteRT", "kernel"), rows)


def _float(name: str) -> str:
    if name in REFUSED:
        return f"refused: {REFUSED[name]}"
    mark = "yes \\*" if name in DIFFERING else "yes"
    return f"{mark}; {LIMITS[name]}" if name in LIMITS else mark


def _exact(name: str) -> str:
    if name in REFUSED:
        return "refused"
    return "yes" if name in EXACT or name in MOVES or name in EXACT_CUSTOM else ""


def _measured(title: str) -> dict[str, Any]:
    """What was measured of a target: ``{operator: {"passes": bool, "fails": {case: reason}}}``; nothing: empty."""
    file = MEASURED / TARGETS[title]
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["operators"] if file.is_file() else {}
    return found


def _measured_cells(title: str) -> Callable[[str], str]:
    operators = _measured(title)

    def cell(name: str) -> str:
        return "" if name not in operators else "yes" if operators[name]["passes"] else "no"

    return cell


def _reached(title: str) -> str:
    """A point of the head: what a column says."""
    name = TARGETS[title]
    return (
        f"- **{title}**: whether a model in real numbers gave there what LiteRT gives. Empty: not measured.\n"
        f"  Each case that failed: [{name}](measured/{name}).\n"
        if _measured(title)
        else ""
    )


def _unreached(title: str) -> list[str]:
    """A section: the operators that do not reach a target, and why."""
    failing = {name: each["fails"] for name, each in sorted(_measured(title).items()) if not each["passes"]}
    if not failing:
        return []
    rows = [(name, _plain(next(iter(fails.values())))) for name, fails in failing.items()]
    return [f"\n## What does not reach {title}\n", "As the tools say it.\n", *_table(("operator", "why"), rows)]


def _plain(reason: str) -> str:
    """What a tool said, on one line, without a terminal's colours, and not too long."""
    text = shorten(re.sub(r"\x1b\[[0-9;]*m", "", reason), 160, placeholder=" ...")
    return text.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


WAYS: dict[str, Callable[[str], str]] = {
    "float": _float,
    "exact": _exact,
    **{title: _measured_cells(title) for title in TARGETS if _measured(title)},
}
"""Each way of converting, with what it has in the row of an operator: a column of its own."""


def _family(name: str, table: str) -> str:
    for family in FAMILIES:
        if name in getattr(import_module(f"unlite.pytorch.ops.{family}"), table, {}):
            return f"[{family}](../src/unlite/pytorch/ops/{family}.py)"
    return ""


def _versions(name: str) -> str:
    oldest, newest = KERNELS[name]
    return str(newest) if oldest == newest else f"{oldest}-{newest}"


def _schema_names() -> list[str]:
    return [name for name in load().enum_named("tflite.BuiltinOperator").values if name not in NO_OPERATORS]


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [_row(columns), _row(tuple("---" for _ in columns)), *map(_row, rows)]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    return f"`{text}`"


if __name__ == "__main__":
    main()
