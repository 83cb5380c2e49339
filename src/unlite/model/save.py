"""Saving: a copy where nothing changed, a patch where sizes stay, else a rewrite. Never half a file."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import InvalidValueError, SaveError
from unlite.flatbuffers.sink import FileSink, write_error
from unlite.model.patch import Patch, find_patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.flatbuffers.sink import Sink
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
    model: Model, path: str | os.PathLike[str] | None, *, in_place: bool, rewrite: bool, drop_unknown: bool
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
        return SaveReport("rewritten", target, write_atomically(target, plan.write))
    size = write_atomically(target, lambda sink: sink.copy(model.file, 0, model.file.size), patches)
    if not patches:
        return SaveReport("copied", target, size)
    return SaveReport("patched", target, size, sum(patch.length for patch in patches))


def _is_current(model: Model) -> bool:
    """Whether the opened bytes can be kept: of the newest version, or unchanged."""
    return model.file is model.source or not model.is_changed


def write_atomically(path: str, write: Callable[[Sink], object], patches: list[Patch] | None = None) -> int:
    """Writes a file so that ``path`` holds either all of it or what was there before; returns its length.

    The bytes go to a temporary file in the same folder, which takes the name once they are on the disk.

    Raises:
        SaveError: the folder is not there, the disk is full, or it is not allowed.
    """
    target = os.path.realpath(path)  # a link stays a link
    folder, name = os.path.split(target)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name[:100]}.", suffix=".tmp", dir=folder)
    except OSError as error:
        raise write_error(error, path) from error
    try:
        try:
            sink = FileSink(descriptor, path)
            write(sink)
            sink.flush()
            for patch in patches or ():
                _patch(descriptor, patch)
            os.fsync(descriptor)
        except OSError as error:
            raise write_error(error, path) from error
        finally:
            os.close(descriptor)
        _take_over_mode(temporary, target)
        try:
            os.replace(temporary, target)
        except OSError as error:
            raise write_error(error, path) from error
    except BaseException:
        os.unlink(temporary)
        raise
    sync_folder(folder)
    return sink.position


def _patch(descriptor: int, patch: Patch) -> None:
    os.lseek(descriptor, patch.offset, os.SEEK_SET)
    for chunk in patch.source.chunks(patch.start, patch.length):
        rest = chunk
        while rest:
            rest = rest[os.write(descriptor, rest) :]


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
    descriptor = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _save_in_place(model: Model, target: str, patches: list[Patch] | None) -> SaveReport:
    if model.path is None or not os.path.exists(target) or not os.path.samefile(model.path, target):
        raise InvalidValueError("in_place writes into the file that was opened, and into no other.", file=target)
    if patches is None:
        raise SaveError(
            "the changes do not keep their sizes, so they cannot be written in place. Nothing was changed.",
            file=target,
            mend="Save without in_place: the file is then written anew beside the old one and takes its name.",
        )
    if patches:
        from unlite.model.journal import apply

        apply(os.path.realpath(target), patches)
    return SaveReport(
        "patched" if patches else "copied", target, model.file.size, sum(patch.length for patch in patches)
    )
