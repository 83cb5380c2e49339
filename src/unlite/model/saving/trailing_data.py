"""What lies behind a FlatBuffer beside weights: bytecode of accelerators, a ZIP, bytes that nothing points to.

A rewrite carries these pieces along. JSON has no place for them; they go to a file of their own, the tail file:
8 bytes "UNLITETL", u32 length of a JSON header, the header, then the bytes of all pieces. Little-endian.
"""

from __future__ import annotations

import json
import os
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from unlite.errors import CorruptFileError, UnliteError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.extent import Extent
from unlite.model.saving.accelerators import find_bytecode
from unlite.model.saving.sections import ALIGN
from unlite.storage.source import MappedFile, Source
from unlite.storage.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unlite.containers.zip_tail import ZipTail
    from unlite.model.metadata.entries import AssociatedFiles
    from unlite.model.model import Model
    from unlite.model.saving.accelerators import Bytecode
    from unlite.storage.sink import Sink
    from unlite.storage.source import Source

MAGIC = b"UNLITETL"
HEAD = Struct("<8sI")
KINDS = ("bytecode", "other", "zip")


class Piece(NamedTuple):
    """A stretch of bytes behind a FlatBuffer.

    Attributes:
        kind: ``bytecode``, ``zip``, or ``other``.
        source, start, length: Where the bytes are.
        place: Where they were; offsets inside the model name this. It counts from the FlatBuffer's first byte, of a ZIP
            from the file's: the same, but behind a size prefix.
    """

    kind: str
    source: Source
    start: int
    length: int
    place: int


def collect(model: Model, bytecode: dict[str, Bytecode], reached: int = 0) -> list[Piece]:
    """The pieces of a model's file that belong to the model as it is now.

    Args:
        model: The model.
        bytecode: Its operators' bytecode.
        reached: A place that is known to lie inside the FlatBuffer: where nothing follows it, no walk is needed.
    """
    found, archive = _archives(model)
    if model.schema_version < 3:
        return archive  # brought up from an old version: those had nothing else behind
    codes = sorted({code.key for code in bytecode.values()})
    taken = known_places(model)
    source, shift = model.source, model.source.base - model.file.base
    if found is None and reached and not any(_gaps(source, taken, reached, source.size)):
        gaps: list[tuple[int, int]] = []
    else:
        begin = Extent(v.unedited(model.root)).end
        if found is not None and found.start - shift < begin:
            found = None  # an archive inside a weight, not one behind the model
            archive = archive if model.associated_files.is_changed else []
        gaps = list(_gaps(source, taken, begin, found.start - shift if found else source.size))
        if found is not None:
            gaps += _gaps(source, taken, found.end - shift, source.size)
    pieces = [Piece("bytecode", source, start, length, start) for start, length in codes]
    pieces += [Piece("other", source, start, length, start) for start, length in gaps]
    return pieces + archive


def _archives(model: Model) -> tuple[ZipTail | None, list[Piece]]:
    """The archive as the file has it, and the one to write: the same, or one with what was changed.

    A damaged archive is carried along as bytes that nothing points to.
    """
    files = model.associated_files
    try:
        found = files.tail
    except CorruptFileError:
        return None, []
    if files.is_changed:
        piece = _changed_archive(files)
        return found, [piece] if piece.length else []
    if found is None:
        return None, []
    return found, [Piece("zip", model.file, found.start, found.end - found.start, found.start)]


def _changed_archive(files: AssociatedFiles) -> Piece:
    """The archive with all that was changed, as it would stand at byte 0; of length 0 where no file is left."""
    from unlite.containers.zip_write import changed_archive
    from unlite.storage.temporary_file import TemporaryFile

    written = TemporaryFile()
    for data in changed_archive(files.tail, files.changed, 0):
        written.write(data)
    return Piece("zip", written, 0, written.size, 0)


class KeptFile(NamedTuple):
    """A file that keeps all in front of its archive, and gets another archive.

    Attributes:
        source, length: The bytes to keep.
        archive: What is written behind them; None for nothing.
    """

    source: Source
    length: int
    archive: Piece | None

    def write(self, sink: Sink) -> None:
        """Streams the file."""
        sink.copy(self.source, 0, self.length)
        if self.archive is not None:
            write([self.archive], sink)


def kept_file(model: Model) -> KeptFile | None:
    """How a model's file is written where only its associated files were changed, or bytes that keep their places.

    None where something but the archive stands behind the archive's first byte, so that all must be written anew.
    """
    files = model.associated_files
    tail = files.tail
    if tail is None:
        length = model.file.size
    else:
        length = tail.start
        if tail.end != model.file.size or length < _last_use(model):
            return None
    piece = _changed_archive(files)
    return KeptFile(model.file, length, piece if piece.length else None)


def _last_use(model: Model) -> int:
    """Where the last byte of the file ends that something in the model pointed to when it was opened."""
    if model.schema_version < 3:
        return 0  # of an old version: those had nothing behind but an archive
    ends = [Extent(v.unedited(model.root)).end, *(end for _, end in known_places(model))]
    return max(ends) + model.source.base - model.file.base


def known_places(model: Model) -> list[tuple[int, int]]:
    """Begin and end of all that the file, as it was opened, points to behind its FlatBuffer.

    What the model does not use any more is among it: it is not carried along.
    """
    opened = model._as_opened()
    data = ((buffer._table["offset"], buffer._table["size"], buffer._table["data"]) for buffer in opened.buffers)
    places = [(offset, size) for offset, size, inside in data if offset > 1 and inside is None]
    tables = (table for graph in opened.subgraphs for table in graph._table["operators"] or ())
    options = ((table["large_custom_options_offset"], table["large_custom_options_size"]) for table in tables)
    places += [(offset, size) for offset, size in options if offset > 1]
    places += [code.key for code in find_bytecode(opened).values()]
    return [(start, start + length) for start, length in places]


def _gaps(source: Source, taken: list[tuple[int, int]], at: int, end: int) -> Iterator[tuple[int, int]]:
    """Stretches between ``at``, the end of the FlatBuffer, and ``end`` that nothing points to, not all zeros."""
    for start, stop in sorted([*taken, (end, end)]):
        until = min(start, end)
        at = _first_byte(source, at, until)
        if at < until and any(bytes(chunk).count(0) != len(chunk) for chunk in source.chunks(at, until - at)):
            yield at, until - at
        at = max(at, stop)


def _first_byte(source: Source, at: int, until: int) -> int:
    """Where padding ends: the place of the first byte that is not zero, or up to 15 bytes before it."""
    if at >= until:
        return at
    start = at
    for chunk in source.chunks(at, until - at):
        zeros = len(chunk) - len(bytes(chunk).lstrip(b"\0"))
        start += zeros
        if zeros < len(chunk):
            break
    return max(at, start - start % ALIGN)


def place(pieces: list[Piece], at: int) -> dict[int, int]:
    """Old place -> new place of each piece, from ``at`` on, each a multiple of 16."""
    places: dict[int, int] = {}
    for piece in pieces:
        at += -at % ALIGN
        places[piece.place] = at
        at += piece.length
    return places


def write(pieces: list[Piece], sink: Sink) -> None:
    """Streams the pieces, in the places that ``place`` gave them."""
    for piece in pieces:
        sink.pad(ALIGN)
        if piece.kind == "zip":
            for chunk in _moved_zip(piece, sink.position):
                sink.write(chunk)
        else:
            sink.copy(piece.source, piece.start, piece.length)
    if not pieces or pieces[-1].kind != "zip":
        sink.pad(ALIGN)


def _moved_zip(piece: Piece, at: int) -> Iterator[bytes | memoryview]:
    """The bytes of a ZIP for place ``at``: its own offsets move with it."""
    from unlite.containers.zip_tail import find_zip_tail, shifted

    # From where the model's file began, so that offsets inside the archive count as they did.
    window = Window(piece.source, piece.start - piece.place, piece.place + piece.length)
    found = find_zip_tail(window)
    if found is None:
        offset = window.base + piece.place
        raise CorruptFileError("the ZIP behind the model is damaged.", file=window.name, offset=offset)
    return shifted(window, found, at - piece.place)


class Record(NamedTuple):
    """What a JSON document remembers of its tail file: enough to tell it from another.

    Attributes:
        size: Its length in bytes.
        crc32: Checksum of all of it.
    """

    size: int
    crc32: int


FIRST = ALIGN
"""Place of the first piece of a tail file: offsets up to 1 mean "none" in a model."""


def write_tail_file(pieces: list[Piece], sink: Sink) -> Record:
    """Streams a tail file. It depends on the pieces alone, not on where they were: offsets count from its own data."""
    places = place(pieces, FIRST)
    facts = [{"kind": piece.kind, "length": piece.length, "place": places[piece.place]} for piece in pieces]
    header = json.dumps({"pieces": facts}).encode()
    crc = 0
    begin = sink.position
    for data in _tail_bytes(pieces, places, header):
        sink.write(data)
        crc = crc32(data, crc)
    return Record(sink.position - begin, crc)


def _tail_bytes(pieces: list[Piece], places: dict[int, int], header: bytes) -> Iterator[bytes | memoryview]:
    yield HEAD.pack(MAGIC, len(header))
    yield header
    for piece in pieces:
        if piece.kind == "zip":
            yield from _moved_zip(piece, places[piece.place])
        else:
            yield from piece.source.chunks(piece.start, piece.length)


def read_tail_file(path: str, record: Record | None) -> list[Piece]:
    """The pieces in a tail file, checked against what the document remembers of it, if anything.

    Raises:
        UnliteError: the file is not there.
        CorruptFileError: it is damaged, or another document's.
    """
    if not os.path.isfile(path):
        raise UnliteError(
            "is not there; it holds what JSON cannot carry (associated files, accelerator bytecode).",
            file=path,
            hint="Put it beside the JSON file again, or build without it: --no-tail (tail=False).",
        )
    source = MappedFile(path)
    if record is not None:
        crc = 0
        for chunk in source.chunks(0, source.size):
            crc = crc32(chunk, crc)
        if (source.size, crc) != record:
            raise CorruptFileError(
                "is not the tail that belongs to this document.", file=path, hint="Write JSON and tail anew, together."
            )
    return read_tail(source)


def read_tail(source: Source) -> list[Piece]:
    """The pieces in the bytes of a tail file. Raises CorruptFileError."""
    path = source.name
    pieces: list[Piece] = []
    damaged = CorruptFileError("is no tail file, or a damaged one.", file=path)
    try:
        magic, length = source.unpack(HEAD, 0)
        facts = json.loads(bytes(source.view(HEAD.size, length)))["pieces"] if magic == MAGIC else ()
        at = HEAD.size + length
        for fact in facts:
            kind, size, old = str(fact["kind"]), int(fact["length"]), int(fact["place"])
            source.check(at, size)
            if kind not in KINDS or old < 0:
                raise CorruptFileError(f"a piece of kind {kind!r} is unknown.", file=path)
            pieces.append(Piece(kind, source, at, size, old))
            at += size
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:  # OverflowError: Infinity
        raise damaged from error
    if magic != MAGIC:
        raise damaged
    return pieces
