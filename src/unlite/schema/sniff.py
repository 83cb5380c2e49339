"""Which schema a file needs, told from its first bytes.

From version 3 on files bear the identifier TFL3, and one schema reads them all: later versions only added fields.
Before that there is no identifier; the root table tells the versions apart.
"""

from __future__ import annotations

from struct import Struct

from unlite.errors import CorruptFileError, UnsupportedFormatError
from unlite.flatbuffers.wire import U32, Wire

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from unlite.storage.source import Source

IDENTIFIER = b"TFL3"
ENDS = Struct("<I")


class Format:
    """What a file was found to be.

    Attributes:
        version: The schema's version: 0, 1, 2 or 3.
        schema: Name of the bundled schema that reads it.
        origin: Where the FlatBuffer begins: 4 behind a size prefix, else 0.
    """

    __slots__ = ("origin", "schema", "version")

    def __init__(self, version: int, schema: str, origin: int) -> None:
        self.version, self.schema, self.origin = version, schema, origin


def sniff(source: Source) -> Format:
    """The format of a TFLite file.

    Raises:
        UnsupportedFormatError: the bytes are something else, or nothing.
    """
    if source.size >= 12 and source.view(8, 4) == IDENTIFIER and source.view(4, 4) != IDENTIFIER:
        (size,) = source.unpack(U32, 0)
        if 8 <= size <= source.size - 4:
            return Format(3, "tflite", 4)
    if source.size >= 8 and source.view(4, 4) == IDENTIFIER:
        return Format(3, "tflite", 0)
    try:
        version = _version_without_identifier(Wire(source))
    except CorruptFileError as error:
        raise _refusal(source) from error
    return Format(version, "tflite" if version == 3 else f"tflite_v{version}", 0)


def _version_without_identifier(wire: Wire) -> int:
    root = wire.root()
    slots = wire.slots(root)
    # Field 0 is the version from v1 on, the vector of tensors in v0: an offset, which is never below 4.
    first = wire.unpack(U32, root + slots[0])[0] if slots and slots[0] else 1
    if first > 3:
        if len(slots) > 5:
            raise wire.corrupt("too many fields for a model of version 0.", root)
        _check_tables(wire, root, slots, 0)
        return 0
    # A model has operator codes or subgraphs; both are vectors of tables.
    if len(slots) < 2 or not any(slots[1:3]):
        raise wire.corrupt("no model: there is neither an operator code nor a subgraph.", root)
    _check_tables(wire, root, slots, 1)
    _check_tables(wire, root, slots, 2)
    return first or 1


def _check_tables(wire: Wire, root: int, slots: tuple[int, ...], field: int) -> None:
    """Raises CorruptFileError unless the field, where present, leads to a vector of tables."""
    if field < len(slots) and slots[field]:
        start, count = wire.vector(wire.follow(root + slots[field]), 4)
        if count:
            wire.slots(wire.follow(start))


def _refusal(source: Source) -> UnsupportedFormatError:
    head = bytes(source.view(0, min(source.size, 16)))
    hints = (
        (b"PK\3\4", "It is a ZIP archive: unpack it and open the .tflite inside."),
        (b"LITERTLM", "It is a .litertlm bundle; the models are inside."),
        (b"version https://git-lfs", "It is a Git LFS pointer: fetch the file itself with 'git lfs pull'."),
        (b"<", "It looks like a web page: the download went wrong; fetch it again."),
        (b"{", "It looks like JSON: turn it into a model with 'unlite build'."),
        (b"\x08", "It may be a protocol buffer, such as an ONNX or TensorFlow graph."),
    )
    hint = next((text for start, text in hints if head.lstrip(b"\0").startswith(start[:16])), None)
    if head[4:8] == b"BFBS":
        hint = "It is a compiled FlatBuffers schema."
    size = "is empty" if not source.size else "is not a TFLite model: no identifier TFL3, and no older model either"
    return UnsupportedFormatError(
        f"{size}.",
        file=source.name,
        path="root",
        offset=0,
        hint=hint or "Check that it is the right file and was fetched whole.",
    )
