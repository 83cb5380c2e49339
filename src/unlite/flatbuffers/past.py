"""Views of what was: for the history of changes, which nothing that comes later touches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidTypeError, UnliteError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.edits import Past
from unlite.flatbuffers.fields import _vector_kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.flatbuffers.schema import Field, Object
    from unlite.flatbuffers.wire import Wire


def readable(read: Callable[[], Any]) -> Any:
    """What ``read`` gives; a text that says why where it cannot: damage is a reason to change something."""
    try:
        return read()
    except UnliteError as error:
        return f"<unreadable: {error.message}>"


def snapshot(value: Any) -> Any:
    """A value as it is now: plain values as they are, views as views that no change reaches. Bytes are shared."""
    if not isinstance(value, v.View):
        return value
    v.refresh(value)
    if isinstance(value, v.UnknownUnion):
        return str(value)
    if isinstance(value, v.UnionVector):  # what its entries are, another field tells, which changes on its own
        return f"<{len(value)} values>"
    node = None if value._node is None else value._node.copy()
    if isinstance(value, v.Vector):
        return _vector(value._wire, value._start, value._count, value._field, v.path(value), node)
    return _table(value._wire, value._position, value._object, v.path(value), node)  # type: ignore[attr-defined]  # a table or struct


def _table(wire: Wire, position: int, owner: Object, path: str, node: Any) -> Any:
    view = v.view_type(owner)(wire, position, None, path, Past(wire, position))
    object.__setattr__(view, "_node", node)
    return view


def _vector(wire: Wire, start: int, count: int, field: Field, path: str, node: Any) -> Any:
    view = _vector_kind(field)(wire, start, count, field, None, path)
    view._node = node
    return view


def reduced(view: v.View) -> tuple[Any, ...]:
    """How a view of the past is pickled.

    Raises:
        InvalidTypeError: it is a view of what is, a place in an opened file.
    """
    if not isinstance(view._edits, Past):
        raise InvalidTypeError(
            "a view is a place in an opened file, and cannot be pickled.", path=v.path(view), hint="Pickle the model."
        )
    if isinstance(view, v.Vector):
        return _vector, (view._wire, view._start, view._count, view._field, v.path(view), view._node)
    return _table, (view._wire, view._position, view._object, v.path(view), view._node)  # type: ignore[attr-defined]  # a table or struct
