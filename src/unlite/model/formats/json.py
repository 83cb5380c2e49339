"""A model as JSON, with the keys that flatc writes, and back.

Weights behind the FlatBuffer are put into their buffers. What else lies behind it (associated files, accelerator
bytecode) goes to a tail file, ``FILE.tail``, which the document remembers in a metadata entry of its own,
``unlite_tail``. A document that is no file, such as one in a pipe, has the tail itself in that entry. Building
the model takes the entry out again.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidTypeError, InvalidValueError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.json_writer import write_json
from unlite.flatbuffers.wire import Wire
from unlite.model.formats.json_build import RECORD, build_model
from unlite.model.model import Model, open_model
from unlite.model.saving import trailing_data as tail
from unlite.model.saving.accelerators import find_bytecode
from unlite.model.saving.save import as_source
from unlite.schema import NEWEST, load
from unlite.storage.atomic import write_atomically
from unlite.storage.sink import MemorySink
from unlite.storage.source import MappedFile, MemorySource, Source
from unlite.storage.temporary_file import TemporaryFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unlite.flatbuffers.schema import Field
    from unlite.model.saving.trailing_data import Piece, Record

EMPTY_ZIP = 22  # bytes of a ZIP without files and comment


def to_json(
    model: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    schema: str = NEWEST,
    drop_unknown: bool = False,
    progress: Callable[[int], object] | None = None,
) -> str | None:
    """A model as JSON text.

    Args:
        model: A Model, a path, or bytes.
        path: Write to this file, streaming; what JSON has no place for goes to ``<path>.tail``. Without a path the text
            comes back, with that in it.
        schema: A model of an old version comes as version 3; its own schema (``tflite_v1``) shows it as it is stored.
            An older schema of version 3 (``tflite_v3a``) shows what it knows of a newer file.
        drop_unknown: Leave out fields and union values that no known schema has, instead of refusing.
        progress: Told the number of bytes of text each time some were written.

    Returns:
        The text, or None where it went to a file.

    Raises:
        LostFieldsError: fields are stored that no known schema has.
        InvalidValueError: the schema is not one that reads this file.
    """
    opened = open_model(model)
    if path is None:
        pieces: list[bytes] = []
        write_text(opened, pieces.append, schema=schema, drop_unknown=drop_unknown)
        return b"".join(pieces).decode()
    target = os.fspath(path)
    record = None
    behind = _behind(opened) if _is_newest(schema) else []
    if behind and not _is_empty(behind):
        records: list[Record] = []
        write_atomically(f"{target}.tail", lambda sink: records.append(tail.write_tail_file(behind, sink)))
        record = records[0]
    write_atomically(
        target,
        lambda sink: write_text(opened, sink.write, schema=schema, record=record, drop_unknown=drop_unknown),
        progress=progress,
    )
    return None


def _is_newest(schema: str) -> bool:
    return schema in (NEWEST, f"{NEWEST}_{NEWEST}")


def _is_empty(behind: list[Piece]) -> bool:
    """Whether it is nothing but a ZIP without files: a few bytes, for which a file of their own is too much."""
    return len(behind) == 1 and behind[0].kind == "zip" and behind[0].length <= EMPTY_ZIP


def write_text(
    model: Model,
    write: Callable[[bytes], object],
    *,
    schema: str = NEWEST,
    record: Record | None = None,
    drop_unknown: bool = False,
) -> None:
    """Streams a model's JSON text, UTF-8, through ``write``. Without a record of a tail file, the tail is in it."""
    if not _is_newest(schema):
        root, is_partial = _root_by(model, schema)
        write_json(root, write, drop_unknown=drop_unknown or is_partial)
        return
    remembered: Source | None = None
    if record is not None:
        remembered = MemorySource(json.dumps({"size": record.size, "crc32": record.crc32}).encode())
    elif behind := _behind(model):
        remembered = TemporaryFile()
        tail.write_tail_file(behind, remembered)
    write_json(model.root, write, override=_Inlining(model, remembered), drop_unknown=drop_unknown)


def _behind(model: Model) -> list[Piece]:
    return tail.collect(model, find_bytecode(model))


def _root_by(model: Model, schema: str) -> tuple[v.Table, bool]:
    """The root as a schema sees it, and whether that schema may know less than the file has."""
    name = schema if schema.startswith(NEWEST) else f"{NEWEST}_{schema}"
    found = load(name)
    version = re.match(r"\d+", name.removeprefix(f"{NEWEST}_v"))
    if version is None or int(version[0]) != model.schema_version:
        if version is None or int(version[0]) != 3:
            raise InvalidValueError(
                f"the file is of version {model.schema_version}, it cannot be shown as {schema!r}.",
                file=model.file.name,
            )
    elif model.schema_version < 3:
        if model.is_changed:
            raise InvalidValueError("a changed model is of version 3 now.", file=model.file.name)
        return v.root_view(Wire(model.file), found.root), False
    source = Model(as_source(model)).source if model.is_changed else model.source
    return v.root_view(Wire(source), found.root), True


class _Inlining:
    """What JSON shows instead of what is stored: data behind the FlatBuffer as if it were inside."""

    def __init__(self, model: Model, remembered: Source | None) -> None:
        self._model = model
        self._remembered = remembered
        self._entry = ""  # path of the buffer that is added for it
        self._bytecode = find_bytecode(model) if remembered is not None else {}
        self._places = tail.place(_behind(model), tail.FIRST) if self._bytecode else {}

    def __call__(self, table: v.Table) -> Mapping[int, Any]:
        name = table._object.name
        if self._entry and self._remembered is not None and v.path(table) == self._entry:
            field = table._object.by_name["data"]
            return {field.id: _vector(table, field, self._remembered, 0, self._remembered.size)}
        if name == "tflite.Buffer":
            return self._inline(table, "data", "offset", "size")
        if name == "tflite.Operator" and self._bytecode and v.path(table) in self._bytecode:
            return self._dispatch(table)
        if name == "tflite.Operator":
            return self._inline(table, "custom_options", "large_custom_options_offset", "large_custom_options_size")
        if name == "tflite.Model" and self._remembered is not None:
            return self._remember(table)
        return {}

    def _inline(self, table: v.Table, data: str, offset: str, size: str) -> Mapping[int, Any]:
        fields = table._object.by_name
        start = table[offset]
        if start <= 1:
            return {}
        shown: dict[int, Any] = {fields[offset].id: None, fields[size].id: None}
        if table[data] is None:
            source = self._model.source
            source.check(start, table[size])
            shown[fields[data].id] = _vector(table, fields[data], source, start, table[size])
        return shown

    def _dispatch(self, table: v.Table) -> Mapping[int, Any]:
        """An operator whose bytecode is in the tail file: the offset counts from that file's data."""
        code = self._bytecode[v.path(table)]
        code.patch(self._places[code.start])
        field = table._object.by_name["custom_options"]
        source = MemorySource(bytes(code.options))
        return {field.id: _vector(table, field, source, 0, source.size)}

    def _remember(self, root: v.Table) -> Mapping[int, Any]:
        fields = root._object.by_name
        buffers: list[v.Table] = list(root["buffers"] or ())
        metadata: list[v.Table] = list(root["metadata"] or ())
        entry = {"name": RECORD, "buffer": len(buffers)}
        self._entry = f"buffers[{len(buffers)}]"
        return {fields["buffers"].id: [*buffers, {}], fields["metadata"].id: [*metadata, entry]}


def _vector(table: v.Table, field: Field, source: Source, start: int, length: int) -> v.ScalarVector:
    return v.ScalarVector(Wire(source), start, length, field, table, field.name)


def from_json(text: Any, *, schema: str = NEWEST, tail: str | bool | None = None) -> Model:
    """A model from JSON: ours or flatc's.

    Args:
        text: The text, a path to it, or what ``json.loads`` gives for it. Text in bytes or a file is UTF-8, or UTF-16
            with a byte order mark.
        schema: Name of the bundled schema that it follows, such as ``tflite_v1``.
        tail: Path of the tail file; None for the one beside the document, where it remembers one; False for none.

    Raises:
        TextError: the text does not parse or does not fit the schema; it knows line, column and path.
    """
    if isinstance(text, dict):
        try:
            text = json.dumps(text)
        except (TypeError, ValueError, RecursionError) as error:  # it holds itself, or what JSON cannot
            raise InvalidValueError(f"the dict is no JSON document: {error}.") from error
    source, beside = _text_source(text)
    sink = MemorySink()
    build_model(source, sink, schema=schema, tail_file=_tail_choice(tail, beside))
    return Model(MemorySource(sink.value(), source.name))


def _text_source(text: Any) -> tuple[Source, str | None]:
    if isinstance(text, (bytes, bytearray, memoryview)):
        return MemorySource(text, "<text>"), None
    if isinstance(text, str) and text.lstrip("\ufeff \t\r\n")[:1] in ("{", "/", "") and not os.path.exists(text[:4096]):
        return MemorySource(text.encode("utf-8", "surrogatepass"), "<text>"), None
    if isinstance(text, (str, os.PathLike)):
        path = os.fspath(text)
        return MappedFile(path), path
    raise InvalidTypeError(f"JSON text, a path or a dict is wanted, not {type(text).__name__}.")


def _tail_choice(choice: str | bool | None, beside: str | None) -> str | bool | None:
    if choice is None or choice is True:
        return f"{beside}.tail" if beside else None
    return choice
