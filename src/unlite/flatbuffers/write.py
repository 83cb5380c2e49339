"""Writing FlatBuffers, by streaming: first every object gets its place, then the bytes go out in order.

What is written may come from a file (views, with what was assigned to them), from plain Python values (dicts by field
name, lists, strings, numbers, anything with a buffer for vectors of scalars), or both mixed. Bulk data is never
loaded: it travels from its source to the sink. Parents come before children and large data comes last, so that a
reader that only lists finds all it needs in front.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import pack
from typing import TYPE_CHECKING, Any

from unlite.errors import CorruptFileError, InvalidTypeError, InvalidValueError, LostFieldsError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.nodes import Blob, Bytes, Late, Layout, Node, Offsets, TableNode, VTable, lay_out
from unlite.flatbuffers.pack import encode, is_default, join, pack_scalar, pack_scalars, pack_struct, vector_head

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Field, Object
    from unlite.flatbuffers.wire import Wire
    from unlite.storage.sink import Sink
    from unlite.storage.source import Source

BULK = 4096  # vectors from this size on stand behind all tables
DEPTH = 128  # nested tables; C++ verifiers stop at 64
UNFOLDING = 4  # times its length that a source may be written: objects in a sound file do not overlap

Override = Callable[[v.Table], Mapping[int, Any]]


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
        self._memo: dict[tuple[Any, ...], Node] = {}
        self._vtables: dict[bytes, VTable] = {}
        self._reached: dict[int, int] = {}
        self._layouts: dict[tuple[int, tuple[int, ...]], Layout] = {}
        self._steps: dict[int, list[tuple[Field, int, bool, int]]] = {}
        self._fields: dict[tuple[int, tuple[str, ...]], list[Field]] = {}
        self._kept: list[object] = []  # keeps alive what the memo knows by id
        self._nodes: list[Node] = []  # children first
        self._bulk: list[Node] = []
        self._bulk64: list[Node] = []
        self._lost: list[str] = []
        self._taken: dict[int, int] = {}
        self._root = self._table(owner, value, "", 0)
        if self._lost and not drop_unknown:
            raise LostFieldsError(self._lost)
        self._order = [*reversed(self._nodes), *self._bulk, *self._bulk64]
        self.size = self._place()

    def _place(self) -> int:
        at = 8 if self._identifier else 4
        placed: list[Node] = []
        for node in self._order:
            if isinstance(node, TableNode) and not node.vtable.position:
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

    def _table(self, owner: Object, value: object, path: str, depth: int) -> Node:
        if depth > DEPTH:
            raise CorruptFileError(f"tables are nested more than {DEPTH} deep.", path=path)
        if isinstance(value, v.Table):
            if value._object is not owner and value._object.name != owner.name:
                raise InvalidTypeError(f"a {owner.name} is wanted, not a {value._object.name}.", path=path)
            is_edited = v.is_edited(value)
            key = (id(value._wire), value._position, owner.index)
            if not is_edited and key in self._memo:
                return self._memo[key]
            node = self._view_table(value, path, depth)
            if not is_edited:
                self._memo[key] = node
                self._kept.append(value._wire)
            return node
        if not isinstance(value, Mapping):
            raise InvalidTypeError(f"a {owner.name} wants a dict of its fields, not {value!r:.60}.", path=path)
        cells: list[tuple[Field, Any]] = []
        for field in self._given(owner, value, path):
            given = value[field.name]
            if not (field.type.base in s.SCALARS and is_default(field, given)):
                kind = value.get(owner.fields[field.id - 1].name) if field.is_union else None
                cells.append((field, self._cell(field, given, kind, join(path, field.name), depth)))
        return self._finish(owner, cells)

    def _given(self, owner: Object, value: Mapping[str, Any], path: str) -> list[Field]:
        """The fields that a dict has values for, last first. Dicts with the same keys are checked once."""
        names = tuple([name for name, given in value.items() if given is not None])
        fields = self._fields.get((owner.index, names))
        if fields is None:
            unknown = [name for name in value if name not in owner.by_name]
            if unknown:
                hint = f"Its fields: {', '.join(owner.by_name)}."
                raise InvalidValueError(f"{owner.name} has no field {unknown[0]!r}.", path=path, hint=hint)
            missing = [field.name for field in owner.fields if field.required and field.name not in names]
            if missing:
                raise InvalidValueError(f"{owner.name} needs its field {missing[0]!r}.", path=path)
            fields = [field for field in reversed(owner.fields) if field.name in names]
            self._fields[owner.index, names] = fields
        return fields

    def _view_table(self, table: v.Table, path: str, depth: int) -> Node:
        owner = table._object
        unknown = v.unknown_fields(table)
        if unknown and not self._drop_unknown:
            self._lost.extend(f"{v.path(table) or 'root'}, field id {number}" for number in unknown)
        self._take(table._wire.source, 4, path)
        given = {**v.assigned(table), **self._overridden(table, path)}
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
                    cell = None if value is None else self._cell(field, value, kind, join(path, field.name), depth)
                elif size:  # raw bytes, so that nothing is reinterpreted
                    cell = bytes(view(position + slot, size))
                elif slot:
                    cell = self._stored(field, table, position + slot, path, depth)
            except CorruptFileError as error:
                error.path = error.path or join(path, field.name)
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
                (field, field.id, field.is_union, field.inline()[0] if field.is_inline else 0)
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
        elif isinstance(cell, Offsets) and None in cell.targets:
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
        elif base in (s.VECTOR, s.VECTOR64) and (field.type.element in s.SCALARS or _holds_structs(field)):
            stored = v.get(table, field)
            node = self._raw_vector(field, wire.source, stored._start, len(stored) * field.element()[0], len(stored))
        elif base == s.UNION:
            kind = v.get(table, field.owner.fields[field.id - 1])
            return self._union(field, kind, v.get(table, field), join(path, field.name), depth, (wire, position))
        else:
            kind = v.get(table, field.owner.fields[field.id - 1]) if field.is_union else None
            return self._cell(field, v.get(table, field), kind, join(path, field.name), depth)
        return (node,) if field.offset64 else node

    def _stored_string(self, wire: Wire, position: int) -> Node:
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

    def _string(self, value: object, path: str) -> Node:
        if not isinstance(value, (str, bytes)):
            raise InvalidTypeError(f"a string is wanted, not {value!r:.60}.", path=path)
        data = value if isinstance(value, bytes) else encode(value, path)
        return self._bytes(pack("<I", len(data)), data, 4, b"\0")

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
            return self._bytes(b"", pack_struct(owner, value, path), owner.minalign)
        return self._table(owner, value, path, depth + 1)

    def _vector(self, field: Field, value: Any, kinds: Any, path: str, depth: int) -> Node:
        element = field.type.element
        if element in s.SCALARS:
            if isinstance(value, v.ScalarVector) and value._field.type.element == element:
                start, length = value.span()
                return self._raw_vector(field, value._wire.source, start, length, len(value))
            return self._own_vector(field, pack_scalars(field, value, path))
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            raise InvalidTypeError(f"a list is wanted, not {value!r:.60}.", path=path)
        if _holds_structs(field):
            data = b"".join(pack_struct(field.the_object, entry, f"{path}[{i}]") for i, entry in enumerate(value))
            return self._own_vector(field, data)
        key: tuple[Any, ...] = ()
        if isinstance(value, v.Vector) and not v.is_edited(value):
            # Two tables may share the values of a vector of unions, but not their types.
            key = (id(value._wire), value._start, field.owner.index, field.id, tuple(kinds or ()))
            if key in self._memo:
                return self._memo[key]
            self._kept.append(value._wire)
            self._take(value._wire.source, 4 * len(value), path)
        # Backwards, as all children are planned: the order is turned round at the end.
        backwards = reversed(range(len(value)))
        targets = [self._entry(field, value, kinds, i, path, depth) for i in backwards]
        node = Offsets(targets[::-1])
        self._nodes.append(node)
        if key:
            self._memo[key] = node
        return node

    def _entry(self, field: Field, value: Sequence[Any], kinds: Any, i: int, path: str, depth: int) -> Node | None:
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

    def _own_vector(self, field: Field, data: bytes | memoryview) -> Node:
        """A vector of scalars or structs that were given as plain values."""
        head, align = vector_head(field, len(data) // field.element()[0])
        return self._bytes(head, data, align, wide=field.offset64)

    def _raw_vector(self, field: Field, source: Source, start: int, length: int, count: int) -> Node:
        wide = field.type.base == s.VECTOR64
        head, align = vector_head(field, count)
        key = (id(source), start, length, field.element(), align, wide)
        node = self._memo.get(key) if length else None
        if node is None:
            node = self._blob(head, source, start, length, align, wide=field.offset64)
            self._memo[key] = node
            self._kept.append(source)
        return node

    def _blob(
        self, head: bytes, source: Source, start: int, length: int, align: int, tail: bytes = b"", *, wide: bool = False
    ) -> Node:
        source.check(start, length)
        self._take(source, length)
        self._reached[id(source)] = max(self._reached.get(id(source), 0), start + length)
        return self._add(Blob(head, source, start, length, align, tail), length, wide)

    def _bytes(self, head: bytes, data: bytes | memoryview, align: int, tail: bytes = b"", wide: bool = False) -> Node:
        return self._add(Bytes(head, data, align, tail), len(data), wide)

    def _add(self, node: Node, length: int, wide: bool) -> Node:
        (self._bulk64 if wide else self._bulk if length >= BULK else self._nodes).append(node)
        return node

    def _finish(self, owner: Object, cells: list[tuple[Field, Any]]) -> Node:
        """Lays the cells out inside the table, with a shared vtable."""
        key = owner.index, tuple([field.id for field, _ in cells])
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = lay_out([field for field, _ in cells], self._vtables)
        placed = [(at, cell) for at, (_, cell) in zip(layout.offsets, cells, strict=True)]
        node = TableNode(layout.size, layout.align, layout.vtable, placed)
        self._nodes.append(node)
        return node


def _place(vector: Sequence[Any], index: int) -> tuple[Wire, int] | None:
    """Where an entry of a vector of strings or unions stands in a file; None for values that were given or changed."""
    if isinstance(vector, (v.StringVector, v.UnionVector)) and not v.is_edited(vector):
        return vector._wire, vector._wire.follow(vector._start + 4 * index)
    return None


def _holds_structs(field: Field) -> bool:
    return field.type.element == s.OBJ and field.object is not None and field.object.is_struct


def build(owner: Object, value: Mapping[str, Any], identifier: bytes = b"") -> bytes:
    """A whole FlatBuffer in memory, from plain values."""
    from unlite.storage.sink import MemorySink

    sink = MemorySink()
    Plan(owner, value, identifier=identifier).write(sink)
    return sink.value()
