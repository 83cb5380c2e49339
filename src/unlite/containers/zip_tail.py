"""A ZIP archive behind other bytes: TFLite metadata keeps a model's labels and vocabularies there.

The archive is found from the file's end, read, and moved along with its offsets when what stands before it changes
its length.
"""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple

from unlite.containers.zip_records import (
    CENTRAL,
    ENCRYPTED,
    END,
    FULL16,
    FULL32,
    LOCAL,
    LOCATOR,
    U32,
    U64,
    UTF8,
    EndRecord,
    comment_end,
    read_directory,
    read_end_record,
)
from unlite.errors import (
    AmbiguousNameError,
    CorruptFileError,
    InvalidValueError,
    NotFoundError,
    SaveError,
    UnsafePathError,
    UnsupportedFormatError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from struct import Struct

    from unlite.containers.zip_records import Record
    from unlite.storage.source import Source

LIMIT = 1 << 26
"""Compressed files that grow beyond this (64 MiB) are read only when asked for with a higher limit."""

STORED, DEFLATED = 0, 8
_DEEP_TRIES = 8
_DAY = 1 << 5 | 1  # 1980-01-01, the format's first
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}


class ZipEntry(NamedTuple):
    """A file in the archive.

    Attributes:
        name: As the archive has it: no safe path.
        offset: Position of its first (compressed) byte, from the start of the whole file.
        compressed_size: Bytes in the archive.
        size: Bytes of content.
        method: 0 stored, 8 deflated; others are not read.
        crc: CRC-32 of the content.
        encrypted: Whether it takes a password.
    """

    name: str
    offset: int
    compressed_size: int
    size: int
    method: int
    crc: int
    encrypted: bool


class ZipTail(NamedTuple):
    """An archive behind other bytes. All positions are from the start of the whole file.

    Attributes:
        start: Its first byte, that of the first local header.
        end: Where it ends, its comment included.
        base: What the offsets inside it count from: 0 the start of the whole file, ``start`` the archive's own.
            It is below 0 where bytes before the archive were lost.
        members: All files in the directory's order, also those whose names repeat.
        entries: The same by name; of a repeated name the last.
        repeated: Names that several files have, with their indices in ``members``.
        directory: Position of the central directory.
        end_record: Position of the end record.
        end_record64: Position of the 64-bit end record; None where there is none.
    """

    source: Source
    start: int
    end: int
    base: int
    members: tuple[ZipEntry, ...]
    entries: dict[str, ZipEntry]
    repeated: dict[str, tuple[int, ...]]
    directory: int
    end_record: int
    end_record64: int | None

    def read(self, name: str, limit: int = LIMIT) -> bytes:
        """The content of the file called ``name``, its checksum verified.

        Args:
            name: A name in ``entries``.
            limit: What a compressed file may grow to, in bytes.

        Raises:
            NotFoundError: No file has this name.
            AmbiguousNameError: Several files have it.
            CorruptFileError: Its bytes are damaged, or more than it says.
            UnsupportedFormatError: It is encrypted, grows beyond ``limit``, or is neither stored nor deflated.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise NotFoundError(f"the archive has no file {name!r}.", file=self.source.name)
        if name in self.repeated:
            raise AmbiguousNameError(name, self.repeated[name], file=self.source.name, path="ZIP")
        return self.content(entry, limit)

    def content(self, entry: ZipEntry, limit: int = LIMIT) -> bytes:
        """The content of one of ``members``; arguments and errors as in ``read``."""
        import zlib

        file, path = self.source.name, f"ZIP entry {entry.name!r}"
        if entry.encrypted:
            raise UnsupportedFormatError("the file is encrypted.", file=file, path=path)
        data = self.source.view(entry.offset, entry.compressed_size)
        if entry.method == STORED:
            content = bytes(data)
        elif entry.method == DEFLATED:
            if entry.size > limit:
                raise UnsupportedFormatError(
                    f"it says that it grows to {entry.size} bytes; the limit is {limit}.",
                    file=file,
                    path=path,
                    hint="If the file is trusted, give a higher limit.",
                )
            try:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, entry.size + 1)
            except zlib.error as error:
                raise CorruptFileError(
                    f"the compressed bytes are damaged: {error}.",
                    file=file,
                    path=path,
                    offset=self.source.base + entry.offset,
                ) from error
        else:
            raise UnsupportedFormatError(
                f"compression method {entry.method} is not read.",
                file=file,
                path=path,
                hint="Pack the file stored or deflated.",
            )
        if len(content) != entry.size or zlib.crc32(content) != entry.crc:
            raise CorruptFileError(
                "the content has not the size and checksum that the directory says.",
                file=file,
                path=path,
                offset=self.source.base + entry.offset,
            )
        return content


def find_zip_tail(source: Source) -> ZipTail | None:
    """The archive at the end of ``source``; None if there is none.

    Reads the last 22 bytes, where an archive without a comment ends; only if it is not there, the last 65,557. Then
    the directory and each local header. Behind an archive that holds files, other bytes may follow.

    Raises:
        CorruptFileError: The file ends in an archive with a whole directory, but its files are not where that says.
    """
    last = source.size - END.size
    if last < 0:
        return None
    if bytes(source.view(last, 4)) == b"PK\5\6" and (tail := _tail_at(source, last)):
        return tail
    start = max(0, last - FULL16)
    data = bytes(source.view(start, source.size - start))
    exact: list[int] = []
    other: list[int] = []
    position = data.rfind(b"PK\5\6", 0, -END.size + 4)
    while position >= 0:
        # Those that end where the file ends are tried first: others may lie inside what comes before the archive.
        (exact if comment_end(data, position) == len(data) else other).append(start + position)
        position = data.rfind(b"PK\5\6", 0, position)
    tries = 0
    for position in exact + other:
        if read_end_record(source, position):
            tries += 1
            if tail := _tail_at(source, position):
                return tail
            if tries == _DEEP_TRIES:  # whoever lays so many snares gets no more of our time
                break
    return None


def _tail_at(source: Source, position: int) -> ZipTail | None:
    """The archive whose end record stands at ``position``; None unless its directory confirms it.

    Raises:
        CorruptFileError: The directory is whole and at the file's end, but the files are not where it says.
    """
    end = read_end_record(source, position)
    stop = position + comment_end(source.view(position, END.size), 0)
    if end is None or stop > source.size or (not end.entries and stop != source.size):
        return None
    try:
        records = list(read_directory(source.view(end.directory, end.length), end.entries))
    except CorruptFileError:
        return None
    try:
        members = _members(source, end, records)
    except CorruptFileError:
        if stop == source.size:
            raise
        return None
    indices: dict[str, list[int]] = {}
    for i, entry in enumerate(members):
        indices.setdefault(entry.name, []).append(i)
    return ZipTail(
        source=source,
        start=min((end.base + record.offset for record in records), default=end.directory),
        end=stop,
        base=end.base,
        members=members,
        entries={name: members[bearers[-1]] for name, bearers in indices.items()},
        repeated={name: tuple(bearers) for name, bearers in indices.items() if len(bearers) > 1},
        directory=end.directory,
        end_record=position,
        end_record64=end.end_record64,
    )


def _members(source: Source, end: EndRecord, records: list[Record]) -> tuple[ZipEntry, ...]:
    """Where each file's bytes are. Raises CorruptFileError where there is no local header, or files overlap."""
    members: list[ZipEntry] = []
    spans: list[tuple[int, int]] = []
    for name, flags, method, crc, compressed_size, size, offset, _, _ in records:
        header = end.base + offset
        signature, *_, name_length, extra_length = source.unpack(LOCAL, header)
        begin: int = header + LOCAL.size + name_length + extra_length
        spans.append((header, begin + compressed_size))
        members.append(ZipEntry(name, begin, compressed_size, size, method, crc, bool(flags & ENCRYPTED)))
        if signature != b"PK\3\4":
            raise CorruptFileError(
                "no file begins where the ZIP directory says.",
                file=source.name,
                path=f"ZIP entry {name!r}",
                offset=source.base + header,
                hint="The file looks cut or edited: fetch it again.",
            )
    spans.sort()
    spans.append((end.directory, end.directory))
    for (header, stop), (following, _) in pairwise(spans):
        if stop > following:
            raise CorruptFileError(
                "a file in the ZIP runs into what follows it.", file=source.name, offset=source.base + header
            )
    return tuple(members)


def shifted(source: Source, tail: ZipTail, delta: int) -> Iterator[bytes | memoryview]:
    """The archive's bytes as they must be written at ``tail.start + delta``, in pieces.

    Offsets that count from the start of the whole file are moved along; where they count from elsewhere, no byte
    changes.

    Raises:
        InvalidValueError: The archive would begin before the file.
        SaveError: An offset outgrows its 32 bits.
        CorruptFileError: The source is no longer what it was.
    """
    if tail.start + delta < 0:
        raise InvalidValueError(f"an archive at byte {tail.start} cannot move by {delta}.", file=source.name)
    files = source.chunks(tail.start, tail.directory - tail.start)
    directory = bytearray(source.view(tail.directory, tail.end - tail.directory))
    if tail.base == 0 and delta:
        _move(directory, tail, delta)
    return chain(files, (bytes(directory),))


def _move(directory: bytearray, tail: ZipTail, delta: int) -> None:
    """Adds ``delta`` to all offsets in a directory and the end records behind it."""
    end_record = tail.end_record - tail.directory
    stop = end_record
    if tail.end_record64 is not None:
        stop = tail.end_record64 - tail.directory
        _add(directory, stop + 48, U64, delta)
        _add(directory, end_record - LOCATOR.size + 8, U64, delta)
    for record in list(read_directory(directory[:stop], len(tail.members))):
        _add(directory, record.place, record.width, delta)
    if tail.end_record64 is None or directory[end_record + 16 : end_record + 20] != b"\xff\xff\xff\xff":
        _add(directory, end_record + 16, U32, delta)


def _add(directory: bytearray, place: int, width: Struct, delta: int) -> None:
    value: int = width.unpack_from(directory, place)[0] + delta
    if width is U32:
        _check_offset(value)
    width.pack_into(directory, place, value)


def _check_offset(value: int) -> None:
    if value >= FULL32:
        raise SaveError(
            "the ZIP behind the model would come to lie beyond 4 GiB, where its 32-bit offsets do not reach.",
            hint="Extract the associated files and keep them beside the model.",
        )


def write_zip_tail(files: Mapping[str, bytes], start: int = 0) -> bytes:
    """An archive of ``files``, stored and not compressed, as readers of TFLite metadata want it.

    The same files in the same order give the same bytes: the time is always 1980-01-01.

    Args:
        files: Name -> content. Names are written as they are, in UTF-8.
        start: Where in the file the archive will begin; its offsets count from the file's start.

    Raises:
        InvalidValueError: A name is too long or cannot be written in UTF-8, or there are more than 65,534 files.
        SaveError: The archive would end beyond 4 GiB.
    """
    import zlib

    if len(files) >= FULL16:
        raise InvalidValueError(f"{len(files)} files are more than a ZIP without 64-bit records holds.")
    archive: list[bytes] = []
    directory: list[bytes] = []
    position = start
    for name, content in files.items():
        try:
            spelled = name.encode()
        except UnicodeEncodeError as error:
            raise InvalidValueError(f"the name {name!r} cannot be written in UTF-8.") from error
        if len(spelled) > FULL16:
            raise InvalidValueError(f"a name of {len(spelled)} bytes is longer than a ZIP can hold.")
        size = len(content)
        _check_offset(position + size)
        flags = 0 if spelled.isascii() else UTF8
        common = (flags, STORED, 0, _DAY, zlib.crc32(content), size, size, len(spelled), 0)
        # Version 1.0 reads it; made by version 2.0 on Unix, as a plain file that its owner may write, all may read.
        archive += (LOCAL.pack(b"PK\3\4", 10, *common), spelled, content)
        directory += (
            CENTRAL.pack(b"PK\1\2", 3 << 8 | 20, 10, *common, 0, 0, 0, 0o100644 << 16, position),
            spelled,
        )
        position += LOCAL.size + len(spelled) + size
    length = sum(map(len, directory))
    _check_offset(position + length)
    end = END.pack(b"PK\5\6", 0, 0, len(files), len(files), length, position, 0)
    return b"".join((*archive, *directory, end))


def safe_name(name: str) -> str:
    """``name`` as a path with forward slashes that stays inside the folder it is joined to, on every system.

    A slash at the end, which marks a folder in an archive, is kept.

    Raises:
        UnsafePathError: It is absolute, has a drive, climbs with ``..``, names a device, is empty, or has characters
            that are no text.
    """
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.startswith("/") or any(_leads_out(part) for part in parts):
        raise UnsafePathError(
            f"the name {name!r} could lead out of the folder it is written to.",
            hint="Read its content by this name, and write it under a name of your own.",
        )
    return "/".join(parts) + ("/" if path.endswith("/") else "")


def _leads_out(part: str) -> bool:
    # Windows drops dots and spaces at a name's end, knows its devices with any extension, and takes what follows a
    # colon for a drive's path or a stream.
    if not part.strip(". ") or ":" in part or part.partition(".")[0].rstrip().lower() in _DEVICES:
        return True
    return any(c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in part)
