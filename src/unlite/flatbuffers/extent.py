"""What a FlatBuffer occupies, and who points where: the end of the last object, and objects that are shared."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from unlite.errors import CorruptFileError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.wire import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unlite.flatbuffers.schema import Field, Object
    from unlite.flatbuffers.wire import Wire

UNFOLDING = 4  # times the file's length that may be read


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
        self.references: Counter[int] = Counter()
        self._wire: Wire = root._wire
        self._seen: set[tuple[int, int, int]] = set()
        self._fields: dict[int, tuple[Field, ...]] = {}
        self._work = UNFOLDING * self._wire.size
        stack = [(root._object, root._position)]
        try:
            while stack:
                owner, position = stack.pop()
                if self._is_new(position, owner.index, -1, 4):
                    stack.extend(self._table(owner, position))
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
        self.end = max(self.end, end)

    def _table(self, owner: Object, position: int) -> Iterator[tuple[Object, int]]:
        wire = self._wire
        slots = wire.slots(position)
        vtable = position - wire.unpack(s.SCALARS[s.INT], position)[0]
        vtable_bytes, table_bytes = wire.unpack(TABLE, vtable)
        self._reach(vtable + vtable_bytes)
        self._reach(position + table_bytes)
        for field in self._fields_of(owner):
            slot = slots[field.id] if field.id < len(slots) else 0
            if not slot:
                continue
            base, at = field.type.base, position + slot
            target = wire.follow64(at) if field.offset64 else wire.follow(at)
            self.references[target] += 1
            if base == s.STRING:
                self._string(target)
            elif base == s.OBJ and field.object is not None:
                yield field.object, target
            elif base == s.UNION:
                kind_slot = slots[field.id - 1]
                kind = wire.unpack(s.SCALARS[s.U_TYPE], position + kind_slot)[0] if kind_slot else 0
                yield from self._union(field, kind, target)
            else:
                yield from self._vector(field, target, position, slots)

    def _fields_of(self, owner: Object) -> tuple[Field, ...]:
        """The fields that hold offsets."""
        found = self._fields.get(owner.index)
        if found is None:
            found = self._fields[owner.index] = tuple(field for field in owner.fields if not _is_inline(field))
        return found

    def _string(self, position: int) -> None:
        start, count = self._wire.vector(position, 1)
        self._reach(start + count + 1)

    def _union(self, field: Field, kind: int, target: int) -> Iterator[tuple[Object, int]]:
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
            yield owner, target

    def _vector(self, field: Field, target: int, table: int, slots: tuple[int, ...]) -> Iterator[tuple[Object, int]]:
        wire, (size, _) = self._wire, field.element()
        start, count = (wire.vector64 if field.type.base == s.VECTOR64 else wire.vector)(target, size)
        self._reach(start + count * size)
        element = field.type.element
        if element in s.SCALARS or (field.object is not None and field.object.is_struct):
            return
        if element != s.UNION and not self._is_new(target, field.owner.index, field.id, 4 * count):
            return  # shared: its entries are pointed to once, by this vector
        kinds: list[int] = []
        if element == s.UNION and slots[field.id - 1]:
            first, number = wire.vector(wire.follow(table + slots[field.id - 1]), 1)
            kinds = list(wire.source.view(first, number))
        for i in range(count):
            if element == s.UNION and not (i < len(kinds) and kinds[i]):
                continue
            entry = wire.follow(start + 4 * i)
            self.references[entry] += 1
            if element == s.STRING:
                self._string(entry)
            elif element == s.UNION:
                yield from self._union(field, kinds[i], entry)
            elif field.object is not None:
                yield field.object, entry


def _is_inline(field: Field) -> bool:
    base = field.type.base
    return base in s.SCALARS or (base == s.OBJ and field.object is not None and field.object.is_struct)
