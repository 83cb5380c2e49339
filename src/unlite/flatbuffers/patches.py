"""Which bytes of a FlatBuffer a set of changes replaces, where all of them keep their size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.edits import TableNode, VectorNode
from unlite.flatbuffers.extent import Extent
from unlite.flatbuffers.pack import encode, is_default, pack_scalar
from unlite.storage.patch import Patch
from unlite.storage.source import MemorySource, Span

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Field
    from unlite.flatbuffers.wire import Wire


class SizeChangeError(Exception):
    """Raised among these modules where sizes change, or bytes are shared."""


class PatchFinder:
    """Finds the patches that bring a file up to date.

    Args:
        root: Its root table.
    """

    def __init__(self, root: v.Table) -> None:
        v.refresh(root)
        self._root = root
        self._wire = root._edits.wire
        self._patches: list[Patch] = []
        self._sole: set[int] = set()  # objects that nothing else may point to, if they are to change

    def find(self) -> list[Patch] | None:
        """The patches; None where only a rewrite can do it."""
        try:
            self.table(self._root)
            if self._sole:
                references = Extent(v.unedited(self._root)).references
                if any(references.get(position, 0) > 1 for position in self._sole):
                    return None
        except SizeChangeError:
            return None
        return self._patches

    def table(self, table: v.Table) -> None:
        """What was assigned to a table and below it."""
        v.refresh(table)
        if table._wire is not self._wire:
            raise SizeChangeError
        before = len(self._patches)
        for number, value in ({} if table._node is None else table._node.fields).items():
            field = table._object.fields[number]
            slot = table._slots[number] if number < len(table._slots) else 0
            self.field(table, field, table._position + slot if slot else 0, value)
        if len(self._patches) > before and table._parent is not None:
            self._sole.add(table._position)

    def field(self, table: v.Table, field: Field, at: int, value: Any) -> None:
        """One field; ``at``: place of its inline value in the file, 0 where it is not stored."""
        if value is None or not at:
            default = value is None or (field.type.base in s.SCALARS and is_default(field, value))
            if at or not default:
                raise SizeChangeError
        elif field.type.base in s.SCALARS:
            self.bytes(at, pack_scalar(field, field.type.base, value, v.path(table)))
        elif isinstance(value, str):
            self._string(self._wire.follow(at), encode(value, v.path(table)))
        elif isinstance(value, VectorNode):
            self._vector(table, field, at, value)
        elif isinstance(value, TableNode) and field.object is not None and field.object.is_struct:
            length = field.object.bytesize
            self.bytes(at, bytes(value.wire.source.view(value.position, length)))
        else:
            inner = v.get(table, field)
            if (
                value.wire is not self._wire
                or value.position != self._wire.follow(at)
                or not isinstance(inner, v.Table)
            ):
                raise SizeChangeError  # another table was put there
            self.table(inner)

    def _string(self, position: int, data: bytes) -> None:
        start, count = self._wire.vector(position, 1)
        if len(data) != count:
            raise SizeChangeError
        self.bytes(start, data)
        self._sole.add(position)

    def _vector(self, table: v.Table, field: Field, at: int, value: VectorNode) -> None:
        if field.offset64 or field.type.base == s.VECTOR64:
            raise SizeChangeError
        size = field.element()[0]
        start, count = self._wire.vector(self._wire.follow(at), size)
        if field.type.element in s.SCALARS or (field.object is not None and field.object.is_struct):
            self.span(start, count * size, value.wire, value.start, value.count * size)
            self._sole.add(start - 4)
            return
        if value.wire is not self._wire or (value.start, value.count) != (start, count):
            raise SizeChangeError
        before = len(self._patches)
        vector = v.get(table, field)
        for index, node in value.entries.items():
            entry = vector[index]
            is_own = isinstance(node, TableNode) and node.position == self._wire.follow(start + 4 * index)
            if not is_own or not isinstance(entry, v.Table):
                raise SizeChangeError
            self.table(entry)
        if len(self._patches) > before:
            self._sole.add(start - 4)

    def span(self, start: int, length: int, wire: Wire, new_start: int, new_length: int) -> None:
        """New bytes for a stretch of the file."""
        if new_length != length:
            raise SizeChangeError
        if wire is self._wire or wire.source is self._wire.source:
            if new_start != start:
                raise SizeChangeError
        elif not Span("", wire.source, new_start, length).holds(Span("", self._wire.source, start, length)):
            self._patches.append(Patch(start, wire.source, new_start, length))

    def bytes(self, at: int, data: bytes) -> None:
        """New bytes that are in memory."""
        if bytes(self._wire.source.view(at, len(data))) != data:
            self._patches.append(Patch(at, MemorySource(data), 0, len(data)))
