"""Assigning to views: values are checked at once, kept beside the file, and seen by every reader of the view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidTypeError, InvalidValueError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.pack import pack_scalar, pack_scalars
from unlite.flatbuffers.wire import Wire
from unlite.flatbuffers.write import build
from unlite.storage.source import MemorySource

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Field


class EntryVector(v.Vector):
    """A vector of tables put together from views, which keep what is assigned to them."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Sequence[v.Table], field: Field, parent: v.Table) -> None:
        super().__init__(parent._wire, -1, len(entries), field, parent, field.name)
        self._entries = entries

    def _element(self, index: int) -> v.Table:
        return self._entries[index]


def assign(table: v.Table, name: str, value: object) -> None:
    """Sets a field. None takes it out (scalars: back to the default).

    Args:
        table: Where.
        name: The field.
        value: As the view would give it, or plain Python: a dict for a table, a list for a vector; an array or
            anything with a buffer for a vector of scalars.

    Raises:
        UnknownFieldError: the table has no such field.
        InvalidValueError, InvalidTypeError: the value does not fit the field.
    """
    field = table._object.by_name.get(name)
    if field is None:
        raise v._unknown_field(table._object, name)
    path = f"{v.path(table)}.{name}".lstrip(".")
    if value is None and field.required:
        raise InvalidValueError(f"{table._object.name} needs its field {name!r}.", path=path)
    v.changes(table)[field.id] = None if value is None else _stored(table, field, value, path)


def _stored(table: v.Table, field: Field, value: Any, path: str) -> Any:
    base = field.type.base
    if base in s.SCALARS:
        (number,) = s.SCALARS[base].unpack(pack_scalar(field, base, value, path))
        return field.enum.label(number) if field.enum is not None else number
    if base in (s.VECTOR, s.VECTOR64) and field.type.element in s.SCALARS and not isinstance(value, v.View):
        data = pack_scalars(field, value, path)
        wire = Wire(MemorySource(data, path))
        return v.ScalarVector(wire, 0, len(data) // field.element()[0], field, table, field.name)
    if _is_table_vector(field) and isinstance(value, Sequence) and not isinstance(value, v.View):
        return EntryVector([_entry(field, entry, f"{path}[{i}]") for i, entry in enumerate(value)], field, table)
    if base == s.UNION:
        return _union(table, field, value, path)
    if field.type.element == s.UNION:
        kinds = table._object.fields[field.id - 1]
        return _adopt(table, field, {kinds.name: v.get(table, kinds), field.name: value})
    if isinstance(value, v.Table):
        if value._object is not field.object:
            raise InvalidTypeError(f"{value._object.name} is not the type of this field.", path=path)
        return _placed(table, field, value)
    return _adopt(table, field, {field.name: value})


def _is_table_vector(field: Field) -> bool:
    return field.type.base == s.VECTOR and field.object is not None and not field.object.is_struct


def _entry(field: Field, value: object, path: str) -> v.Table:
    if isinstance(value, v.Table) and value._object is field.object:
        return value
    if not isinstance(value, Mapping) or field.object is None:
        raise InvalidTypeError(f"a dict of fields is wanted, not {value!r:.60}.", path=path)
    return v.root_view(Wire(MemorySource(build(field.object, value), path)), field.object)


def _union(table: v.Table, field: Field, value: Any, path: str) -> Any:
    kind_field = table._object.fields[field.id - 1]
    if not isinstance(value, v.Table):
        kind = v.get(table, kind_field)
        return _adopt(table, field, {kind_field.name: kind, field.name: value})
    enum = field.the_enum
    for number in enum.names:
        member = enum.member(number)
        if member is not None and member.base == s.OBJ and enum._schema.object(member.index) is value._object:
            v.changes(table)[kind_field.id] = enum.label(number)
            return _placed(table, field, value)
    raise InvalidTypeError(f"{value._object.name} is no member of {enum.name}.", path=path)


def _placed(table: v.Table, field: Field, value: v.Table) -> v.Table:
    """The table seen from its new place, with what was assigned to it so far."""
    placed: v.Table = v.view_type(value._object)(value._wire, value._position, table, field.name)
    if value._changes is not None:
        object.__setattr__(placed, "_changes", dict(value._changes))
    return placed


def _adopt(table: v.Table, field: Field, values: dict[str, Any]) -> Any:
    """Builds the value as a small buffer of its own and gives it a place in the table."""
    owner = table._object
    for other in owner.fields:
        if other.required and other.name not in values:
            values[other.name] = v.get(table, other)
    small = v.root_view(Wire(MemorySource(build(owner, values), v.path(table))), owner)
    built = v.get(small, field)
    if isinstance(built, v.View):
        object.__setattr__(built, "_parent", table)
    return built
