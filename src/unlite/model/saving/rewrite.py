"""Writing a model anew: the FlatBuffer, what lies behind it, and the offsets that point there.

Behind a FlatBuffer may lie: weights (``Buffer.offset``), large custom options, the bytecode of accelerators (its place
stands inside FlexBuffer options), a ZIP with associated files, and bytes that nothing known points to. All of it is
carried along; every offset is rewritten; each piece starts at a multiple of 16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import CorruptFileError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.nodes import LIMIT
from unlite.flatbuffers.write import Plan
from unlite.model.saving import trailing_data as tail
from unlite.model.saving.accelerators import find_bytecode
from unlite.model.saving.sections import OVERREAD, Pieces
from unlite.schema.sniff import IDENTIFIER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unlite.model.model import Model
    from unlite.storage.sink import Sink


class Rewrite:
    """A plan for the whole file.

    Args:
        model: What to write, with all that was assigned.
        drop_unknown: Leave out fields that no known schema has.
    """

    def __init__(self, model: Model, *, drop_unknown: bool = False) -> None:
        self._model = model
        self._weights = Pieces()
        self._options = Pieces()
        self._bytecode = find_bytecode(model)
        self._outward = False
        self._plan = self._make_plan(drop_unknown)
        if self._plan.size > LIMIT:
            self._outward = True
            self._weights, self._options = Pieces(), Pieces()
            self._plan = self._make_plan(drop_unknown)

    def _make_plan(self, drop_unknown: bool) -> Plan:
        try:
            return Plan(
                self._model.root._object,
                self._model.root,
                identifier=IDENTIFIER,
                override=self._override,
                drop_unknown=drop_unknown,
            )
        except CorruptFileError as error:
            error.hint = "A damaged file can't be written anew; 'unlite verify' lists all that is wrong with it."
            raise

    def _override(self, table: v.Table) -> Mapping[int, Any]:
        name = table._object.name
        if name == "tflite.Buffer":
            return self._buffer(table)
        if name == "tflite.Operator":
            return self._operator(table)
        return {}

    def _buffer(self, table: v.Table) -> Mapping[int, Any]:
        fields = table._object.by_name
        data, offset = table["data"], table["offset"]
        outside = offset > 1 and not _slot(table, "data")
        inside: Mapping[int, Any] = {fields["offset"].id: None, fields["size"].id: None} if offset > 1 else {}
        if isinstance(data, v.ScalarVector):
            if not outside and not (self._outward and len(data)):
                return inside
            source = data._wire.source
            start, length = data.span()
        elif outside and not _assigned(table, "data"):
            source, start, length = self._model.source, offset, table["size"]
            source.check(start, length)
        else:
            return inside
        late = self._weights.add(source, start, length)
        return {fields["data"].id: None, fields["offset"].id: late, fields["size"].id: length}

    def _operator(self, table: v.Table) -> Mapping[int, Any]:
        fields = table._object.by_name
        bytecode = self._bytecode.get(table._position)
        if bytecode is not None and not _assigned(table, "custom_options"):
            return {fields["custom_options"].id: bytecode.options}
        offset, size = table["large_custom_options_offset"], table["large_custom_options_size"]
        if offset <= 1:
            return {}
        if table["custom_options"] is not None:  # assigned, or inline: either wins
            return {fields["large_custom_options_offset"].id: None, fields["large_custom_options_size"].id: None}
        self._model.source.check(offset, size)
        return {fields["large_custom_options_offset"].id: self._options.add(self._model.source, offset, size)}

    def write(self, sink: Sink) -> None:
        """Streams the new file."""
        reached = self._plan.reached(self._model.source)
        behind = tail.collect(self._model, self._bytecode, self._weights_before(), reached)
        end = self._weights.place(self._plan.size)
        end = self._options.place(end + (OVERREAD if self._weights else 0))
        places = tail.place(behind, end)
        for code in self._bytecode.values():
            code.patch(places[code.start])
        self._plan.write(sink)
        self._weights.write(sink)
        if self._weights:
            sink.write(bytes(OVERREAD))
        self._options.write(sink)
        tail.write(behind, sink)

    def _weights_before(self) -> list[tuple[int, int]]:
        """Begin and end of all weights and options behind the FlatBuffer of the old file, replaced ones too."""
        source = self._model.source
        spans = [*self._weights.spans.values(), *self._options.spans.values()]
        before = [(start, start + length) for held, start, length in spans if held is source]
        for buffer in self._model.buffers:
            table = buffer._table
            if table["offset"] > 1 and not _slot(table, "data"):
                before.append((table["offset"], table["offset"] + table["size"]))
        return before


def _slot(table: v.Table, name: str) -> int:
    number = table._object.by_name[name].id
    return table._slots[number] if number < len(table._slots) else 0


def _assigned(table: v.Table, name: str) -> bool:
    return table._changes is not None and table._object.by_name[name].id in table._changes
