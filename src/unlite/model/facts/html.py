"""How models, subgraphs and tensors show themselves in a notebook. All text out of a file is escaped."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import TYPE_CHECKING

from unlite.errors import UnliteError
from unlite.model.facts.summary import bytes_text, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

MOST_ROWS = 200
MOST_TEXT = 200  # characters in a cell


def model_html(model: Model) -> str:
    """An overview: facts, inputs and outputs, operators."""
    damage: list[UnliteError] = []
    summary = summarize(model, damage)
    tables = [_table((), summary.facts())]
    if summary.ends:
        tables.append(_table(("end", "#", "name", "dtype", "shape"), summary.ends))
    if summary.histogram:
        tables.append(_table(("operator", "count"), summary.histogram.items()))
    if damage:
        tables.append(_table((), (("cannot be read", error) for error in damage)))
    return "".join(tables)


def subgraph_html(subgraph: Subgraph) -> str:
    """The operators of a subgraph, with the tensors that they read and write."""
    title = f"subgraph {subgraph.index}: {_told(lambda: subgraph.name)}"
    rows = (_operator_row(subgraph, index) for index in range(len(subgraph.operators)))
    return _table(("#", "operator", "inputs", "outputs"), rows, title)


def _operator_row(subgraph: Subgraph, index: int) -> tuple[object, ...]:
    try:
        operator = subgraph.operators[index]
        ends = (
            ", ".join("-" if tensor is None else tensor.name or str(tensor.index) for tensor in tensors)
            for tensors in (operator.inputs, operator.outputs)
        )
        return index, operator.name, *ends
    except UnliteError as error:
        return index, f"cannot be read: {error.message}", "", ""


def tensor_html(tensor: Tensor) -> str:
    """The facts of a tensor."""
    rows: list[tuple[str, object]] = [
        ("dtype", _told(lambda: tensor.dtype)),
        ("shape", _told(lambda: list(tensor.shape_signature))),
        ("bytes", _told(lambda: bytes_text(tensor.nbytes))),
        ("quantization", _told(lambda: _quantization(tensor))),
        ("holds", _told(lambda: _kind(tensor))),
        ("from", _told(lambda: tensor.producer.label if tensor.producer is not None else "")),
        ("to", _told(lambda: ", ".join(operator.label for operator in islice(tensor.consumers, 10)))),
    ]
    title = f"tensor {tensor.index}: {_told(lambda: tensor.name)}"
    return _table((), [row for row in rows if row[1] != ""], title)


def _quantization(tensor: Tensor) -> str:
    quantization = tensor.quantization
    if quantization is None or quantization.kind == "none":
        return ""
    if quantization.kind == "per-tensor" and len(quantization.zero_point) == 1:
        return f"{quantization.scale[0]:.6g} * (q - {quantization.zero_point[0]})"
    if quantization.kind == "per-channel":
        return f"{len(quantization.scale)} scales along dimension {quantization.quantized_dimension}"
    return quantization.kind


def _kind(tensor: Tensor) -> str:
    if tensor.is_constant:
        return f"a constant in buffer {tensor.buffer.index}{', sparse' if tensor.is_sparse else ''}"
    return "state" if tensor.is_variable else "values of a run"


def _told(get: Callable[[], object]) -> str:
    """What ``get`` gives, or why it cannot be read."""
    try:
        return str(get())
    except UnliteError as error:
        return f"cannot be read: {error.message}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> str:
    """Rows as an HTML table, at most 200 of them."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = [f"<table>{f'<caption>{_cell(title)}</caption>' if title else ''}"]
    if head:
        lines.append(f"<tr>{head}</tr>")
    left = iter(rows)
    lines += [f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in islice(left, MOST_ROWS)]
    more = sum(1 for _ in left)
    if more:
        lines.append(f"<tr><td>and {more} more</td></tr>")
    return "\n".join([*lines, "</table>\n"])


def _cell(value: object) -> str:
    text = str(value)
    # Bytes of a name that are no UTF-8 come as lone surrogates, which no page can hold.
    safe = text[:MOST_TEXT].encode("utf-8", "replace").decode("utf-8")
    return escape(safe + ("..." if len(text) > MOST_TEXT else ""))
