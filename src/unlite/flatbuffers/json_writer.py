r"""FlatBuffers as JSON text, streamed: what ``flatc -t --strict-json --defaults-json`` writes, without its losses.

Keys, their order, enum names, unions and indentation are flatc's. Different are numbers: a vector of scalars stands
on one line, floats are the shortest text that reads back as the same bits, and NaN and infinities, for which JSON has
no numbers, stand in quotes, which flatc reads. A byte of a string that is no UTF-8 is written as a lone surrogate,
``\uDC80`` to ``\uDCFF``.
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring_ascii
from struct import Struct as Layout
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import CorruptFileError, LostFieldsError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.assign import made_view
from unlite.flatbuffers.numbers import LINE, format_numbers
from unlite.flatbuffers.pack import pack_scalar
from unlite.flatbuffers.wire import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from unlite.flatbuffers.schema import Enum, Field, Object
    from unlite.flatbuffers.wire import Wire
    from unlite.flatbuffers.write import Override

LEVELS = 64  # tables inside one another; flatc reads no more
PIECES = 4096  # collected before they are handed on
SHORT = 256  # elements; below this a vector of integers is quicker formatted one by one
# Objects may be shared, and shared ones are written once per reference: a small file could unfold without end.
# Text for this many bytes per byte of file is far above what any writer's sharing gives.
UNFOLDED, UNFOLDED_LEAST = 64, 1 << 20

_ESCAPE = re.compile(r"\\(?:u[0-9a-f]{4}|.)")


def write_json(
    root: v.Table,
    write: Callable[[bytes], object],
    *,
    override: Override | None = None,
    drop_unknown: bool = False,
) -> None:
    """Writes a table, and all below it, as JSON text.

    Memory stays flat: text goes out in pieces, and vectors of scalars are read in pieces.

    Args:
        root: The table; what was assigned to it or below counts.
        write: Takes the text, UTF-8 (in fact ASCII), piece by piece.
        override: Asked once for each table: field id -> value to write instead of the stored one. None stands for a
            field that is not stored.
        drop_unknown: Leave out what the schema does not know, instead of refusing.

    Raises:
        CorruptFileError: the file is damaged, its tables are nested more than 64 deep, or so many of its objects are
            shared that the text would be out of all proportion.
        LostFieldsError: fields or union members are stored that the schema does not know; raised at the end.
        InvalidValueError, InvalidTypeError: an overriding value does not fit its field.
    """
    writer = _Writer(write, override)
    writer.document(root)
    if writer.lost and not drop_unknown:
        raise LostFieldsError(writer.lost, file=root._wire.source.name)


class _Step(NamedTuple):
    """How one field of a table is written: a scalar from ``layout`` by ``text``, anything else by ``value``."""

    number: int
    field: Field
    key: bytes
    layout: Layout | None
    text: Callable[[Any], bytes]
    absent: bytes | None  # key and default of a scalar that is not stored
    value: Callable[[v.View, Any, int], None]


class _Writer:
    def __init__(self, write: Callable[[bytes], object], override: Override | None) -> None:
        self.lost: list[str] = []
        self._write = write
        self._override = override
        self._pieces: list[bytes] = []
        self._steps: dict[tuple[int, int], list[_Step]] = {}
        self._texts: dict[Enum | int, Callable[[Any], bytes]] = {}
        self._depth = 0
        self._nested = 0
        self._wires: dict[int, Wire] = {}
        self._left = UNFOLDED_LEAST

    def document(self, root: v.Table) -> None:
        self._table(root, 0)
        self._pieces.append(b"\n")
        self._flush()

    def _flush(self) -> None:
        if self._pieces:
            self._write(b"".join(self._pieces))
            self._pieces.clear()

    def _spend(self, cost: int, view: v.View) -> None:
        self._left -= cost
        if self._left < 0:
            raise CorruptFileError(
                "its objects are shared so often that the text would never end.",
                file=view._wire.source.name,
                path=v.path(view),
                hint=DAMAGED,
            )

    # -- tables and structs: ``level`` counts the brackets around them --------------------------------------------

    def _table(self, table: v.Table, level: int) -> None:
        given = v.assigned(table)
        if self._override:
            given = {**given, **self._override(table)}
        wire, owner, slots = table._wire, table._object, table._slots
        self._descend(table)
        if id(wire) not in self._wires and not self._nested:
            self._wires[id(wire)] = wire
            self._left += UNFOLDED * wire.size
        self._spend(16, table)
        if len(slots) > len(owner.fields):
            self.lost.extend(f"{v.path(table) or 'root'}, field id {number}" for number in v.unknown_fields(table))
        pieces, unpack, position, known = self._pieces, wire.unpack, table._position, len(slots)
        lead = b"{\n"
        for number, field, key, layout, text, absent, write in self._steps_of(owner, level):
            stored = slots[number] if number < known else 0
            if layout is not None:
                if number in given:
                    value = given[number]
                    piece = absent if value is None else key + text(_number(field, value, v.path(table)))
                elif stored:
                    try:
                        piece = key + text(unpack(layout, position + stored)[0])
                    except CorruptFileError as error:
                        raise v.locate(error, table, f".{field.name}") from None
                else:
                    piece = absent
                if piece is not None:
                    pieces.append(lead + piece)
                    lead = b",\n"
                continue
            if number in given:
                value = _adopted(field, given[number], table)
            else:
                value = v.get(table, field) if stored else None
            if value is not None and not self._is_lost(value):
                pieces.append(lead + key)
                write(table, value, level + 1)
                lead = b",\n"
        pieces.append((lead if lead == b"{\n" else b"\n") + b"  " * level + b"}")
        self._depth -= 1
        if len(pieces) > PIECES:
            self._flush()

    def _is_lost(self, value: object) -> bool:
        """Notes a union value of unknown type."""
        if isinstance(value, v.UnknownUnion):
            self.lost.append(f"{v.path(value)}, a union value of unknown type")
            return True
        return False

    def _struct(self, struct: v.Struct, level: int) -> None:
        self._descend(struct)
        lead = b"{\n"
        for _, field, key, _, text, _, write in self._steps_of(struct._object, level):
            value = struct[field.name]
            self._pieces.append(lead + key)
            lead = b",\n"
            if isinstance(value, v.View):
                write(struct, value, level + 1)
            else:
                self._pieces.append(text(_number(field, value)))
        self._pieces.append(b"\n" + b"  " * level + b"}")
        self._depth -= 1

    def _descend(self, view: v.View) -> None:
        self._depth += 1
        if self._depth > LEVELS:
            raise CorruptFileError(
                f"tables are nested more than {LEVELS} deep.",
                file=view._wire.source.name,
                path=v.path(view),
                hint=DAMAGED,
            )

    def _steps_of(self, owner: Object, level: int) -> list[_Step]:
        steps = self._steps.get((owner.index, level))
        if steps is None:
            steps = self._steps[owner.index, level] = [self._step(field, level) for field in owner.fields]
        return steps

    def _step(self, field: Field, level: int) -> _Step:
        key = b"  " * (level + 1) + text_of(field.name) + b": "
        base = field.type.base
        if base not in s.SCALARS:
            return _Step(field.id, field, key, None, text_of, None, self._writer_of(field))
        text = self._scalar_text(field, base)
        # Like flatc: null for an optional scalar that is not stored, nothing for a deprecated one.
        default = b"null" if field.default is None else text(_number(field, field.default))
        absent = None if field.deprecated else key + default
        return _Step(field.id, field, key, s.SCALARS[base], text, absent, self._value)

    def _scalar_text(self, field: Field, base: int) -> Callable[[Any], bytes]:
        key = base if field.enum is None else field.enum
        text = self._texts.get(key)
        if text is None:
            if field.enum is not None:
                text = _EnumTexts(field.enum).__getitem__
            elif base == s.BOOL:
                text = {False: b"false", True: b"true"}.__getitem__
            else:
                text = _float_text(base) if base in (s.FLOAT, s.DOUBLE) else b"%d".__mod__
            self._texts[key] = text
        return text

    # -- everything else ------------------------------------------------------------------------------------------

    def _writer_of(self, field: Field) -> Callable[[v.View, Any, int], None]:
        """What writes the values of a field that is no scalar."""
        base, element = field.type.base, field.type.element
        if base in (s.VECTOR, s.VECTOR64, s.ARRAY):
            if element not in s.SCALARS:
                return self._vector
            return self._nested_root if field.nested_object is not None else self._scalars
        return self._value

    def _value(self, parent: v.View, value: Any, level: int) -> None:
        if isinstance(value, v.Table):
            self._table(value, level)
        elif isinstance(value, v.Struct):
            self._struct(value, level)
        else:
            self._spend(len(value), parent)
            self._pieces.append(text_of(value))

    def _vector(self, _: v.View, vector: v.Vector, level: int) -> None:
        """Strings, tables, structs or union values, each on its own line."""
        self._spend(4 * len(vector), vector)
        pieces = self._pieces
        lead, between, indent = b"[\n", b",\n", b"  " * (level + 1)
        for i, value in enumerate(vector):
            pieces.append(lead + indent)
            lead = between
            if value is None or self._is_lost(value):
                pieces.append(b"null")  # flatc has no text for NONE in a vector of unions
            else:
                self._value(vector, value, level + 1)
            if not i % PIECES:
                self._flush()
        pieces.append((b"\n" if lead is between else b"[\n\n") + b"  " * level + b"]")

    def _nested_root(self, _: v.View, vector: v.ScalarVector, level: int) -> None:
        """The root table of the FlatBuffer that the bytes are."""
        self._spend(len(vector), vector)
        self._nested += 1
        self._table(vector.root, level)
        self._nested -= 1

    def _scalars(self, parent: v.View, vector: v.ScalarVector, _: int) -> None:
        """Numbers or names on one line."""
        field = vector._field
        start, length = vector.span()
        if vector._wire is parent._wire:
            self._spend(length, vector)
        base = field.type.element
        if field.enum is None and base < s.FLOAT and base != s.BOOL and len(vector) < SHORT:
            self._pieces.append(f"[{','.join(map(str, vector.tolist()))}]".encode("ascii"))
            return
        self._pieces.append(b"[")
        chunks = vector._wire.source.chunks(start, length)
        if field.enum is None:
            pieces = format_numbers(chunks, vector.code)
        else:
            pieces = _labels(chunks, vector.code, self._scalar_text(field, base))
        for piece in pieces:
            self._pieces.append(piece)
            if len(piece) > PIECES or len(self._pieces) > PIECES:
                self._flush()
        self._pieces.append(b"]")


class _EnumTexts(dict[int, bytes]):
    """Number -> text of its name, or of itself where it has none."""

    def __init__(self, enum: Enum) -> None:
        self._enum = enum

    def __missing__(self, number: int) -> bytes:
        label = self._enum.label(number)
        text = self[number] = text_of(label) if isinstance(label, str) else b"%d" % label
        return text


def text_of(value: str) -> bytes:
    """A string as JSON, in ASCII, escaped as flatc does it."""
    text = encode_basestring_ascii(value)
    if "\\u" in text:
        text = _ESCAPE.sub(lambda found: found[0][:2] + found[0][2:].upper(), text)
    return text.encode("ascii")


def _float_text(base: int) -> Callable[[float], bytes]:
    pack, code = s.SCALARS[base].pack, v.CODES[base]
    return lambda value: b"".join(format_numbers((pack(value),), code))


def _labels(chunks: Iterable[memoryview], code: str, text: Callable[[Any], bytes]) -> Iterator[bytes]:
    """Names of enum values with commas between, in lines of at most 64 KiB."""
    column = 0
    lead = b""
    for chunk in chunks:
        size = Layout(code).size
        for start in range(0, len(chunk), 1024 * size):
            part = chunk[start : start + 1024 * size]
            labels = b",".join(map(text, Layout(f"<{len(part) // size}{code}").unpack(part)))
            if column + len(labels) >= LINE and column:
                lead, column = b",\n", 0
            yield lead + labels
            lead = b","
            column += len(labels) + 1


def _number(field: Field, value: Any, path: str = "") -> Any:
    """The stored number of a scalar that is given by name or as a plain value."""
    base = field.type.base
    (number,) = s.SCALARS[base].unpack(pack_scalar(field, base, value, f"{path}.{field.name}".lstrip(".")))
    return number


def _adopted(field: Field, value: Any, table: v.Table) -> Any:
    """A given value as a view would give it."""
    return value if value is None or isinstance(value, (str, v.View)) else made_view(table, field, value)
