"""Numbers and enum values out of JSON text, one by one and by the vector; long vectors go to a temporary file."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from unlite.errors import TextError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.json_text import MARK, STRING, WORD, Text, did_you_mean, within
from unlite.flatbuffers.numbers import NumberTextError, parse_number_chunks, parse_numbers, parse_plain
from unlite.flatbuffers.wire import Wire
from unlite.storage.sink import MemorySink
from unlite.storage.temporary_file import TemporaryFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unlite.flatbuffers.schema import Enum, Field
    from unlite.flatbuffers.write import Plan

SPOOLED = 4096  # bytes; vectors from this size on go to the temporary file
REMEMBERED = 1000  # words of numbers, with what they mean
BATCH = 1024  # enum values packed at a time

_SHORT_INTEGERS = re.compile(rb"[ \t\r\n]*\[([-0-9, \t\r\n]{0,512})\]")
_SHORT_FLOATS = re.compile(rb"[ \t\r\n]*\[([-+.0-9eE, \t\r\n]{0,512})\]")
# Digits of the largest number of a type: any number of fewer digits fits it.
_WHOLE = {
    base: len(str(1 << 8 * layout.size - 1)) for base, layout in s.SCALARS.items() if layout.format[-1] in "hHiIqQ"
}


class Scalars:
    """Reads scalars at the text's place.

    Args:
        text: Where they stand.
        spool: Takes long vectors; a temporary file is made when the first one comes, if this is None.
    """

    def __init__(self, text: Text, spool: TemporaryFile | None) -> None:
        self._text = text
        self._spool = spool
        self._wire: Wire | None = None
        self._names: dict[Enum, dict[bytes, int]] = {}

    def reader_of(self, field: Field) -> Callable[[Field], Any]:
        """What reads the values of a field that holds a scalar, or a vector or array of them."""
        base = field.type.base
        if base in s.SCALARS:
            return self.enum if field.enum is not None else self._number_reader(base)
        return self._enums if field.enum is not None else self._numbers

    def _number_reader(self, base: int) -> Callable[[Field], Any]:
        next_token = self._text.token
        known: dict[bytes, Any] = {}

        def read(field: Field) -> Any:
            kind, token = next_token()
            number = known.get(token) if kind == WORD else None
            if number is None:
                number = self._number(field, base, kind, token)
                if kind == WORD and len(known) < REMEMBERED:
                    known[token] = number
            return number

        return read

    def _number(self, field: Field, base: int, kind: int, token: bytes) -> Any:
        text = self._text
        if kind == WORD and token.isdigit() and base in _WHOLE and len(token) < _WHOLE[base]:
            return int(token)
        if kind == WORD and token == b"null":
            self._check_optional(field)
            return None
        if kind == MARK:
            raise text.wrong(f"{'true or false' if base == s.BOOL else 'a number'} is wanted", kind, token)
        quoted = kind == STRING
        try:
            data = parse_numbers(b'"%b"' % token if quoted else token, v.CODES[base], base=text.start - quoted)
        except NumberTextError as error:
            raise text.error(error.message, error.position) from None
        (number,) = s.SCALARS[base].unpack(data)
        return number

    def _check_optional(self, field: Field) -> None:
        """Refuses ``null`` for a scalar that is never absent."""
        if field.default is not None:
            raise self._text.error("null is no value here.", self._text.start, "Leave the key out to get the default.")

    def enum(self, field: Field) -> int | None:
        """The number that a name, several names with spaces between (masks), or a number stands for."""
        enum, text = field.the_enum, self._text
        kind, token = text.token()
        known = self._names.setdefault(enum, {})
        number = known.get(token)
        if number is not None and kind != MARK:
            return number
        if kind == WORD and token == b"null":
            self._check_optional(field)
            return None
        if kind == MARK:
            raise text.wrong(f"a name of {enum.name} is wanted", kind, token)
        label = text.decode(token)
        number = enum.number(label) if len(label) < SPOOLED else None
        if number is None:
            raise text.error(
                f"{label!r:.80} is no name of {enum.name}.",
                text.start - (kind == STRING),
                did_you_mean(label, enum.values, "Its names"),
            )
        low, high = _limits(field.type.element or field.type.base)
        if not low <= number <= high:
            raise text.error(f"{number} is out of range, {low} to {high}.", text.start - (kind == STRING))
        if len(known) < REMEMBERED:
            known[token] = number
        return number

    # -- vectors: their bytes, or a ScalarVector over the temporary file; arrays in structs: lists ------------------

    def _numbers(self, field: Field) -> Any:
        text, code = self._text, v.CODES[field.type.element]
        short = None if code == "?" else text.passed(_SHORT_FLOATS if code in "fd" else _SHORT_INTEGERS)
        if short is not None:
            packed = _short_numbers(short, code)
            if packed is not None:
                return self._checked(field, packed)
            text.seek(text.position - len(short) - len(b"[]"))  # to read it with more patience and better messages
        if text.passed_null():
            return None
        text.expect(b"[", "a list of numbers")
        start = text.position
        try:
            return self._checked(field, self._kept(field, parse_number_chunks(text.inside(), code, base=start)))
        except NumberTextError as error:
            index = text.commas(start, error.position)
            raise within(text.error(error.message, error.position), f"[{index}]") from None

    def _checked(self, field: Field, packed: Any) -> Any:
        """As it is, but for an array: its numbers, which must be as many as it has."""
        if field.type.base != s.ARRAY:
            return packed
        data = packed if isinstance(packed, bytes) else packed.memoryview()
        values = [number for (number,) in struct.iter_unpack(f"<{v.CODES[field.type.element]}", data)]
        return check_length(self._text, field, values)

    def _enums(self, field: Field) -> Any:
        if self._text.passed_null():
            return None
        if field.type.base == s.ARRAY or field.type.element == s.U_TYPE:
            return check_length(self._text, field, list(self._enum_entries(field)))
        return self._kept(field, self._packed_enums(field))

    def _packed_enums(self, field: Field) -> Iterator[bytes]:
        batch: list[int] = []
        code = v.CODES[field.type.element]
        for number in self._enum_entries(field):
            batch.append(number)
            if len(batch) == BATCH:
                yield struct.pack(f"<{BATCH}{code}", *batch)
                batch.clear()
        yield struct.pack(f"<{len(batch)}{code}", *batch)

    def _enum_entries(self, field: Field) -> Iterator[int]:
        text, index = self._text, 0
        text.expect(b"[", "a list of names")
        try:
            while text.item(not index):
                number = self.enum(field)
                if number is None:
                    raise text.error("null has no place in a vector.", text.start, "Take the entry out.")
                yield number
                index += 1
        except TextError as error:
            raise within(error, f"[{index}]") from None

    def _kept(self, field: Field, pieces: Iterator[bytes]) -> Any:
        data = bytearray()
        for piece in pieces:
            data += piece
            if len(data) >= SPOOLED:
                break
        else:
            return bytes(data)
        spool = self._spooled()
        start = spool.size
        spool.write(data)
        for piece in pieces:
            spool.write(piece)
        return self._vector(spool, start, field)

    def kept_plan(self, field: Field, plan: Plan) -> Any:
        """The bytes of a nested FlatBuffer, kept as those of any vector."""
        if plan.size < SPOOLED:
            sink = MemorySink()
            plan.write(sink)
            return sink.value()
        spool = self._spooled()
        start = spool.size
        plan.write(spool)
        return self._vector(spool, start, field)

    def _spooled(self) -> TemporaryFile:
        if self._spool is None:
            self._spool = TemporaryFile()
        return self._spool

    def _vector(self, spool: TemporaryFile, start: int, field: Field) -> v.ScalarVector:
        """What stands in the temporary file from ``start`` on."""
        if self._wire is None:
            self._wire = Wire(spool)
        parent: Any = None  # it stands in no file yet
        return v.ScalarVector(self._wire, start, (spool.size - start) // field.element()[0], field, parent, field.name)


def _short_numbers(text: bytes, code: str) -> bytes | None:
    """The bytes of a few plain numbers; None where they take a closer look."""
    if code in "fd":
        return parse_plain(text, code)
    try:
        numbers = text.split(b",") if len(text) > 1 or text.isdigit() else []
        return struct.pack(f"<{len(numbers)}{code}", *map(int, numbers))
    except (ValueError, struct.error):
        return None


def check_length(text: Text, field: Field, values: list[Any]) -> list[Any]:
    """The values as they are. Raises TextError where an array of a struct wants another number of them."""
    if field.type.base == s.ARRAY and len(values) != field.type.fixed_length:
        raise text.error(f"{field.type.fixed_length} entries are wanted, not {len(values)}.", text.position - 1)
    return values


def _limits(base: int) -> tuple[int, int]:
    bits = 8 * s.SCALARS[base].size
    signed = base in (s.BYTE, s.SHORT, s.INT, s.LONG)
    return (-1 << (bits - 1), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
