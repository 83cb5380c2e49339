"""Texts that hold a model: which kind a text is, and the array or dump in it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from unlite.containers.c_array import read_c_array
from unlite.containers.c_tokens import begin_in_utf8
from unlite.containers.hexdumps import looks_like_dump, read_dump
from unlite.schema.sniff import IDENTIFIER

if TYPE_CHECKING:
    from unlite.containers.c_array import CArray
    from unlite.storage.source import Source

HEAD = 4096
C_ENDINGS = (".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".ino", ".inc")
_COMMENT = re.compile(rb"(?:\s|//[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_JSON = re.compile(rb"\{\s*(?:[\"A-Za-z_}/]|'\w*'\s*:|\Z)")
_BARE_LIST = re.compile(rb"\{?\s*[-+]?(?:0[xX][0-9A-Fa-f]{1,2}|[0-9]{1,3})\s*,")
_C = re.compile(
    rb"\b(?:char|u?int8_t|byte|static|const|constexpr|extern|namespace|alignas|unsigned)\b"
    rb"|^\s*#\s*(?:include|define|ifndef|ifdef|if|pragma)\b",
    re.MULTILINE,
)


def text_kind(source: Source) -> str | None:
    """Which text a source is: ``json``, ``dump`` or ``c``; None if it is none that may hold a model."""
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
    text = source.view(0, source.size)
    if looks_like_dump(text):
        return read_dump(text, source.name or None)
    return read_c_array(text, part, source.name or None, is_wanted=is_model)


def is_model(array: CArray) -> bool:
    """Whether an array holds a model, as its first bytes say."""
    return IDENTIFIER in (array.data[4:8], array.data[8:12])
