"""Files that hold all of what was written, or what was there before."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from unlite.errors import SaveError
from unlite.storage.paths import checked_path
from unlite.storage.sink import FileSink, write_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.storage.patch import Patch
    from unlite.storage.sink import Sink


def write_atomically(
    path: str,
    write: Callable[[Sink], object],
    patches: list[Patch] | None = None,
    progress: Callable[[int], object] | None = None,
) -> int:
    """Writes a file so that ``path`` holds either all of it or what was there before; returns its length.

    The bytes go to a temporary file in the same folder, which takes the name once they are on the disk.

    Args:
        path: The file.
        write: Writes it into a sink.
        patches: What is then changed in it.
        progress: Told the number of bytes each time some were written.

    Raises:
        SaveError: the folder is not there, the disk is full, or it is not allowed.
    """
    target = os.path.realpath(checked_path(path))  # a link stays a link
    folder = os.path.dirname(target)
    if os.path.exists(target) and not os.path.isfile(target):
        raise SaveError("is a folder or a device, and is left alone.", file=path, hint="Name a file.")
    try:
        # tempfile would do the same, and load ten modules for it.
        temporary = os.path.join(folder, f".unlite-{os.urandom(6).hex()}.tmp")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        raise write_error(error, path) from error
    try:
        try:
            sink = FileSink(descriptor, path, progress)
            write(sink)
            sink.flush()
            for patch in patches or ():
                write_patch(descriptor, path, patch)
            os.fsync(descriptor)
        except OSError as error:
            raise write_error(error, path) from error
        finally:
            os.close(descriptor)
        try:
            _take_over_mode(temporary, target)
            os.replace(temporary, target)
        except OSError as error:
            raise write_error(error, path) from error
    except BaseException:
        os.unlink(temporary)
        raise
    sync_folder(folder)
    return sink.position


def write_patch(descriptor: int, name: str, patch: Patch) -> None:
    """Writes new bytes over those of an open file. Raises SaveError; ``name`` is what it calls the file."""
    os.lseek(descriptor, patch.offset, os.SEEK_SET)
    sink = FileSink(descriptor, name)
    sink.copy(patch.source, patch.start, patch.length)
    sink.flush()


def _take_over_mode(temporary: str, target: str) -> None:
    """The permissions of the file that is replaced, or those of any new file."""
    if os.path.exists(target):
        mode = os.stat(target).st_mode & 0o7777
    else:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    os.chmod(temporary, mode)


def sync_folder(folder: str) -> None:
    """Makes a rename durable, where the system can."""
    if os.name != "posix":
        return
    # The file has its name by now: a file system that can't sync a folder makes that no failure.
    with suppress(OSError):
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
