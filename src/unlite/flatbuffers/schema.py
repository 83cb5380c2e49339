"""Schemas: what tables, fields, enums and unions a format has, read from a compiled schema (.bfbs).

A .bfbs is itself a FlatBuffer, of the reflection format. Its own few field ids are the only ones written down
here; everything else the engine knows is read through them, and only when asked for.
"""

from __future__ import annotations

from functools import cached_property
from struct import Struct

from unlite.errors import CorruptFileError, NotFoundError, UnsupportedFormatError
from unlite.flatbuffers.wire import Wire
from unlite.storage.source import MemorySource, Source

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Buffer

# reflection.BaseType
U_TYPE, BOOL, BYTE, U_BYTE, SHORT, U_SHORT, INT, U_INT, LONG, U_LONG, FLOAT, DOUBLE = range(1, 13)
STRING, VECTOR, OBJ, UNION, ARRAY, VECTOR64 = range(13, 19)

SCALARS: dict[int, Struct] = {
    base: Struct("<" + code)
    for base, code in zip(
        range(U_TYPE, DOUBLE + 1), ("B", "?", "b", "B", "h", "H", "i", "I", "q", "Q", "f", "d"), strict=True
    )
}


class _Record:
    """A table of the reflection format, by field id."""

    __slots__ = ("position", "slots", "wire")

    def __init__(self, wire: Wire, position: int) -> None:
        self.wire = wire
        self.position = position
        self.slots = wire.slots(position)

    def at(self, field: int) -> int:
        """Position of the field's inline value; 0 = absent."""
        slot = self.slots[field] if field < len(self.slots) else 0
        return self.position + slot if slot else 0

    def scalar(self, field: int, base: int, default: int = 0) -> int:
        at = self.at(field)
        return self.wire.unpack(SCALARS[base], at)[0] if at else default

    def real(self, field: int) -> float:
        at = self.at(field)
        return self.wire.unpack(SCALARS[DOUBLE], at)[0] if at else 0.0

    def string(self, field: int) -> str:
        at = self.at(field)
        return self.wire.string(self.wire.follow(at)) if at else ""

    def record(self, field: int) -> _Record | None:
        at = self.at(field)
        return _Record(self.wire, self.wire.follow(at)) if at else None

    def records(self, field: int) -> list[int]:
        """Positions of the tables in a vector."""
        at = self.at(field)
        if not at:
            return []
        start, count = self.wire.vector(self.wire.follow(at), 4)
        return [self.wire.follow(start + 4 * i) for i in range(count)]

    def attributes(self, field: int) -> dict[str, str]:
        entries = (_Record(self.wire, position) for position in self.records(field))
        return {entry.string(0): entry.string(1) for entry in entries}


class Type:
    """What a field or union member holds.

    Attributes:
        base: reflection.BaseType of the value.
        element: BaseType of the elements of a vector or array.
        index: Which object or enum; -1 = none.
        fixed_length: Entries of an array.
    """

    __slots__ = ("base", "element", "fixed_length", "index")

    def __init__(self, record: _Record | None) -> None:
        self.base = record.scalar(0, BYTE) if record else 0
        self.element = record.scalar(1, BYTE) if record else 0
        self.index = record.scalar(2, INT, -1) if record else -1
        self.fixed_length = record.scalar(3, U_SHORT) if record else 0


class Enum:
    """An enum or a union's list of members.

    Attributes:
        name: With namespace.
        names: Value -> name.
        values: Name -> value.
        bit_flags: Values are masks and may be combined.
        is_union: The names are those of union members; see ``member``.
    """

    def __init__(self, schema: Schema, record: _Record) -> None:
        self._schema = schema
        self.name = record.string(0)
        self.is_union = bool(record.scalar(2, BOOL))
        self.base = Type(record.record(3)).base
        self.bit_flags = "bit_flags" in record.attributes(4)
        self.names: dict[int, str] = {}
        self._members: dict[int, Type] = {}
        for position in record.records(1):
            value = _Record(record.wire, position)
            number = value.scalar(1, LONG)
            if self.base == U_LONG and number < 0:
                number += 1 << 64
            self.names[number] = value.string(0)
            if self.is_union:
                self._members[number] = Type(value.record(3))
        self.values = {name: value for value, name in self.names.items()}

    def member(self, value: int) -> Type | None:
        """Type of the union member with that value; None where the schema does not know it."""
        return self._members.get(value)

    def label(self, value: int) -> str | int:
        """The value's name; for masks the names with spaces between; the number itself where it has none."""
        name = self.names.get(value)
        if name is not None:
            return name
        if self.bit_flags and value > 0:
            names = [name for flag, name in self.names.items() if flag & value]
            if sum(flag for flag in self.names if flag & value) == value:
                return " ".join(names)
        return value

    def number(self, label: str | int) -> int | None:
        """The value of a name (of several, with spaces between: their masks together) or number; None if unknown."""
        if isinstance(label, int):
            return int(label)
        total = 0
        for name in label.split():
            value = self.values.get(name.rpartition(".")[2])
            if value is None:
                try:
                    value = int(name)
                except ValueError:
                    return None
            total |= value
        return total if label.strip() else None


class Field:
    """One field of a table or struct.

    Attributes:
        name, id, type: As in the schema. ``offset``: byte offset inside a struct.
        default: What an absent scalar means; None for optional scalars and for everything else.
        align: ``force_align`` of the vector's first element; 0 = none.
        nested: Name of the root table of a nested FlatBuffer, or "".
    """

    def __init__(self, schema: Schema, owner: Object, record: _Record) -> None:
        self._schema = schema
        self.owner = owner
        self.name = record.string(0)
        self.type = Type(record.record(1))
        self.id = record.scalar(2, U_SHORT)
        self.offset = record.scalar(3, U_SHORT)
        self.deprecated = bool(record.scalar(6, BOOL))
        self.required = bool(record.scalar(7, BOOL))
        self.optional = bool(record.scalar(11, BOOL))
        self.offset64 = bool(record.scalar(13, BOOL))
        attributes = record.attributes(9) if record.at(9) else {}
        align = attributes.get("force_align", "0")
        self.align = int(align) if align.isdecimal() and len(align) < 6 else 0
        self.nested = attributes.get("nested_flatbuffer", "")
        base = self.type.base
        self.default: int | float | bool | None = None
        if base in (FLOAT, DOUBLE):
            self.default = None if self.optional else record.real(5)
        elif base in SCALARS and not self.optional:
            integer = record.scalar(4, LONG)
            if base == U_LONG and integer < 0:
                integer += 1 << 64
            self.default = bool(integer) if base == BOOL else integer

    def __reduce__(self) -> tuple[Any, ...]:
        return _field, (self.owner, self.id)

    @cached_property
    def enum(self) -> Enum | None:
        """The enum of a scalar, or of the scalars or unions in a vector; for a union, its members."""
        type_ = self.type
        base = type_.element if type_.base in (VECTOR, VECTOR64, ARRAY) else type_.base
        return self._schema.enum(type_.index) if type_.index >= 0 and base not in (OBJ, STRING) else None

    @cached_property
    def object(self) -> Object | None:
        """The table or struct that the field or its elements hold."""
        type_ = self.type
        base = type_.element if type_.base in (VECTOR, VECTOR64, ARRAY) else type_.base
        return self._schema.object(type_.index) if type_.index >= 0 and base == OBJ else None

    @cached_property
    def is_union(self) -> bool:
        """Whether it holds a union value or a vector of them: the field before it holds the types."""
        return UNION in (self.type.base, self.type.element)

    @cached_property
    def is_inline(self) -> bool:
        """Whether the value stands in the table itself, not behind an offset."""
        is_struct = self.type.base == OBJ and self.object is not None and self.object.is_struct
        return is_struct or self.type.base in SCALARS

    @property
    def the_object(self) -> Object:
        """``object`` of a field that holds tables or structs. Raises CorruptFileError where the schema lacks it."""
        if self.object is None:
            raise CorruptFileError(f"{self.owner.name}.{self.name} has no type.", file=self._schema.name)
        return self.object

    @property
    def the_enum(self) -> Enum:
        """``enum`` of a field that holds enum values or unions. Raises CorruptFileError where the schema lacks it."""
        if self.enum is None:
            raise CorruptFileError(f"{self.owner.name}.{self.name} has no enum.", file=self._schema.name)
        return self.enum

    @cached_property
    def nested_object(self) -> Object | None:
        """Root table of a nested FlatBuffer."""
        if not self.nested:
            return None
        namespace = self.owner.name
        while namespace:
            namespace = namespace.rpartition(".")[0]
            found = self._schema.find(f"{namespace}.{self.nested}" if namespace else self.nested)
            if found:
                return found
        return None

    def inline(self) -> tuple[int, int]:
        """Bytes and alignment of the value where it stands in its table or struct."""
        base = self.type.base
        if base in SCALARS:
            return SCALARS[base].size, SCALARS[base].size
        if base == OBJ and self.object is not None and self.object.is_struct:
            return self.object.bytesize, self.object.minalign
        if base == ARRAY:
            size, align = self.element()
            return size * self.type.fixed_length, align
        return (8, 8) if self.offset64 else (4, 4)

    def element(self) -> tuple[int, int]:
        """Bytes and alignment of one element of a vector or array."""
        element = self.type.element
        if element in SCALARS:
            return SCALARS[element].size, SCALARS[element].size
        if element == OBJ and self.object is not None and self.object.is_struct:
            return self.object.bytesize, self.object.minalign
        return 4, 4


def _field(owner: Object, number: int) -> Field:
    return owner.fields[number]


def _tells_type(type_: Type, union: Type) -> bool:
    """Whether a field of that type tells the type of a union, or of a vector of unions, behind it."""
    if union.base == UNION:
        return type_.base == U_TYPE
    return type_.base == union.base and type_.element == U_TYPE


class Object:
    """A table or struct of the schema.

    Attributes:
        name: With namespace.
        is_struct: Inline, fixed layout of ``bytesize`` bytes aligned to ``minalign``.
        fields: By id (structs: by offset).
        by_name: The same, by name.
    """

    def __init__(self, schema: Schema, record: _Record, index: int) -> None:
        self.schema = schema
        self.index = index
        self.name = record.string(0)
        self.is_struct = bool(record.scalar(2, BOOL))
        self.minalign = record.scalar(3, INT, 1) or 1
        self.bytesize = record.scalar(4, INT)
        fields = [Field(schema, self, _Record(record.wire, position)) for position in record.records(1)]
        fields.sort(key=lambda field: field.id)
        if [field.id for field in fields] != list(range(len(fields))):
            raise CorruptFileError(f"the field ids of {self.name} are not 0 to {len(fields) - 1}.", file=schema.name)
        for place, field in enumerate(fields):
            if field.is_union and not (place and _tells_type(fields[place - 1].type, field.type)):
                raise CorruptFileError(
                    f"{self.name}.{field.name} is a union, and the field before it does not tell its type.",
                    file=schema.name,
                )
        self.fields = tuple(fields)
        self.by_name = {field.name: field for field in fields}
        self.view: type | None = None  # made by view.py on first use

    def __reduce__(self) -> tuple[Any, ...]:
        return Schema.object, (self.schema, self.index)

    def __repr__(self) -> str:
        return f"<{'struct' if self.is_struct else 'table'} {self.name}>"


class Schema:
    """A compiled schema.

    Args:
        data: Content of a .bfbs file, or a source of it.
        name: What messages call it.

    Raises:
        UnsupportedFormatError: the data is not a compiled schema.
        CorruptFileError: it is damaged.
    """

    def __init__(self, data: Buffer | Source, name: str = "<schema>") -> None:
        source = data if isinstance(data, Source) else MemorySource(data, name)
        self.name = source.name if isinstance(data, Source) else name
        wire = Wire(source)
        if wire.identifier() != b"BFBS":
            raise UnsupportedFormatError(
                "is not a compiled FlatBuffers schema.",
                file=self.name,
                hint="Compile a .fbs with: flatc --binary --schema --bfbs-builtins FILE.fbs",
            )
        self.pickled_as: tuple[Any, ...] = (Schema, (source, self.name))  # who keeps schemas names its own way
        self._root = _Record(wire, wire.root())
        self._object_positions = self._root.records(0)
        self._enum_positions = self._root.records(1)
        self._objects: dict[int, Object] = {}
        self._enums: dict[int, Enum] = {}
        self.file_identifier = self._root.string(2)
        self.file_extension = self._root.string(3)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.pickled_as

    @cached_property
    def root(self) -> Object:
        """The root table."""
        at = self._root.at(4)
        if not at:
            raise UnsupportedFormatError("the schema has no root_type.", file=self.name, hint="Name the root table.")
        position = self._root.wire.follow(at)
        if position not in self._object_positions:
            raise CorruptFileError("its root table is none of its objects.", file=self.name, offset=at)
        return self.object(self._object_positions.index(position))

    def object(self, index: int) -> Object:
        """Table or struct number ``index``."""
        found = self._objects.get(index)
        if found is None:
            if not 0 <= index < len(self._object_positions):
                raise CorruptFileError(f"there is no object {index}.", file=self.name)
            record = _Record(self._root.wire, self._object_positions[index])
            found = self._objects[index] = Object(self, record, index)
        return found

    def enum(self, index: int) -> Enum:
        """Enum or union number ``index``."""
        found = self._enums.get(index)
        if found is None:
            if not 0 <= index < len(self._enum_positions):
                raise CorruptFileError(f"there is no enum {index}.", file=self.name)
            found = self._enums[index] = Enum(self, _Record(self._root.wire, self._enum_positions[index]))
        return found

    def object_names(self) -> list[str]:
        """Names of all tables and structs."""
        return [_Record(self._root.wire, position).string(0) for position in self._object_positions]

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.object_names())}

    def find(self, name: str) -> Object | None:
        """The table or struct of that full name."""
        index = self._indices.get(name)
        return None if index is None else self.object(index)

    def named(self, name: str) -> Object:
        """The table or struct of that name, with or without its namespace. Raises NotFoundError."""
        found = self.find(name)
        if found is None:
            matches = [full for full in self._indices if full.rpartition(".")[2] == name]
            if len(matches) != 1:
                raise NotFoundError(f"the schema has no table {name!r}.", file=self.name)
            found = self.object(self._indices[matches[0]])
        return found

    def enum_named(self, name: str) -> Enum:
        """The enum of that name, with or without its namespace. Raises NotFoundError."""
        for index, position in enumerate(self._enum_positions):
            full = _Record(self._root.wire, position).string(0)
            if full == name or full.rpartition(".")[2] == name:
                return self.enum(index)
        raise NotFoundError(f"the schema has no enum {name!r}.", file=self.name)
