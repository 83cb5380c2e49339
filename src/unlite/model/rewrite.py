"""Writing a model anew: the FlatBuffer, what lies behind it, and the offsets that point there.

Behind a FlatBuffer may lie: weights (``Buffer.offset``), large custom options, the bytecode of accelerators (its place
stands inside FlexBuffer options), a ZIP with associated files, and bytes that nothing known points to. All of it is
carried along; every offset is rewritten; each piece starts at a multiple of 16.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from unlite.errors import CorruptFileError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.extent import Extent
from unlite.flatbuffers.source import Source
from unlite.flatbuffers.write import LIMIT, Late, Plan
from unlite.model.accelerators import find_bytecode
from unlite.schema.sniff import IDENTIFIER

if TYPE_CHECKING:
    from unlite.flatbuffers.sink import Sink
    from unlite.model.model import Model

ALIGN = 16
OVERREAD = 16  # XNNPACK reads past the last weight; the converter leaves as many zeros there


class _Pieces:
    """Data behind the FlatBuffer, in order, equal places kept once; each gets its offset late."""

    def __init__(self) -> None:
        self.pieces: dict[tuple[int, int, int], tuple[Source, int, int, Late]] = {}

    def add(self, source: Source, start: int, length: int) -> Late:
        key = (id(source), start, length)
        if key not in self.pieces:
            self.pieces[key] = (source, start, length, Late())
        return self.pieces[key][3]

    def place(self, at: int) -> int:
        """Gives every piece its offset, from ``at`` on; returns the end."""
        for _, _, length, late in self.pieces.values():
            at += -at % ALIGN
            late.value = at
            at += length
        return at

    def write(self, sink: Sink) -> None:
        for source, start, length, late in self.pieces.values():
            sink.write(bytes(late.value - sink.position))
            sink.copy(source, start, length)


class Rewrite:
    """A plan for the whole file.

    Args:
        model: What to write, with all that was assigned.
        drop_unknown: Leave out fields that no known schema has.
    """

    def __init__(self, model: Model, *, drop_unknown: bool = False) -> None:
        self._model = model
        self._weights = _Pieces()
        self._options = _Pieces()
        self._bytecode = find_bytecode(model)
        self._outward = False
        self._plan = self._make_plan(drop_unknown)
        if self._plan.size > LIMIT:
            self._outward = True
            self._weights, self._options = _Pieces(), _Pieces()
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
            error.mend = "A damaged file can't be written anew; 'unlite verify' lists all that is wrong with it."
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
            source, start, length = self._model.source, self._model.origin + offset, table["size"]
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
        start = self._model.origin + offset
        self._model.source.check(start, size)
        return {fields["large_custom_options_offset"].id: self._options.add(self._model.source, start, size)}

    def write(self, sink: Sink) -> None:
        """Streams the new file."""
        model = self._model
        end = self._weights.place(self._plan.size)
        if self._weights.pieces:
            end += OVERREAD
        end = self._options.place(end)
        codes = {code.key: code for code in self._bytecode.values()}
        for code in codes.values():
            end += -end % ALIGN
            code.place = end
            end += code.length
        for entry in self._bytecode.values():
            entry.patch(codes[entry.key].place)
        self._plan.write(sink)
        self._weights.write(sink)
        if self._weights.pieces:
            sink.write(bytes(OVERREAD))
        self._options.write(sink)
        for code in codes.values():
            sink.pad(ALIGN)
            sink.copy(model.source, code.start, code.length)
        self._tail(sink)

    def _tail(self, sink: Sink) -> None:
        """What nothing inside points to, and the ZIP: it stays last, where readers look for it."""
        for start, length in self.leftovers():
            sink.pad(ALIGN)
            sink.copy(self._model.file, start, length)
        tail = self._model.associated_files.tail
        if tail is not None:
            from unlite.containers.zip_tail import shifted

            sink.pad(ALIGN)
            for piece in shifted(self._model.file, tail, sink.position - tail.start):
                sink.write(piece)
        else:
            sink.pad(ALIGN)

    def leftovers(self) -> Iterator[tuple[int, int]]:
        """Stretches of the old file behind its FlatBuffer that nothing points to and that are not all zeros."""
        model = self._model
        if model.file is not model.source:
            return  # brought up from an old version: those had nothing behind
        tail = model.associated_files.tail
        end = tail.start if tail else model.file.size
        taken = sorted(
            [(start, start + length) for _, start, length in self._weights.pieces | self._options.pieces]
            + [(code.start, code.start + code.length) for code in self._bytecode.values()]
            + self._replaced()
            + [(end, end)]
        )
        at = Extent(model.root).end
        for start, stop in taken:
            if at < start and any(any(chunk) for chunk in model.file.chunks(at, min(start, end) - at)):
                yield at, min(start, end) - at
            at = max(at, stop)

    def _replaced(self) -> list[tuple[int, int]]:
        """Old weights behind the FlatBuffer whose buffers got new content."""
        old: list[tuple[int, int]] = []
        for buffer in self._model.buffers:
            table = buffer._table
            if table["offset"] > 1 and not _slot(table, "data"):
                start = self._model.origin + table["offset"]
                old.append((start, start + table["size"]))
        return old


def _slot(table: v.Table, name: str) -> int:
    number = table._object.by_name[name].id
    return table._slots[number] if number < len(table._slots) else 0


def _assigned(table: v.Table, name: str) -> bool:
    return table._changes is not None and table._object.by_name[name].id in table._changes
