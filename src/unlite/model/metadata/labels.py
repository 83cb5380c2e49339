"""Names of classes: out of a file of labels, out of a model's archive, or out of what Ultralytics writes there.

The one reader of labels; what shows, converts and dumps them asks here. Text is never repaired in silence: bytes that
are no UTF-8 are refused with the file's name.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import InvalidValueError, UnliteError, UnsupportedFormatError
from unlite.model.metadata.tflite_metadata import files_named, read_fields, tensor_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor

AXIS, VALUE = "TENSOR_AXIS_LABELS", "TENSOR_VALUE_LABELS"
LIMIT = 1 << 24
"""Files beyond this (16 MiB) are no labels."""

ENCODING_HINT = (
    "Save it as UTF-8, or say how it is encoded, as in: "
    "unlite metadata MODEL --labels FILE --encoding latin-1 -o OUT (also utf-16-le, cp1252, shift_jis, ...)."
)
MOST_CLASSES = 1 << 20
# What is looked at where the metadata names no file, so that no archive costs more to show than its model.
UNNAMED_BYTES, MOST_ENTRIES, MOST_OUTPUTS = 1 << 22, 200, 16
TEXT_SUFFIXES = (".txt", ".names", ".labels")
_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NUMBERED = re.compile(r"\s*(\d{1,7})(?:\s*([:,])\s*|\s+)(\S.*)")
_PYTHON_NAMES = re.compile(r"'names':\s*\{([^{}]*)\}")
_PYTHON_NAME = re.compile(r"""\s*(\d{1,7}):\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*(?:,|$)""")


class Labels(NamedTuple):
    """The names of an output's classes.

    Attributes:
        names: One for each class, in order.
        file: Where they come from: a file in the model's archive, or a metadata entry.
        kind: ``TENSOR_AXIS_LABELS``: of the output's last axis; ``TENSOR_VALUE_LABELS``: of its values.
    """

    names: list[str]
    file: str
    kind: str


# -- text ------------------------------------------------------------------------------------------------------------


def read_labels(content: bytes, file: str, encoding: str | None = None) -> list[str]:
    """The labels in a file: one a line, numbered lines as well, or JSON.

    Lines end with LF, CR LF or CR, and nowhere else; empty lines at the end do not count. Numbers are taken off where
    each line has one: ``0 background`` if they count from 0, ``3: cat`` always. JSON is a list of texts, a dict of
    numbers and texts, or has one under ``names``, as Ultralytics writes it.

    Args:
        content: The bytes.
        file: The file's name, for messages.
        encoding: How the text is encoded; UTF-8, or UTF-16 with a byte order mark, where it is left out.

    Raises:
        UnsupportedFormatError: the bytes are no such text.
        InvalidValueError: there is no encoding of that name.
    """
    text = _decoded(content, file, encoding)
    if text.lstrip()[:1] in ("{", "["):
        names = _json_names(text)
        if names is not None:
            return names
    if re.match(r"\s*item\s*\{", text):
        raise UnsupportedFormatError(
            "is a label map in protocol buffer text.",
            file=file,
            hint="Write one label a line, in the order of classes.",
        )
    lines = re.split(r"\r\n|\n|\r", text)
    while lines and not lines[-1]:
        lines.pop()
    return _without_numbers(lines)


def _decoded(content: bytes, file: str, encoding: str | None) -> str:
    if len(content) > LIMIT:
        raise UnsupportedFormatError(f"{len(content)} bytes are too many for a file of labels.", file=file)
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding or marked)
    except LookupError:
        raise InvalidValueError(f"there is no encoding {encoding!r}.", hint="Such as utf-8, latin-1, cp1252.") from None
    except (UnicodeError, ValueError) as error:
        at = getattr(error, "start", None)
        raise UnsupportedFormatError(
            f"is no {(encoding or marked).removesuffix('-sig').upper()} text.",
            file=file,
            offset=at if isinstance(at, int) else None,
            hint=ENCODING_HINT,
        ) from None
    if "\0" in text:
        raise UnsupportedFormatError(
            "has NUL characters: it is no text, or UTF-16 without a byte order mark.",
            file=file,
            hint=ENCODING_HINT,
        )
    return text.removeprefix("\ufeff")


def _without_numbers(lines: list[str]) -> list[str]:
    """Lines without the number of the class in front, where it is certain that the numbers are that."""
    found = [_NUMBERED.fullmatch(line) for line in lines]
    matches = [match for match in found if match is not None]
    if len(matches) < len(lines) or not matches:
        return lines
    numbers = [int(match[1]) for match in matches]
    if numbers == list(range(len(numbers))) and len(numbers) > 1:
        return [match[3] for match in matches]
    if all(match[2] == ":" for match in matches):
        return _by_number({number: match[3] for number, match in zip(numbers, matches, strict=True)}) or lines
    return lines


def _by_number(names: dict[int, str]) -> list[str] | None:
    """Names by class number as a list; "" for numbers that have none. None where the numbers are no classes."""
    if not names or min(names) < 0 or max(names) >= max(MOST_CLASSES, 1) or max(names) > 16 * len(names) + 256:
        return None
    return [names.get(number, "") for number in range(max(names) + 1)]


def _json_names(text: str) -> list[str] | None:
    """The names in a JSON text, or in the text of a Python dict as older exporters of Ultralytics wrote it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _python_names(text)
    if isinstance(value, dict) and "names" in value:
        value = value["names"]
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return value
    if not isinstance(value, dict) or not all(
        isinstance(name, str) and re.fullmatch(r"\d{1,7}", key) for key, name in value.items()
    ):
        return None
    return _by_number({int(key): name for key, name in value.items()})


def _python_names(text: str) -> list[str] | None:
    found = _PYTHON_NAMES.search(text)
    if found is None:
        return None
    names: dict[int, str] = {}
    at = 0
    while at < len(found[1]):
        match = _PYTHON_NAME.match(found[1], at)
        if match is None:
            return None
        quoted = match[2] if match[2] is not None else match[3]
        names[int(match[1])] = re.sub(r"\\(['\"\\])", r"\1", quoted)
        at = match.end()
    return _by_number(names)


# -- of a model ------------------------------------------------------------------------------------------------------


def labels_of_output(model: Model, tensor: Tensor) -> Labels | None:
    """The names of an output's classes that a model carries; None where it carries none that fit.

    First the file that the metadata names for the output. Else the names that Ultralytics writes, in a JSON file of the
    archive or a metadata entry, or the only text file of the archive that has as many lines as the output has classes.

    Raises:
        UnsupportedFormatError: the labels are no text.
        AmbiguousNameError: several files have the name.
        CorruptFileError: the archive or the file is damaged.
    """
    for name, kind in named_files(model, tensor):
        if name in model.associated_files:
            size = dict(model.associated_files.sizes())[name]
            return Labels(_file_labels(model, name, size), name, kind)
    counts = class_counts(tensor)
    for found in carried_names(model):
        if len(found.names) in counts:
            return found
    return _only_fitting(model, counts)


def class_counts(tensor: Tensor) -> set[int]:
    """How many classes an output may have: the size of its last axis, or all its elements."""
    shape = tensor.shape
    return {count for count in (shape[-1], prod(shape)) if count > 1} if shape else set()


def named_files(model: Model, tensor: Tensor) -> list[tuple[str, str]]:
    """Names of the files that the metadata gives as labels of an output, and their kinds; the default comes first."""
    stated = tensor_metadata(model, tensor, "output")
    if stated is None:
        return []
    try:
        files = [
            (bool(file["locale"]), str(file["name"] or ""), str(file["type"]))
            for file in stated["associated_files"] or ()
        ]
    except UnliteError:
        return []  # metadata is advice: what cannot be read says nothing
    files.sort(key=lambda file: file[0])
    return [(name, kind) for _, name, kind in files if kind in (AXIS, VALUE)]


def _file_labels(model: Model, name: str, size: int) -> list[str]:
    shown = f"{model.file.name}: {name}"
    if size > LIMIT:
        raise UnsupportedFormatError(f"{size} bytes are too many for a file of labels.", file=shown)
    return read_labels(model.associated_files[name], shown)


def _unnamed(model: Model, suffixes: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Files of the archive with one of these endings, and their sizes, up to a number of bytes in all."""
    left = UNNAMED_BYTES
    for name, size in dict(model.associated_files.sizes()).items():
        if name.lower().endswith(suffixes) and size <= left:
            left -= size
            yield name, size


def carried_names(model: Model) -> Iterator[Labels]:
    """Class names that stand as JSON, or as Python, in the archive or in a metadata entry."""
    for name, _ in _unnamed(model, (".json", "meta.txt")):
        try:
            found = _json_names(_decoded(model.associated_files[name], name, None))
        except UnliteError:
            continue
        if found:
            yield Labels(found, name, AXIS)
    for entry in islice(model.root["metadata"] or (), MOST_ENTRIES):
        try:
            buffer = model.buffers[entry["buffer"]]
            data = bytes(buffer.data or b"") if 0 < buffer.nbytes <= UNNAMED_BYTES else b""
            found = _json_names(data.rstrip(b"\0").decode()) if data[:1] == b"{" and b'"names"' in data else None
        except (UnliteError, UnicodeError):
            continue
        if found:
            yield Labels(found, entry["name"] or "", AXIS)


def _only_fitting(model: Model, counts: set[int]) -> Labels | None:
    """The only text file of the archive whose lines are as many as there are classes."""
    fitting: list[Labels] = []
    problems: list[UnliteError] = []
    try:
        types = files_named(read_fields(model))
    except UnliteError:
        types = {}  # metadata is advice: what cannot be read says nothing
    for name, size in _unnamed(model, TEXT_SUFFIXES):
        if types.get(name, "UNKNOWN") != "UNKNOWN":
            continue  # a vocabulary, or the labels of another tensor
        try:
            names = _file_labels(model, name, size)
        except UnliteError as error:
            if "label" in name.lower():
                problems.append(error)
            continue
        if len(names) in counts:
            fitting.append(Labels(names, name, AXIS))
    if not fitting and problems:
        raise problems[0]
    return fitting[0] if len(fitting) == 1 else None


def label_facts(model: Model) -> list[str]:
    """What is to be said of a model's labels, one line for each output that has some, and for each that lacks them."""
    facts: list[str] = []
    outputs = model.main.outputs if len(model.subgraphs) else ()
    for tensor in outputs[:MOST_OUTPUTS]:
        of = f" for {tensor.name!r}" if len(outputs) > 1 else ""
        try:
            missing = [name for name, _ in named_files(model, tensor) if name not in model.associated_files]
            facts += [f"{name!r} is named by the metadata{of}, but is not in the file" for name in missing]
            found = labels_of_output(model, tensor)
        except UnliteError as error:
            facts.append(f"unusable{of}: {error.message.rstrip('.')} ({error.file or error.path or ''})")
            continue
        if found is not None:
            facts.append(f"{len(found.names)} in {found.file}{of}")
    if not facts:
        facts += [f"{len(found.names)} in {found.file}, which fit no output" for found in carried_names(model)]
    return facts
