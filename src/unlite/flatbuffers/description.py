"""What ``str`` of a view says."""

from __future__ import annotations

from unlite.flatbuffers.view import ScalarVector, Struct, Table, Vector, View, _Record, present

SHOWN_DEPTH = 8  # tables within tables that are shown


def described(view: _Record, depth: int = SHOWN_DEPTH) -> str:
    """A table or struct with its fields, in one line; long vectors by their length alone."""
    fields = present(view) if isinstance(view, Table) else view._object.fields
    inner = (f"{field.name}={_brief(view[field.name], depth)}" for field in fields) if depth else ("...",)
    return f"{view._object.name.rpartition('.')[2]}({', '.join(inner)})"


def _brief(value: object, depth: int) -> str:
    if isinstance(value, Vector):
        return (
            repr(value.tolist()) if isinstance(value, ScalarVector) and len(value) <= 16 else f"<{len(value)} entries>"
        )
    if isinstance(value, (Table, Struct)):
        return described(value, depth - 1)
    return str(value) if isinstance(value, View) else repr(value)
