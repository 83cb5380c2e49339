"""Which bytes of a file a set of assignments changes, where all of them keep their size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.extent import Extent
from unlite.flatbuffers.pack import encode, is_default, pack_scalar
from unlite.model.objects.buffer import Span
from unlite.storage.patch import Patch

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Field
    from unlite.model.model import Model


class _SizeChangeError(Exception):
    """Raised inside this module where sizes change, or bytes are shared."""


def find_patches(model: Model) -> list[Patch] | None:
    """The patches that bring ``model.file`` up to date; None where only a rewrite can."""
    shift = model.source.base - model.file.base  # a size prefix stands in front of what the views read
    try:
        return [patch._replace(offset=patch.offset + shift) for patch in _Finder(model).find()]
    except _SizeChangeError:
        return None


class _Finder:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._wire = model.root._wire
        self._patches: list[Patch] = []
        self._sole: set[int] = set()  # objects that nothing else may point to, if they are to change

    def find(self) -> list[Patch]:
        self._table(self._model.root)
        if self._sole:
            references = Extent(self._model.root).references
            if any(references.get(position, 0) > 1 for position in self._sole):
                raise _SizeChangeError
        return self._patches

    def _table(self, table: v.Table) -> None:
        if table._wire is not self._wire:
            raise _SizeChangeError
        before = len(self._patches)
        for number, value in (table._changes or {}).items():
            field = table._object.fields[number]
            slot = table._slots[number] if number < len(table._slots) else 0
            if table._object.name == "tflite.Buffer" and field.name == "data":
                self._buffer(table, slot, value)
            else:
                self._field(table, field, table._position + slot if slot else 0, value)
        if len(self._patches) > before and table is not self._model.root:
            self._sole.add(table._position)

    def _field(self, table: v.Table, field: Field, at: int, value: Any) -> None:
        """One assignment; ``at``: place of the field's inline value in the file, 0 where it is not stored."""
        if isinstance(value, v.View) and not isinstance(value, v.ScalarVector) and not self._is_own(value, at):
            raise _SizeChangeError  # another table or vector was put there
        if isinstance(value, v.Table):
            self._inner(value)
        elif isinstance(value, v.Vector) and not isinstance(value, v.ScalarVector):
            self._entries(value)
        elif value is None or not at:
            default = value is None or (field.type.base in s.SCALARS and is_default(field, value))
            if at or not default:
                raise _SizeChangeError
        elif field.type.base in s.SCALARS:
            self._bytes(at, pack_scalar(field, field.type.base, value, v.path(table)))
        elif isinstance(value, v.ScalarVector):
            start, count = self._wire.vector(self._wire.follow(at), field.element()[0])
            self._span(start, count * field.element()[0], value)
            self._sole.add(start - 4)
        else:
            self._string(self._wire.follow(at), value, v.path(table))

    def _string(self, position: int, value: Any, path: str) -> None:
        start, count = self._wire.vector(position, 1)
        data = encode(value, path) if isinstance(value, str) else b""
        if not isinstance(value, str) or len(data) != count:
            raise _SizeChangeError
        self._bytes(start, data)
        self._sole.add(position)

    def _entries(self, vector: v.Vector) -> None:
        before = len(self._patches)
        for entry in (vector._changes or {}).values():
            self._inner(entry)
        if len(self._patches) > before:
            self._sole.add(vector._start - 4)

    def _is_own(self, value: v.View, at: int) -> bool:
        """Whether a view is still of what the offset at ``at`` leads to."""
        if value._wire is not self._wire or not at:
            return False
        target = self._wire.follow(at)
        return target == (value._start - 4 if isinstance(value, v.Vector) else getattr(value, "_position", -1))

    def _inner(self, value: Any) -> None:
        if not isinstance(value, v.Table):
            raise _SizeChangeError
        self._table(value)

    def _buffer(self, table: v.Table, slot: int, value: Any) -> None:
        """New content of a Buffer: over the old, inside the FlatBuffer or behind it."""
        if slot:
            field = table._object.by_name["data"]
            self._field(table, field, table._position + slot, value)
            return
        offset, size = table["offset"], table["size"]
        if value is None and offset <= 1:
            return
        if offset <= 1 or not isinstance(value, v.ScalarVector):
            raise _SizeChangeError
        start = offset
        for other in self._model.buffers:
            theirs = other._table["offset"]
            if (
                other._table is not table
                and theirs > 1
                and theirs < offset + size
                and offset < theirs + other._table["size"]
            ):
                raise _SizeChangeError  # equal data is stored once; now it is no longer equal
        self._span(start, size, value)

    def _span(self, start: int, length: int, value: v.ScalarVector) -> None:
        own_start, own_length = value.span()
        if own_length != length:
            raise _SizeChangeError
        source = value._wire.source
        if source is self._wire.source:
            if own_start != start:
                raise _SizeChangeError
            return
        if not Span("", source, own_start, length).holds(Span("", self._wire.source, start, length)):
            self._patches.append(Patch(start, source, own_start, length))

    def _bytes(self, at: int, data: bytes) -> None:
        from unlite.storage.source import MemorySource

        if bytes(self._wire.source.view(at, len(data))) != data:
            self._patches.append(Patch(at, MemorySource(data), 0, len(data)))
