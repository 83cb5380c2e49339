"""Saving: a copy where nothing changed, a patch where sizes stay, else a rewrite. Never half a file."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import InvalidValueError, SaveError
from unlite.flatbuffers.sink import FileSink, write_error
from unlite.model.patch import Patch, find_patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.flatbuffers.sink import Sink
    from unlite.flatbuffers.source import Source
    from unlite.model.model import Model


class SaveReport(NamedTuple):
    """What a save did.

    Attributes:
        how: ``copied`` (byte-identical), ``patched`` (only the changed bytes differ) or ``rewritten``.
        path: The file.
        size: Its length in bytes.
        changed: Bytes that were patched.
    """

    how: str
    path: str
    size: int
    changed: int = 0


def save(
    model: Model,
    path: str | os.PathLike[str] | None,
    *,
    in_place: bool,
    rewrite: bool,
    drop_unknown: bool,
    progress: Callable[[int], object] | None,
) -> SaveReport:
    """Writes a model; see ``Model.save``."""
    target = model.path if path is None else os.fspath(path)
    if target is None:
        raise InvalidValueError("a model that did not come from a file needs a path to be saved to.")
    patches = None if rewrite or not _is_current(model) else find_patches(model)
    if in_place:
        return _save_in_place(model, target, patches)
    if patches is None:
        from unlite.model.rewrite import Rewrite

        plan = Rewrite(model, drop_unknown=drop_unknown)
        return SaveReport("rewritten", target, write_atomically(target, plan.write, progress=progress))
    size = write_atomically(target, lambda sink: sink.copy(model.file, 0, model.file.size), patches, progress)
    if not patches:
        return SaveReport("copied", target, size)
    return SaveReport("patched", target, size, sum(patch.length for patch in patches))


def as_source(model: Model) -> Source:
    """The bytes that ``save`` would write: the opened file where nothing changed, else a temporary file without a name.

    Raises:
        LostFieldsError: a rewrite would drop fields that no known schema has.
    """
    if not model.is_changed:
        return model.file
    from unlite.flatbuffers.spool import Spool

    spool = Spool()
    spool.name = model.file.name
    patches = find_patches(model) if _is_current(model) else None
    if patches is None:
        from unlite.model.rewrite import Rewrite

        Rewrite(model).write(spool)
        return spool
    for patch in sorted(patches, key=lambda patch: patch.offset):
        spool.copy(model.file, spool.position, patch.offset - spool.position)
        spool.copy(patch.source, patch.start, patch.length)
    spool.copy(model.file, spool.position, model.file.size - spool.position)
    return spool


def _is_current(model: Model) -> bool:
    """Whether the opened bytes can be kept: of the newest version, or unchanged."""
    return model.file is model.source or not model.is_changed


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
    target = os.path.realpath(path)  # a link stays a link
    folder = os.path.dirname(target)
    if os.path.exists(target) and not os.path.isfile(target):
        raise SaveError("is a folder or a device, and is left alone.", file=path, mend="Name a file.")
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


def _save_in_place(model: Model, target: str, patches: list[Patch] | None) -> SaveReport:
    # The file itself counts, not its name: after a save another file bears that.
    opened = model.file.fileno() if model.path is not None else None
    if opened is None or not os.path.exists(target) or not os.path.samestat(os.fstat(opened), os.stat(target)):
        raise InvalidValueError(
            "in_place writes into the file that was opened, and into no other.",
            file=target,
            mend="Where the file was saved or replaced since, open it again.",
        )
    if patches is None:
        raise SaveError(
            "the changes do not keep their sizes, so they cannot be written in place. Nothing was changed.",
            file=target,
            mend="Save without in_place (-o FILE): the file is then written anew, and takes its name when it is whole.",
        )
    if patches:
        from unlite.model.journal import apply

        apply(os.path.realpath(target), patches)
    return SaveReport(
        "patched" if patches else "copied", target, model.file.size, sum(patch.length for patch in patches)
    )
