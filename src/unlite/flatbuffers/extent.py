"""What a FlatBuffer occupies, and who points where: the end of the last object, and objects that are shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import CorruptFileError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers.wire import I32, TABLE, VISITS

if TYPE_CHECKING:
    from unlite.flatbuffers import view as v
    from unlite.flatbuffers.schema import Field, Object
    from unlite.flatbuffers.wire import Wire

UNFOLDING = 4  # times the file's length that may be read


class _Step(NamedTuple):
    """A field that holds an offset: its id, the field, and what it leads to."""

    number: int
    field: Field
    base: int
    table: Object | None  # of a field that holds one table
    size: int  # of a vector's elements; 0 for what is no plain vector


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
        self._steps: dict[int, list[_Step]] = {}
        self._vtables: dict[int, tuple[tuple[int, ...], int]] = {}
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
        self._work -= length
        if self._work < 0:
            raise self._wire.corrupt("the file unfolds to many times its size: its parts overlap.", position)
        return True

    def _reach(self, end: int) -> None:
        if end > self.end:  # noqa: PLR1730 - max() costs a call for each object
            self.end = end

    def _slots(self, position: int) -> tuple[int, ...]:
        (back,) = self._wire.unpack(I32, position)
        vtable: int = position - back
        known = self._vtables.get(vtable)
        if known is None:
            slots = self._wire.slots(position)
            vtable_bytes, table_bytes = self._wire.unpack(TABLE, vtable)
            self._reach(vtable + vtable_bytes)
            known = self._vtables[vtable] = slots, table_bytes
        self._reach(position + known[1])
        return known[0]

    def _table(self, owner: Object, position: int) -> None:
        wire, references, slots = self._wire, self.references, self._slots(position)
        known = len(slots)
        for step in self._steps.get(owner.index) or self._steps_of(owner):
            number, field, base, table, size = step
            slot = slots[number] if number < known else 0
            if not slot:
                continue
            at = position + slot
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
                kind_slot = slots[number - 1]
                kind = wire.unpack(s.SCALARS[s.U_TYPE], position + kind_slot)[0] if kind_slot else 0
                self._union(field, kind, target)
            else:
                self._vector(field, target, position, slots)

    def _steps_of(self, owner: Object) -> list[_Step]:
        """The fields of a table that hold offsets."""
        steps: list[_Step] = []
        for field in owner.fields:
            base, element = field.type.base, field.type.element
            is_struct = field.object is not None and field.object.is_struct
            if base in s.SCALARS or (base == s.OBJ and is_struct):
                continue
            plain = base in (s.VECTOR, s.VECTOR64) and (element in s.SCALARS or is_struct)
            table = field.object if base == s.OBJ else None
            steps.append(_Step(field.id, field, base, table, field.element()[0] if plain else 0))
        self._steps[owner.index] = steps
        return steps

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

    def _vector(self, field: Field, target: int, table: int, slots: tuple[int, ...]) -> None:
        """A vector of tables, strings or unions."""
        wire = self._wire
        start, count = wire.vector(target, 4)
        self._reach(start + 4 * count)
        if field.type.element != s.UNION and not self._is_new(target, field.owner.index, field.id, 4 * count):
            return  # shared: its entries are pointed to once, by this vector
        kinds: list[int] = []
        if field.type.element == s.UNION and slots[field.id - 1]:
            first, number = wire.vector(wire.follow(table + slots[field.id - 1]), 1)
            kinds = list(wire.source.view(first, number))
        for i in range(count):
            if field.type.element == s.UNION and not (i < len(kinds) and kinds[i]):
                continue
            entry = wire.follow(start + 4 * i)
            self.references[entry] = self.references.get(entry, 0) + 1
            if field.type.element == s.STRING:
                self._string(entry)
            elif field.type.element == s.UNION:
                self._union(field, kinds[i], entry)
            else:
                self._stack.append((field.the_object, entry))
