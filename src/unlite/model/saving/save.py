"""Saving: a copy where nothing changed, a patch where sizes stay, else a rewrite. Never half a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import InvalidValueError, SaveError
from unlite.model.saving.patch import find_patches
from unlite.storage.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.model.model import Model
    from unlite.storage.patch import Patch
    from unlite.storage.source import Source


class SaveReport(NamedTuple):
    """What a save did.

    Attributes:
        how: ``copied`` (byte-identical), ``patched`` (only the changed bytes differ) or ``rewritten``. What was opened
            with a size prefix keeps it when it is copied or patched; rewritten, it is a plain file without one.
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
        from unlite.model.saving.rewrite import Rewrite

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
    from unlite.storage.temporary_file import TemporaryFile

    spool = TemporaryFile()
    spool.name = model.file.name
    patches = find_patches(model) if _is_current(model) else None
    if patches is None:
        from unlite.model.saving.rewrite import Rewrite

        Rewrite(model).write(spool)
        return spool
    for patch in sorted(patches, key=lambda patch: patch.offset):
        spool.copy(model.file, spool.position, patch.offset - spool.position)
        spool.copy(patch.source, patch.start, patch.length)
    spool.copy(model.file, spool.position, model.file.size - spool.position)
    return spool


def _is_current(model: Model) -> bool:
    """Whether the opened bytes can be kept: of the newest version, or unchanged."""
    return model.schema_version == 3 or not model.is_changed


def _save_in_place(model: Model, target: str, patches: list[Patch] | None) -> SaveReport:
    # The file itself counts, not its name: after a save another file bears that.
    opened = model.file.descriptor_at(0) if model.path is not None else None
    if opened is None or not os.path.exists(target) or not os.path.samestat(os.fstat(opened[0]), os.stat(target)):
        raise InvalidValueError(
            "in_place writes into the file that was opened, and into no other.",
            file=target,
            hint="Where the file was saved or replaced since, open it again.",
        )
    if patches is None:
        raise SaveError(
            "the changes do not keep their sizes, so they cannot be written in place. Nothing was changed.",
            file=target,
            hint="Save without in_place (-o FILE): the file is then written anew, and takes its name when it is whole.",
        )
    if patches:
        from unlite.storage.journal import apply

        apply(os.path.realpath(target), patches)
    return SaveReport(
        "patched" if patches else "copied", target, model.file.size, sum(patch.length for patch in patches)
    )
