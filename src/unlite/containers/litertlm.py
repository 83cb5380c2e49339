"""``.litertlm`` bundles: models, tokenizers and their like in one file, listed in a FlatBuffer header.

Bytes 0-7 ``LITERTLM``; u32 major, minor, patch; 4 zero bytes; u64 end of the header at 24; the header from 32 on.
Places of sections count from the file's first byte. Source: LiteRT-LM schema/core/litertlm_read.cc.

The header's schema follows its version: read with another one, it gives wrong numbers without an error.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import CorruptFileError, UnsupportedFormatError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.wire import Wire
from unlite.schema import load
from unlite.storage.window import Window

if TYPE_CHECKING:
    from unlite.storage.source import Source

MAGIC = b"LITERTLM"
HEAD = Struct("<8s3I4sQ")
MODEL = "TFLiteModel"
PREFIX = "tf_lite_"
DOUBTFUL = 8  # once another type; only from 1.6 on it is known what it means


class Section(NamedTuple):
    """A part of a bundle.

    Attributes:
        name: Its model type without ``tf_lite_``, else its type in lower case; several may have the same.
        type: As in the schema of the header's version; the number itself where that is unknown or doubtful.
        offset, nbytes: Where it lies in the file.
        model_type: Such as ``tf_lite_prefill_decode``; None without one.
    """

    name: str
    type: str | int
    offset: int
    nbytes: int
    model_type: str | None

    @property
    def is_model(self) -> bool:
        """Whether it is a TFLite model."""
        return self.type == MODEL


class Bundle(NamedTuple):
    """What the header of a bundle says.

    Attributes:
        version: Major, minor and patch.
        schema: Name of the bundled schema that reads the header.
        header: The header, a FlatBuffer.
        sections: In the order of the header.
    """

    version: tuple[int, int, int]
    schema: str
    header: Source
    sections: tuple[Section, ...]


def is_litertlm(source: Source) -> bool:
    """Whether it begins like such a bundle."""
    return source.size >= len(MAGIC) and source.view(0, len(MAGIC)) == MAGIC


def read_bundle(source: Source) -> Bundle:
    """The header of a bundle.

    Raises:
        UnsupportedFormatError: it is no such bundle, or of a major version that is not known.
        CorruptFileError: it is damaged.
    """
    if not is_litertlm(source):
        raise UnsupportedFormatError("is no .litertlm bundle.", file=source.name, offset=0)
    _, major, minor, patch, _, end = source.unpack(HEAD, 0)
    if major != 1:
        raise UnsupportedFormatError(
            f"is a .litertlm bundle of version {major}.{minor}.{patch}; only 1.x is known.",
            file=source.name,
            path="root",
            offset=8,
        )
    if not HEAD.size <= end <= source.size:
        raise CorruptFileError(
            f"its header ends at byte 0x{end:X}, the file at 0x{source.size:X}.", file=source.name, offset=24
        )
    schema = header_schema(minor)
    header = Window(source, HEAD.size, end - HEAD.size)
    try:
        root = v.root_view(Wire(header), load(schema).root)
        metadata = root["section_metadata"]
        objects = () if metadata is None else metadata["objects"] or ()
        sections = tuple(_section(source, table, i, minor) for i, table in enumerate(objects))
    except CorruptFileError as error:
        error.path = f"header: {error.path}" if error.path else "header"
        raise
    return Bundle((major, minor, patch), schema, header, sections)


def header_schema(minor: int) -> str:
    """Name of the bundled schema for headers of version 1.``minor``."""
    return "litertlm_header_v1_1" if minor < 2 else "litertlm_header_v1_6" if minor < 7 else "litertlm_header"


def section_source(source: Source, section: Section) -> Source:
    """The bytes of a section."""
    return Window(source, section.offset, section.nbytes)


def _section(source: Source, table: v.Table, index: int, minor: int) -> Section:
    begin, end = table["begin_offset"], table["end_offset"]
    if not begin <= end <= source.size:
        raise CorruptFileError(
            f"lies at bytes 0x{begin:X} to 0x{end:X}, the file ends at 0x{source.size:X}.",
            file=source.name,
            path=f"section_metadata.objects[{index}]",
            hint="The file looks cut short: compare its size with the source and fetch it again.",
        )
    kind = table["data_type"]
    if minor < 6 and kind == "EmbeddingMetadataProto":
        kind = DOUBTFUL
    model_type = _text_item(table, "model_type")
    name = model_type.removeprefix(PREFIX) if model_type else str(kind).lower()
    return Section(name, kind, begin, end - begin, model_type)


def _text_item(table: v.Table, key: str) -> str | None:
    for item in table["items"] or ():
        value: Any = item["value"]
        if item["key"] == key and isinstance(value, v.Table) and value._object.name.endswith(".StringValue"):
            text: str | None = value["value"]
            return text
    return None
