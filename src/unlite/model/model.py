"""The model: a file opened, looked into, changed and saved."""

from __future__ import annotations

import os
from contextlib import suppress

from unlite.errors import InvalidTypeError, UnliteError, UnsupportedFormatError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.wire import Wire
from unlite.model.objects.entity import Entity
from unlite.model.objects.names import NamedSequence
from unlite.model.objects.operator import OperatorCode
from unlite.model.objects.signature import Signature
from unlite.model.objects.subgraph import Subgraph
from unlite.schema import load
from unlite.schema.sniff import sniff
from unlite.storage.source import MappedFile, MemorySource, Source, open_source

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, ClassVar

    from typing_extensions import Self

    from unlite.flatbuffers.findings import Finding
    from unlite.flatbuffers.saving import SaveReport
    from unlite.model.history import ModelEdit
    from unlite.model.metadata.entries import AssociatedFiles, Metadata
    from unlite.model.objects.buffer import Buffer
    from unlite.storage.memory_limit import MemoryLimit


class Model(Entity):
    """A TFLite model. Made by ``unlite.open``; nothing is loaded before it is asked for.

    Attributes:
        source: The bytes that the views read, from the FlatBuffer's first on: the part of ``file`` behind a size prefix
            where it has one. A model of an old version is brought up to the newest in memory.
        file: The bytes as they came.
        schema_version: Version of the schema that the file was written for: 0, 1, 2 or 3.
        root: The Model table; the whole file by schema names.
    """

    FORMS: ClassVar[dict[str, str]] = {
        "root": "Its fields are assigned, as in model.root.version = 3.",
        "main": "Assign the list: model.root.subgraphs = [...].",
        "subgraphs": "Assign the list: model.root.subgraphs = [...].",
        "buffers": "Assign the list: model.root.buffers = [...]; or data of one: model.buffers[N].data = ...",
        "operator_codes": "Assign the list: model.root.operator_codes = [...].",
        "metadata": "Entries are assigned: model.metadata[NAME] = ...",
        "associated_files": "Files are assigned: model.associated_files[NAME] = ...",
        "edits": "model.undo() and model.redo() go back and forth.",
    }
    __slots__ = (
        "_associated",
        "_buffers",
        "_external_ids",
        "_limit",
        "_metadata",
        "_operator_codes",
        "_signatures",
        "_subgraphs",
        "_weight_files",
        "_weights_folder",
        "file",
        "root",
        "schema_version",
        "source",
    )

    def __init__(self, file: Source, weights: str | os.PathLike[str] | None = None) -> None:
        format_ = sniff(file)
        self.file = file
        self._limit: int | None = None
        self.schema_version = format_.version
        source = file
        if format_.origin:
            from unlite.storage.window import Window

            source = Window(file, format_.origin)
        schema = load(format_.schema)
        try:
            root = v.root_view(Wire(source), schema.root)
            if format_.version < 3:
                from unlite.schema.upgrade import upgrade

                source = MemorySource(upgrade(root), file.name)
                root = v.root_view(Wire(source), load().root)
        except UnliteError as error:
            error.file = error.file or file.name
            raise
        self.source = source
        self.root = root
        self._weights_folder = None if weights is None else os.fspath(weights)
        self._weight_files: dict[str, Source] = {}
        self._external_ids: dict[int, int] | None = None
        self._buffers: NamedSequence[Buffer] | None = None
        self._operator_codes: NamedSequence[OperatorCode] | None = None
        self._subgraphs: NamedSequence[Subgraph] | None = None
        self._signatures: NamedSequence[Signature] | None = None
        self._metadata: Metadata | None = None
        self._associated: AssociatedFiles | None = None

    @property
    def limit(self) -> int | None:
        """Bytes of memory that it may ask for; None for the rule of ``storage.memory_limit``. Assignable."""
        return self._limit

    @limit.setter
    def limit(self, value: int | None) -> None:
        self._limit = value

    @property
    def path(self) -> str | None:
        """The file's path, or None for a model from memory or a URL."""
        return self.file.name if isinstance(self.file, MappedFile) else None

    @property
    def description(self) -> str:
        """What the file says of itself; "" for nothing. Assignable."""
        return self.root["description"] or ""

    @description.setter
    def description(self, value: str) -> None:
        self.root.description = value

    @property
    def buffers(self) -> NamedSequence[Buffer]:
        """All buffers, by index; ``data`` of each is assignable."""
        if self._buffers is None:
            from unlite.model.objects.buffer import Buffer

            self._buffers = NamedSequence(self.root, "buffers", lambda i, t: Buffer(self, i, t), None, "buffers")
        return self._buffers

    @property
    def operator_codes(self) -> NamedSequence[OperatorCode]:
        """The operators that the subgraphs use, by index."""
        if self._operator_codes is None:
            self._operator_codes = NamedSequence(self.root, "operator_codes", OperatorCode, None, "operator_codes")
        return self._operator_codes

    @property
    def subgraphs(self) -> NamedSequence[Subgraph]:
        """All subgraphs, by index or name; the first is the main one."""
        if self._subgraphs is None:
            self._subgraphs = NamedSequence(
                self.root, "subgraphs", lambda i, t: Subgraph(self, i, t), lambda g: g.name, "subgraphs"
            )
        return self._subgraphs

    @property
    def main(self) -> Subgraph:
        """The first subgraph."""
        return self.subgraphs[0]

    @property
    def signatures(self) -> NamedSequence[Signature]:
        """Named ways to call the model, by index or key.

        Assignable from a list of signatures and of dicts: ``{"key": "serve", "inputs": {"x": tensor}, "outputs": {"y":
        tensor}}``, with a ``subgraph`` where it is not the main one.
        """
        if self._signatures is None:
            self._signatures = NamedSequence(
                self.root, "signature_defs", lambda i, t: Signature(self, i, t), lambda s: s.key, "signature_defs"
            )
        return self._signatures

    @signatures.setter
    def signatures(self, value: Sequence[Signature | Mapping[str, Any]]) -> None:
        from collections.abc import Sequence

        from unlite.model.objects.signature import signature_table

        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):  # type: ignore[redundant-expr]
            raise InvalidTypeError(f"a list of signatures is wanted, not {value!r:.60}.", path="signature_defs")
        entries = [signature_table(self, entry, f"signature_defs[{i}]") for i, entry in enumerate(value)]
        self.root.signature_defs = entries

    @property
    def metadata(self) -> Metadata:
        """Metadata entries: name -> bytes; assignable by name."""
        if self._metadata is None:
            from unlite.model.metadata.entries import Metadata

            self._metadata = Metadata(self)
        return self._metadata

    @property
    def associated_files(self) -> AssociatedFiles:
        """Files in a ZIP behind the model (labels, vocabularies): name -> bytes; assignable by name."""
        if self._associated is None:
            from unlite.model.metadata.entries import AssociatedFiles

            self._associated = AssociatedFiles(self.file, self.root._edits)
        return self._associated

    @property
    def is_changed(self) -> bool:
        """Whether anything was changed since the model was opened, and not undone."""
        return bool(self.root._edits.history)

    @property
    def edits(self) -> tuple[ModelEdit, ...]:
        """What was changed, in order; see ``undo``."""
        from unlite.model.history import model_edits

        return model_edits(self)

    def undo(self) -> ModelEdit | None:
        """Takes the last change back and says what it was; None where there is none.

        Everything that shows the model shows it as before: with all changes undone, it is the file as it was opened.
        """
        from unlite.model.history import model_edit

        return model_edit(self.root._edits.undo())

    def redo(self) -> ModelEdit | None:
        """Does again what was undone last, unless something else was changed since; None where there is nothing."""
        from unlite.model.history import model_edit

        return model_edit(self.root._edits.redo())

    def verify(self) -> list[Finding]:
        """Everything that is wrong with the model as it is now: broken structure, and what the runtime refuses.

        Never raises for what the file holds; an empty list, or one without errors, means that it can be used. Of a
        changed model the file that ``save`` would write is judged.
        """
        from unlite.model.checking.verify import verify_file
        from unlite.model.saving.save import as_source

        try:
            source = as_source(self)
        except UnliteError as error:
            from unlite.flatbuffers.findings import Finding

            unsaved = Finding("error", error.path or "root", error.offset, f"cannot be saved: {error.message}")
            return [unsaved, *verify_file(self.file)]
        return verify_file(source)

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        in_place: bool = False,
        rewrite: bool = False,
        drop_unknown: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> SaveReport:
        """Writes the model with everything that was assigned, the cheapest faithful way.

        Unchanged: a copy, byte by byte. Changes that keep sizes: a copy with those bytes replaced. Else the file is
        written anew, streaming, with everything behind the FlatBuffer. Atomic: until the new file is whole, a file
        that was there stays; a copy of an old version stays of that version, everything else becomes version 3.

        Args:
            path: Where to; None for the file that was opened.
            in_place: Write only the changed bytes into the opened file, with a journal: an interruption is undone
                when the file is next opened. The changes cannot be undone afterwards: the file holds them.
            rewrite: Write anew even where a copy or a patch would do.
            drop_unknown: Allow a rewrite to drop fields that no known schema has.
            progress: Told the number of bytes each time some were written.

        Raises:
            LostFieldsError: a rewrite would drop unknown fields.
            SaveError: the file cannot be written, or ``in_place`` does not suffice.
        """
        from unlite.model.saving.save import save

        return save(self, path, in_place=in_place, rewrite=rewrite, drop_unknown=drop_unknown, progress=progress)

    def memory_limit(self) -> MemoryLimit:
        """How much memory the file may ask for, from now on."""
        from unlite.storage.memory_limit import MemoryLimit

        size = self.file.size + sum(file.size for file in self._weight_files.values())
        return MemoryLimit(size, self.limit, self.file.name)

    def _append_buffer(self, data: bytes) -> int:
        """Adds a buffer; its index."""
        from unlite.flatbuffers.assign import append

        return append(self.root, "buffers", {"data": data})

    def _append_operator_code(self, code: OperatorCode, version: int) -> int:
        """Adds a copy of an operator code with another version; its index."""
        from unlite.flatbuffers.assign import append

        table = code._table
        values = {field.name: v.get(table, field) for field in v.present(table)}
        return append(self.root, "operator_codes", {**values, "version": version})

    def _as_opened(self) -> Model:
        """The model as it was opened, whatever was changed since."""
        return Model(self.file, self._weights_folder) if self.is_changed else self

    def _is_saved_in_place(self) -> None:
        """The opened file holds all changes now: they are no changes to it any more."""
        self.root._edits.forget()

    def close(self) -> None:
        """Lets go of the file. Arrays that were handed out stay valid."""
        self.file.close()
        for file in self._weight_files.values():
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __copy__(self) -> Model:
        """A model of its own over the same file, with the changes so far."""
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        """The same: the file is shared, and never copied."""
        from copy import deepcopy

        edits = self.root._edits
        state = deepcopy(edits.state(), memo) if edits.history or edits.undone else None
        return _reopened(self.file, self._weights_folder, self.limit, state)

    def __reduce__(self) -> tuple[Any, ...]:
        """By path or URL, which is opened again when it is loaded; with all changes and their history."""
        edits = self.root._edits
        state = edits.state() if edits.history or edits.undone else None
        return _reopened, (self.file, self._weights_folder, self.limit, state)

    def __repr__(self) -> str:
        return f"<Model {self.file.name}: {len(self.subgraphs)} subgraphs>"

    def _repr_html_(self) -> str:
        from unlite.model.facts.html import model_html

        return model_html(self)


def _reopened(file: Source, weights: str | None, limit: int | None, state: tuple[Any, ...] | None) -> Model:
    model = Model(file, weights)
    model.limit = limit
    if state is not None:
        model.root._edits.restore(state)
        object.__setattr__(model, "source", model.root._edits.wire.source)
    return model


def open_model(file: Any, *, weights: str | os.PathLike[str] | None = None, limit: int | str | None = None) -> Model:
    """Opens a TFLite model of any version.

    Args:
        file: A path, bytes (anything with a buffer), a binary file object, or a URL: ``https:`` and ``http:``, and
            with the ``remote`` extra whatever fsspec knows (``s3:``, ``gs:``, ``hf:``). A Model is returned as it is.
            A path may lead to JSON, a C array or a dump as well, and name a part: ``x.litertlm#prefill_decode``,
            ``models.h#g_person``.
        weights: Folder of the model's weight files, where it has any; its own folder when left out. Names inside a
            model never lead out of it.
        limit: Bytes of memory that it may ask for, such as ``8 << 30`` or ``"8G"``. Left out: 1 GiB, or 256 times its
            own size if that is more. A Model keeps the limit from here on.

    Raises:
        UnsupportedFormatError: it is something else.
        CorruptFileError: its root cannot be read. Damage further in shows when it is reached; ``verify`` finds all.
    """
    allowed = None
    if limit is not None:
        from unlite.storage.memory_limit import byte_count

        allowed = byte_count(limit)
    if isinstance(file, Model):
        file.limit = file.limit if allowed is None else allowed
        return file
    if isinstance(file, (str, os.PathLike)):
        with suppress(ValueError):  # no file can be called that: who opens it says so
            real = os.fsdecode(os.path.realpath(file))  # the journal lies beside the file, not beside a link to it
            if os.path.exists(f"{real}.unlite-undo"):
                from unlite.storage.journal import recover

                recover(real)
    model = _model_in(file, weights)
    model.limit = allowed
    return model


def _model_in(file: Any, weights: str | os.PathLike[str] | None) -> Model:
    if isinstance(file, str) and "#" not in file and os.path.isfile(file):
        try:
            return Model(open_source(file), weights)  # nearly always; the rest need not be loaded for it
        except UnsupportedFormatError:
            pass  # it may hold a model all the same
    from unlite.model.opening import model_inside, open_whole

    source, part, is_text_allowed = open_whole(file)
    if part is None:
        with suppress(UnsupportedFormatError):
            return Model(source, weights)
    return Model(model_inside(source, part, is_text_allowed=is_text_allowed), weights)
