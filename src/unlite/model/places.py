"""FlatBuffers inside other files, by name: ``MODEL#metadata``, ``MODEL#edgetpu``, ``x.litertlm#header``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from unlite.containers.litertlm import is_litertlm, read_bundle
from unlite.containers.parts import split_part
from unlite.errors import NotFoundError, UnsupportedFormatError
from unlite.flatbuffers.flexbuffers import RawString
from unlite.model.metadata.entries import SCHEMAS
from unlite.model.model import Model, open_model
from unlite.storage.source import MemorySource, Source, open_source
from unlite.storage.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

EDGE_TPU = "edgetpu-custom-op"
PACKAGE = "4"  # its key in the options of such an operator; "7" holds a list of further ones
MORE_PACKAGES = "7"
# Identifiers at byte 4, and the bundled schema that reads such a file.
IDENTIFIERS = {b"TFL3": "tflite", b"M001": "metadata", b"BFBS": "reflection", b"DWN1": "edgetpu_executable"}


class Place(NamedTuple):
    """A FlatBuffer.

    Attributes:
        source: Its bytes.
        schema: Name of the bundled schema that reads it; None where that is not known.
    """

    source: Source
    schema: str | None


def find_place(file: str | Source) -> Place:
    """The FlatBuffer that a path, with a part behind ``#`` or without, or an open source means.

    Parts of a model: ``metadata`` (or the name of an entry that is a FlatBuffer), ``edgetpu`` (``edgetpu:2`` for the
    second package). Parts of a .litertlm: ``header``, and its models.

    Raises:
        NotFoundError: there is no such part.
        UnsupportedFormatError: the file is none that has parts.
    """
    path, part = split_part(file) if isinstance(file, str) else (file, None)
    source = open_source(path)
    if part is None:
        if is_litertlm(source):
            bundle = read_bundle(source)
            return Place(bundle.header, bundle.schema)
        return Place(source, _schema_of(source))
    if is_litertlm(source):
        if part == "header":
            bundle = read_bundle(source)
            return Place(bundle.header, bundle.schema)
        return Place(open_model(file).source, "tflite")
    model = open_model(path)
    name, _, number = part.partition(":")
    if name == "edgetpu":
        return _edge_tpu(model, int(number) if number.isdecimal() else 1)
    return _metadata(model, "TFLITE_METADATA" if part == "metadata" else part)


def _schema_of(source: Source) -> str | None:
    found = IDENTIFIERS.get(bytes(source.view(4, 4))) if source.size >= 8 else None
    if found is None and source.size >= 12 and bytes(source.view(8, 4)) == b"TFL3":
        return "tflite"
    return found


def _metadata(model: Model, name: str) -> Place:
    if name not in model.metadata or name not in SCHEMAS:
        known = [entry for entry in model.metadata if entry in SCHEMAS]
        raise NotFoundError(
            f"there is no metadata entry {name!r} that is a FlatBuffer.",
            file=model.file.name,
            hint=f"There is: {', '.join(known)}." if known else "The model has none.",
        )
    span = model.buffers[model.metadata.buffer_index(name)].span
    if model.is_changed or span is None or span.where == "external":
        return Place(MemorySource(model.metadata[name], model.file.name), SCHEMAS[name])
    return Place(Window(model.source, span.start, span.length), SCHEMAS[name])


def _edge_tpu(model: Model, number: int) -> Place:
    packages = list(_packages(model))
    if not 1 <= number <= len(packages):
        raise NotFoundError(
            f"there is no Edge TPU package {number}; the model has {len(packages)}.", file=model.file.name
        )
    return Place(MemorySource(packages[number - 1], model.file.name), "edgetpu_executable")


def _packages(model: Model) -> Iterator[bytes]:
    """The packages of all operators, in order. Source: google-coral/libedgetpu tflite/custom_op_data.cc."""
    for graph in model.subgraphs:
        for operator in graph.operators:
            if operator.name != EDGE_TPU:
                continue
            options = operator.custom_options
            if not isinstance(options, Mapping):
                raise UnsupportedFormatError(
                    "the options of this Edge TPU operator are no map.", file=model.file.name, path=operator.path
                )
            further = options.get(MORE_PACKAGES)
            more = further if isinstance(further, Sequence) and not isinstance(further, (str, bytes)) else ()
            for package in (options.get(PACKAGE), *more):
                if isinstance(package, (str, bytes, RawString)) and package:
                    yield package.encode() if isinstance(package, str) else package
