"""What a model may come in: a file, JSON or C text, a dump, a section of a bundle. One place tells them apart.

Only what a path names, or standard input gives, is taken for text; bytes are models.
"""

from __future__ import annotations

import os

from unlite.errors import NotFoundError, UnliteError, UnsupportedFormatError
from unlite.schema.sniff import IDENTIFIER
from unlite.storage.source import MemorySource, Source, open_source

LARGE = 1 << 28
"""Bytes of JSON text from which on the model it describes is built in a temporary file, not in memory."""


def open_whole(file: object) -> tuple[Source, str | None, bool]:
    """A source for what ``unlite.open`` is given, the part that is meant in it, and whether it may be text.

    Raises:
        UnliteError: it is a folder or not there; the hint says what to do with such a folder.
    """
    part = None
    if isinstance(file, (str, os.PathLike)):
        path = os.fspath(file)
        if isinstance(path, str) and "#" in path:
            from unlite.containers.parts import split_part

            file, part = split_part(path)
    try:
        return open_source(file), part, isinstance(file, (str, os.PathLike, Source))
    except UnliteError as error:
        if isinstance(file, (str, os.PathLike)) and os.path.isdir(file):
            from unlite.containers.kinds import folder_kind

            what, hint = folder_kind(os.fsdecode(file))
            raise UnsupportedFormatError(what, file=os.fsdecode(file), hint=hint) from error
        raise


def model_inside(source: Source, part: str | None, *, is_text_allowed: bool) -> Source:
    """The model in what is no plain model file: a section of a bundle, or what a text describes.

    Args:
        source: The whole.
        part: What stood behind ``#``; None for the only model.
        is_text_allowed: Whether text counts.

    Raises:
        UnsupportedFormatError: there is none; the message says what it is, the hint how to get a model from it.
        NotFoundError: there is no such part, or several models and none was named.
        TextError: the text does not parse.
    """
    from unlite.containers.litertlm import is_litertlm

    if is_litertlm(source):
        return _section(source, part)
    if is_text_allowed:
        from unlite.model.texts import read_array, text_kind

        kind = text_kind(source)
        if kind == "json" and part is None:
            return _from_json(source)
        if kind is not None and kind != "json":
            return MemorySource(read_array(source, part), source.name)
    if part is None:
        raise refusal(source)
    if source.size >= 8 and source.view(4, 4) == IDENTIFIER:
        raise NotFoundError(
            f"{part!r} is no model inside this model.",
            file=source.name,
            hint="For FlatBuffers inside a model, #metadata and #edgetpu: unlite flatbuffer 'FILE#PART'.",
        )
    raise refusal(source)


def refusal(source: Source) -> UnsupportedFormatError:
    """The error for a file that is no model: what it is, and the way out."""
    from unlite.containers.kinds import WHOLE, kind_of

    found = kind_of(source)
    if found is None:
        found = (
            "is not a TFLite model: no identifier TFL3, and no older model either.",
            WHOLE,
        )
    what, hint = found
    return UnsupportedFormatError(what, file=source.name, path="root", offset=0, hint=hint)


def _from_json(source: Source) -> Source:
    from unlite.model.formats.json_build import build_model

    beside = f"{source.name}.tail" if os.path.isfile(source.name) else None
    if source.size > LARGE:
        from unlite.storage.temporary_file import TemporaryFile

        built = TemporaryFile()
        built.name = source.name
        build_model(source, built, tail_file=beside)
        return built
    from unlite.storage.sink import MemorySink

    sink = MemorySink()
    build_model(source, sink, tail_file=beside)
    return MemorySource(sink.value(), source.name)


def _section(source: Source, part: str | None) -> Source:
    from unlite.containers.litertlm import read_bundle, section_source
    from unlite.containers.parts import find_part

    bundle = read_bundle(source)
    names = [section.name for section in bundle.sections]
    if part is None:
        models = [name for section, name in zip(bundle.sections, names, strict=True) if section.is_model]
        raise UnsupportedFormatError(
            f"is a .litertlm bundle of {len(names)} part{'s' * (len(names) != 1)}, not a model.",
            file=source.name,
            path="root",
            offset=0,
            hint=f"Name a model in it, such as '{source.name}#{models[0]}'; unlite show lists them."
            if models
            else f"It holds no model: {', '.join(names)}.",
        )
    if part == "header":
        raise NotFoundError(
            "the header is no model.", file=source.name, hint="To look into it: unlite flatbuffer 'FILE#header'."
        )
    section = bundle.sections[find_part(part, names, source.name, "part")]
    if not section.is_model:
        raise UnsupportedFormatError(
            f"the part {part!r} is no model, but {section.type}.", file=source.name, offset=section.offset
        )
    return section_source(source, section)
