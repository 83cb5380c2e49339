"""Whether metadata is what its name says, and whether the files are there that it names.

LiteRT itself reads none of it: everything here is a warning, an index that leads nowhere aside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.containers.zip_search import may_end_in_zip
from unlite.errors import UnliteError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.verify import verify
from unlite.flatbuffers.wire import Wire
from unlite.model.checking.signatures import check_name
from unlite.model.metadata.entries import SCHEMAS
from unlite.schema import load
from unlite.storage.source import MemorySource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unlite.containers.zip_tail import ZipEntry, ZipTail
    from unlite.flatbuffers.view import Table
    from unlite.model.facts.inspection import Inspection

_TFLITE_METADATA = "TFLITE_METADATA"
_IDENTIFIERS = {_TFLITE_METADATA: b"M001"}  # its readers ask for it; the others have none
_MOST = 1 << 28  # bytes of associated files whose checksums are looked at
_FILE_NAMES = ("associated_files", "vocab_file", "sentencePiece_model")


def check_metadata(check: Inspection) -> None:
    """Checks the entries of metadata, and the archive with associated files behind the model."""
    names: set[str] = set()
    archive = check.guard(_archive, check)
    for _, entry in check.entries(check.root.metadata):
        check.guard(_entry, check, entry, names, archive)
    for place, index in enumerate(check.integers(check.root.metadata_buffer)):
        if not 0 <= index < len(check.sizes):
            check.say("warning", check.root, f"metadata_buffer[{place}]", f"there is no buffer {index}.")


def _entry(check: Inspection, entry: Table, names: set[str], archive: ZipTail | None) -> None:
    number, name = entry.buffer, entry.name or ""
    is_first = name not in names
    check_name(check, entry, names, "of several entries; only an index tells them apart")
    if not check.index(entry, "buffer", number, len(check.sizes), "buffer") or name not in SCHEMAS or not is_first:
        return
    start, size = check.starts[number], check.sizes[number]
    if size <= 0:
        if name == _TFLITE_METADATA:
            check.say("warning", entry, "buffer", f"{name} is empty.")
        return
    check.work.spend(size)
    source = MemorySource(check.source.view(start, size))
    schema = load(SCHEMAS[name])
    found = verify(source, schema, identifier=_IDENTIFIERS.get(name, b""), limit=1)
    errors = [finding for finding in found if finding.severity == "error"]
    if errors:
        message = f"is no FlatBuffer of its schema: {errors[0].path}: {errors[0].message}"
        check.say("warning", entry, "buffer", f"{name} {message}")
    elif name == _TFLITE_METADATA:
        try:
            _files(check, entry, v.root_view(Wire(source), schema.root), archive)
        except UnliteError as error:  # of text that is not UTF-8, say; its place counts from the entry's start
            check.say("warning", entry, "buffer", f"{name} cannot be read: {error.path}: {error.message}")


def _files(check: Inspection, entry: Table, metadata: Table, archive: ZipTail | None) -> None:
    there = archive.entries if archive is not None else {}
    missing = {name: None for name in _named(check, metadata) if name not in there}
    for name in missing:
        what = "there is no archive behind the model" if archive is None else "it is not in the archive"
        check.say("warning", entry, "buffer", f"names the file {name!r:.60}, and {what}.")


def _named(check: Inspection, value: Any) -> Iterator[str]:
    """Names of associated files anywhere in metadata that was verified: its depth is bounded."""
    if isinstance(value, v.Table):
        check.tables.spend()
        for field in value._object.fields:
            inner = getattr(value, field.name)
            if field.name in _FILE_NAMES and inner is not None:
                yield from (one.name for one in inner if one.name)
            elif not isinstance(inner, (str, int, float)):
                yield from _named(check, inner)
    elif isinstance(value, v.Vector) and not isinstance(value, v.ScalarVector):
        for inner in value:
            if not isinstance(inner, str):
                yield from _named(check, inner)


def _archive(check: Inspection) -> ZipTail | None:
    """The archive behind the model; None where there is none, or none that can be read."""
    if not may_end_in_zip(check.source):
        return None
    from unlite.containers.zip_tail import find_zip_tail

    try:
        archive = find_zip_tail(check.source)
    except UnliteError as error:
        _say(check, error.offset, f"cannot be read: {error.message}")
        return None
    if archive is None:
        return None
    for name, places in archive.repeated.items():
        offset = archive.members[places[-1]].offset
        _say(check, offset, f"{len(places)} files are called {name!r:.60}; readers see one of them.")
    left = _MOST
    for member in archive.members:
        left -= member.size + member.compressed_size
        if left >= 0:
            _content(check, archive, member)
    return archive


def _content(check: Inspection, archive: ZipTail, member: ZipEntry) -> None:
    try:
        archive.content(member)
    except UnliteError as error:
        _say(check, member.offset, f"{member.name!r:.60} cannot be read: {error.message}")


def _say(check: Inspection, offset: int | None, message: str) -> None:
    check.findings.add("warning", "associated_files", offset, message)
