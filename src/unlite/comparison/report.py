"""A comparison as one HTML page: the verdict, the error of each layer drawn, and every tensor."""

from __future__ import annotations

import os
from html import escape
from math import isfinite, log10
from typing import TYPE_CHECKING, Any

from unlite.model.formats.weight_files import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unlite.comparison.result import Comparison, TensorDistance

MOST_ROWS = 5000
WIDTH, HEIGHT, MARGIN = 960, 260, 44
LOWEST, HIGHEST = -3.0, 6.0  # of the drawing: powers of ten, floors = 0
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1f }
h1 { font-size: 1.3rem } .same { color: #14713a } .different { color: #b3261e } .not { color: #7a5900 }
table { border-collapse: collapse; font-size: 13px; width: 100% } td, th { padding: 2px 8px; text-align: left }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums } tr.bad td { background: #fdecea }
tr.drift td { background: #fff6e0 } tr:hover td { background: #eef } td.name { word-break: break-all }
td.type { white-space: nowrap }
svg { width: 100%; height: auto } @media (prefers-color-scheme: dark) { body { background: #131316; color: #e4e1e6 }
tr.bad td { background: #4a1c19 } tr.drift td { background: #3d3113 } tr:hover td { background: #2a2a44 }
.same { color: #7bd89a } .different { color: #ffb4ab } .not { color: #f0c05a } }
"""


def write_report(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Writes the page. Everything that comes out of a file is escaped; nothing is loaded from elsewhere."""
    write_file(os.fspath(path), lambda file: file.write(page(comparison).encode()))


def page(comparison: Comparison) -> str:
    """The whole page."""
    title = f"{escaped(comparison.model)}: {escaped(comparison.verdict)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f"<body>\n{fragment(comparison)}\n</body></html>\n"
    )


def fragment(comparison: Comparison) -> str:
    """The page's content."""
    kind = comparison.verdict.split()[0]
    parts = [
        f'<h1><span class="{escaped(kind)}">{escaped(comparison.verdict)}</span>: {escaped(comparison.model)}</h1>',
        f"<p>{escaped(comparison.reason)}</p>",
    ]
    if comparison.judge:
        against = f", against {escaped(comparison.runtime)}" if comparison.runtime else ""
        parts.append(f"<p>Reference: {escaped(comparison.judge)}{against}.</p>")
    first = comparison.first_divergence
    if first is not None and first.source_line is not None:
        parts.append(f"<p>Source: model.py, line {first.source_line}.</p>")
    if comparison.tensors:
        parts += [drawing(comparison), table(comparison)]
    return "\n".join(parts)


def drawing(comparison: Comparison) -> str:
    """Error of each tensor as a multiple of what it may be, in the order of running."""
    rows = comparison.tensors
    span = max(len(rows) - 1, 1)
    lines = []
    for power in range(int(LOWEST), int(HIGHEST) + 1):
        y = _height(float(power))
        strong = ' stroke-width="1.5" stroke="#888"' if power == 0 else ' stroke="#8884"'
        lines.append(f'<line x1="{MARGIN}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"{strong}/>')
        label = "floor" if power == 0 else f"1e{power}"
        lines.append(f'<text x="4" y="{y + 4:.1f}" font-size="11" fill="currentColor">{label}</text>')
    first = comparison.first_divergence
    for place, row in enumerate(rows):
        x = MARGIN + 6 + (WIDTH - MARGIN - 20) * place / span
        y = _height(_power(row))
        colour = "#b3261e" if not row.ok else "#c98a00" if row.state else "#2b6cb0"
        is_first = first is not None and first.tensor == row.index
        lines.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if is_first else 3}" fill="{colour}"><title>'
            f"{escaped(_place(row))} {escaped(row.name)}: {_number(row.max_abs)}, floor {_number(row.floor)}"
            "</title></circle>"
        )
    label = "largest difference of each tensor, as a multiple of its noise floor, in the order of running"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(lines)}</svg>'
        f"<p>Each point is the {label}. Blue: within. Yellow: drift or rounding. Red: past it.</p>"
    )


def _power(row: TensorDistance) -> float:
    if not row.max_abs:
        return LOWEST
    if not isfinite(row.max_abs) or not row.floor:
        return HIGHEST
    return log10(row.max_abs / row.floor)


def _height(power: float) -> float:
    inside = min(max(power, LOWEST), HIGHEST)
    return HEIGHT - 10 - (HEIGHT - 20) * (inside - LOWEST) / (HIGHEST - LOWEST)


def table(comparison: Comparison) -> str:
    """Every tensor with its numbers."""
    head = ("operator", "tensor", "max_abs", "max_rel", "floor", "differing", "steps", "")
    cells = "".join(f"<th{_numeric(i)}>{name}</th>" for i, name in enumerate(head))
    lines = [f"<table><tr>{cells}</tr>"]
    for row in comparison.tensors[:MOST_ROWS]:
        state = row.state
        values = (
            _place(row),
            f"{row.index} {row.name}",
            _number(row.max_abs),
            _number(row.max_rel),
            _number(row.floor),
            row.differing,
            "" if row.steps is None else _number(row.steps),
            state,
        )
        kind = {"differs": ' class="bad"', "drift": ' class="drift"', "rounding": ' class="drift"'}.get(state, "")
        lines.append(f"<tr{kind}>{_cells(values)}</tr>")
    if len(comparison.tensors) > MOST_ROWS:
        lines.append(f"<tr><td>and {len(comparison.tensors) - MOST_ROWS} more</td></tr>")
    return "\n".join([*lines, "</table>"])


def _cells(values: Iterable[Any]) -> str:
    return "".join(f"<td{_numeric(i)}>{escaped(value)}</td>" for i, value in enumerate(values))


def _numeric(column: int) -> str:
    return ' class="n"' if 2 <= column <= 6 else ' class="name"' if column == 1 else ""


def _place(row: TensorDistance) -> str:
    return f"{row.operator} {row.operator_name}" if row.operator is not None else ""


def _number(value: float) -> str:
    return f"{value:.3g}" if isfinite(value) else "-"


def escaped(value: Any) -> str:
    """Escaped; bytes of a name that are no UTF-8 come as lone surrogates, which no page can hold."""
    return escape(str(value).encode("utf-8", "replace").decode("utf-8"))
