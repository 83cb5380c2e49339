"""Writing a ZIP archive behind other bytes: a new one, or an old one with some files added, replaced or taken away.

New files are stored, not compressed: readers of TFLite metadata refuse compressed ones (tflite-support,
metadata_extractor.cc). Files that nobody changed keep their bytes, dates and extra fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlite.containers.zip_records import CENTRAL, END, FULL16, LOCAL, UTF8, read_directory
from unlite.containers.zip_tail import STORED, check_offset, safe_name
from unlite.errors import InvalidValueError, UnsafePathError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from unlite.containers.zip_records import Record
    from unlite.containers.zip_tail import ZipTail

DAY = 1 << 5 | 1  # 1980-01-01, the format's first: the same files give the same bytes on every day
SIZES_FOLLOW = 1 << 3  # the flag of a file whose sizes and checksum stand behind its bytes
EXTRA64 = 1


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
    return b"".join(changed_archive(None, files, start)) or END.pack(b"PK\5\6", 0, 0, 0, 0, 0, start, 0)


def changed_archive(
    tail: ZipTail | None, changed: Mapping[str, bytes | None], start: int
) -> Iterator[bytes | memoryview]:
    """The bytes of an archive with some of its files changed, in pieces; none where no file is left.

    Files keep their order; new ones come last. The archive's comment stays.

    Args:
        tail: The archive as it is; None where there is none.
        changed: Name -> new content; None for a file that is taken away. All files of a name are replaced by one.
        start: Where in the file the archive will begin; its offsets count from the file's start.

    Raises:
        InvalidValueError: A name is too long or cannot be written in UTF-8, or there are more than 65,534 files.
        SaveError: The archive would end beyond 4 GiB.
    """
    left = {name: content for name, content in changed.items() if content is not None}
    directory: list[bytes] = []
    position = start
    for record, kept in _records(tail) if tail else ():
        if record.name in left:
            local, central = _new_records(record.name, left.pop(record.name), position)
            yield local
            position += len(local)
        elif record.name not in changed and tail:
            local, central = _kept_local(tail, record), kept
            record.width.pack_into(central, record.place - record.start, position)
            central[8] &= ~SIZES_FOLLOW
            position += len(local) + record.compressed_size
            check_offset(position)
            yield local
            yield from tail.source.chunks(_begin(tail, record), record.compressed_size)
        else:
            continue
        directory.append(bytes(central))
    for name, content in left.items():
        local, central = _new_records(name, content, position)
        yield local
        directory.append(bytes(central))
        position += len(local)
    if len(directory) >= FULL16:
        raise InvalidValueError(f"{len(directory)} files are more than a ZIP without 64-bit records holds.")
    if directory:
        length = sum(map(len, directory))
        check_offset(position + length)
        comment = b""
        if tail:
            begin = tail.end_record + END.size
            comment = bytes(tail.source.view(begin, tail.end - begin))
        yield from directory
        count = len(directory)
        yield END.pack(b"PK\5\6", 0, 0, count, count, length, position, len(comment)) + comment


def _records(tail: ZipTail) -> Iterator[tuple[Record, bytearray]]:
    """The entries of an archive's directory, each with its bytes there."""
    stop = tail.end_record if tail.end_record64 is None else tail.end_record64
    directory = tail.source.view(tail.directory, stop - tail.directory)
    for record in read_directory(directory, len(tail.members)):
        yield record, bytearray(directory[record.start : record.end])


def _begin(tail: ZipTail, record: Record) -> int:
    """Where the (compressed) bytes of a file begin."""
    header = tail.base + record.offset
    *_, name, extra = tail.source.unpack(LOCAL, header)
    return int(header + LOCAL.size + name + extra)


def _kept_local(tail: ZipTail, record: Record) -> bytes:
    """What stands in front of a file's bytes; with sizes and checksum where they stood behind them."""
    header = tail.base + record.offset
    stored = bytes(tail.source.view(header, _begin(tail, record) - header))
    if not record.flags & SIZES_FOLLOW:
        return stored
    check_offset(record.size)
    signature, version, flags, method, time, date, _, _, _, name, _ = LOCAL.unpack_from(stored)
    extra = _without_extra64(stored[LOCAL.size + name :])
    sizes = record.crc, record.compressed_size, record.size, name, len(extra)
    head = LOCAL.pack(signature, version, flags & ~SIZES_FOLLOW, method, time, date, *sizes)
    return head + stored[LOCAL.size : LOCAL.size + name] + extra


def _without_extra64(extra: bytes) -> bytes:
    """Extra fields without the 64-bit sizes."""
    kept = b""
    while len(extra) >= 4:
        length = 4 + int.from_bytes(extra[2:4], "little")
        if int.from_bytes(extra[:2], "little") != EXTRA64:
            kept += extra[:length]
        extra = extra[length:]
    return kept + extra


def _new_records(name: str, content: bytes, position: int) -> tuple[bytes, bytearray]:
    """A new file with its header, and its entry in the directory."""
    import zlib

    try:
        spelled = name.encode()
    except UnicodeEncodeError as error:
        raise InvalidValueError(f"the name {name!r} cannot be written in UTF-8.") from error
    if len(spelled) > FULL16:
        raise InvalidValueError(f"a name of {len(spelled)} bytes is longer than a ZIP can hold.")
    size = len(content)
    check_offset(position + size)
    flags = 0 if spelled.isascii() else UTF8
    common = (flags, STORED, 0, DAY, zlib.crc32(content), size, size, len(spelled), 0)
    # Version 1.0 reads it; made by version 2.0 on Unix, as a plain file that its owner may write, all may read.
    local = LOCAL.pack(b"PK\3\4", 10, *common) + spelled + content
    central = CENTRAL.pack(b"PK\1\2", 3 << 8 | 20, 10, *common, 0, 0, 0, 0o100644 << 16, position)
    return local, bytearray(central + spelled)


def check_name(name: object) -> str:
    """A name for a new file in an archive, as it was given.

    Raises:
        UnsafePathError: It is absolute, climbs with ``..``, has backslashes or characters that are no text, is empty,
            names a device or a folder, or is not spelled the shortest way.
        InvalidValueError: It is no text, or longer than 65,535 bytes.
    """
    if not isinstance(name, str):
        raise InvalidValueError(f"the name of a file is text, not {name!r:.60}.")
    try:
        safe = "\\" not in name and not name.endswith("/") and safe_name(name) == name
    except UnsafePathError:
        safe = False
    if not safe:
        raise UnsafePathError(
            f"{name!r:.80} is no name for a file in the model.",
            hint="Such as labels.txt or text/vocab.txt: relative, with forward slashes, without '..'.",
        )
    if len(name.encode()) > FULL16:
        raise InvalidValueError(f"a name of {len(name.encode())} bytes is longer than a ZIP can hold (65535).")
    return name
