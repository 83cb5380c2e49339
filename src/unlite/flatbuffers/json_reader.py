"""JSON text into a FlatBuffer: reads what ``json_writer`` and flatc write, and what people make of it by hand.

The text is read once, through a window, and becomes a tree of small Python values for ``write.Plan``; long vectors of
scalars go to a temporary file on the way. What is wrong with the text is said with line, column and path.
"""

from __future__ import annotations

import re
from struct import Struct as Layout
from struct import error as StructError
from struct import iter_unpack
from typing import TYPE_CHECKING, Any, BinaryIO

from unlite.errors import InvalidTypeError, TextError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.json_text import MARK, STRING, WORD, Text
from unlite.flatbuffers.numbers import NumberTextError, parse_number_chunks, parse_numbers
from unlite.flatbuffers.sink import MemorySink
from unlite.flatbuffers.source import MemorySource, Source
from unlite.flatbuffers.spool import Spool
from unlite.flatbuffers.wire import Wire
from unlite.flatbuffers.write import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from unlite.flatbuffers.schema import Enum, Field, Object, Schema
    from unlite.flatbuffers.sink import Sink

LEVELS = 64  # tables inside one another; flatc reads no more
SPOOLED = 4096  # bytes; vectors from this size on go to the temporary file
REMEMBERED = 1000  # words of numbers
BATCH = 1024  # enum values packed at a time

_SHORT_INTEGERS = re.compile(rb"[ \t\r\n]*\[([-0-9, \t\r\n]{0,512})\]")


def read_json(
    text: object,
    schema: Schema,
    *,
    spool: BinaryIO | None = None,
    root: Object | None = None,
    file: str | None = None,
) -> dict[str, Any]:
    """The document as a tree that ``write.Plan`` takes.

    Tables and structs are dicts by field name; vectors of tables, structs, strings and union values are lists; enum
    values are numbers. A vector of scalars is its bytes, little-endian; from 4 KiB on it is a ``ScalarVector`` over a
    temporary file that goes with it. ``null`` counts as absent. Memory: the tree, and windows of about 1 MiB.

    Args:
        text: The text in UTF-8: a source, or bytes.
        schema: What it describes.
        spool: An empty file to use as the temporary one: binary, open for reading and writing.
        root: The table that the document is; the schema's root table without it.
        file: What messages call the text.

    Raises:
        TextError: what does not parse, with line, column, path and a mend.
        SaveError: the temporary file cannot be written.
    """
    source = text if isinstance(text, Source) else _memory(text)
    reader = _Reader(Text(source, file or source.name), schema, Spool(spool) if spool else None)
    return reader.document(root or schema.root)


def compile_json(text: object, schema: Schema, sink: Sink, *, identifier: bytes | None = None) -> None:
    """Writes the document as a FlatBuffer. Arguments and errors as for ``read_json``.

    Args:
        text: The text in UTF-8: a source, or bytes.
        schema: What it describes.
        sink: Takes the FlatBuffer.
        identifier: Four bytes, b"" for none; the schema's without it.
    """
    tree = read_json(text, schema)
    given = schema.file_identifier.encode() if identifier is None else identifier
    Plan(schema.root, tree, identifier=given).write(sink)


def _memory(text: object) -> Source:
    try:
        return MemorySource(text, "<text>")  # type: ignore[arg-type]  # anything with a buffer; refused below
    except TypeError:
        raise InvalidTypeError(f"a source or bytes of JSON text are wanted, not {type(text).__name__}.") from None


class _Reader:
    def __init__(self, text: Text, schema: Schema, spool: Spool | None) -> None:
        self._text = text
        self._schema = schema
        self._spool = spool
        self._wire: Wire | None = None
        self._depth = 0
        self._fields: dict[int, dict[bytes, tuple[Field, Callable[[Field], Any]]]] = {}
        self._enums: dict[Enum, dict[bytes, int]] = {}

    def document(self, root: Object) -> dict[str, Any]:
        self._expect(b"{", f"a {_short(root)}", *self._text.token())
        tree = self._table(root)
        self._text.end()
        return tree

    # -- tables and structs; the bracket in front is passed -------------------------------------------------------

    def _table(self, owner: Object) -> dict[str, Any]:
        text, fields = self._text, self._fields_of(owner)
        values: dict[str, Any] = {}
        start, first = text.start, True
        late: list[tuple[Field, int]] = []
        self._descend()
        while True:
            key = text.key(first)
            if key is None:
                break
            first = False
            try:
                entry = fields.get(key)
                if entry is None:
                    raise self._unknown(owner, key)
                field, read = entry
                if field.name in values:
                    raise text.error(f"the key {field.name!r} stands here twice.", text.start, "Keep one of the two.")
                if field.id and s.UNION in (field.type.base, field.type.element):
                    kind = owner.fields[field.id - 1].name
                    if kind not in values:
                        values[field.name] = None
                        late.append((field, text.position))
                        text.skip()
                        continue
                    values[field.name] = self._union(field, values[kind])
                else:
                    values[field.name] = read(field)
            except TextError as error:
                raise _within(error, key.decode("utf-8", "replace")[:80]) from None
        if late:
            self._late(owner, values, late)
        self._check_whole(owner, values, start)
        self._depth -= 1
        return values

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > LEVELS:
            raise self._text.error(f"tables are nested more than {LEVELS} deep.", self._text.start)

    def _fields_of(self, owner: Object) -> dict[bytes, tuple[Field, Callable[[Field], Any]]]:
        fields = self._fields.get(owner.index)
        if fields is None:
            fields = {
                field.name.encode("utf-8", "surrogateescape"): (field, self._reader_of(field)) for field in owner.fields
            }
            self._fields[owner.index] = fields
        return fields

    def _reader_of(self, field: Field) -> Callable[[Field], Any]:
        base, element = field.type.base, field.type.element
        if base in s.SCALARS:
            return self._enum if field.enum is not None else self._number_reader(base)
        if base in (s.VECTOR, s.VECTOR64, s.ARRAY):
            if element in s.SCALARS:
                return self._enums_vector if field.enum is not None else self._numbers
            return self._vector
        return self._string if base == s.STRING else self._object

    def _late(self, owner: Object, values: dict[str, Any], late: list[tuple[Field, int]]) -> None:
        """Reads union values that stand in front of their types."""
        text = self._text
        end = text.position
        for field, position in late:
            kind = owner.fields[field.id - 1]
            text.seek(position)
            try:
                if kind.name not in values:
                    text.peek()
                    raise text.error(
                        f"the type of this union is missing: the key {kind.name!r}.",
                        text.position,
                        f"Its types: {_listed(field.enum)}.",
                    )
                values[field.name] = self._union(field, values[kind.name])
            except TextError as error:
                raise _within(error, field.name) from None
        text.seek(end)

    def _check_whole(self, owner: Object, values: dict[str, Any], start: int) -> None:
        for field in owner.fields:
            if (owner.is_struct or field.required) and values.get(field.name) is None:
                raise self._text.error(
                    f"the field {field.name!r} of {_short(owner)} is missing.",
                    start,
                    f"A struct has all its fields: {', '.join(owner.by_name)}." if owner.is_struct else None,
                )

    def _unknown(self, owner: Object, key: bytes) -> TextError:
        """The error for a key that the table does not have, the latest token."""
        from difflib import get_close_matches

        name = key.decode("utf-8", "replace")[:80]
        matches = get_close_matches(name, owner.by_name, 3)
        return self._text.error(
            f"{_short(owner)} has no field {name!r}.",
            self._text.start,
            f"Did you mean {' or '.join(map(repr, matches))}?"
            if matches
            else f"Its fields: {', '.join(owner.by_name) or 'none'}.",
        )

    def _object(self, field: Field) -> dict[str, Any] | None:
        return self._object_of(field.the_object)

    def _object_of(self, owner: Object) -> dict[str, Any] | None:
        kind, token = self._text.token()
        if kind == WORD and token == b"null":
            return None
        self._expect(b"{", f"a {_short(owner)}", kind, token)
        return self._table(owner)

    def _expect(self, mark: bytes, wanted: str, kind: int, token: bytes) -> None:
        if kind != MARK or token != mark:
            raise self._wrong(f"{wanted} in {'braces' if mark == b'{' else 'brackets'} is wanted", kind, token)

    def _wrong(self, wanted: str, kind: int, token: bytes, mend: str | None = None) -> TextError:
        """The error for a value of the wrong type, the latest token."""
        shown = token.decode("utf-8", "replace")
        shown = f"{shown[:40]}..." if len(shown) > 40 else shown
        if kind == MARK:
            shown = {"{": "an object", "[": "an array"}.get(shown, f"'{shown}'")
        return self._text.error(
            f"{wanted}, not {shown!r}." if kind == STRING else f"{wanted}, not {shown}.",
            self._text.start - (kind == STRING),
            mend,
        )

    # -- strings and unions ---------------------------------------------------------------------------------------

    def _string(self, _: Field | None = None) -> str | None:
        kind, token = self._text.token()
        if kind == STRING:
            return self._text.decode(token)
        if kind == WORD and token == b"null":
            return None
        raise self._wrong("a string is wanted", kind, token, "Strings stand in double quotes.")

    def _union(self, field: Field, kind: Any) -> Any:
        if field.type.base != s.UNION:
            return self._vector(field, kind or [])
        return self._member(field, kind)

    def _member(self, field: Field, kind: int) -> Any:
        """A union value of known type."""
        enum, text = field.the_enum, self._text
        member = enum.member(kind)
        if kind and member is not None:
            return self._string() if member.base == s.STRING else self._object_of(self._schema.object(member.index))
        token = text.token()
        if token == (WORD, b"null"):
            return None
        if member is None:
            raise text.error(f"{kind} is no type of {enum.name}.", text.start, f"Its types: {_listed(enum)}.")
        raise text.error("the union's type is NONE, but here is a value.", text.start, "Name its type, or take it out.")

    # -- vectors --------------------------------------------------------------------------------------------------

    def _items(self, wanted: str) -> Iterator[int]:
        """The index of each entry of a list, with the text in front of the entry."""
        text = self._text
        self._expect(b"[", wanted, *text.token())
        index = 0
        while text.item(not index):
            yield index
            index += 1

    def _is_null(self) -> bool:
        """Whether the next value is ``null``; then it is passed."""
        text = self._text
        if text.peek() != 0x6E:
            return False
        position = text.position
        if text.token() == (WORD, b"null"):
            return True
        text.seek(position)
        return False

    def _vector(self, field: Field, kinds: Sequence[int] | None = None) -> list[Any] | None:
        """Tables, structs, strings or union values."""
        if self._is_null():
            return None
        text, values, index = self._text, [], -1
        name = "strings" if field.type.element == s.STRING else f"{_short(field.object)}s" if field.object else "values"
        read: Callable[[Field], Any] = self._string if field.type.element == s.STRING else self._object
        try:
            for index in self._items(f"a list of {name}"):
                if kinds is None:
                    value = read(field)
                elif index < len(kinds):
                    value = self._member(field, kinds[index])
                else:
                    raise text.error(f"there are more values than types, {len(kinds)}.", text.position)
                if value is None and not (kinds is not None and kinds[index] == 0):
                    raise text.error("null has no place in a vector.", text.start, "Take the entry out.")
                values.append(value)
        except TextError as error:
            raise _within(error, f"[{index}]" if index >= 0 else "") from None
        if kinds is not None and len(values) != len(kinds):
            raise text.error(f"there are fewer values, {len(values)}, than types, {len(kinds)}.", text.position - 1)
        return self._fixed(field, values)

    def _fixed(self, field: Field, values: list[Any]) -> list[Any]:
        if field.type.base == s.ARRAY and len(values) != field.type.fixed_length:
            raise self._text.error(
                f"{field.type.fixed_length} entries are wanted, here are {len(values)}.", self._text.position - 1
            )
        return values

    def _numbers(self, field: Field) -> Any:
        """A vector of numbers; the bytes of a nested FlatBuffer may be given as its root table."""
        text, code = self._text, v.CODES[field.type.element]
        short = text.small(_SHORT_INTEGERS) if code not in "?fd" else None
        if short is not None:
            try:
                numbers = short.split(b",") if len(short) > 1 or short.isdigit() else []
                packed = Layout(f"<{len(numbers)}{code}").pack(*map(int, numbers))
                return self._listed(field, packed)
            except (ValueError, StructError):  # said precisely below
                text.seek(text.position - len(short) - 2)
        if self._is_null():
            return None
        kind, token = text.token()
        if field.nested_object is not None and kind == MARK and token == b"{":
            return self._nested(field, field.nested_object)
        self._expect(b"[", "a list of numbers", kind, token)
        start = text.position
        try:
            return self._listed(field, self._kept(field, parse_number_chunks(text.inside(), code, base=start)))
        except NumberTextError as error:
            raise _within(
                text.error(error.message, error.position), f"[{text.commas(start, error.position)}]"
            ) from None

    def _listed(self, field: Field, packed: Any) -> Any:
        """As it is, but for an array: its numbers, which must be as many as it has."""
        if field.type.base != s.ARRAY:
            return packed
        data = packed if isinstance(packed, bytes) else packed.memoryview()
        return self._fixed(field, [number for (number,) in iter_unpack(f"<{v.CODES[field.type.element]}", data)])

    def _enums_vector(self, field: Field) -> Any:
        if self._is_null():
            return None
        if field.type.base == s.ARRAY or field.type.element == s.U_TYPE:
            return self._fixed(field, list(self._enum_entries(field)))
        return self._kept(field, self._packed_enums(field))

    def _packed_enums(self, field: Field) -> Iterator[bytes]:
        batch: list[int] = []
        code = v.CODES[field.type.element]
        for number in self._enum_entries(field):
            batch.append(number)
            if len(batch) == BATCH:
                yield Layout(f"<{BATCH}{code}").pack(*batch)
                batch.clear()
        yield Layout(f"<{len(batch)}{code}").pack(*batch)

    def _enum_entries(self, field: Field) -> Iterator[int]:
        index = -1
        try:
            for index in self._items("a list of names"):  # noqa: B007 - known when an entry raises
                number = self._enum(field)
                if number is None:
                    raise self._text.error("null has no place in a vector.", self._text.start, "Take the entry out.")
                yield number
        except TextError as error:
            raise _within(error, f"[{index}]" if index >= 0 else "") from None

    def _nested(self, field: Field, owner: Object) -> Any:
        plan = Plan(owner, self._table(owner))
        if plan.size < SPOOLED:
            sink = MemorySink()
            plan.write(sink)
            return sink.value()
        spool = self._spooled()
        start = spool.size
        plan.write(spool)
        return self._vector_over(spool, start, plan.size, field)

    def _kept(self, field: Field, pieces: Iterator[bytes]) -> Any:
        """The bytes of a vector; in the temporary file where they are many."""
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
        return self._vector_over(spool, start, spool.size - start, field)

    def _spooled(self) -> Spool:
        if self._spool is None:
            self._spool = Spool()
        return self._spool

    def _vector_over(self, spool: Spool, start: int, length: int, field: Field) -> v.ScalarVector:
        if self._wire is None:
            self._wire = Wire(spool)
        count = length // field.element()[0]
        parent: Any = None  # it stands in no file yet
        return v.ScalarVector(self._wire, start, count, field, parent, field.name)

    # -- scalars --------------------------------------------------------------------------------------------------

    def _number_reader(self, base: int) -> Callable[[Field], Any]:
        """What reads the scalars of one type; it remembers what common words mean."""
        next_token = self._text.token
        known: dict[bytes, Any] = {}

        def read(field: Field) -> Any:
            kind, token = next_token()
            number = known.get(token) if kind == WORD else None
            if number is None:
                number = self._scalar(field, base, kind, token)
                if kind == WORD and len(known) < REMEMBERED:
                    known[token] = number
            return number

        return read

    def _scalar(self, field: Field, base: int, kind: int, token: bytes) -> Any:
        text = self._text
        if kind == WORD and token == b"null":
            self._check_optional(field)
            return None
        if kind == MARK:
            raise self._wrong(f"a {'true or false' if base == s.BOOL else 'number'} is wanted", kind, token)
        quoted = kind == STRING
        try:
            data = parse_numbers(b'"%b"' % token if quoted else token, v.CODES[base], base=text.start - quoted)
        except NumberTextError as error:
            raise text.error(error.message, error.position) from None
        (number,) = s.SCALARS[base].unpack(data)
        return number

    def _check_optional(self, field: Field) -> None:
        """Refuses ``null`` for a scalar that is never absent."""
        if field.default is not None or field.type.base not in s.SCALARS:
            raise self._text.error("null is no number.", self._text.start, "Leave the key out to get the default.")

    def _enum(self, field: Field) -> int | None:
        """A number, a name, or several masks' names with spaces between."""
        enum, text = field.the_enum, self._text
        kind, token = text.token()
        known = self._enums.setdefault(enum, {})
        number = known.get(token)
        if number is not None and kind != MARK:
            return number
        if kind == WORD and token == b"null":
            self._check_optional(field)
            return None
        if kind == MARK:
            raise self._wrong(f"a name of {enum.name} is wanted", kind, token)
        label = text.decode(token)
        number = enum.number(label) if len(label) < 1000 else None
        if number is None:
            from difflib import get_close_matches

            matches = get_close_matches(label[:80], enum.values, 3)
            raise text.error(
                f"{label!r:.80} is no name of {enum.name}.",
                text.start - (kind == STRING),
                f"Did you mean {' or '.join(map(repr, matches))}?" if matches else f"Its names: {_listed(enum)}.",
            )
        low, high = _limits(field.type.element or field.type.base)
        if not low <= number <= high:
            raise text.error(f"{number} is out of range, {low} to {high}.", text.start - (kind == STRING))
        if not token.isdigit():
            known[token] = number
        return number


def _within(error: TextError, step: str) -> TextError:
    """The error with its path begun one step further out."""
    inner = error.path or ""
    if not step:
        return error
    error.path = f"{step}{'.' if inner and not inner.startswith('[') else ''}{inner}"
    return error


def _short(owner: Object) -> str:
    return owner.name.rpartition(".")[2]


def _listed(enum: Enum | None) -> str:
    names = list(enum.values) if enum is not None else []
    return ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")


def _limits(base: int) -> tuple[int, int]:
    bits = 8 * s.SCALARS[base].size
    signed = base in (s.BYTE, s.SHORT, s.INT, s.LONG)
    return (-1 << (bits - 1), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
