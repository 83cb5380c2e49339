"""Saving: a copy where nothing changed, a patch where sizes stay, else a rewrite. Never half a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from unlite.errors import InvalidValueError, SaveError
from unlite.flatbuffers.saving import SaveReport
from unlite.flatbuffers.view import is_edited
from unlite.model.saving.patch import find_patches
from unlite.model.saving.trailing_data import kept_file
from unlite.model.saving.trailing_data import write as write_pieces
from unlite.storage.atomic import write_atomically
from unlite.storage.paths import checked_path
from unlite.storage.source import MemorySource
from unlite.storage.temporary_file import TemporaryFile
from unlite.storage.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.model.model import Model
    from unlite.storage.patch import Patch
    from unlite.storage.source import Source


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
    target = model.path if path is None else checked_path(path)
    if target is None:
        raise InvalidValueError(
            "only a model that was opened from a .tflite can be saved without a path.", file=model.file.name
        )
    _check_target(model, target)
    patches = None if rewrite or not _is_current(model) else find_patches(model)
    kept = kept_file(model) if patches is not None and model.associated_files.is_changed else None
    if model.associated_files.is_changed and (kept is None or in_place):
        patches = None
    if in_place:
        return _save_in_place(model, target, patches)
    file = model.file
    if patches is None:
        from unlite.model.saving.rewrite import Rewrite

        plan = Rewrite(model, drop_unknown=drop_unknown)
        written = write_atomically(target, plan.write, progress=progress, opened=file)
        return SaveReport("rewritten", target, written.size, lost=written.lost)
    changed = sum(patch.length for patch in patches)
    if kept is not None:
        written = write_atomically(target, kept.write, patches, progress, file)
        changed += written.size - kept.length
    else:
        written = write_atomically(target, lambda sink: sink.copy(file, 0, file.size), patches, progress, file)
    how = "patched" if patches or kept is not None else "copied"
    return SaveReport(how, target, written.size, changed, written.lost)


TEXTS = (".json", ".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".ino", ".inc")
BUNDLES = (".litertlm", ".task")


def _check_target(model: Model, target: str) -> None:
    """Raises InvalidValueError where a model file would take the place or the name of something that holds models."""
    ending = os.path.splitext(target)[1].lower()
    is_part = model.path is None and isinstance(model.file, (MemorySource, Window, TemporaryFile))
    holds = model.file.name if is_part else ""
    if ending in BUNDLES or (os.path.isfile(target) and os.path.isfile(holds) and os.path.samefile(target, holds)):
        raise InvalidValueError(
            "would be replaced by the one model that was opened from it, without all else that it holds.",
            file=target,
            hint="Save to a file of its own, such as model.tflite.",
        )
    if ending in TEXTS:
        raise InvalidValueError(
            "is the name of a text, and a save writes a model file.",
            file=target,
            hint="Save as .tflite; 'unlite json' and 'unlite c-array' (to_json, to_c_array) write texts.",
        )


def as_source(model: Model) -> Source:
    """The bytes that ``save`` would write: the opened file where nothing changed, else a temporary file without a name.

    Raises:
        LostFieldsError: a rewrite would drop fields that no known schema has.
    """
    if not model.is_changed:
        return model.file
    spool = TemporaryFile()
    spool.name = model.file.name
    patches = find_patches(model) if _is_current(model) else None
    kept = kept_file(model) if patches is not None and model.associated_files.is_changed else None
    if patches is None or (kept is None and model.associated_files.is_changed):
        from unlite.model.saving.rewrite import Rewrite

        Rewrite(model).write(spool)
        return spool
    for patch in sorted(patches, key=lambda patch: patch.offset):
        spool.copy(model.file, spool.position, patch.offset - spool.position)
        spool.copy(patch.source, patch.start, patch.length)
    end = model.file.size if kept is None else kept.length
    spool.copy(model.file, spool.position, end - spool.position)
    if kept is not None and kept.archive is not None:
        write_pieces([kept.archive], spool)
    return spool


def _is_current(model: Model) -> bool:
    """Whether the opened bytes can be kept: of the newest version, or unchanged but for associated files."""
    return model.schema_version == 3 or not is_edited(model.root)


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
    model._is_saved_in_place()
    return SaveReport(
        "patched" if patches else "copied", target, model.file.size, sum(patch.length for patch in patches)
    )
