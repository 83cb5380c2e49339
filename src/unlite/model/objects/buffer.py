"""Where constant bytes lie: inside the FlatBuffer, behind it, or in a file beside the model."""

from __future__ import annotations

import os

from unlite.errors import CorruptFileError, NotFoundError, UnsafePathError
from unlite.flatbuffers.view import ScalarVector
from unlite.flatbuffers.wire import Wire
from unlite.model.objects.entity import Entity
from unlite.storage.source import MappedFile, Source, Span

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import Any

    from unlite.flatbuffers.view import Table
    from unlite.model.model import Model


_SET = object.__setattr__  # what Entity does more is for people


class Buffer(Entity):
    """One entry of ``model.buffers``; usable as an index, and ``data`` is assignable.

    Several tensors may share one buffer: what is assigned here is seen by all of them.
    """

    __slots__ = ("_model", "_table", "index")
    _model: Model
    _table: Table
    index: int

    def __init__(self, model: Model, index: int, table: Table) -> None:
        _SET(self, "_model", model)
        _SET(self, "index", index)
        _SET(self, "_table", table)

    def __index__(self) -> int:
        return self.index

    @property
    def span(self) -> Span | None:
        """Where the bytes lie; None where there are none. Inline data wins over an offset, as in the runtime."""
        data = self._table["data"]
        if isinstance(data, ScalarVector):
            start, length = data.span()
            where = "inline" if data._wire.source is self._model.source else "new"
            return Span(where, data._wire.source, start, length)
        offset, size = self._table["offset"], self._table["size"]
        if offset <= 1:  # 0 and the converter's placeholder 1 mean: not used
            return None
        source = self._model.source
        if offset + size > source.size:
            start, end = source.base + offset, source.base + source.size
            raise CorruptFileError(
                f"{size} bytes of data wanted at byte 0x{start:X}, file ends at 0x{end:X}.",
                file=source.name,
                path=f"buffers[{self.index}]",
                offset=start,
                hint="The file looks cut short: compare its size with the source and fetch it again.",
            )
        return Span("offset", source, offset, size)

    @property
    def data(self) -> memoryview | None:
        """The stored bytes, read-only; None where there are none. Assignable from bytes or an array."""
        span = self.span
        return None if span is None else span.view()

    @data.setter
    def data(self, value: Any) -> None:
        if hasattr(value, "dtype") and hasattr(value, "tobytes"):
            value = value.tobytes()
        from unlite.flatbuffers.assign import change

        with change(self._table, "data"):
            self._table.data = value
            if value is None and self._table["offset"]:
                self._table.offset = self._table.size = None

    def refer(self, span: Span) -> None:
        """Takes bytes of another file as its data, without reading them: ``save`` carries them over."""
        from unlite.flatbuffers.assign import put_span

        put_span(self._table, "data", Wire(span.source), span.start, span.length)

    @property
    def nbytes(self) -> int:
        """Length of the stored bytes."""
        span = self.span
        return 0 if span is None else span.length

    def __repr__(self) -> str:
        return f"<Buffer {self.index}: {self.nbytes} bytes>"


def external_span(model: Model, number: int, path: str) -> Span:
    """Bytes of external buffer ``number`` (an id, not an index), in a file beside the model.

    Raises:
        NotFoundError: the model lists no such external buffer, or its file is not there.
        UnsafePathError: its file's name leads out of the model's folder.
        CorruptFileError: it claims more bytes than the file has.
    """
    entry = _external_buffer(model, number)
    if entry is None:
        raise NotFoundError(f"the model has no external buffer {number}.", file=model.source.name, path=path)
    groups = model.root["external_buffer_groups"]
    if groups is None or entry["group"] >= len(groups):
        raise CorruptFileError(
            f"there is no external buffer group {entry['group']}.", file=model.source.name, path=path
        )
    group: Table = groups[entry["group"]]
    source = weight_file(model, group["name"] or "", path)
    start, length = entry["offset"], entry["length"]
    if start + length > source.size:
        raise CorruptFileError(
            f"{length} bytes wanted at byte 0x{start:X}, file ends at 0x{source.size:X}.",
            file=source.name,
            path=path,
            offset=start,
            hint="The weight file looks cut short, or belongs to another model.",
        )
    return Span("external", source, start, length)


def _external_buffer(model: Model, number: int) -> Table | None:
    """The first external buffer with that id. Ids are collected once: large models have thousands."""
    entries = model.root["external_buffers"] or ()
    ids = model._external_ids
    if ids is None or model.is_changed:
        ids = model._external_ids = {}
        for index, entry in enumerate(entries):
            ids.setdefault(entry["id"], index)
    return entries[ids[number]] if number in ids else None


def weight_file(model: Model, name: str, path: str) -> Source:
    """The file of a group of external buffers. Names come out of the model: none may leave its folder."""
    opened = model._weight_files.get(name)
    if opened is not None:
        return opened
    folder = model._weights_folder
    asked = folder is not None
    if folder is None:
        if not os.path.isfile(model.source.name):
            raise NotFoundError(
                f"the weights are in another file, {name!r}, and the model is not a file in a folder.",
                path=path,
                hint="Say where to look: unlite.open(model, weights=FOLDER).",
            )
        folder = os.path.dirname(os.path.abspath(model.source.name))
    parts = name.replace("\\", "/").split("/")
    target = os.path.join(folder, *parts)
    unsafe = not name or "\0" in name or ".." in parts or os.path.isabs(name) or parts[0] == "" or ":" in name
    # A link inside the folder may lead out of it; only a folder that was named by the caller is trusted so far.
    if unsafe or not (asked or _inside(folder, target)):
        raise UnsafePathError(
            f"the model wants its weights from {name!r}, outside its own folder.",
            file=model.source.name,
            path=path,
            hint="If you trust it, put the file beside the model and let external_buffer_groups[N].name say so.",
        )
    if not os.path.isfile(target):
        raise NotFoundError(
            f"the weights are in another file, {name!r}, which is not there.",
            file=model.source.name,
            path=path,
            hint="Put it beside the model, or name its folder: unlite.open(model, weights=FOLDER).",
        )
    source = model._weight_files[name] = MappedFile(target)
    return source


def _inside(folder: str, target: str) -> bool:
    base = os.path.realpath(folder)
    return os.path.realpath(target).startswith(os.path.join(base, ""))
