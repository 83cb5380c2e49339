"""Changing bytes of a file in place, so that an interruption loses nothing.

Before a byte is changed, the old bytes go to a journal beside the file, ``FILE.unlite-undo``, and to the disk. When the
new bytes are on the disk the journal goes away. A journal that is found later means that the writing was interrupted:
its bytes are put back.

Journal: 8 bytes "UNLITEUN", u64 length of the file, u32 number of patches; per patch u64 offset, u64 length, old bytes;
u32 CRC-32 of all before. Little-endian.
"""

from __future__ import annotations

import os
import warnings
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO
from zlib import crc32

from unlite.errors import SaveError
from unlite.flatbuffers.sink import write_error
from unlite.model.save import _patch, sync_folder

if TYPE_CHECKING:
    from unlite.model.patch import Patch

SUFFIX = ".unlite-undo"
MAGIC = b"UNLITEUN"
HEAD, ENTRY, CRC = Struct("<8sQI"), Struct("<QQ"), Struct("<I")
CHUNK = 1 << 20


def apply(path: str, patches: list[Patch]) -> None:
    """Writes patches into a file under a journal.

    Raises:
        SaveError: the file cannot be written; it is as it was.
    """
    journal = path + SUFFIX
    try:
        with open(path, "r+b") as file:
            _write_journal(journal, file, patches)
            try:
                for patch in patches:
                    _patch(file.fileno(), patch)
                os.fsync(file.fileno())
            except OSError as error:
                _undo(journal, file)
                raise write_error(error, path) from error
    except OSError as error:
        raise write_error(error, path) from error
    os.unlink(journal)
    sync_folder(os.path.dirname(path))


def _write_journal(journal: str, file: BinaryIO, patches: list[Patch]) -> None:
    try:
        undo = open(journal, "xb")  # noqa: SIM115 - removed on failure below
    except FileExistsError:
        raise SaveError(
            "another save of this file is under way, or was interrupted.",
            file=journal,
            mend="Open the file again: an interrupted save is undone then.",
        ) from None
    try:
        with undo:
            _lock(undo)
            size = os.fstat(file.fileno()).st_size
            crc = _put(undo, HEAD.pack(MAGIC, size, len(patches)), 0)
            for patch in patches:
                crc = _put(undo, ENTRY.pack(patch.offset, patch.length), crc)
                file.seek(patch.offset)
                left = patch.length
                while left:
                    chunk = file.read(min(CHUNK, left))
                    if not chunk:
                        raise SaveError("the file was cut short while it was saved.", file=journal)
                    crc = _put(undo, chunk, crc)
                    left -= len(chunk)
            undo.write(CRC.pack(crc))
            undo.flush()
            os.fsync(undo.fileno())
        sync_folder(os.path.dirname(journal))
    except BaseException:
        os.unlink(journal)
        raise


def _put(file: BinaryIO, data: bytes, crc: int) -> int:
    file.write(data)
    return crc32(data, crc)


def _lock(file: BinaryIO) -> None:
    """Marks a journal as being used by a living process, where the system can."""
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def recover(path: str) -> None:
    """Undoes an interrupted in-place save of ``path``, and says so with a warning.

    Raises:
        SaveError: another process is saving the file now, or it cannot be written.
    """
    journal = path + SUFFIX
    try:
        with open(path, "r+b") as file:
            undone = _undo(journal, file)
    except OSError as error:
        raise SaveError(
            f"an in-place save of this file was interrupted, and cannot be undone: {error.strerror}.",
            file=path,
            mend=f"Make the file writable and open it again; the old bytes are in {os.path.basename(journal)}.",
        ) from error
    os.unlink(journal)
    if undone:
        warnings.warn(f"{path}: an interrupted in-place save was undone; the file is as it was before.", stacklevel=3)


def _undo(journal: str, file: BinaryIO) -> bool:
    """Puts the journal's bytes back; False where it is not whole (then no byte of the file was changed)."""
    with open(journal, "rb") as undo:
        try:
            _lock(undo)
        except OSError as error:
            raise SaveError(
                "another process is saving this file now.", file=journal, mend="Wait until it is done."
            ) from error
        if not _is_whole(undo, os.fstat(file.fileno()).st_size):
            return False
        undo.seek(0)
        _, _, count = HEAD.unpack(undo.read(HEAD.size))
        for _ in range(count):
            offset, left = ENTRY.unpack(undo.read(ENTRY.size))
            file.seek(offset)
            while left:
                chunk = undo.read(min(CHUNK, left))
                file.write(chunk)
                left -= len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return True


def _is_whole(undo: BinaryIO, size: int) -> bool:
    """Whether a journal is complete, sound and of a file of that size."""
    length = os.fstat(undo.fileno()).st_size
    head = undo.read(HEAD.size)
    if len(head) < HEAD.size or HEAD.unpack(head)[:2] != (MAGIC, size):
        return False
    crc, at = crc32(head), HEAD.size
    for _ in range(HEAD.unpack(head)[2]):
        entry = undo.read(ENTRY.size)
        if len(entry) < ENTRY.size:
            return False
        offset, left = ENTRY.unpack(entry)
        crc, at = crc32(entry, crc), at + ENTRY.size + left
        if offset + left > size or at + CRC.size > length:
            return False
        while left:
            chunk = undo.read(min(CHUNK, left))
            crc, left = crc32(chunk, crc), left - len(chunk)
    return undo.read() == CRC.pack(crc)
