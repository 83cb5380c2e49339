"""JSON text into a FlatBuffer: reads what ``json_writer`` and flatc write, and what people make of it by hand.

The text is read once, through a window, and becomes a tree of small Python values for ``write.Plan``; long vectors of
scalars go to a temporary file on the way. What is wrong with the text is said with line, column and path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from unlite.errors import InvalidTypeError, TextError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers.json_scalars import Scalars, check_length
from unlite.flatbuffers.json_text import STRING, WORD, Text, did_you_mean, within
from unlite.flatbuffers.write import Plan
from unlite.storage.source import MemorySource, Source
from unlite.storage.temporary_file import TemporaryFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unlite.flatbuffers.schema import Field, Object, Schema
    from unlite.storage.sink import Sink

MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
LEVELS = 64  # tables inside one another; flatc reads no more


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
        text: The text in UTF-8, or in UTF-16 or UTF-32 with a byte order mark: a source, or bytes.
        schema: What it describes.
        spool: An empty file to use as the temporary one: binary, open for reading and writing.
        root: The table that the document is; the schema's root table without it.
        file: What messages call the text.

    Raises:
        TextError: what does not parse, with line, column, path and a hint.
        SaveError: the temporary file cannot be written.
    """
    source = in_utf8(text if isinstance(text, Source) else _memory(text))
    reader = _Reader(Text(source, file or source.name), schema, None if spool is None else TemporaryFile(spool))
    return reader.document(root or schema.root)


def compile_json(text: object, schema: Schema, sink: Sink, *, identifier: bytes | None = None) -> None:
    """Writes the document as a FlatBuffer. Errors as for ``read_json``.

    Args:
        text: The text in UTF-8: a source, or bytes.
        schema: What it describes.
        sink: Takes the FlatBuffer.
        identifier: Four bytes, b"" for none; the schema's without it.
    """
    tree = read_json(text, schema)
    given = schema.file_identifier.encode("utf-8", "surrogateescape") if identifier is None else identifier
    Plan(schema.root, tree, identifier=given).write(sink)


def _memory(text: object) -> Source:
    try:
        return MemorySource(text, "<text>")  # type: ignore[arg-type]  # anything with a buffer; refused below
    except TypeError:
        raise InvalidTypeError(f"a source or bytes of JSON text are wanted, not {type(text).__name__}.") from None


def in_utf8(source: Source) -> Source:
    """A text in UTF-8: itself, or a copy of one whose byte order mark names another encoding. Raises TextError."""
    head = bytes(source.view(0, min(4, source.size)))
    name = next((name for mark, name in MARKS if head.startswith(mark)), None)
    if name is None:
        return source
    from codecs import getincrementaldecoder

    decoder = getincrementaldecoder(name)()
    copy = TemporaryFile()
    copy.name = source.name
    line = 1
    try:
        for chunk in source.chunks(0, source.size):
            piece = decoder.decode(bytes(chunk)).encode("utf-8")
            line += piece.count(b"\n")
            copy.write(piece)
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        hint = "Save the text as UTF-8."
        raise TextError(f"is not {name}: {error}.", line=line, column=1, file=source.name, hint=hint) from None
    return copy


class _Layout(NamedTuple):
    """A table or struct, as its reader needs it.

    Attributes:
        fields: Key -> name, field, and what reads its value; None for a union, whose type must be known first.
        needed: Names of the fields that may not be absent.
    """

    fields: dict[bytes, tuple[str, Field, Callable[[Field], Any] | None]]
    needed: list[str]


class _Reader:
    def __init__(self, text: Text, schema: Schema, spool: TemporaryFile | None) -> None:
        self._text = text
        self._schema = schema
        self._scalars = Scalars(text, spool)
        self._depth = 0
        self._layouts: dict[int, _Layout] = {}

    def document(self, root: Object) -> dict[str, Any]:
        self._text.expect(b"{", f"a {_short(root)}")
        tree = self._table(root)
        self._text.end()
        return tree

    # -- tables and structs ---------------------------------------------------------------------------------------

    def _table(self, owner: Object) -> dict[str, Any]:
        """A table or struct whose opening brace is passed."""
        text, (fields, needed) = self._text, self._layout(owner)
        values: dict[str, Any] = {}
        late: list[tuple[Field, int]] = []
        start, first = text.start, True
        self._depth += 1
        if self._depth > LEVELS:
            raise text.error(f"tables are nested more than {LEVELS} deep.", start)
        while (key := text.key(first)) is not None:
            first = False
            try:
                found = fields.get(key)
                if found is None:
                    name = key.decode("utf-8", "replace")
                    hint = did_you_mean(name, owner.by_name, "Its fields")
                    raise text.error(f"{_short(owner)} has no field {name[:80]!r}.", text.start, hint)
                known, field, read = found
                if known in values:
                    raise text.error(f"the key {known!r} stands here twice.", text.start, "Keep one of the two.")
                if read is not None:
                    values[known] = read(field)
                elif owner.fields[field.id - 1].name in values:
                    values[known] = self._union(field, values[owner.fields[field.id - 1].name])
                else:
                    values[known] = None
                    late.append((field, text.position))
                    text.skip()
            except TextError as error:
                raise within(error, key.decode("utf-8", "replace")[:80]) from None
        if late:
            self._late(owner, values, late)
        for name in needed:
            if values.get(name) is None:
                hint = f"A {_short(owner)} needs: {', '.join(needed)}."
                raise text.error(f"the field {name!r} of {_short(owner)} is missing.", start, hint)
        self._depth -= 1
        return values

    def _layout(self, owner: Object) -> _Layout:
        layout = self._layouts.get(owner.index)
        if layout is None:
            fields = {
                field.name.encode("utf-8", "surrogateescape"): (field.name, field, self._reader_of(field))
                for field in owner.fields
            }
            needed = [field.name for field in owner.fields if owner.is_struct or field.required]
            layout = self._layouts[owner.index] = _Layout(fields, needed)
        return layout

    def _reader_of(self, field: Field) -> Callable[[Field], Any] | None:
        base, element = field.type.base, field.type.element
        if field.is_union:
            return None
        if field.nested:
            return self._nested
        if s.SCALARS.keys() & {base, element}:
            return self._scalars.reader_of(field)
        if base in (s.VECTOR, s.VECTOR64, s.ARRAY):
            return self._vector
        return self._string if base == s.STRING else self._object

    def _late(self, owner: Object, values: dict[str, Any], late: list[tuple[Field, int]]) -> None:
        """Reads union values that stand in front of their types."""
        text = self._text
        end = text.position
        for field, position in late:
            kind = owner.fields[field.id - 1].name
            text.seek(position)
            try:
                if kind not in values:
                    text.peek()
                    hint = did_you_mean("", field.the_enum.values, "Its types")
                    raise text.error(f"the type of this union is missing: the key {kind!r}.", text.position, hint)
                values[field.name] = self._union(field, values[kind])
            except TextError as error:
                raise within(error, field.name) from None
        text.seek(end)

    def _object(self, field: Field) -> dict[str, Any] | None:
        return self._object_of(field.the_object)

    def _object_of(self, owner: Object) -> dict[str, Any] | None:
        if not self._text.opened():
            if self._text.passed_null():
                return None
            self._text.expect(b"{", f"a {_short(owner)}")
        return self._table(owner)

    def _nested(self, field: Field) -> Any:
        """Bytes that are a FlatBuffer, given as its root table or as numbers."""
        if field.nested_object is None or self._text.peek() != 0x7B:
            return self._scalars.reader_of(field)(field)
        self._text.expect(b"{", "")
        return self._scalars.kept_plan(field, Plan(field.nested_object, self._table(field.nested_object)))

    # -- strings, unions and vectors ------------------------------------------------------------------------------

    def _string(self, _: Field | None = None) -> str | None:
        kind, token = self._text.token()
        if kind == STRING:
            return self._text.decode(token)
        if kind == WORD and token == b"null":
            return None
        raise self._text.wrong("a string is wanted", kind, token, "Strings stand in double quotes.")

    def _union(self, field: Field, kind: Any) -> Any:
        return self._member(field, kind) if field.type.base == s.UNION else self._vector(field, kind or [])

    def _member(self, field: Field, kind: int) -> Any:
        """A union value of known type."""
        enum, text = field.the_enum, self._text
        member = enum.member(kind)
        if kind and member is not None:
            return self._string() if member.base == s.STRING else self._object_of(self._schema.object(member.index))
        if text.passed_null():
            return None
        if member is None:
            hint = did_you_mean("", enum.values, "Its types")
            raise text.error(f"{kind} is no type of {enum.name}.", text.position, hint)
        raise text.error(
            "the union's type is NONE, but here is a value.", text.position, "Name its type, or take the value out."
        )

    def _vector(self, field: Field, kinds: Sequence[int] | None = None) -> list[Any] | None:
        """Tables, structs, strings or union values."""
        text = self._text
        values: list[Any] = []
        if text.passed_null():
            return None
        of_strings = field.type.element == s.STRING
        text.expect(b"[", "a list of strings" if of_strings else "a list")
        read: Callable[[Field], Any] = self._string if of_strings else self._object
        try:
            while text.item(not values):
                if kinds is not None and len(values) == len(kinds):
                    raise text.error(f"there are more values than types, {len(kinds)}.", text.position)
                value = read(field) if kinds is None else self._member(field, kinds[len(values)])
                if value is None and (kinds is None or kinds[len(values)]):
                    raise text.error("null has no place in a vector.", text.start, "Take the entry out.")
                values.append(value)
        except TextError as error:
            raise within(error, f"[{len(values)}]") from None
        if kinds is not None and len(values) < len(kinds):
            raise text.error(f"there are fewer values, {len(values)}, than types, {len(kinds)}.", text.position - 1)
        return check_length(text, field, values)


def _short(owner: Object) -> str:
    return owner.name.rpartition(".")[2]
