"""Every intermediate tensor of a run, in a folder: values, pictures where a tensor looks like one, an index."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from unlite.comparison.distance import dequantized
from unlite.comparison.images import SUFFIXES, image_input, picture
from unlite.comparison.inputs import describe, graph_of, make_inputs, read_inputs
from unlite.comparison.report import STYLE, escaped
from unlite.comparison.run import run
from unlite.errors import InvalidValueError, SaveError, UnliteError
from unlite.model.formats.weight_files import write_file
from unlite.model.metadata.labels import AXIS, LIMIT, labels_of_output, read_labels
from unlite.storage.paths import checked_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor

    Array = NDArray[Any]

TOP = 5
RUN, PICTURES = 50, 50
"""How many hundredths of the time the run and the pictures take, more or less."""


def dump(
    model: Model,
    folder: str,
    inputs: Sequence[Array],
    *,
    labels: Sequence[str] | None = None,
    runtime: str = "torch",
    signature: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Runs a model and writes what every operator gave.

    The folder gets ``tensors.npz`` (keys ``t<tensor index>``), ``index.json``, ``index.html`` and ``images/``.

    Args:
        model: The model.
        folder: Where to; made where it is not there.
        inputs: One array for each input, in the file's order.
        labels: Of a classifier's output; None for those that the model carries.
        runtime: ``torch`` or ``litert``.
        signature: Key of the signature to run.
        progress: Called with how many more hundredths are done.

    Returns:
        What ``index.json`` holds. ``notes`` says which labels of the model could not be used, and why.

    Raises:
        InvalidValueError: labels were given, and no output is as long as they are.
    """
    done = progress or (lambda _: None)
    graph = graph_of(model, signature)
    values = run(model, list(inputs), runtime=runtime, tensors="all", signature=signature)
    given = {tensor.index: array for tensor, array in zip(graph.inputs, inputs, strict=True)}
    found: dict[int, Array] = {**given, **{int(index): array for index, array in values.items()}}
    notes: list[str] = []
    classes = _classes(model, graph.outputs, found, labels, notes)
    if labels is not None and not classes:
        sizes = ", ".join(f"{tensor.name!r} {describe(tensor)}" for tensor in graph.outputs)
        raise InvalidValueError(f"{len(labels)} labels fit no output: {sizes}.", file=model.file.name)
    done(RUN)
    images = os.path.join(checked_path(folder), "images")
    try:
        os.makedirs(images, exist_ok=True)
    except OSError as error:
        raise SaveError(f"the folder cannot be made: {error.strerror}.", file=folder) from error
    rows = []
    written = 0
    for place, (index, array) in enumerate(found.items(), 1):
        tensor = graph.tensors[index]
        drawn = picture(array)
        if drawn is not None:
            _write(os.path.join(images, f"t{index}.png"), drawn)
        rows.append(_row(tensor, array, f"images/t{index}.png" if drawn is not None else None))
        done(PICTURES * place // len(found) - written)
        written = PICTURES * place // len(found)
    arrays = {f"t{index}": array for index, array in found.items() if array.dtype.kind != "O"}
    write_file(os.path.join(folder, "tensors.npz"), lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    index_facts: dict[str, Any] = {
        "model": model.file.name,
        "runtime": runtime,
        "tensors": rows,
        "labels": classes,
        "notes": notes,
    }
    _write(os.path.join(folder, "index.json"), json.dumps(index_facts, indent=1, allow_nan=False).encode())
    _write(os.path.join(folder, "index.html"), _page(index_facts).encode())
    return index_facts


def _write(path: str, content: bytes) -> None:
    write_file(path, lambda file: file.write(content))


def dump_inputs(
    model: Model,
    path: str | None,
    *,
    seed: int = 0,
    signature: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> list[Array]:
    """Inputs out of a file: a picture for a model of one input, an ``.npz`` or ``.npy``; None for random values."""
    if path is not None and path.lower().endswith(SUFFIXES):
        graph = graph_of(model, signature)
        if len(graph.inputs) != 1:
            raise InvalidValueError(f"a picture is one input, the model has {len(graph.inputs)}.", file=path)
        return [image_input(model, graph.inputs[0], path, mean=mean, std=std)]
    given = None if path is None else read_inputs(path)
    return make_inputs(model, given, seed=seed, signature=signature)


def labels_of(path: str, encoding: str | None = None) -> list[str]:
    """The labels in a file; arguments and errors as in ``read_labels``."""
    try:
        with open(checked_path(path), "rb") as file:
            return read_labels(file.read(LIMIT + 1), path, encoding)
    except OSError as error:
        raise UnliteError(f"cannot be opened: {error.strerror}.", file=path) from error


def _row(tensor: Tensor, array: Array, image: str | None) -> dict[str, Any]:
    operator = tensor.producer
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    numeric = array.dtype.kind in "fiu" and finite.size
    return {
        "index": tensor.index,
        "name": tensor.name,
        "operator": None if operator is None else operator.index,
        "operator_name": None if operator is None else operator.name,
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "min": float(finite.min()) if numeric else None,
        "max": float(finite.max()) if numeric else None,
        "mean": float(finite.mean(dtype=np.float64)) if numeric else None,
        "array": f"t{tensor.index}" if array.dtype.kind != "O" else None,
        "image": image,
    }


def _classes(
    model: Model, outputs: Sequence[Tensor], found: dict[int, Array], given: Sequence[str] | None, notes: list[str]
) -> list[dict[str, Any]]:
    """The best classes of each output that is as long as its labels are."""
    answers = []
    for tensor in outputs:
        names = list(given) if given is not None else _carried(model, tensor, notes)
        array = found.get(tensor.index)
        if names is None or array is None or array.size != len(names) or array.dtype.kind not in "fiu":
            continue
        if array.dtype.kind != "f" and tensor.quantization is not None and tensor.quantization.scale:
            array = dequantized(array, tensor.quantization)
        values = array.ravel()
        scores = np.nan_to_num(values.astype(np.float64), nan=-np.inf)
        order = np.argsort(-scores, kind="stable")[:TOP]
        top = [{"class": int(i), "label": names[i], "score": _finite(values[i])} for i in order]
        answers.append({"tensor": tensor.index, "name": tensor.name, "top": top})
    return answers


def _carried(model: Model, tensor: Tensor, notes: list[str]) -> list[str] | None:
    """The labels that the model carries; where they cannot be read, a note says so."""
    try:
        found = labels_of_output(model, tensor)
    except UnliteError as error:
        note = f"The labels of {tensor.name!r} are not used: {error}"
        if note not in notes:
            notes.append(note)
        return None
    return None if found is None or found.kind != AXIS else found.names


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _page(facts: dict[str, Any]) -> str:
    lines = [f"<h1>{escaped(facts['model'])}</h1><p>Run in {_RUNTIMES[facts['runtime']]}.</p>"]
    for output in facts["labels"]:
        entries = "".join(f"<li>{escaped(c['label'])}: {_shown(c['score'])}</li>" for c in output["top"])
        lines.append(f"<h2>{escaped(output['name'])}</h2><ol>{entries}</ol>")
    kinds = ("", "name", "type", "n", "n", "n", "")
    names = ("operator", "tensor", "type", "min", "mean", "max", "")
    head = "".join(f'<th class="{kind}">{name}</th>' for kind, name in zip(kinds, names, strict=True))
    lines.append(f"<table><tr>{head}</tr>")
    for row in facts["tensors"]:
        cells = (
            "" if row["operator"] is None else f"{row['operator']} {row['operator_name']}",
            f"{row['index']} {row['name']}",
            f"{row['dtype']} {row['shape']}",
            *(_shown(row[name]) for name in ("min", "mean", "max")),
        )
        image = f'<img src="{row["image"]}" alt="" loading="lazy" style="max-height:12rem">' if row["image"] else ""
        shown = "".join(f'<td class="{k}">{escaped(cell)}</td>' for k, cell in zip(kinds, cells, strict=False))
        lines.append(f"<tr>{shown}<td>{image}</td></tr>")
    lines.append("</table>")
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>tensors</title><style>{STYLE}</style>'
    return f"{head}</head>\n<body>\n" + "\n".join(lines) + "\n</body></html>\n"


_RUNTIMES = {"torch": "PyTorch", "litert": "LiteRT, reference kernels"}


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
