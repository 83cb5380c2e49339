"""Changing bytes of a file in place, so that an interruption loses nothing.

Before a byte is changed, the old bytes and the new ones go to a journal beside the file, ``FILE.unlite-undo``, and to
the disk. When the new bytes are on the disk in the file, the journal goes away. A journal that is found later means
that the writing was interrupted: the old bytes are put back, if each byte there is still either the old or the new one;
any other file is left alone.

While a process lives that uses a journal, the journal is locked. It is written under another name and takes its own one
whole and locked, if that is free: of two saves one wins, and nobody ever sees a journal in use without its lock. Who
removes one holds its lock, and has looked whether it is still the file of that name.

Journal: 8 bytes "UNLITEUN", u64 length of the file, u32 number of patches; per patch u64 offset, u64 length, old bytes,
new bytes; u32 CRC-32 of all before. Little-endian.
"""

from __future__ import annotations

import os
import time
import warnings
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO
from zlib import crc32

from unlite.errors import SaveError
from unlite.storage.atomic import sync_folder, write_patch
from unlite.storage.leftovers import new_file, sweep
from unlite.storage.locks import is_named, try_lock
from unlite.storage.rename import rename_to_new
from unlite.storage.sink import write_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unlite.storage.patch import Patch

SUFFIX = ".unlite-undo"
MAGIC = b"UNLITEUN"
HEAD, ENTRY, CRC = Struct("<8sQI"), Struct("<QQ"), Struct("<I")
CHUNK = 1 << 20
WAIT = 5.0
"""Seconds that a reader waits for a save that is under way."""
PAUSE = 0.01


def apply(path: str, patches: list[Patch]) -> None:
    """Writes patches into a file under a journal.

    Raises:
        SaveError: the file cannot be written; it is as it was.
    """
    journal = path + SUFFIX
    try:
        # Without a buffer of Python's: the patches go to the descriptor, which such a buffer would not notice.
        with open(path, "r+b", buffering=0) as file, _write_journal(journal, path, patches) as undo:
            try:
                for patch in patches:
                    write_patch(file.fileno(), path, patch)
                os.fsync(file.fileno())
            except BaseException:
                _take_back(undo, path)
                _remove(journal, undo)
                raise
            _remove(journal, undo)
    except OSError as error:
        raise write_error(error, path) from error
    sync_folder(os.path.dirname(path))


def _take_back(undo: BinaryIO, path: str) -> None:
    try:
        with open(path, "r+b") as file:
            _put_back(undo, file)
    except OSError as error:
        raise SaveError(
            f"cannot be written, and what was written cannot be taken back now: {error.strerror}.",
            file=path,
            hint="Open the file again when it can be written: its old bytes are put back then.",
        ) from error


def _write_journal(journal: str, path: str, patches: list[Patch]) -> BinaryIO:
    """A whole journal on the disk, locked for as long as it is open."""
    folder = os.path.dirname(journal)
    if os.path.lexists(journal):
        raise _in_use(journal)
    sweep(folder)
    with open(path, "rb", buffering=0) as file:  # without a buffer: what is read twice may have changed
        found = os.fstat(file.fileno())
        made = new_file(folder, found.st_mode & 0o666)  # who may read the file must see the journal
        undo: BinaryIO = os.fdopen(made.descriptor, "w+b")
        try:
            if not made.is_locked:
                raise SaveError(
                    "cannot be saved in place: this file system has no locks, so that a reader could take the save "
                    "for an interrupted one.",
                    file=path,
                    hint="Save without in_place (-o FILE).",
                )
            crc = _put(undo, HEAD.pack(MAGIC, found.st_size, len(patches)), 0)
            for patch in patches:
                crc = _put(undo, ENTRY.pack(patch.offset, patch.length), crc)
                file.seek(patch.offset)
                for start in range(0, patch.length, CHUNK):
                    size = min(CHUNK, patch.length - start)
                    old = file.read(size)
                    if len(old) < size:
                        raise SaveError("the file was cut short while it was saved.", file=path)
                    crc = _put(undo, old, crc)
                for new in patch.source.chunks(patch.start, patch.length):
                    crc = _put(undo, new, crc)
            undo.write(CRC.pack(crc))
            undo.flush()
            os.fsync(undo.fileno())
            _take_name(made.path, journal)
        except BaseException:
            undo.close()
            with suppress(FileNotFoundError):
                os.unlink(made.path)
            raise
        # Only now is this save alone: another one may have ended while the old bytes were read.
        if not all(file.read(len(old)) == old for old, _ in _chunks(undo, file)):
            _remove(journal, undo)
            undo.close()
            raise SaveError(
                "another save has changed the file meanwhile.", file=path, hint="Open the file again, and save anew."
            )
    sync_folder(folder)
    return undo


def _take_name(temporary: str, journal: str) -> None:
    """Gives a journal its name. Raises SaveError where one is there."""
    try:
        try:
            os.link(temporary, journal)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if not rename_to_new(temporary, journal):
                raise
            return
        with suppress(PermissionError):  # Windows removes no open files: the next save sweeps it up
            os.unlink(temporary)
    except FileExistsError:
        raise _in_use(journal) from None


def _in_use(journal: str) -> SaveError:
    return SaveError(
        "another save of this file is under way, or was interrupted.",
        file=journal,
        hint="Open the file again: an interrupted save is undone then.",
    )


def _put(file: BinaryIO, data: bytes | memoryview, crc: int) -> int:
    file.write(data)
    return crc32(data, crc)


def _remove(journal: str, undo: BinaryIO) -> None:
    if os.name == "nt":
        undo.close()  # open files cannot be removed there; elsewhere the lock is kept until the journal is gone
    with suppress(FileNotFoundError):
        os.unlink(journal)


def recover(path: str) -> None:
    """Undoes an interrupted in-place save of ``path``, and says so with a warning.

    Where a save is under way, it waits for its end, but no longer than ``WAIT`` seconds; the file is then read as it
    is, with a warning.

    Raises:
        SaveError: an interrupted save cannot be undone, as the file cannot be written.
    """
    journal, deadline = path + SUFFIX, time.monotonic() + WAIT
    try:
        while not _is_settled(journal, path):
            if time.monotonic() > deadline:
                message = "another process is saving this file now; it is read as it is, and may change meanwhile."
                warnings.warn(f"{path}: {message}", stacklevel=3)
                return
            time.sleep(PAUSE)
    except OSError as error:
        raise SaveError(
            f"an in-place save of this file was interrupted, and cannot be undone: {error.strerror}.",
            file=path,
            hint=f"Make the file writable and open it again; the old bytes are in {os.path.basename(journal)}.",
        ) from error


def _is_settled(journal: str, path: str) -> bool:
    """Undoes an interrupted save, if there is one; False where a save is under way."""
    try:
        undo = open(journal, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        return True
    with undo:
        if try_lock(undo.fileno()) is False:
            return False
        if not is_named(undo.fileno(), journal):
            return False  # that save is over; another one may be under way
        outcome = _recovered(undo, path)
        _remove(journal, undo)
    if outcome:
        warnings.warn(f"{path}: {outcome}", stacklevel=4)
    return True


def _recovered(undo: BinaryIO, path: str) -> str:
    """Puts the old bytes back where a save was interrupted; what to tell about it, "" for nothing."""
    if not _is_whole(undo, os.path.getsize(path)):
        return ""  # the interruption came before a byte of the file was changed
    with open(path, "rb") as file:
        if not all(_is_mix(file.read(len(old)), old, new) for old, new in _chunks(undo, file)):
            return "an interrupted in-place save left a journal that does not fit the file; the file was left alone."
    with open(path, "r+b") as file:
        _put_back(undo, file)
    return "an interrupted in-place save was undone; the file is as it was before."


def _is_mix(found: bytes, old: bytes, new: bytes) -> bool:
    return found in (old, new) or all(a in (b, c) for a, b, c in zip(found, old, new, strict=True))


def _put_back(undo: BinaryIO, file: BinaryIO) -> None:
    file.writelines(old for old, _ in _chunks(undo, file))  # each is written where the file then stands
    file.flush()
    os.fsync(file.fileno())


def _chunks(undo: BinaryIO, file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The old and the new bytes of a whole journal, in pieces; ``file`` stands where they belong."""
    undo.seek(0)
    at = HEAD.size
    for _ in range(HEAD.unpack(undo.read(HEAD.size))[2]):
        undo.seek(at)
        offset, length = ENTRY.unpack(undo.read(ENTRY.size))
        at += ENTRY.size
        for done in range(0, length, CHUNK):
            size = min(CHUNK, length - done)
            undo.seek(at + done)
            old = undo.read(size)
            undo.seek(at + length + done)
            new = undo.read(size)
            file.seek(offset + done)
            yield old, new
        at += 2 * length


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
        crc, at = crc32(entry, crc), at + ENTRY.size + 2 * left
        if offset + left > size or at + CRC.size > length:
            return False
        left *= 2
        while left:
            chunk = undo.read(min(CHUNK, left))
            crc, left = crc32(chunk, crc), left - len(chunk)
    return undo.read() == CRC.pack(crc)
