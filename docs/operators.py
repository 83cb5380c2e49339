"""Prints docs/operators.md from the tables of the operators: ``python docs/operators.py > docs/operators.md``."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from unlite.model.kernels import KERNELS, RUNTIME
from unlite.pytorch.differences import DIFFERENCES, LIMITS, REFUSED
from unlite.pytorch.ops import CUSTOM, EXACT, EXACT_CUSTOM, FAMILIES, MOVES, OPERATORS
from unlite.schema import load

if TYPE_CHECKING:
    from collections.abc import Callable

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
- **exact**: `quantized="exact"`, where quantized tensors are their integers. Empty: a model in which this operator has
  quantized tensors is refused; elsewhere there is no difference to float.
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
    differences = [
        (", ".join(map(_code, each.operators)), each.when, each.here, each.litert, _code(each.source))
        for each in DIFFERENCES
    ]
    others = [name for name in _schema_names() if name not in KERNELS and name not in OPERATORS]
    without_kernel = sorted(set(OPERATORS) - set(KERNELS))
    return "\n".join(
        [
            HEAD.format(summary=summary(), runtime=RUNTIME),
            f"## Operators of {RUNTIME}\n",
            *_table(columns, builtin),
            "\n## Custom operators\n",
            "By their custom code.\n",
            *_table((columns[0], *columns[2:]), custom),
            "\n## Operators that LiteRT has no kernel for\n",
            "The schema names them, and LiteRT refuses a model with one.",
            f"Converted all the same: {', '.join(map(_code, without_kernel))}.\n",
            f"Refused: {', '.join(map(_code, others))}.",
            "\n## What differs from LiteRT\n",
            "On purpose, and noise in the last digits aside: see [when outputs differ](when-outputs-differ.md).",
            "LiteRT's side is that of its reference kernels.\n",
            *_table(("operator", "when", "here", "LiteRT", "kernel"), differences),
            "",
        ]
    )


def summary() -> str:
    """The page in one sentence."""
    count = sum(name in OPERATORS for name in KERNELS)
    return (
        f"{count} of the {len(KERNELS)} builtin operators that {RUNTIME} has kernels for are converted to PyTorch, and "
        f"{len(CUSTOM)} custom operators."
    )


def _facts(name: str, table: str) -> tuple[str, ...]:
    """What the tables say of an operator: the family's file, and a cell for each way of converting."""
    return _family(name, table), *(cell(name) for cell in WAYS.values())


def _float(name: str) -> str:
    if name in REFUSED:
        return f"refused: {REFUSED[name]}"
    mark = "yes \\*" if name in DIFFERING else "yes"
    return f"{mark}; {LIMITS[name]}" if name in LIMITS else mark


def _exact(name: str) -> str:
    if name in REFUSED:
        return "refused"
    return "yes" if name in EXACT or name in MOVES or name in EXACT_CUSTOM else ""


def _measured(file: Path) -> Callable[[str], str]:
    """Cells of what was measured: ``{"operators": {name: {"passes": bool, "fails": {case: reason}}}}``."""
    operators = json.loads(file.read_text(encoding="utf-8"))["operators"]

    def cell(name: str) -> str:
        found = operators.get(name)
        if found is None or found["passes"]:
            return "" if found is None else "yes"
        return f"no: {' '.join(next(iter(found['fails'].values())).split())[:100]}".replace("|", "\\|")

    return cell


WAYS: dict[str, Callable[[str], str]] = {
    "float": _float,
    "exact": _exact,
    **{title: _measured(MEASURED / name) for title, name in TARGETS.items() if (MEASURED / name).is_file()},
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
