"""What was changed in a model, as people see it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.flatbuffers.view import ScalarVector

if TYPE_CHECKING:
    from unlite.flatbuffers.edits import Edit
    from unlite.model.model import Model

LONGEST_LINE = 2000
_FIELD = re.compile(r"\w+(?:\[\d+\])*(?:\.\w+(?:\[\d+\])*)*")
_PLAIN = (str, bool, int, float)


class ModelEdit(NamedTuple):
    """One change of a model.

    Attributes:
        path: Where, such as ``subgraphs[0].tensors[3].name``.
        old, new: What was there before and after: plain values, or views that no later change reaches. Bulk data is
            referred to, not copied.
        line: The command that does it to a file MODEL; None where no command line does.
    """

    path: str
    old: Any
    new: Any
    line: str | None


def model_edits(model: Model) -> tuple[ModelEdit, ...]:
    """What was changed in a model, in order."""
    return tuple(filter(None, map(model_edit, model.root._edits.history)))


def model_edit(edit: Edit | None) -> ModelEdit | None:
    """A change as people see it."""
    if edit is not None and edit.told is None:
        edit.told = ModelEdit(edit.path, edit.old, edit.new, _line(edit))
    return None if edit is None else edit.told


def _line(edit: Edit) -> str | None:
    """The command that makes a change, where it is one of a plain field."""
    text = _text(edit.new)
    if (
        text is None
        or not re.fullmatch(r"\w+(?:\[\d+\])*(?:\.\w+(?:\[\d+\])*)*", edit.path)
        or edit.path.endswith(".data")
    ):
        return None
    line = f"unlite set MODEL {shlex.quote(f'{edit.path}={text}')} -o OUT"
    return line if len(line) <= LONGEST_LINE else None


def _text(value: Any) -> str | None:
    """A value as ``unlite set`` reads it; None for one that it cannot."""
    import json

    if isinstance(value, ScalarVector):
        value = value.tolist() if len(value) <= LONGEST_LINE else b""
    plain = isinstance(value, (str, bool, int, float)) or value is None
    if not plain and not (
        isinstance(value, list) and all(isinstance(entry, (str, bool, int, float)) for entry in value)
    ):
        return None
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return None
