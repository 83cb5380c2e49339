"""What a FlatBuffer occupies, and who points where: the end of the last object, and objects that are shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import CorruptFileError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers.wire import I32, TABLE, U32, VISITS, vector_layout

if TYPE_CHECKING:
    from unlite.flatbuffers import view as v
    from unlite.flatbuffers.schema import Field, Object
    from unlite.flatbuffers.wire import Wire

BATCH = 4096  # offsets of a vector that are read at once
UNFOLDING = 4  # times the file's length that may be read


class _Step(NamedTuple):
    """A field that holds an offset, in tables with one vtable.

    Attributes:
        slot: Where its offset lies, relative to the table.
        field: The field.
        base: Its type.
        table: What it leads to, where that is one table.
        size: Bytes of a vector's elements; 0 for what is no plain vector.
        kind: Where the type of a union, or the vector of their types, lies; 0 for none.
    """

    slot: int
    field: Field
    base: int
    table: Object | None
    size: int
    kind: int


class Extent:
    """One walk over the tables of a file as it is stored; what was assigned is not looked at.

    Args:
        root: The root table.

    Attributes:
        end: Byte behind the last object.
        references: How often each object (table, vector, string) is pointed to, by position.
    """

    def __init__(self, root: v.Table) -> None:
        self.end = 0
        self.references: dict[int, int] = {}
        self._wire: Wire = root._wire
        self._seen: set[tuple[int, int, int]] = set()
        self._work = UNFOLDING * self._wire.size
        self._layouts: dict[tuple[int, int], tuple[int, list[_Step]]] = {}
        self._stack = [(root._object, root._position)]
        try:
            while self._stack:
                owner, position = self._stack.pop()
                if self._is_new(position, owner.index, -1, 4):
                    self._table(owner, position)
                    if not len(self._seen) % VISITS:
                        self._wire.source.trim()
        except CorruptFileError as error:
            error.path = error.path or "root"
            raise

    def _is_new(self, position: int, owner: int, field: int, length: int) -> bool:
        """Whether an object was not looked at before; counts what is read, as overlapping objects could be many."""
        key = position, owner, field
        if key in self._seen:
            return False
        self._seen.add(key)
        self._spend(length, position)
        return True

    def _spend(self, length: int, position: int) -> None:
        self._work -= length
        if self._work < 0:
            raise self._wire.corrupt("the file unfolds to many times its size: its parts overlap.", position)

    def _reach(self, end: int) -> None:
        if end > self.end:  # noqa: PLR1730 - max() costs a call for each object
            self.end = end

    def _table(self, owner: Object, position: int) -> None:
        wire, references = self._wire, self.references
        unpack, size_of_file = wire.unpack, wire.size
        length, steps = self._layout(owner, position)
        self._reach(position + length)
        for slot, field, base, table, size, kind in steps:
            at = position + slot
            target = at + unpack(U32, at)[0]  # as wire.follow does it, without the call where all is well
            if field.offset64 or not at < target < size_of_file:
                target = wire.follow64(at) if field.offset64 else wire.follow(at)
            references[target] = references.get(target, 0) + 1
            if size:
                start, count = (wire.vector64 if base == s.VECTOR64 else wire.vector)(target, size)
                self._reach(start + count * size)
            elif table is not None:
                self._stack.append((table, target))
            elif base == s.STRING:
                self._string(target)
            elif base == s.UNION:
                self._union(field, unpack(s.SCALARS[s.U_TYPE], position + kind)[0] if kind else 0, target)
            else:
                self._vector(field, target, position + kind if kind else 0)

    def _layout(self, owner: Object, position: int) -> tuple[int, list[_Step]]:
        """Length of a table, and those of its stored fields that hold offsets."""
        wire = self._wire
        vtable = position - wire.unpack(I32, position)[0]
        layout = self._layouts.get((vtable, owner.index))
        if layout is None:
            slots = wire.slots(position)
            vtable_bytes, table_bytes = wire.unpack(TABLE, vtable)
            self._reach(vtable + vtable_bytes)
            steps: list[_Step] = []
            for slot, field in zip(slots, owner.fields, strict=False):
                base, element = field.type.base, field.type.element
                is_struct = field.object is not None and field.object.is_struct
                if not slot or field.is_inline:
                    continue
                plain = base in (s.VECTOR, s.VECTOR64) and (element in s.SCALARS or is_struct)
                table = field.object if base == s.OBJ else None
                kind = slots[field.id - 1] if field.is_union else 0
                steps.append(_Step(slot, field, base, table, field.element()[0] if plain else 0, kind))
            self._spend(8 * len(steps), position)  # in a sound file each of them takes 4 bytes of a table of its own
            layout = self._layouts[vtable, owner.index] = table_bytes, steps
        return layout

    def _string(self, position: int) -> None:
        start, count = self._wire.vector(position, 1)
        self._reach(start + count + 1)

    def _union(self, field: Field, kind: int, target: int) -> None:
        member = field.enum.member(kind) if field.enum is not None else None
        if member is None or not kind:
            return
        if member.base == s.STRING:
            self._string(target)
            return
        owner = field._schema.object(member.index)
        if owner.is_struct:
            self._reach(target + owner.bytesize)
        else:
            self._stack.append((owner, target))

    def _vector(self, field: Field, target: int, kinds_at: int) -> None:
        """A vector of tables, strings or unions; where the offset to the unions' types lies, 0 for nowhere."""
        wire = self._wire
        start, count = wire.vector(target, 4)
        self._reach(start + 4 * count)
        if field.type.element != s.UNION and not self._is_new(target, field.owner.index, field.id, 4 * count):
            return  # shared: its entries are pointed to once, by this vector
        kinds: list[int] = []
        if kinds_at:
            first, number = wire.vector(wire.follow(kinds_at), 1)
            kinds = list(wire.source.view(first, number))
        element, references = field.type.element, self.references
        for first in range(0, count, BATCH):
            at = start + 4 * first
            for i, offset in enumerate(wire.unpack(vector_layout(min(BATCH, count - first), "I"), at), first):
                if element == s.UNION and not (i < len(kinds) and kinds[i]):
                    continue
                entry = start + 4 * i + offset
                if not offset or entry >= wire.size:
                    wire.follow(start + 4 * i)  # says what is wrong
                references[entry] = references.get(entry, 0) + 1
                if element == s.STRING:
                    self._string(entry)
                elif element == s.UNION:
                    self._union(field, kinds[i], entry)
                else:
                    self._stack.append((field.the_object, entry))
