"""Writing FlatBuffers, by streaming: first every object gets its place, then the bytes go out in order.

What is written may come from a file (views, with what was assigned to them), from plain Python values (dicts by field
name, lists, strings, numbers, anything with a buffer for vectors of scalars), or both mixed. Bulk data is never
loaded: it travels from its source to the sink. Parents come before children and large data comes last, so that a
reader that only lists finds all it needs in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from struct import Struct as Layout
from struct import error as struct_error
from struct import pack
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import CorruptFileError, InvalidTypeError, InvalidValueError, LostFieldsError, SaveError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.source import MemorySource, Source
from unlite.flatbuffers.wire import I32, U32, U64

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Field, Object
    from unlite.flatbuffers.sink import Sink
    from unlite.flatbuffers.wire import Wire

LIMIT = 2**31 - 1  # C++ readers refuse more; offsets are signed there
BULK = 4096  # vectors from this size on stand behind all tables
DEPTH = 128  # nested tables; C++ verifiers stop at 64
UNFOLDING = 4  # times its length that a source may be written: objects in a sound file do not overlap

Override = Callable[[v.Table], Mapping[int, Any]]


class Late:
    """A scalar whose value is set between planning and writing."""

    def __init__(self) -> None:
        self.value = 0


class _Node:
    """Something with a place in the file: ``size`` bytes, ``lead`` of them before the first aligned one."""

    __slots__ = ("align", "lead", "position", "size")

    def __init__(self, size: int, align: int, lead: int = 0) -> None:
        self.size = size
        self.align = align
        self.lead = lead
        self.position = 0

    def emit(self, sink: Sink) -> None:
        raise NotImplementedError


class _Blob(_Node):
    """A head of a few bytes, bulk bytes out of a source, a tail: strings, vectors of scalars, bare structs."""

    __slots__ = ("head", "length", "source", "start", "tail")

    def __init__(self, head: bytes, source: Source, start: int, length: int, align: int, tail: bytes = b"") -> None:
        super().__init__(len(head) + length + len(tail), align, len(head))
        self.head, self.source, self.start, self.length, self.tail = head, source, start, length, tail

    def emit(self, sink: Sink) -> None:
        sink.write(self.head)
        sink.copy(self.source, self.start, self.length)
        sink.write(self.tail)


class _Offsets(_Node):
    """A vector of tables, strings or union values."""

    __slots__ = ("targets",)

    def __init__(self, targets: list[_Node | None]) -> None:
        super().__init__(4 + 4 * len(targets), 4)
        self.targets = targets

    def emit(self, sink: Sink) -> None:
        at = self.position + 4
        offsets = [0 if t is None else _distance(at + 4 * i, t) for i, t in enumerate(self.targets)]
        sink.write(pack(f"<{len(offsets) + 1}I", len(offsets), *offsets))


class _VTable(_Node):
    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data), 2)
        self.data = data

    def emit(self, sink: Sink) -> None:
        sink.write(self.data)


class _TableNode(_Node):
    """A table: ``cells`` are (offset in the table, bytes, or a node to point to, or a late scalar with its layout)."""

    __slots__ = ("cells", "vtable")

    def __init__(self, size: int, align: int, vtable: _VTable, cells: list[tuple[int, Any]]) -> None:
        super().__init__(size, align)
        self.vtable = vtable
        self.cells = cells

    def emit(self, sink: Sink) -> None:
        data = bytearray(self.size)
        own = self.position
        I32.pack_into(data, 0, own - self.vtable.position)
        for at, cell in self.cells:
            if type(cell) is bytes:
                data[at : at + len(cell)] = cell
            elif type(cell) is not tuple:
                U32.pack_into(data, at, _distance(own + at, cell))
            elif isinstance(cell[0], _Node):
                U64.pack_into(data, at, cell[0].position - own - at)
            else:
                late, layout = cell
                layout.pack_into(data, at, late.value)
        sink.write(data)


def _distance(at: int, target: _Node) -> int:
    distance = target.position - at
    if not 0 < distance <= LIMIT:
        raise SaveError(
            f"an offset of {distance} bytes does not fit: a FlatBuffer holds at most 2 GiB.",
            offset=at,
            mend="Store large data behind the FlatBuffer, or in vectors with 64-bit offsets.",
        )
    return distance


class Plan:
    """The places of all objects of one FlatBuffer.

    Args:
        owner: The root table's type.
        value: Its value: a view or a dict.
        identifier: Four bytes, or b"" for none.
        override: Asked once for each table that comes from a file: field id -> value to write instead (None = leave
            out; a ``Late`` is filled in before ``write``).
        drop_unknown: Leave out fields that the schema does not know, instead of refusing.

    Attributes:
        size: Length of the file in bytes.

    Raises:
        LostFieldsError: stored fields are not in the schema and can't be moved.
        InvalidValueError, InvalidTypeError: a value does not fit its field.
    """

    def __init__(
        self,
        owner: Object,
        value: v.Table | Mapping[str, Any],
        *,
        identifier: bytes = b"",
        override: Override | None = None,
        drop_unknown: bool = False,
    ) -> None:
        self._identifier = identifier
        self._override = override
        self._drop_unknown = drop_unknown
        self._memo: dict[tuple[Any, ...], _Node] = {}
        self._vtables: dict[bytes, _VTable] = {}
        self._reached: dict[int, int] = {}
        self._layouts: dict[tuple[int, tuple[int, ...]], _Layout] = {}
        self._steps: dict[int, list[tuple[Field, int, bool, int]]] = {}
        self._kept: list[object] = []  # keeps alive what the memo knows by id
        self._nodes: list[_Node] = []  # children first
        self._bulk: list[_Node] = []
        self._bulk64: list[_Node] = []
        self._lost: list[str] = []
        self._taken: dict[int, int] = {}
        self._root = self._table(owner, value, "", 0)
        if self._lost and not drop_unknown:
            raise LostFieldsError(self._lost)
        self._order = [*reversed(self._nodes), *self._bulk, *self._bulk64]
        self.size = self._place()

    def _place(self) -> int:
        at = 8 if self._identifier else 4
        placed: list[_Node] = []
        for node in self._order:
            if isinstance(node, _TableNode) and not node.vtable.position:
                at += -at % 2
                node.vtable.position = at
                at += node.vtable.size
                placed.append(node.vtable)
            at += -(at + node.lead) % node.align
            node.position = at
            at += node.size
            placed.append(node)
        self._order = placed
        return at

    def reached(self, source: Source) -> int:
        """End of the last string or vector that is taken from a source; 0 where none is."""
        return self._reached.get(id(source), 0)

    def write(self, sink: Sink) -> None:
        """Streams the file into a sink."""
        sink.write(pack("<I", self._root.position) + self._identifier)
        at = 8 if self._identifier else 4
        for node in self._order:
            if node.position != at:
                sink.write(bytes(node.position - at))
            node.emit(sink)
            at = node.position + node.size

    # -- one method per kind of value; each returns the node and has placed its children before it ----------------

    def _table(self, owner: Object, value: object, path: str, depth: int) -> _Node:
        if depth > DEPTH:
            raise CorruptFileError(f"tables are nested more than {DEPTH} deep.", path=path)
        if isinstance(value, v.Table):
            if value._object is not owner and value._object.name != owner.name:
                raise InvalidTypeError(f"a {owner.name} is wanted, not a {value._object.name}.", path=path)
            key = (id(value._wire), value._position, owner.index)
            if value._changes is None and key in self._memo:
                return self._memo[key]
            node = self._view_table(value, path, depth)
            if value._changes is None:
                self._memo[key] = node
                self._kept.append(value._wire)
            return node
        if not isinstance(value, Mapping):
            raise InvalidTypeError(f"a {owner.name} wants a dict of its fields, not {value!r:.60}.", path=path)
        unknown = [name for name in value if name not in owner.by_name]
        if unknown:
            raise InvalidValueError(
                f"{owner.name} has no field {unknown[0]!r}.", path=path, mend=f"Its fields: {', '.join(owner.by_name)}."
            )
        cells: list[tuple[Field, Any]] = []
        for field in reversed(owner.fields):
            given = value.get(field.name)
            if given is None:
                if field.required:
                    raise InvalidValueError(f"{owner.name} needs its field {field.name!r}.", path=path)
            elif not (field.type.base in s.SCALARS and is_default(field, given)):
                kind = value.get(owner.fields[field.id - 1].name) if _is_union(field) else None
                cells.append((field, self._cell(field, given, kind, _join(path, field.name), depth)))
        return self._finish(owner, cells)

    def _view_table(self, table: v.Table, path: str, depth: int) -> _Node:
        owner = table._object
        unknown = v.unknown_fields(table)
        if unknown and not self._drop_unknown:
            self._lost.extend(f"{v.path(table) or 'root'}, field id {number}" for number in unknown)
        self._take(table._wire.source, 4, path)
        given = {**(table._changes or {}), **self._overridden(table, path)}
        slots, position, view = table._slots, table._position, table._wire.source.view
        cells: list[tuple[Field, Any]] = []
        for field, number, union, size in self._steps_of(owner):
            slot = slots[number] if number < len(slots) else 0
            if not slot and number not in given and not (union and self._drop_unknown):
                continue
            # A union's type is needed here only for a value that was given, and to drop it with its value.
            asked = union and (self._drop_unknown or number in given)
            kind = v.get(table, owner.fields[number - 1]) if asked else None
            cell: Any = None
            try:
                if number in given:
                    value = given[number]
                    cell = None if value is None else self._cell(field, value, kind, _join(path, field.name), depth)
                elif size:  # raw bytes, so that nothing is reinterpreted
                    cell = bytes(view(position + slot, size))
                elif slot:
                    cell = self._stored(field, table, position + slot, path, depth)
            except CorruptFileError as error:
                error.path = error.path or _join(path, field.name)
                raise
            if self._drop_unknown and kind is not None:
                self._drop_types(field, kind, cell, given)
            if cell is not None:
                cells.append((field, cell))
        return self._finish(owner, cells)

    def _steps_of(self, owner: Object) -> list[tuple[Field, int, bool, int]]:
        """The fields of a table, last first: each with its id, whether it is a union, and its size where inline."""
        steps = self._steps.get(owner.index)
        if steps is None:
            steps = self._steps[owner.index] = [
                (field, field.id, _is_union(field), field.inline()[0] if _is_inline(field) else 0)
                for field in reversed(owner.fields)
            ]
        return steps

    def _overridden(self, table: v.Table, path: str) -> Mapping[int, Any]:
        try:
            return self._override(table) if self._override else {}
        except CorruptFileError as error:
            error.path = error.path or path
            raise

    @staticmethod
    def _drop_types(field: Field, kind: Any, cell: object, given: dict[int, Any]) -> None:
        """Takes out the type of each union value that was left out. The types' field comes after that of the values."""
        if field.type.base == s.UNION:
            if cell is None and kind != "NONE":
                given[field.id - 1] = None
        elif isinstance(cell, _Offsets) and None in cell.targets:
            given[field.id - 1] = [0 if target is None else k for target, k in zip(cell.targets, kind, strict=True)]

    def _take(self, source: Source, length: int, path: str = "") -> None:
        """Counts what is read of a source, so that a small file in which all overlaps does not fill the disk."""
        taken = self._taken[id(source)] = self._taken.get(id(source), 0) + length
        if taken > UNFOLDING * source.size + BULK:
            raise CorruptFileError(
                "unfolds to many times its size: its parts overlap.", file=source.name, path=path or "root"
            )

    def _stored(self, field: Field, table: v.Table, at: int, path: str, depth: int) -> Any:
        """The cell of a field as it stands in a file, unless it is inline."""
        wire, base = table._wire, field.type.base
        position = wire.follow64(at) if field.offset64 else wire.follow(at)
        if base == s.STRING:
            node = self._stored_string(wire, position)
        elif base in (s.VECTOR, s.VECTOR64) and (field.type.element in s.SCALARS or self._is_struct_vector(field)):
            stored = v.get(table, field)
            node = self._raw_vector(field, wire.source, stored._start, len(stored) * field.element()[0], len(stored))
        elif base == s.UNION:
            kind = v.get(table, field.owner.fields[field.id - 1])
            return self._union(field, kind, v.get(table, field), _join(path, field.name), depth, (wire, position))
        else:
            kind = v.get(table, field.owner.fields[field.id - 1]) if _is_union(field) else None
            return self._cell(field, v.get(table, field), kind, _join(path, field.name), depth)
        return (node,) if field.offset64 else node

    def _stored_string(self, wire: Wire, position: int) -> _Node:
        key = (id(wire), position, "string")
        node = self._memo.get(key)
        if node is None:
            start, count = wire.vector(position, 1)
            node = self._memo[key] = self._blob(pack("<I", count), wire.source, start, count, 4, b"\0")
            self._kept.append(wire)
        return node

    def _cell(self, field: Field, value: Any, kind: object, path: str, depth: int) -> Any:
        """The cell of a field with any value: inline bytes, a node, or (node,) for a 64-bit offset."""
        base = field.type.base
        if base in s.SCALARS:
            layout = s.SCALARS[base]
            return (value, layout) if isinstance(value, Late) else pack_scalar(field, base, value, path)
        if base == s.OBJ and field.object is not None:
            if field.object.is_struct:
                return pack_struct(field.the_object, value, path)
            return self._table(field.the_object, value, path, depth + 1)
        if base == s.STRING:
            node = self._string(value, path)
        elif base == s.UNION:
            return self._union(field, kind, value, path, depth)
        else:
            node = self._vector(field, value, kind, path, depth)
        return (node,) if field.offset64 else node

    def _string(self, value: object, path: str) -> _Node:
        if not isinstance(value, (str, bytes)):
            raise InvalidTypeError(f"a string is wanted, not {value!r:.60}.", path=path)
        data = value if isinstance(value, bytes) else encode(value, path)
        return self._blob(pack("<I", len(data)), MemorySource(data), 0, len(data), 4, b"\0")

    def _union(
        self, field: Field, kind: object, value: object, path: str, depth: int, stored: tuple[Wire, int] | None = None
    ) -> Any:
        """The node of a union's value, None for one to leave out. ``stored``: where it stands, if it is unchanged."""
        enum = field.enum
        number = enum.number(kind) if enum is not None and isinstance(kind, (str, int)) else None
        member = enum.member(number) if enum is not None and number is not None else None
        if isinstance(value, v.UnknownUnion) or member is None:
            if isinstance(value, v.UnknownUnion):
                self._lost.append(f"{path}, union type {kind}")  # refused, or dropped, by who asked for the plan
                return None
            raise InvalidValueError(f"{kind!r} is no type of this union.", path=path)
        if value is None:
            return None  # a type without a value
        if member.base == s.STRING:
            return self._string(value, path) if stored is None else self._stored_string(*stored)
        owner = field._schema.object(member.index)
        if owner.is_struct and stored is not None:
            key = (id(stored[0]), stored[1], owner.index)
            if key not in self._memo:
                self._memo[key] = self._blob(b"", stored[0].source, stored[1], owner.bytesize, owner.minalign)
                self._kept.append(stored[0])
            return self._memo[key]
        if owner.is_struct:
            data = pack_struct(owner, value, path)
            return self._blob(b"", MemorySource(data), 0, len(data), owner.minalign)
        return self._table(owner, value, path, depth + 1)

    def _vector(self, field: Field, value: Any, kinds: object, path: str, depth: int) -> _Node:
        element = field.type.element
        if element in s.SCALARS:
            if isinstance(value, v.ScalarVector) and value._field.type.element == element:
                start, length = value.span()
                return self._raw_vector(field, value._wire.source, start, length, len(value))
            data = pack_scalars(field, value, path)
            return self._raw_vector(field, MemorySource(data), 0, len(data), len(data) // field.element()[0])
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            raise InvalidTypeError(f"a list is wanted, not {value!r:.60}.", path=path)
        if self._is_struct_vector(field):
            data = b"".join(pack_struct(field.the_object, entry, f"{path}[{i}]") for i, entry in enumerate(value))
            return self._raw_vector(field, MemorySource(data), 0, len(data), len(value))
        key: tuple[Any, ...] = ()
        if isinstance(value, v.Vector) and value._changes is None and value._start >= 0:
            # Two tables may share the values of a vector of unions, but not their types.
            key = (id(value._wire), value._start, field.owner.index, field.id, tuple(kinds or ()))
            if key in self._memo:
                return self._memo[key]
            self._kept.append(value._wire)
            self._take(value._wire.source, 4 * len(value), path)
        # Backwards, as all children are planned: the order is turned round at the end.
        backwards = reversed(range(len(value)))
        targets = [self._entry(field, value, kinds, i, path, depth) for i in backwards]
        node = _Offsets(targets[::-1])
        self._nodes.append(node)
        if key:
            self._memo[key] = node
        return node

    def _entry(self, field: Field, value: Sequence[Any], kinds: Any, i: int, path: str, depth: int) -> _Node | None:
        name = f"{path}[{i}]"
        if field.type.element == s.UNION:
            if not isinstance(kinds, Sequence) or len(kinds) != len(value):
                error = CorruptFileError if isinstance(value, v.UnionVector) else InvalidValueError
                raise error("a vector of unions needs as many types as values.", path=path)
            if kinds[i] in ("NONE", 0):
                return None
            return self._union(field, kinds[i], value[i], name, depth, _place(value, i))  # type: ignore[no-any-return]
        if field.type.element == s.STRING:
            stored = _place(value, i)
            return self._string(value[i], name) if stored is None else self._stored_string(*stored)
        return self._table(field.the_object, value[i], name, depth + 1)

    def _raw_vector(self, field: Field, source: Source, start: int, length: int, count: int) -> _Node:
        wide = field.type.base == s.VECTOR64
        align = max(8 if wide else 4, field.element()[1], field.align, 16 if field.nested else 1)
        head = pack("<Q" if wide else "<I", count)
        key = (id(source), start, length, field.element(), align, wide)
        node = self._memo.get(key) if length else None
        if node is None:
            node = self._blob(head, source, start, length, align, wide=field.offset64)
            self._memo[key] = node
            self._kept.append(source)
        return node

    def _blob(
        self, head: bytes, source: Source, start: int, length: int, align: int, tail: bytes = b"", *, wide: bool = False
    ) -> _Node:
        source.check(start, length)
        self._take(source, length)
        self._reached[id(source)] = max(self._reached.get(id(source), 0), start + length)
        node = _Blob(head, source, start, length, align, tail)
        (self._bulk64 if wide else self._bulk if length >= BULK else self._nodes).append(node)
        return node

    @staticmethod
    def _is_struct_vector(field: Field) -> bool:
        return field.type.element == s.OBJ and field.object is not None and field.object.is_struct

    def _finish(self, owner: Object, cells: list[tuple[Field, Any]]) -> _Node:
        """Lays the cells out inside the table, with a shared vtable."""
        key = owner.index, tuple([field.id for field, _ in cells])
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = _lay_out([field for field, _ in cells], self._vtables)
        placed = [(at, cell) for at, (_, cell) in zip(layout.offsets, cells, strict=True)]
        node = _TableNode(layout.size, layout.align, layout.vtable, placed)
        self._nodes.append(node)
        return node


class _Layout(NamedTuple):
    """Where the fields of a table stand in it: one offset per field, in the order given."""

    offsets: tuple[int, ...]
    size: int
    align: int
    vtable: _VTable


def _lay_out(fields: list[Field], vtables: dict[bytes, _VTable]) -> _Layout:
    """Places fields, widest first."""
    inline = {field.id: field.inline() for field in fields}
    order = sorted(inline, key=lambda number: (-inline[number][1], number))
    align = max([4, *(own for _, own in inline.values())])
    first = next((number for number in order if inline[number] == (4, 4)), None)
    if align == 8 and first is not None:
        # A four-byte cell behind the vtable offset saves the padding that an eight-byte one would need.
        order.remove(first)
        order.insert(0, first)
    slots = [0] * (max(inline, default=-1) + 1)
    at = 4
    for number in order:
        size, own = inline[number]
        at += -at % own
        slots[number] = at
        at += size
    data = pack(f"<{len(slots) + 2}H", 2 * len(slots) + 4, at, *slots)
    return _Layout(tuple(slots[field.id] for field in fields), at, align, vtables.setdefault(data, _VTable(data)))


def _place(vector: Sequence[Any], index: int) -> tuple[Wire, int] | None:
    """Where an entry of a vector of strings or unions stands in a file; None for values that were given or changed."""
    if isinstance(vector, (v.StringVector, v.UnionVector)) and index not in (vector._changes or ()):
        return vector._wire, vector._wire.follow(vector._start + 4 * index)
    return None


def _is_inline(field: Field) -> bool:
    """Whether the value stands in the table itself."""
    base = field.type.base
    return base in s.SCALARS or (base == s.OBJ and field.object is not None and field.object.is_struct)


def _is_union(field: Field) -> bool:
    """Whether the field is a union or a vector of unions: the field before it holds the types."""
    return s.UNION in (field.type.base, field.type.element)


def is_default(field: Field, value: object) -> bool:
    """Whether a writer may leave the scalar out."""
    if field.default is None or isinstance(value, Late):
        return False
    number = field.enum.number(value) if field.enum is not None and isinstance(value, (str, int)) else value
    # -0.0 == 0.0, but it is another value.
    return number == field.default and not (isinstance(number, float) and str(number) != str(float(field.default)))


KINDS = {
    s.U_TYPE: "a union's type",
    s.BOOL: "a bool",
    s.BYTE: "8 bits",
    s.U_BYTE: "8 bits without sign",
    s.SHORT: "16 bits",
    s.U_SHORT: "16 bits without sign",
    s.INT: "32 bits",
    s.U_INT: "32 bits without sign",
    s.LONG: "64 bits",
    s.U_LONG: "64 bits without sign",
    s.FLOAT: "a 32-bit float",
    s.DOUBLE: "a 64-bit float",
}
"""What messages call the types of scalars."""


def pack_scalar(field: Field, base: int, value: object, path: str) -> bytes:
    """A scalar's bytes. Raises InvalidValueError or InvalidTypeError where the value does not fit."""
    number: Any = value
    if field.enum is not None and isinstance(value, (str, int)):
        number = field.enum.number(value)
        if number is None:
            names = list(field.enum.values)
            shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
            raise InvalidValueError(f"{value!r} is no {field.enum.name}.", path=path, mend=f"It has: {shown}.")
    if base == s.BOOL:
        if number not in (0, 1):
            raise InvalidTypeError(f"true or false is wanted, not {value!r:.60}.", path=path)
        return b"\1" if number else b"\0"
    try:
        if base not in (s.FLOAT, s.DOUBLE):
            number = number.__index__()
        return s.SCALARS[base].pack(number)
    except (struct_error, OverflowError):
        raise InvalidValueError(f"{value!r:.60} does not fit {KINDS[base]}.", path=path) from None
    except (AttributeError, TypeError):
        raise InvalidTypeError(f"a number is wanted, not {value!r:.60}.", path=path) from None


def pack_scalars(field: Field, value: Any, path: str) -> bytes | memoryview:
    """Bytes of a vector of scalars: from a buffer of the right element size, an array, or a sequence of values."""
    base, (size, _) = field.type.element, field.element()
    if hasattr(value, "dtype"):
        dtype = v.NUMPY_CODES[v.CODES[base]]
        if not (value.dtype == dtype or base == s.U_BYTE):
            raise InvalidTypeError(f"elements of type {dtype} are wanted, not {value.dtype}.", path=path)
        return memoryview(value.tobytes())
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = memoryview(value)
        # What memoryview can't cast, empty or with gaps, is copied.
        data = data.cast("B") if data.nbytes and data.c_contiguous else memoryview(data.tobytes())
        if len(data) % size:
            raise InvalidValueError(f"{len(data)} bytes are no whole number of elements of {size} bytes.", path=path)
        return data
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidTypeError(f"a list of numbers is wanted, not {value!r:.60}.", path=path)
    if field.enum is None and base != s.BOOL:
        try:
            return Layout(f"<{len(value)}{v.CODES[base]}").pack(*value)
        except (struct_error, OverflowError, TypeError):
            pass  # said precisely, with the index, below
    return b"".join(pack_scalar(field, base, entry, f"{path}[{i}]") for i, entry in enumerate(value))


def pack_struct(owner: Object, value: Any, path: str) -> bytes:
    """A struct's bytes, from a view (copied) or a dict that has all its fields."""
    if isinstance(value, v.Struct):
        return bytes(value._wire.source.view(value._position, owner.bytesize))
    if not isinstance(value, Mapping) or set(value) != set(owner.by_name):
        raise InvalidValueError(f"{owner.name} needs exactly these fields: {', '.join(owner.by_name)}.", path=path)
    data = bytearray(owner.bytesize)
    for field in owner.fields:
        name = _join(path, field.name)
        data[field.offset : field.offset + field.inline()[0]] = _struct_field(field, value[field.name], name)
    return bytes(data)


def _struct_field(field: Field, value: Any, path: str) -> bytes:
    base = field.type.base
    if base == s.OBJ and field.object is not None:
        return pack_struct(field.the_object, value, path)
    if base != s.ARRAY:
        return pack_scalar(field, base, value, path)
    if not isinstance(value, Sequence) or len(value) != field.type.fixed_length:
        raise InvalidValueError(f"exactly {field.type.fixed_length} entries are wanted.", path=path)
    if field.type.element in s.SCALARS:
        return bytes(pack_scalars(field, value, path))
    return b"".join(pack_struct(field.the_object, entry, f"{path}[{i}]") for i, entry in enumerate(value))


def encode(text: str, path: str) -> bytes:
    """UTF-8, with the bytes that a reader could not decode put back."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidValueError(f"cannot be stored as UTF-8: {error.reason}.", path=path) from None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def build(owner: Object, value: Mapping[str, Any], identifier: bytes = b"") -> bytes:
    """A whole FlatBuffer in memory, from plain values."""
    from unlite.flatbuffers.sink import MemorySink

    sink = MemorySink()
    Plan(owner, value, identifier=identifier).write(sink)
    return sink.value()


def tables(root: v.Table) -> Iterator[v.Table]:
    """Every table below ``root``, itself first, each once, whatever number of paths leads to it."""
    seen: set[tuple[int, int, int]] = set()
    stack: list[Any] = [root]
    while stack:
        at = stack.pop()
        if isinstance(at, (v.TableVector, v.UnionVector)):
            stack.extend(entry for entry in reversed(at) if isinstance(entry, v.Table))
            continue
        key = (id(at._wire), at._position, at._object.index)
        if key in seen and at._changes is None:
            continue
        seen.add(key)
        yield at
        for field in reversed(list(v.present(at))):
            if field.type.base in (s.OBJ, s.UNION, s.VECTOR) and field.type.element not in s.SCALARS:
                value = v.get(at, field)
                if isinstance(value, (v.Table, v.TableVector, v.UnionVector)):
                    stack.append(value)
