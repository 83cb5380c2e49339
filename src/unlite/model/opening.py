"""What a model may come in: a file, JSON or C text, a dump, a section of a bundle. One place tells them apart.

Only what a path names, or standard input gives, is taken for text; bytes are models.
"""

from __future__ import annotations

import os
import re

from unlite.errors import NotFoundError, UnliteError, UnsupportedFormatError
from unlite.storage.source import MemorySource, Source, open_source

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from unlite.containers.c_array import CArray

HEAD = 4096
IDENTIFIER = b"TFL3"
C_ENDINGS = (".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".ino", ".inc")
_COMMENT = re.compile(rb"(?:\s|//[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_JSON = re.compile(rb"\{\s*(?:[\"A-Za-z_}/]|'\w*'\s*:|\Z)")
_BARE_LIST = re.compile(rb"\{?\s*[-+]?(?:0[xX][0-9A-Fa-f]{1,2}|[0-9]{1,3})\s*,")
_C = re.compile(
    rb"\b(?:char|u?int8_t|byte|static|const|constexpr|extern|namespace|alignas|unsigned)\b"
    rb"|^\s*#\s*(?:include|define|ifndef|ifdef|if|pragma)\b",
    re.MULTILINE,
)


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


def text_kind(source: Source) -> str | None:
    """Which text a source is: ``json``, ``dump`` or ``c``; None if it is none that may hold a model."""
    from unlite.containers.c_tokens import begin_in_utf8
    from unlite.containers.hexdumps import looks_like_dump

    head = begin_in_utf8(bytes(source.view(0, min(source.size, HEAD))))
    if b"\0" in head or not head.strip():
        return None
    ending = os.path.splitext(source.name)[1].lower()
    text = head[_COMMENT.match(head).end() :]  # type: ignore[union-attr]  # it always matches
    if ending == ".json" or (_JSON.match(text) and ending not in C_ENDINGS):
        return "json"
    if ending in C_ENDINGS or _BARE_LIST.match(text):
        return "c"
    if looks_like_dump(head):
        return "dump"
    if head.lstrip()[:1] == b"<" or head.startswith(b"version https://git-lfs"):
        return None
    return "c" if _C.search(head) else None


def read_array(source: Source, part: str | int | None) -> bytes:
    """The bytes of the one array, or dump, in a text that is a model, or of the array that ``part`` names.

    Raises:
        UnsupportedFormatError: there is no array in the text.
        NotFoundError: no array has this name; or there are several and none was named.
        AmbiguousNameError: several arrays have this name.
        TextError: the text does not parse.
    """
    from unlite.containers.c_array import read_c_array
    from unlite.containers.hexdumps import looks_like_dump, read_dump

    text = source.view(0, source.size)
    if looks_like_dump(text):
        return read_dump(text, source.name or None)
    return read_c_array(text, part, source.name or None, is_wanted=is_model)


def is_model(array: CArray) -> bool:
    """Whether an array holds a model, as its first bytes say."""
    return IDENTIFIER in (array.data[4:8], array.data[8:12])


def _from_json(source: Source) -> Source:
    from unlite.model.formats.json_build import build_model
    from unlite.storage.sink import MemorySink

    beside = f"{source.name}.tail" if os.path.isfile(source.name) else None
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
