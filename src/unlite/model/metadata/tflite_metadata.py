"""The entry TFLITE_METADATA, a FlatBuffer of its own: read as plain values, changed, and written back.

Plain values are dicts by the schema's names, lists, texts and numbers. ``write_fields`` is the one place that builds
the FlatBuffer, with the identifier M001 and the least version of a parser that understands it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unlite.errors import (
    CorruptFileError,
    InvalidTypeError,
    InvalidValueError,
    LostFieldsError,
    NotFoundError,
    UnliteError,
)
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.wire import Wire
from unlite.model.metadata.entries import SCHEMAS
from unlite.schema import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unlite.flatbuffers.schema import Field, Object
    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor

ENTRY = "TFLITE_METADATA"
IDENTIFIER = b"M001"
LEAST = (1, 0, 0)
UNFOLDING, SMALLEST = 4, 4096  # values that bytes may unfold to: as many as a writer would store, and some

# What came after version 1.0.0 of the metadata schema, and with which version. Source: the history in tflite-support's
# metadata_schema.fbs. Its metadata_version.cc, which writers ask, answers the same for each of these; it does not look
# at the files inside of tokenizer options, where the history counts.
_FIELDS = {
    "SubGraphMetadata.input_process_units": (1, 1, 0),
    "SubGraphMetadata.output_process_units": (1, 1, 0),
    "SubGraphMetadata.input_tensor_groups": (1, 2, 0),
    "SubGraphMetadata.output_tensor_groups": (1, 2, 0),
    "AssociatedFile.version": (1, 4, 1),
    "SubGraphMetadata.custom_metadata": (1, 5, 0),
}
_VALUES = {
    ("AssociatedFile.type", "VOCABULARY"): (1, 0, 1),
    ("ProcessUnit.options_type", "BertTokenizerOptions"): (1, 1, 0),
    ("ProcessUnit.options_type", "SentencePieceTokenizerOptions"): (1, 1, 0),
    ("ProcessUnit.options_type", "RegexTokenizerOptions"): (1, 2, 1),
    ("Content.content_properties_type", "AudioProperties"): (1, 3, 0),
    ("AssociatedFile.type", "SCANN_INDEX_FILE"): (1, 4, 0),
}


def schema_root() -> Object:
    """The table ModelMetadata."""
    return load("metadata").root


def read_fields(model: Model) -> dict[str, Any]:
    """The metadata of a model as plain values; empty where it has none. JSON in place of the FlatBuffer is read, too.

    Raises:
        AmbiguousNameError: several entries have the name.
        UnliteError: the entry holds something else.
        LostFieldsError: it has fields that the schema does not know, which would be lost when it is written.
    """
    if ENTRY not in model.metadata:
        return {}
    view = model.metadata.decoded(ENTRY)
    if isinstance(view, v.Table) and view._wire.identifier() == IDENTIFIER:
        return plain_values(view)
    found = json_instead(bytes(model.metadata[ENTRY]))
    if found is None:
        raise UnliteError(
            f"the entry {ENTRY!r} holds no FlatBuffer with the identifier M001.",
            file=model.file.name,
            path=f"metadata[{ENTRY!r}]",
            hint=f"Take it away first: --remove {ENTRY} (del model.metadata[{ENTRY!r}]).",
        )
    return found


def json_instead(data: bytes) -> dict[str, Any] | None:
    """What a JSON object says that some tools write in place of the FlatBuffer; None for anything else."""
    text = data.rstrip(b"\0").strip()
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return None
    try:
        value = json.loads(text.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.keys() <= schema_root().by_name.keys() else None


def write_fields(model: Model, fields: Mapping[str, Any]) -> None:
    """Makes plain values the metadata of a model; ``min_parser_version`` is set to what they need.

    Nothing is assigned where the model says just that already.

    Raises:
        InvalidValueError, InvalidTypeError: a value does not fit the schema; with its path.
    """
    _store(model, ENTRY, build_metadata(fields), schema_root())


def write_other_entry(model: Model, name: str, values: Mapping[str, Any]) -> None:
    """Makes plain values the content of another entry that is a FlatBuffer, such as CONVERSION_METADATA.

    Raises:
        InvalidValueError, InvalidTypeError: there is no schema for entries of that name, or a value does not fit it.
    """
    if name not in SCHEMAS:
        raise InvalidValueError(f"no schema is known for the entry {name!r}.", hint=f"Known: {', '.join(SCHEMAS)}.")
    schema = load(SCHEMAS[name])
    data = _build(schema.root, _checked(schema.root, values, ""), schema.file_identifier.encode())
    _store(model, name, data, schema.root)


def _store(model: Model, name: str, data: bytes, owner: Object) -> None:
    from unlite.storage.source import MemorySource

    stored = model.metadata.decoded(name) if name in model.metadata else None
    new = v.root_view(Wire(MemorySource(data)), owner)
    if not isinstance(stored, v.Table) or plain_values(stored) != plain_values(new):
        model.metadata[name] = data


def build_metadata(fields: Mapping[str, Any]) -> bytes:
    """The FlatBuffer of plain values, with the ``min_parser_version`` that they need."""
    values = _checked(schema_root(), fields, "")
    values["min_parser_version"] = ".".join(map(str, min_parser_version(values)))
    return _build(schema_root(), values, IDENTIFIER)


def _build(owner: Object, values: Mapping[str, Any], identifier: bytes) -> bytes:
    from unlite.flatbuffers.write import build

    return build(owner, values, identifier)


def min_parser_version(fields: Mapping[str, Any]) -> tuple[int, int, int]:
    """The oldest version of a parser that understands all that plain values use."""
    return max((LEAST, *_needs(schema_root(), fields)))


def _needs(owner: Object, fields: Mapping[str, Any]) -> Iterator[tuple[int, int, int]]:
    kind = owner.name.rpartition(".")[2]
    for name, value in fields.items():
        if value is None:
            continue
        field = owner.by_name[name]
        label = field.enum.label(value) if field.enum is not None and isinstance(value, int) else value
        if f"{kind}.{name}" in _FIELDS:
            yield _FIELDS[f"{kind}.{name}"]
        if isinstance(label, str) and (f"{kind}.{name}", label) in _VALUES:
            yield _VALUES[f"{kind}.{name}", label]
        inner = table_of(field, fields)
        for entry in value if isinstance(value, list) else (value,):
            if inner is not None and isinstance(entry, Mapping):
                yield from _needs(inner, entry)


def files_named(fields: Mapping[str, Any]) -> dict[str, str]:
    """All associated files that plain values mention: name -> type; of several types of one file the last."""
    return dict(_files_named(schema_root(), fields))


def _files_named(owner: Object, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        field = owner.by_name.get(name)
        inner = table_of(field, fields) if field is not None else None
        for entry in value if isinstance(value, list) else (value,):
            if inner is not None and isinstance(entry, Mapping):
                if inner.name == "tflite.AssociatedFile" and entry.get("name"):
                    yield str(entry["name"]), str(entry.get("type", "UNKNOWN"))
                yield from _files_named(inner, entry)


def table_of(field: Field, fields: Mapping[str, Any]) -> Object | None:
    """The table that a field, or each entry of it, holds; None for a field of other values, or a union without type."""
    if field.type.base == s.UNION and field.enum is not None:
        kind = fields.get(field.owner.fields[field.id - 1].name)
        number = field.enum.number(kind) if isinstance(kind, (str, int)) else None
        member = field.enum.member(number) if number is not None else None
        return field._schema.object(member.index) if member is not None and member.base == s.OBJ else None
    return field.object


def plain_values(table: v.Table) -> dict[str, Any]:
    """A view and all below it as plain values; fields that are absent are left out.

    Raises:
        LostFieldsError: there are fields that the schema does not know.
        CorruptFileError: objects are shared so often that the values would be many times as large as the bytes.
    """
    return _Unpacking(table).table(table)


class _Unpacking:
    """One walk from a table down. Objects may be shared, so that a few bytes could unfold to any size."""

    def __init__(self, root: v.Table) -> None:
        self._left = UNFOLDING * root._wire.size + SMALLEST

    def table(self, table: v.Table) -> dict[str, Any]:
        unknown = v.unknown_fields(table)
        if unknown:
            raise LostFieldsError([f"{v.path(table) or 'root'}, field id {number}" for number in unknown])
        return {field.name: self._value(table, table[field.name]) for field in v.present(table)}

    def _value(self, owner: v.Table, value: Any) -> Any:
        self._left -= len(value) if isinstance(value, (v.Vector, str)) else 1
        if self._left < 0:
            raise CorruptFileError("unfolds to many times its size: its parts overlap.", path=v.path(owner) or "root")
        if isinstance(value, v.Table):
            return self.table(value)
        if isinstance(value, v.UnknownUnion):
            raise LostFieldsError([f"{v.path(value)}, a union of unknown type"])
        if isinstance(value, v.ScalarVector):
            return value.tolist()
        if isinstance(value, v.Vector):
            return [self._value(owner, entry) for entry in value]
        return value


_NUMBERS = {name: float(name) for name in ("inf", "-inf", "nan", "Infinity", "-Infinity", "NaN")}


def _checked(owner: Object, value: Any, path: str) -> dict[str, Any]:
    """Plain values for the writer: nulls left out, the texts inf, -inf and nan as numbers where floats are wanted.

    Raises:
        InvalidTypeError, InvalidValueError: it is no dict, or has a field that the table does not have.
    """
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"fields of {owner.name} are wanted, not {value!r:.60}.", path=path or "root")
    checked: dict[str, Any] = {}
    for name, content in value.items():
        field = field_of(owner, name, path)
        here = f"{path}.{name}" if path else name
        inner = table_of(field, value)
        if content is None:
            continue
        if field.type.base == s.UNION and inner is None:
            kinds = ", ".join(kind for kind in field.the_enum.values if kind != "NONE")
            raise InvalidValueError(f"{name}_type must be one of: {kinds}.", path=here)
        is_list = field.type.base in (s.VECTOR, s.VECTOR64)
        if isinstance(content, list) != is_list and (inner is not None or not is_list):
            wanted = "a list is" if is_list else "one value, not a list, is"
            raise InvalidTypeError(f"{wanted} wanted, not {content!r:.60}.", path=here)
        if isinstance(content, list):
            checked[name] = [_entry(field, inner, entry, f"{here}[{i}]") for i, entry in enumerate(content)]
        else:
            checked[name] = _entry(field, inner, content, here)
    return checked


def _entry(field: Field, inner: Object | None, value: Any, path: str) -> Any:
    if value is None:
        raise InvalidValueError("null stands for no entry of a list.", path=path)
    if inner is not None:
        return _checked(inner, value, path)
    base = field.type.element if field.type.base in (s.VECTOR, s.VECTOR64) else field.type.base
    if base in (s.FLOAT, s.DOUBLE) and isinstance(value, str) and value.lower() in _NUMBERS:
        return _NUMBERS[value.lower()]
    return value


def field_of(owner: Object, name: str, path: str) -> Field:
    """A field of a table by its name. Raises InvalidValueError with the names that come close."""
    field = owner.by_name.get(name)
    if field is None:
        from difflib import get_close_matches

        close = get_close_matches(str(name), owner.by_name, 3)
        near = f"Close: {', '.join(close)}. " if close else ""
        kind = owner.name.rpartition(".")[2]
        raise InvalidValueError(
            f"{kind} has no field {name!r}.", path=path or None, hint=f"{near}Its fields: {', '.join(owner.by_name)}."
        )
    return field


def merge_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values with others laid over them.

    Tables merge field by field, lists of tables entry by entry (entries beyond the new list stay), everything else is
    replaced. A null takes a field out. A union whose type changes is replaced.
    """
    merged = dict(old)
    for name, value in new.items():
        before = merged.get(name)
        kind = f"{name}_type"
        same = kind not in new or new[kind] == old.get(kind)
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(before, Mapping) and same:
            merged[name] = merge_fields(before, value)
        elif isinstance(value, list) and isinstance(before, list) and _are_tables(value) and _are_tables(before):
            merged[name] = [
                merge_fields(before[i] if i < len(before) else {}, value[i]) if i < len(value) else before[i]
                for i in range(max(len(before), len(value)))
            ]
        else:
            merged[name] = value
    return merged


def _are_tables(entries: list[Any]) -> bool:
    return all(isinstance(entry, Mapping) for entry in entries)


# -- the part of one tensor ------------------------------------------------------------------------------------------


def tensor_metadata(model: Model, tensor: Tensor, side: str) -> v.Table | None:
    """The metadata of an input or output; None where there is none, or none that can be read.

    Args:
        model: The model.
        tensor: One of a subgraph's inputs or outputs.
        side: ``input`` or ``output``.
    """
    try:
        if ENTRY not in model.metadata:
            return None
        root = model.metadata.decoded(ENTRY)
        if not isinstance(root, v.Table):
            return None
        graphs = root["subgraph_metadata"] or ()
        if tensor.subgraph.index >= len(graphs):
            return None
        entries = graphs[tensor.subgraph.index][f"{side}_tensor_metadata"] or ()
        own = tensor.subgraph.inputs if side == "input" else tensor.subgraph.outputs
        place = [end.index for end in own].index(tensor.index)
        found: v.Table | None = entries[place] if place < len(entries) else None
        return found
    except (UnliteError, ValueError):
        return None  # metadata is advice: what cannot be read says nothing


def tensor_fields(model: Model, fields: dict[str, Any], subgraph: int, side: str, place: int) -> dict[str, Any]:
    """The plain values of one input or output inside ``fields``, which get empty ones up to it where they are missing.

    Raises:
        NotFoundError: the model has no such input or output.
    """
    graphs = fields.setdefault("subgraph_metadata", [])
    pad_entries(model, graphs, subgraph, "subgraph_metadata", 0)
    entries = graphs[subgraph].setdefault(f"{side}_tensor_metadata", [])
    pad_entries(model, entries, place, f"{side}_tensor_metadata", subgraph)
    found: dict[str, Any] = entries[place]
    return found


def pad_entries(model: Model, entries: list[Any], index: int, name: str, subgraph: int) -> None:
    """Adds empty tables to a list up to ``index``: as many as the model has subgraphs, inputs or outputs, else one.

    Raises:
        NotFoundError: the index is beyond that.
    """
    count = len(entries) + 1
    if name == "subgraph_metadata":
        count = len(model.subgraphs)
    elif name in ("input_tensor_metadata", "output_tensor_metadata") and subgraph < len(model.subgraphs):
        graph = model.subgraphs[subgraph]
        count = len(graph.inputs if name.startswith("input") else graph.outputs)
    if not 0 <= index < max(count, len(entries)):
        raise NotFoundError(
            f"there is no place {index} in {name}: there are {len(entries)} entries, and room for {count}.",
            file=model.file.name,
            path=f"{name}[{index}]",
        )
    entries.extend({} for _ in range(index + 1 - len(entries)))
