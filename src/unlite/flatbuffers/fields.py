"""Reading fields: for each field of a table or struct, the function that gives its value.

They are made once for each type of the schema, so that everything the schema says is looked up once and not at each
access. ``view_type`` hangs them into the classes of views.
"""

from __future__ import annotations

from unlite.errors import CorruptFileError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers.edits import TableNode, VectorNode
from unlite.flatbuffers.view import (
    ScalarVector,
    StringVector,
    StructVector,
    TableVector,
    UnionVector,
    get,
    locate,
    placed,
    placed_union,
    refresh,
    union_value,
    view_type,
)

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from unlite.flatbuffers.schema import Field, Object
    from unlite.flatbuffers.view import Struct, Table, Vector


def readers_of(owner: Object) -> dict[str, Callable[[Any], Any]]:
    """Field name -> what gives the field's value in a view of a table or struct."""
    make: Callable[[Field], Callable[[Any], Any]] = _struct_getter if owner.is_struct else _table_getter
    return {field.name: make(field) for field in owner.fields}


def _scalar_getter(field: Field) -> Callable[[Table], Any]:
    number, layout, default = field.id, s.SCALARS[field.type.base], field.default
    label = field.enum.label if field.enum is not None else None
    if label is not None and default is not None:
        default = label(int(default))  # type: ignore[assignment]
    cache: dict[int, Any] = {}

    def getter(self: Table) -> Any:
        if self._revision != self._edits.revision:
            refresh(self)
        node = self._node
        if node is not None and number in node.fields:
            value = node.fields[number]
            return default if value is None else value
        slots = self._slots
        slot = slots[number] if number < len(slots) else 0
        if not slot:
            return default
        try:
            (value,) = self._wire.unpack(layout, self._position + slot)
        except CorruptFileError as error:
            raise locate(error, self, f".{field.name}") from None
        if label is None:
            return value
        found = cache.get(value)
        if found is None:
            found = cache[value] = label(value)
        return found

    return getter


def _vector_kind(field: Field) -> type[Vector]:
    element = field.type.element
    if element in s.SCALARS:
        return ScalarVector
    if element == s.STRING:
        return StringVector
    if element == s.UNION:
        return UnionVector
    return StructVector if field.object is not None and field.object.is_struct else TableVector


def _vector_reader(field: Field) -> Callable[[Table, int], Vector]:
    kind, name, (size, _) = _vector_kind(field), field.name, field.element()
    if field.offset64 or field.type.base == s.VECTOR64:
        wide = field.type.base == s.VECTOR64

        def long(table: Table, at: int) -> Vector:
            wire = table._wire
            position = wire.follow64(at) if field.offset64 else wire.follow(at)
            start, count = (wire.vector64 if wide else wire.vector)(position, size)
            return kind(wire, start, count, field, table, name)

        return long

    def short(table: Table, at: int) -> Vector:
        wire = table._wire
        start, count = wire.vector(wire.follow(at), size)
        return kind(wire, start, count, field, table, name)

    return short


def _offset_reader(field: Field) -> Callable[[Table, int], Any]:
    """What turns the place of a field's inline value into the value."""
    base = field.type.base
    if base == s.OBJ and field.object is not None and field.object.is_struct:
        return lambda table, at: view_type(field.object)(table._wire, at, table, field.name)
    if base == s.STRING:
        if field.offset64:
            return lambda table, at: table._wire.string(table._wire.follow64(at))
        return lambda table, at: table._wire.string(table._wire.follow(at))
    if base in (s.VECTOR, s.VECTOR64):
        return _vector_reader(field)
    if base == s.UNION:

        def union(table: Table, at: int) -> Any:
            label = get(table, table._object.fields[field.id - 1])
            if label == "NONE":
                return None
            return union_value(table._wire, table._wire.follow(at), field.enum, label, table, field.name)

        return union
    return lambda table, at: view_type(field.object)(table._wire, table._wire.follow(at), table, field.name)


_NODES = (TableNode, VectorNode)


def given_view(table: Table, field: Field, node: Any) -> Any:
    """The view of a field's value that was assigned, or that something was assigned below."""
    if isinstance(node, VectorNode):
        vector = _vector_kind(field)(node.wire, node.start, node.count, field, table, field.name)
        vector._node = node
        return vector
    if field.type.base == s.UNION:
        kind = get(table, table._object.fields[field.id - 1])
        return None if kind == "NONE" else placed_union(field.enum, kind, node, table, field.name)
    return placed(field.the_object, node, table, field.name)


def _table_getter(field: Field) -> Callable[[Table], Any]:
    if field.type.base in s.SCALARS:
        return _scalar_getter(field)
    number, read = field.id, _offset_reader(field)

    def getter(self: Table) -> Any:
        if self._revision != self._edits.revision:
            refresh(self)
        node = self._node
        if node is not None and number in node.fields:
            value = node.fields[number]
            return value if type(value) not in _NODES else given_view(self, field, value)
        slots = self._slots
        slot = slots[number] if number < len(slots) else 0
        if not slot:
            return None
        try:
            return read(self, self._position + slot)
        except CorruptFileError as error:
            raise locate(error, self, f".{field.name}") from None

    return getter


def _struct_getter(field: Field) -> Callable[[Struct], Any]:
    offset, base = field.offset, field.type.base

    def getter(self: Struct) -> Any:
        if self._revision != self._edits.revision:
            refresh(self)
        at = self._position + offset
        if base == s.OBJ:
            return view_type(field.object)(self._wire, at, self, field.name)
        if base == s.ARRAY:
            kind = ScalarVector if field.type.element in s.SCALARS else StructVector
            return kind(self._wire, at, field.type.fixed_length, field, self, field.name)
        if base not in s.SCALARS:
            raise CorruptFileError(f"the schema gives {field.owner.name}.{field.name} a type that no struct can hold.")
        try:
            (value,) = self._wire.unpack(s.SCALARS[base], at)
        except CorruptFileError as error:
            raise locate(error, self, f".{field.name}") from None
        return field.enum.label(value) if field.enum is not None else value

    return getter
