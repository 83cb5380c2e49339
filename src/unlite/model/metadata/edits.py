"""Changing metadata: one field by its path, labels with all that belongs to them, or many fields from JSON."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidTypeError, InvalidValueError, NotFoundError, TextError, UnliteError
from unlite.flatbuffers import schema as s
from unlite.model.metadata.labels import AXIS, VALUE
from unlite.model.metadata.tflite_metadata import (
    ENTRY,
    field_of,
    merge_fields,
    pad_entries,
    read_fields,
    schema_root,
    table_of,
    tensor_fields,
    write_fields,
    write_other_entry,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unlite.flatbuffers.schema import Field
    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor
    from unlite.model.setting.paths import Part

EXAMPLE = "'subgraph_metadata[0].input_tensor_metadata[0].name=image'"
DETECTION = "TFLite_Detection_PostProcess"


def set_field(model: Model, text: str) -> str:
    """Does what ``PATH=VALUE`` says to the metadata of a model; returns the path.

    Tables and entries on the way that are absent are made. ``null`` takes a field, or an entry, out.

    Args:
        model: The model.
        text: Such as ``subgraph_metadata[0].input_tensor_metadata[0].name=image``; entries by index or by name.

    Raises:
        InvalidValueError, InvalidTypeError, NotFoundError: the path or the value does not fit the schema.
    """
    from unlite.model.setting.paths import parse_path

    parts, rest = parse_path(text)
    path = text[: len(text) - len(rest)]
    if not rest.startswith("="):
        raise InvalidValueError(f"{text!r:.80} is no assignment: '=' must follow the path.", hint=f"Such as: {EXAMPLE}")
    fields = read_fields(model)
    try:
        _Place(model, fields).assign(parts, rest[1:].strip())
        write_fields(model, fields)
    except UnliteError as error:
        error.path = error.path or path
        raise
    return path


class _Place:
    """A walk from the root of plain values to a field."""

    def __init__(self, model: Model, fields: dict[str, Any]) -> None:
        self._model = model
        self._here = fields
        self._owner = schema_root()
        self._subgraph = 0

    def assign(self, parts: list[Part], text: str) -> None:
        from unlite.model.setting.path_values import field_value

        while parts:
            part, *parts = parts
            if part.kind != "field":
                raise InvalidTypeError(f"{part} stands behind what has no entries.")
            name = str(part.value)
            field = field_of(self._owner, name, "")
            if not parts:
                value = field_value(field, text)
                self._put(name, value)
            elif parts[0].kind == "field":
                self._descend(field, name)
            else:
                index, *parts = parts
                if self._enter(field, name, index, text if not parts else None):
                    return

    def _put(self, name: str, value: Any) -> None:
        if value is None:
            self._here.pop(name, None)
        else:
            self._here[name] = value

    def _descend(self, field: Field, name: str) -> None:
        inner = table_of(field, self._here) if field.type.base in (s.OBJ, s.UNION) else None
        if inner is None:
            hint = f"Say first which kind it is: {name}_type=..." if field.type.base == s.UNION else None
            raise InvalidTypeError(f"{name!r} has no fields.", hint=hint)
        self._here, self._owner = self._here.setdefault(name, {}), inner

    def _enter(self, field: Field, name: str, part: Part, text: str | None) -> bool:
        """Goes to an entry of a list, or with a text assigns it; whether it was assigned."""
        from unlite.model.setting.path_values import field_value

        if field.type.base != s.VECTOR:
            raise InvalidTypeError(f"{name!r} has no entries.")
        entries = self._here.setdefault(name, [])
        index = self._index(entries, name, part)
        is_table = field.type.element == s.OBJ
        if text == "null":
            if index >= len(entries):
                raise NotFoundError(f"there is no entry {index}, only {len(entries)}.")
            del entries[index]
            return True
        if not is_table and (text is None or index > len(entries)):
            raise NotFoundError(f"there is no entry {index} with fields in {name!r}, which has {len(entries)}.")
        if is_table:
            pad_entries(self._model, entries, index, name, self._subgraph)
            if text is None:
                self._subgraph = index if name == "subgraph_metadata" else self._subgraph
                self._here, self._owner = entries[index], field.the_object
                return False
        entries[index : index + 1] = [field_value(field, str(text), element=True)]
        return True

    def _index(self, entries: list[Any], name: str, part: Part) -> int:
        """The place of an entry that is told by index, by its name, or by the name of the tensor."""
        if part.kind == "index":
            return int(part.value)
        if part.kind != "name":
            raise InvalidTypeError("[*] is not possible here: entries are told by index or by name.")
        found = [i for i, entry in enumerate(entries) if isinstance(entry, dict) and entry.get("name") == part.value]
        if not found and name in ("input_tensor_metadata", "output_tensor_metadata"):
            graph = self._model.subgraphs[self._subgraph]
            tensors = graph.inputs if name.startswith("input") else graph.outputs
            found = [i for i, tensor in enumerate(tensors) if tensor.name == part.value]
        if len(found) != 1:
            raise NotFoundError(
                f"{len(found)} entries of {name} are called {part.value!r}.", hint="Tell it by its index, such as [0]."
            )
        return found[0]


# -- JSON ------------------------------------------------------------------------------------------------------------


def parse_json(data: bytes, file: str) -> dict[str, Any]:
    """A JSON document that is an object. Raises TextError with line and column, InvalidTypeError."""
    try:
        value = json.loads(data)
    except json.JSONDecodeError as error:
        raise TextError(f"{error.msg}.", line=error.lineno, column=error.colno, file=file) from error
    except (ValueError, RecursionError) as error:
        raise TextError(f"cannot be read: {error}.", line=1, column=1, file=file) from error
    if not isinstance(value, dict):
        raise InvalidTypeError(
            "an object with fields of ModelMetadata is wanted.", file=file, hint='Such as {"name": "my model"}.'
        )
    return value


def merge_json(model: Model, document: dict[str, Any]) -> None:
    """Lays a JSON document over the metadata of a model.

    Args:
        model: The model.
        document: Fields of ModelMetadata by the schema's names, or what ``unlite metadata --json`` prints.

    Raises:
        InvalidValueError, InvalidTypeError: a value does not fit the schema; with its path.
    """
    if "metadata" in document:
        _merge_entries(model, document)
    else:
        write_fields(model, merge_fields(read_fields(model), document))


def _merge_entries(model: Model, document: dict[str, Any]) -> None:
    """Entries as ``unlite metadata --json`` prints them; those without a value stay as they are."""
    entries = document["metadata"]
    if not isinstance(entries, list) or document.keys() - {"metadata", "associated_files"}:
        raise InvalidValueError(
            "this is neither an object with fields of ModelMetadata nor what 'unlite metadata --json' prints.",
            path="root",
        )
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InvalidTypeError("an entry with a name is wanted.", path=f"metadata[{number}]")
        name, kind, value = entry["name"], entry.get("kind"), entry.get("value")
        if name == ENTRY and isinstance(value, dict):
            write_fields(model, merge_fields(read_fields(model), value))
        elif kind in ("text", "bytes") and isinstance(value, str):
            data = _content(kind, value, f"metadata[{number}].value")
            if name not in model.metadata or bytes(model.metadata[name]).rstrip(b"\0") != data.rstrip(b"\0"):
                model.metadata[name] = data
        elif isinstance(value, dict):
            write_other_entry(model, name, value)
        elif value is not None:
            raise InvalidValueError(f"{value!r:.60} is no content of kind {kind!r:.20}.", path=f"metadata[{number}]")


def _content(kind: str, value: str, path: str) -> bytes:
    try:
        return value.encode() if kind == "text" else bytes.fromhex(value)
    except ValueError as error:
        raise InvalidValueError(f"{value!r:.60} is no content of kind {kind}: {error}.", path=path) from None


# -- labels ----------------------------------------------------------------------------------------------------------


def set_labels(model: Model, names: Sequence[str], file: str = "labels.txt", output: str | None = None) -> str:
    """Puts labels into a model's archive and names them in the metadata of the output that they belong to.

    An output that has a file of labels already gets the new ones under that file's name.

    Args:
        model: The model.
        names: One label for each class.
        file: What the file in the archive is called, where the metadata does not name one yet.
        output: Name or index of the output; told from the number of labels where it is left out.

    Returns:
        What was done, in a few words.

    Raises:
        InvalidValueError: no output has as many classes, or several have; the outputs are named.
        NotFoundError: there is no such output.
    """
    bad = next((name for name in names if "\n" in name or "\r" in name), None)
    if bad is not None or not names:
        raise InvalidValueError("a label is one line of text, and there is at least one.", path="labels")
    place, kind = _labelled_output(model, len(names), output)
    fields = read_fields(model)
    files = tensor_fields(model, fields, 0, "output", place).setdefault("associated_files", [])
    entry = next((entry for entry in files if entry.get("type") == kind and not entry.get("locale")), None)
    if entry is None:
        entry = {"name": file, "type": kind}
        files.append(entry)
    target = entry["name"] = entry.get("name") or file
    model.associated_files[target] = "".join(f"{name}\n" for name in names).encode()
    write_fields(model, fields)
    return f"{len(names)} labels in {target}, for the output {model.main.outputs[place].name!r}"


def _labelled_output(model: Model, count: int, output: str | None) -> tuple[int, str]:
    """Which output labels belong to, and whether they name its last axis or its values."""
    outputs = model.main.outputs
    if output is not None:
        places = [i for i, tensor in enumerate(outputs) if tensor.name == output]
        if not places and output.isdigit() and int(output) < len(outputs):
            places = [int(output)]
        if len(places) != 1:
            raise NotFoundError(
                f"{len(places)} outputs are called {output!r}.", file=model.file.name, hint=_listed(outputs)
            )
        tensor = outputs[places[0]]
        kind = _certain_kind(tensor, count) or _possible_kind(tensor, count)
        if kind is None:
            raise InvalidValueError(
                f"{count} labels do not fit the output {output!r}, {tensor.dtype} {list(tensor.shape_signature)}.",
                file=model.file.name,
            )
        return places[0], kind
    found = [(i, kind) for i, tensor in enumerate(outputs) if (kind := _certain_kind(tensor, count)) is not None]
    found = [(i, kind) for i, kind in found if kind == VALUE] or found
    if len(found) != 1:
        what = "fit several outputs" if found else "fit no output"
        raise InvalidValueError(
            f"{count} labels {what}.",
            file=model.file.name,
            hint=f"{_listed(outputs)} Say which with --for OUTPUT, or only put the file in: --set NAME=FILE.",
        )
    return found[0]


def _certain_kind(tensor: Tensor, count: int) -> str | None:
    operator = tensor.producer
    if operator is not None:
        place = [other.index if other is not None else -1 for other in operator.outputs].index(tensor.index)
        if (operator.name, place) in ((DETECTION, 1), ("ARG_MAX", 0), ("TOPK_V2", 1)):
            return VALUE
    return AXIS if tensor.shape and tensor.shape[-1] == count and count > 1 else None


def _possible_kind(tensor: Tensor, count: int) -> str | None:
    if count in tensor.shape[1:]:
        return AXIS
    return VALUE if tensor.dtype in ("INT32", "INT64") else None


def _listed(outputs: Sequence[Tensor]) -> str:
    shown = ", ".join(f"{tensor.name!r} {tensor.dtype} {list(tensor.shape_signature)}" for tensor in outputs[:8])
    return f"The outputs: {shown}."


def file_name(path: str) -> str:
    """What a file of labels is called in the archive: its own name, ``labels.txt`` where that is none for text."""
    name = os.path.basename(path)
    return name if name.lower().endswith(".txt") else "labels.txt"
