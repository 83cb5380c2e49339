"""Assigning to views: values are checked at once, go into the store of edits, and are seen by every reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidTypeError, InvalidValueError, NoSuchIndexError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.edits import TableNode, VectorNode
from unlite.flatbuffers.fields import given_view
from unlite.flatbuffers.pack import pack_scalar, pack_scalars
from unlite.flatbuffers.past import readable, snapshot
from unlite.flatbuffers.wire import Wire
from unlite.flatbuffers.write import build
from unlite.storage.source import MemorySource

if TYPE_CHECKING:
    from unlite.flatbuffers.edits import Change
    from unlite.flatbuffers.schema import Field


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
    field = _field_of(table, name)
    path = _path(table, name)
    if value is None and field.required:
        raise InvalidValueError(f"{table._object.name} needs its field {name!r}.", path=path)
    v.refresh(table)
    with change(table, name):
        # What the value is made from may be read through the store, so it is made before a step is taken.
        made = None if value is None else _made(table, field, value, path)
        node = v.node_of(table)
        if field.type.base == s.UNION and isinstance(value, v.Table):
            kind = table._object.fields[field.id - 1]
            table._edits.put(node.fields, kind.id, _kind_of(field, value, path))
        elif field.type.base == s.U_TYPE and made != v.get(table, field):
            # Bytes of one type mean nothing as another.
            union = table._object.fields[field.id + 1]
            if v.is_present(table, union):
                table._edits.put(node.fields, union.id, None)
        table._edits.put(node.fields, field.id, made)


def change(table: v.Table, name: str, path: str | None = None) -> Change:
    """A change that the history shows as one of a field.

    Args:
        table: Where.
        name: The field.
        path: What the history calls it, where that is not the place of the field.
    """

    def now() -> Any:
        return readable(lambda: snapshot(table[name]))

    return table._edits.change(_path(table, name) if path is None else path, now(), now)


def made_view(table: v.Table, field: Field, value: object) -> Any:
    """What the view of a field would be if the value were assigned to it; nothing is."""
    return given_view(table, field, _made(table, field, value, _path(table, field.name)))


def append(table: v.Table, name: str, value: object) -> int:
    """Adds an entry to a vector of tables; its index. The other entries are not touched.

    Raises:
        InvalidValueError, InvalidTypeError: the value is no table of this vector.
    """
    field = _field_of(table, name)
    vector = table[name]
    index = 0 if vector is None else len(vector)
    entry = _entry(field, value, f"{_path(table, name)}[{index}]")
    with table._edits.change(f"{_path(table, name)}[{index}]", None, lambda: snapshot(table[name][index])):
        if vector is None:
            wire = Wire(MemorySource(b"\0\0\0\0", _path(table, name)))
            table._edits.put(v.node_of(table).fields, field.id, VectorNode(wire, 4, 1, {0: entry}))
        else:
            node = v.node_of(vector)
            table._edits.put(node.entries, index, entry)
            table._edits.put_count(node, index + 1)
    return index


def put_span(table: v.Table, name: str, wire: Wire, start: int, length: int) -> None:
    """Sets a vector of bytes to a stretch of another source, which is not read for it."""
    field = _field_of(table, name)
    with change(table, name):
        table._edits.put(v.node_of(table).fields, field.id, VectorNode(wire, start, length))


def assign_entry(vector: v.Vector, index: Any, value: object) -> None:
    """Sets an entry of a vector: the vector is assigned anew, but for tables, which take the place alone.

    Raises:
        InvalidTypeError: the vector belongs to a struct, or the value does not fit.
        NoSuchIndexError: there is no such entry.
    """
    table = vector._parent
    if not isinstance(table, v.Table):
        raise InvalidTypeError("a struct is assigned as a whole, as a dict of its fields.", path=v.path(vector))
    if not isinstance(index, int):
        raise InvalidTypeError(
            f"an index is wanted, not {index!r}.", path=v.path(vector), hint="To change several, assign the whole list."
        )
    count = len(vector)
    at = index + count if index < 0 else index
    if not 0 <= at < count:
        raise NoSuchIndexError(f"there is no entry {index}, only {count}.", path=v.path(vector))
    if not isinstance(vector, v.TableVector):
        assign(table, vector._field.name, [value if i == at else entry for i, entry in enumerate(vector)])
        return
    path = f"{v.path(vector)}[{at}]"
    entry = _entry(vector._field, value, path)
    with vector._edits.change(path, snapshot(vector[at]), lambda: snapshot(vector[at])):
        vector._edits.put(v.node_of(vector).entries, at, entry)


def _field_of(table: v.Table, name: str) -> Field:
    field = table._object.by_name.get(name)
    if field is None:
        raise v._unknown_field(table._object, name)
    return field


def _path(table: v.Table, name: str) -> str:
    return f"{v.path(table)}.{name}".lstrip(".")


def _made(table: v.Table, field: Field, value: Any, path: str) -> Any:
    """What goes into the node: a plain value, or a node over bytes of its own."""
    base = field.type.base
    if base in s.SCALARS:
        (number,) = s.SCALARS[base].unpack(pack_scalar(field, base, value, path))
        return field.enum.label(number) if field.enum is not None else number
    if base in (s.VECTOR, s.VECTOR64) and field.type.element in s.SCALARS and not isinstance(value, v.View):
        data = pack_scalars(field, value, path)
        return VectorNode(Wire(MemorySource(data, path)), 0, len(data) // field.element()[0])
    if isinstance(value, v.Vector):
        return _taken_vector(table, field, value, path)
    if _is_table_vector(field) and isinstance(value, Sequence):
        entries = {i: _entry(field, entry, f"{path}[{i}]") for i, entry in enumerate(value)}
        return VectorNode(Wire(MemorySource(b"\0\0\0\0", path)), 4, len(entries), entries)
    if isinstance(value, v.Table):
        if base != s.UNION and value._object is not field.object:
            raise InvalidTypeError(f"{value._object.name} is not the type of this field.", path=path)
        return _taken(value)
    if field.is_union:
        kinds = table._object.fields[field.id - 1]
        return _built(table, field, {kinds.name: v.get(table, kinds), field.name: value})
    return _built(table, field, {field.name: value})


def _is_table_vector(field: Field) -> bool:
    return field.type.base == s.VECTOR and field.object is not None and not field.object.is_struct


def _taken(value: v.Table) -> TableNode:
    """A table of another place, with what was assigned to it so far."""
    v.refresh(value)
    return TableNode(value._wire, value._position) if value._node is None else value._node.copy()


def _taken_vector(table: v.Table, field: Field, value: v.Vector, path: str) -> Any:
    same = value._field.type.element == field.type.element and value._field.object is field.object
    if not same or value._field.enum is not field.enum:
        if field.type.element in s.SCALARS or not _is_table_vector(field):
            return _built(table, field, {field.name: list(value)})
        raise InvalidTypeError("the entries are not of the type of this field.", path=path)
    if isinstance(value, v.UnionVector):
        kinds = table._object.fields[field.id - 1]
        return _built(table, field, {kinds.name: v.get(table, kinds), field.name: list(value)})
    v.refresh(value)
    if value._node is not None:
        return value._node.copy()
    return VectorNode(value._wire, value._start, value._count)


def _entry(field: Field, value: object, path: str) -> TableNode:
    if isinstance(value, v.Table) and value._object is field.object:
        return _taken(value)
    if not isinstance(value, Mapping) or field.object is None:
        raise InvalidTypeError(f"a dict of fields is wanted, not {value!r:.60}.", path=path)
    wire = Wire(MemorySource(build(field.object, value), path))
    return TableNode(wire, wire.root())


def _kind_of(field: Field, value: v.Table, path: str) -> str | int:
    """Label of the union's type that a table is of."""
    enum = field.the_enum
    for number in enum.names:
        member = enum.member(number)
        if member is not None and member.base == s.OBJ and enum._schema.object(member.index) is value._object:
            return enum.label(number)
    raise InvalidTypeError(f"{value._object.name} is no member of {enum.name}.", path=path)


def _built(table: v.Table, field: Field, values: dict[str, Any]) -> Any:
    """Builds the value as a small buffer of its own; a string as it is."""
    owner = table._object
    for other in owner.fields:
        if other.required and other.name not in values:
            values[other.name] = v.get(table, other)
    small = v.root_view(Wire(MemorySource(build(owner, values), v.path(table))), owner)
    built = v.get(small, field)
    if isinstance(built, v.Vector):
        return VectorNode(built._wire, built._start, built._count)
    if isinstance(built, v.View):
        return TableNode(built._wire, built._position)  # type: ignore[attr-defined]  # tables and structs have one
    return built
