"""Which bytes of a model's file a set of changes replaces, weights behind the FlatBuffer among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.flatbuffers.edits import VectorNode
from unlite.flatbuffers.patches import PatchFinder, SizeChangeError

if TYPE_CHECKING:
    from unlite.flatbuffers import view as v
    from unlite.flatbuffers.schema import Field
    from unlite.model.model import Model
    from unlite.storage.patch import Patch


def find_patches(model: Model) -> list[Patch] | None:
    """The patches that bring ``model.file`` up to date; None where only a rewrite can."""
    shift = model.source.base - model.file.base  # a size prefix stands in front of what the views read
    patches = _Finder(model).find()
    return patches and [patch._replace(offset=patch.offset + shift) for patch in patches]


class _Finder(PatchFinder):
    def __init__(self, model: Model) -> None:
        super().__init__(model.root)
        self._model = model

    def field(self, table: v.Table, field: Field, at: int, value: Any) -> None:
        if at or field.name != "data" or table._object.name != "tflite.Buffer":
            super().field(table, field, at, value)
            return
        offset, size = table["offset"], table["size"]
        if value is None and offset <= 1:
            return
        if offset <= 1 or not isinstance(value, VectorNode):
            raise SizeChangeError
        start = offset
        for other in self._model.buffers:
            theirs = other._table["offset"]
            overlaps = theirs > 1 and theirs < offset + size and offset < theirs + other._table["size"]
            if overlaps and other._table._key != table._key:
                raise SizeChangeError  # equal data is stored once; now it is no longer equal
        self.span(start, size, value.wire, value.start, value.count)
