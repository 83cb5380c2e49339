"""Saving a FlatBuffer of any schema: a copy where nothing changed, a patch where sizes stay, else a rewrite."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import InvalidValueError, SaveError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.extent import Extent
from unlite.flatbuffers.patches import PatchFinder
from unlite.flatbuffers.wire import U32
from unlite.flatbuffers.write import Plan
from unlite.storage.atomic import write_atomically
from unlite.storage.sink import MemorySink
from unlite.storage.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.storage.sink import Sink
    from unlite.storage.source import Source


class SaveReport(NamedTuple):
    """What a save did.

    Attributes:
        how: ``copied`` (byte-identical), ``patched`` (only the changed bytes differ, and the archive of associated
            files at the end) or ``rewritten``. A model that was opened with a size prefix keeps it when it is copied
            or patched; rewritten, it has none.
        path: The file.
        size: Its length in bytes.
        changed: Bytes that were patched, those of a new archive among them.
        lost: What the file that was replaced had, and this one has not, in words: an owner, an attribute.
    """

    how: str
    path: str
    size: int
    changed: int = 0
    lost: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown = {name: value for name, value in self._asdict().items() if name != "lost" or value}
        return f"SaveReport({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def save(
    root: v.Table,
    path: str | os.PathLike[str],
    *,
    rewrite: bool = False,
    drop_unknown: bool = False,
    progress: Callable[[int], object] | None = None,
) -> SaveReport:
    """Writes a FlatBuffer with everything that was assigned, the cheapest faithful way. Atomic.

    Args:
        root: The root table, from ``flatbuffers.open``.
        path: Where to.
        rewrite: Write anew even where a copy or a patch would do.
        drop_unknown: Allow a rewrite to drop fields that the schema does not know.
        progress: Told the number of bytes each time some were written.

    Raises:
        InvalidValueError: the table is not the root of a file.
        LostFieldsError: a rewrite would drop unknown fields.
        SaveError: the file cannot be written, or bytes follow the FlatBuffer that a rewrite cannot move.
    """
    if root._parent is not None:
        raise InvalidValueError("only a root table is a file.", path=v.path(root), hint="Save the root.")
    target = os.fspath(path)
    file, shift = _file_of(root)
    found = None if rewrite else PatchFinder(root).find()
    if found is None:
        new = _Rewrite(root, drop_unknown=drop_unknown)
        written = write_atomically(target, new, progress=progress, opened=file)
        return SaveReport("rewritten", target, written.size, lost=written.lost)
    patches = [patch._replace(offset=patch.offset + shift) for patch in found]
    written = write_atomically(target, lambda sink: sink.copy(file, 0, file.size), patches, progress, file)
    how = "patched" if patches else "copied"
    return SaveReport(how, target, written.size, sum(patch.length for patch in patches), written.lost)


def _file_of(root: v.Table) -> tuple[Source, int]:
    """What is written for a root, and where the FlatBuffer begins in it: 4 behind a size prefix, else 0."""
    source = root._edits.wire.source
    if (
        isinstance(source, Window)
        and source.base - source.whole.base == 4
        and source.whole.unpack(U32, 0)[0] == source.size
    ):
        return source.whole, 4
    return source, 0


def to_bytes(root: v.Table) -> bytes:
    """What ``save`` would write, of a FlatBuffer that fits into memory."""
    sink = MemorySink()
    patches = PatchFinder(root).find()
    if patches is None:
        _Rewrite(root, drop_unknown=False)(sink)
        return sink.value()
    source = root._edits.wire.source
    data = bytearray(source.view(0, source.size))
    for patch in patches:
        data[patch.offset : patch.offset + patch.length] = patch.source.view(patch.start, patch.length)
    return bytes(data)


class _Rewrite:
    """Writes a root anew; bytes behind the FlatBuffer are no part of it."""

    def __init__(self, root: v.Table, *, drop_unknown: bool) -> None:
        wire = root._edits.wire
        source: Source = wire.source
        end = Extent(v.unedited(root)).end
        if any(any(chunk) for chunk in source.chunks(end, source.size - end)):
            raise SaveError(
                f"{source.size - end} bytes behind the FlatBuffer cannot be moved: what points there is not known.",
                file=source.name,
                offset=end,
                hint="Changes that keep sizes can be saved. A .tflite is opened with unlite.open, which moves them.",
            )
        known = root._object.schema.file_identifier.encode("utf-8", "surrogateescape")
        identifier = wire.identifier() if wire.identifier() == known else b""
        self._plan = Plan(root._object, root, identifier=identifier, drop_unknown=drop_unknown)
        self._is_prefixed = _file_of(root)[1] > 0

    def __call__(self, sink: Sink) -> None:
        if self._is_prefixed:
            sink.write(U32.pack(self._plan.size))
        self._plan.write(sink)
