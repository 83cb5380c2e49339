"""What a model carries beside its graphs: metadata entries in buffers, and files in a ZIP behind it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from unlite.containers.zip_search import may_end_in_zip
from unlite.errors import AmbiguousNameError, CorruptFileError, InvalidTypeError, NoSuchKeyError, UnliteError
from unlite.schema import load

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from unlite.containers.zip_tail import ZipTail
    from unlite.flatbuffers import view as v
    from unlite.flatbuffers.edits import Edit, Edits
    from unlite.model.model import Model
    from unlite.storage.source import Source

SCHEMAS = {
    "TFLITE_METADATA": "metadata",
    "CONVERSION_METADATA": "conversion_metadata",
    "debug_metadata": "debug_metadata",
    "COMPRESSION_METADATA": "tflm_compression_metadata",
}
"""Entries that are FlatBuffers, and the bundled schema of each."""


class Metadata(MutableMapping[str, "Any"]):
    """Name -> bytes (memoryview). Assigning replaces an entry or adds one; ``decoded`` says what the bytes mean."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def _entries(self) -> list[v.Table]:
        return list(self._model.root["metadata"] or ())

    def _index(self, name: str) -> int:
        found = [i for i, entry in enumerate(self._entries()) if (entry["name"] or "") == name]
        if len(found) > 1:
            raise AmbiguousNameError(name, tuple(found), path="metadata")
        if not found:
            raise NoSuchKeyError(f"there is no entry {name!r}.", path="metadata", hint=_listed(self))
        return found[0]

    def buffer_index(self, name: str) -> int:
        """Index of the buffer that holds an entry. Raises NoSuchKeyError, CorruptFileError."""
        index: int = self._entries()[self._index(name)]["buffer"]
        if index >= len(self._model.buffers):
            raise CorruptFileError(
                f"there is no buffer {index}, only {len(self._model.buffers)}.", path=f"metadata[{self._index(name)}]"
            )
        return index

    def __getitem__(self, name: str) -> memoryview:
        return self._model.buffers[self.buffer_index(name)].data or memoryview(b"")

    def __setitem__(self, name: str, data: Any) -> None:
        self._assign(name, data, f"metadata[{name!r}]", *self._old_and_new(name))

    def __delitem__(self, name: str) -> None:
        self.remove(self._index(name))

    def remove(self, index: int) -> None:
        """Takes away an entry by its index, with its bytes."""
        from unlite.flatbuffers.past import readable

        entries = self._entries()
        name, buffer = entries[index]["name"] or "", entries[index]["buffer"]
        old = readable(lambda: self._content(buffer))
        with self._model.root._edits.change(f"metadata[{name!r}]", old):
            if buffer < len(self._model.buffers) and not self._is_shared(buffer):
                self._model.buffers[buffer].data = None  # its number stays, so that no other changes
            self._model.root.metadata = [entry for i, entry in enumerate(entries) if i != index]

    def _assign(self, name: str, data: Any, path: str, before: Any, after: Any) -> None:
        """Replaces an entry or adds one, as one change that the history shows under a path."""
        from unlite.flatbuffers.assign import append

        model = self._model
        with model.root._edits.change(path, before, after):
            if name not in self:
                index = model._append_buffer(data)
                append(model.root, "metadata", {"name": name, "buffer": index})
            elif self._is_shared(index := self.buffer_index(name)):
                self._entries()[self._index(name)].buffer = model._append_buffer(data)
            else:
                model.buffers[index].data = data

    def _old_and_new(self, name: str) -> tuple[Any, Any]:
        """The content of an entry, and what gives it after a change."""
        from unlite.flatbuffers.past import readable

        def now() -> Any:
            return readable(lambda: self._content(self.buffer_index(name)) if name in self else None)

        return now(), now

    def _content(self, buffer: int) -> Any:
        """The bytes of a buffer for the history: a view that no later change reaches."""
        from unlite.flatbuffers.past import snapshot

        stored = self._model.buffers[buffer]._table["data"] if buffer < len(self._model.buffers) else None
        return snapshot(stored) if stored is not None else bytes(self._model.buffers[buffer].data or b"") or None

    def _is_shared(self, index: int) -> bool:
        """Whether others than one entry use a buffer; number 0 stands for all tensors without data."""
        users = sum(entry["buffer"] == index for entry in self._entries())
        tensors = (tensor for graph in self._model.root["subgraphs"] or () for tensor in graph["tensors"] or ())
        return index == 0 or users > 1 or any(tensor["buffer"] == index for tensor in tensors)

    def __contains__(self, name: object) -> bool:
        return any((entry["name"] or "") == name for entry in self._entries())

    def __iter__(self) -> Iterator[str]:
        return (entry["name"] or "" for entry in self._entries())

    def __len__(self) -> int:
        return len(self._entries())

    def decoded(self, name: str) -> v.Table | str | bytes:
        """What an entry means: a view where it is a FlatBuffer of a known schema, text where it is text, else bytes.

        What is assigned to the view, and below it, goes back into the entry.
        """
        data = self[name]
        schema = SCHEMAS.get(name)
        if schema is not None:
            from unlite.flatbuffers.nested import nested_root

            def write(data: bytes, edit: Edit) -> None:
                self._assign(name, data, edit.path, edit.old, edit.new)

            outer, path = self._model.root._edits, f"metadata[{name!r}]"
            try:
                return nested_root(outer, load(schema).root, path, lambda: self[name], write)  # type: ignore[no-any-return]
            except UnliteError:
                # Other tools write other things under these names; they are shown as they are.
                return bytes(data)
        text = bytes(data).rstrip(b"\0")
        return text.decode("ascii") if text.isascii() and text.decode("ascii").isprintable() else bytes(data)

    def __repr__(self) -> str:
        return f"<Metadata {', '.join(self)}>"


class AssociatedFiles(MutableMapping[str, bytes]):
    """Files in the ZIP behind a model: name -> content. Names are the archive's own; they are no safe paths.

    Assigning puts a file in or replaces it, ``del`` takes it away; ``save`` writes the archive anew.

    Attributes:
        changed: Name -> new content, None for a file that was taken away.
    """

    def __init__(self, source: Source, edits: Edits) -> None:
        self._source = source
        self._edits = edits
        self._tail: ZipTail | None = None
        self._searched = False
        self.changed: dict[str, bytes | None] = edits.attached.setdefault("associated_files", {})

    @property
    def tail(self) -> ZipTail | None:
        """The archive as the file has it; None where there is none. Raises CorruptFileError."""
        if not self._searched:
            if may_end_in_zip(self._source):
                from unlite.containers.zip_tail import find_zip_tail

                self._tail = find_zip_tail(self._source)
            self._searched = True
        return self._tail

    @property
    def is_changed(self) -> bool:
        """Whether files were put in, replaced or taken away."""
        return bool(self.changed)

    def _set(self, name: str, content: bytes | None) -> None:
        """Notes new content, or None for a file to take away. The only place that changes ``changed``."""
        from unlite.flatbuffers.edits import ABSENT
        from unlite.flatbuffers.past import readable

        def now() -> Any:
            return readable(lambda: self.get(name))

        with self._edits.change(f"associated_files[{name!r}]", now(), now):
            self._edits.put(self.changed, name, ABSENT if self._is_stored(name, content) else content)

    def _is_stored(self, name: str, content: bytes | None) -> bool:
        """Whether the archive has just this content under the name, in the form that it would be written in."""
        tail = self.tail
        entry = tail.entries.get(name) if tail is not None else None
        if tail is None or entry is None or content is None:
            return entry is None and content is None
        if name in tail.repeated or entry.method or entry.size != len(content):
            return False
        try:
            return tail.read(name) == content
        except UnliteError:
            return False  # damaged: the new content replaces it

    def sizes(self) -> list[tuple[str, int]]:
        """Name and length in bytes of every file, in order; a name that several files have comes as often."""
        new = {name: len(content) for name, content in self.changed.items() if content is not None}
        found: list[tuple[str, int]] = []
        for entry in self.tail.members if self.tail else ():
            if entry.name not in self.changed:
                found.append((entry.name, entry.size))
            elif entry.name in new:
                found.append((entry.name, new.pop(entry.name)))
        return [*found, *new.items()]

    def __getitem__(self, name: str) -> bytes:
        tail = self.tail
        content = self.changed.get(name)
        if content is not None:
            return content
        if name in self.changed or tail is None or name not in tail.entries:
            raise NoSuchKeyError(
                f"there is no file {name!r}.", file=self._source.name, path="associated_files", hint=_listed(self)
            )
        return tail.read(name)

    def __setitem__(self, name: str, content: bytes) -> None:
        from unlite.containers.zip_write import check_name

        try:
            data = memoryview(content).tobytes()
        except TypeError:
            raise InvalidTypeError(
                f"the content of a file is bytes, not {content!r:.60}.",
                path=f"associated_files[{name!r}]",
                hint="Text becomes bytes with .encode().",
            ) from None
        self._set(check_name(name), data)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise NoSuchKeyError(
                f"there is no file {name!r}.", file=self._source.name, path="associated_files", hint=_listed(self)
            )
        self._set(name, None)

    def __contains__(self, name: object) -> bool:
        if name in self.changed:
            return self.changed[str(name)] is not None
        tail = self.tail
        return tail is not None and name in tail.entries

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.sizes()))

    def __len__(self) -> int:
        return len(dict(self.sizes()))

    def __repr__(self) -> str:
        return f"<AssociatedFiles {', '.join(self)}>"


def _listed(names: Mapping[str, object]) -> str:
    shown = ", ".join(list(names)[:10])
    return f"There is: {shown}." if shown else "There is none at all."
