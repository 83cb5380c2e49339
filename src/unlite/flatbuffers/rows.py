"""Many tables of one kind as plain values: for listings, where a view per table and vector would be most of the cost.

Same checks and same values as views: numbers, names of enum values, strings, lists of numbers, and nested rows. Tables
that were changed are read through their views.
"""

from __future__ import annotations

from unlite.errors import CorruptFileError, InvalidValueError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers.view import CODES, ScalarVector, TableVector, locate
from unlite.flatbuffers.wire import vector_layout

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from unlite.flatbuffers.schema import Field, Object
    from unlite.flatbuffers.view import Table
    from unlite.flatbuffers.wire import Wire

    Wanted = Mapping[str, "Wanted | None"]
    """Field name -> None, or for a field that holds a table the fields wanted of that."""
    Read = Callable[["Wire", int], Any]


def rows(tables: TableVector, wanted: Wanted) -> Iterator[list[Any] | CorruptFileError]:
    """The wanted fields of each table, in the order asked for; for a damaged table the error instead."""
    read = row_reader(tables._field.the_object, wanted)
    count = len(tables)
    wire, start, node = tables._wire, tables._start, tables._node
    for index in range(count):
        try:
            if node is not None and index in node.entries:
                yield _row_of(tables[index], wanted)
            else:
                yield read(wire, wire.follow(start + 4 * index))
        except CorruptFileError as error:
            yield locate(error, tables, f"[{index}]")


def _row_of(table: Table, wanted: Wanted) -> list[Any]:
    """The wanted fields of a table, by its view."""
    return [_plain(table[name], inner) for name, inner in wanted.items()]


def _plain(value: Any, inner: Wanted | None) -> Any:
    if isinstance(value, ScalarVector):
        return value.tolist()
    return value if inner is None or value is None else _row_of(value, inner)


def row_reader(owner: Object, wanted: Wanted) -> Callable[[Wire, int], list[Any]]:
    """What reads the wanted fields of one table, given its position."""
    steps = [_step(owner.by_name[name], inner) for name, inner in wanted.items()]

    def read(wire: Wire, position: int) -> list[Any]:
        slots = wire.slots(position)
        known = len(slots)
        return [
            take(wire, position + slots[number]) if number < known and slots[number] else default
            for number, default, take in steps
        ]

    return read


def _step(field: Field, inner: Wanted | None) -> tuple[int, Any, Read]:
    """Field id, what an absent field means, and what reads a present one."""
    base = field.type.base
    if base in s.SCALARS:
        return _scalar(field)
    if base == s.STRING and not field.offset64:
        return field.id, None, lambda wire, at: wire.string(wire.follow(at))
    if base == s.VECTOR and field.type.element in s.SCALARS and field.enum is None and not field.offset64:
        size, code = field.element()[0], CODES[field.type.element]

        def numbers(wire: Wire, at: int) -> list[Any]:
            start, count = wire.vector(wire.follow(at), size)
            return list(wire.unpack(vector_layout(count, code), start)) if count else []

        return field.id, None, numbers
    if base == s.OBJ and inner is not None and not field.the_object.is_struct:
        read = row_reader(field.the_object, inner)
        return field.id, None, lambda wire, at: read(wire, wire.follow(at))
    if base == s.UNION:
        return field.id, None, lambda wire, at: wire.follow(at)
    raise InvalidValueError(f"{field.owner.name}.{field.name} is not read as a row.")


def _scalar(field: Field) -> tuple[int, Any, Read]:
    layout, enum = s.SCALARS[field.type.base], field.enum
    if enum is None:
        return field.id, field.default, lambda wire, at: wire.unpack(layout, at)[0]
    labels: dict[int, str | int] = {}

    def label(wire: Wire, at: int) -> str | int:
        (value,) = wire.unpack(layout, at)
        found = labels.get(value)
        if found is None:
            found = labels[value] = enum.label(value)
        return found

    return field.id, None if field.default is None else enum.label(int(field.default)), label
