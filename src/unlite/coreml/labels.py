"""Labels of a classifier: from a file, from the caller, or from inside the model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidValueError, UnliteError
from unlite.model.metadata.labels import LIMIT, labels_of_output, read_labels

if TYPE_CHECKING:
    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph


def labels_of(model: Model, graph: Subgraph, given: Any) -> list[str] | None:
    """One label for each element of the first output; None where no classifier is asked for.

    Args:
        model: The model.
        graph: The subgraph.
        given: A path of a file of lines, a sequence of labels, True for the labels inside the model, or None.

    Raises:
        InvalidValueError: there are no labels inside, or not as many as the output has elements.
    """
    if given is None or given is False:
        return None
    output = graph.outputs[0]
    if given is True:
        carried = labels_of_output(model, output)
        if carried is None:
            raise InvalidValueError(
                f"there are no labels of the output {output.name!r} inside.",
                file=model.file.name,
                hint="Name a file of labels, one a line (--labels FILE).",
            )
        found = list(carried.names)
    elif isinstance(given, (str, os.PathLike)):
        found = _read(os.fspath(given))
    elif isinstance(given, Sequence):
        found = [str(label) for label in given]
    else:
        raise InvalidValueError(f"class_labels is a path or a sequence of labels, not {given!r:.60}.")
    while found and not found[-1].strip():
        found.pop()  # empty lines at the end
    count = 1
    for size in output.shape:
        count *= size
    if len(found) != count:
        raise InvalidValueError(
            f"{len(found)} labels are given, the output {output.name!r}, {list(output.shape)}, has {count} elements.",
            file=model.file.name,
        )
    return _single(found)


def _read(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            return read_labels(file.read(LIMIT + 1), path)
    except OSError as error:
        raise UnliteError(f"cannot be read: {error.strerror or error}.", file=path) from error


def _single(found: list[str]) -> list[str]:
    """Each label once, as Core ML wants it: what is there twice, or is empty, gets its number behind it."""
    seen: set[str] = set()
    made: list[str] = []
    for place, label in enumerate(found):
        name = label if label.strip() and label not in seen else f"{label or 'class'} ({place})"
        seen.add(name)
        made.append(name)
    return made
