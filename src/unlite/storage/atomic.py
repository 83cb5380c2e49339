"""Files that hold all of what was written, or what was there before."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import SaveError
from unlite.storage.attributes import take_over
from unlite.storage.leftovers import new_file, sweep
from unlite.storage.sink import FileSink, write_error
from unlite.storage.source import MappedFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.storage.patch import Patch
    from unlite.storage.sink import Sink
    from unlite.storage.source import Source


MAPPED_FILES_STAY = os.name == "nt"
"""Whether the system refuses to replace a file that is mapped into memory."""


class Written(NamedTuple):
    """What was written.

    Attributes:
        size: Length of the file in bytes.
        lost: What the file that was there had, and the new one has not, in words; a warning has told it.
    """

    size: int
    lost: tuple[str, ...] = ()


def write_atomically(
    path: str,
    write: Callable[[Sink], object],
    patches: list[Patch] | None = None,
    progress: Callable[[int], object] | None = None,
    opened: Source | None = None,
) -> Written:
    """Writes a file so that ``path`` holds either all of it or what was there before.

    The bytes go to a temporary file in the same folder, which takes the name once they are on the disk, with owner,
    group, permissions and extended attributes of the file that had it, where the system lets it; a warning tells what
    it does not. What interrupted saves left in the folder is removed.

    Args:
        path: The file.
        write: Writes it into a sink.
        patches: What is then changed in it.
        progress: Told the number of bytes each time some were written.
        opened: What the bytes come from, if it may be the file itself: some systems do not replace a mapped file.

    Raises:
        SaveError: the folder is not there, the disk is full, or it is not allowed.
    """
    target = real_path(path)
    folder = os.path.dirname(target)
    is_there = os.path.exists(target)
    if is_there and not os.path.isfile(target):
        raise SaveError("is a folder or a device, and is left alone.", file=path, hint="Name a file.")
    sweep(folder)
    try:
        # Nobody else may read a file while it has not the permissions of the one that it replaces.
        new = new_file(folder, 0o600 if is_there else 0o666)
    except OSError as error:
        raise write_error(error, path) from error
    descriptor: int | None = new.descriptor
    try:
        sink = FileSink(new.descriptor, path, progress)
        write(sink)
        sink.flush()
        for patch in patches or ():
            write_patch(new.descriptor, path, patch)
        lost = take_over(new.path, target) if is_there else ()
        os.fsync(new.descriptor)
        if os.name == "nt":  # open files cannot be renamed there; elsewhere the lock is kept until it has its name
            os.close(new.descriptor)
            descriptor = None
        _replace(new.path, target, opened)
    except BaseException as error:
        if descriptor is not None:
            os.close(descriptor)
        os.unlink(new.path)
        if isinstance(error, OSError):
            raise write_error(error, path) from error
        raise
    if descriptor is not None:
        os.close(descriptor)
    sync_folder(folder)
    if lost:
        warnings.warn(f"{path}: saved, but not kept: {', '.join(lost)}.", stacklevel=2)
    return Written(sink.position, lost)


def real_path(path: str) -> str:
    """Where a path leads: a link stays a link. Raises SaveError where it is none, as with a NUL in it."""
    try:
        return os.path.realpath(path)
    except ValueError as error:
        raise SaveError(f"cannot be written: {error}.", file=path, hint="Name another file.") from error


def _replace(new: str, target: str, opened: Source | None) -> None:
    try:
        os.replace(new, target)
    except PermissionError:
        if not MAPPED_FILES_STAY or not isinstance(opened, MappedFile) or not opened.is_file(target):
            raise
        opened.detach()
        os.replace(new, target)


def write_patch(descriptor: int, name: str, patch: Patch) -> None:
    """Writes new bytes over those of an open file. Raises SaveError; ``name`` is what it calls the file."""
    os.lseek(descriptor, patch.offset, os.SEEK_SET)
    sink = FileSink(descriptor, name)
    sink.copy(patch.source, patch.start, patch.length)
    sink.flush()


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
