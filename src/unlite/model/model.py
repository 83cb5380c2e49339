"""The model: a file opened, looked into, changed and saved."""

from __future__ import annotations

import os

from unlite.errors import UnliteError, UnsupportedFormatError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.wire import Wire
from unlite.model.metadata.entries import AssociatedFiles, Metadata
from unlite.model.objects.buffer import Buffer
from unlite.model.objects.names import NamedSequence
from unlite.model.objects.operator import OperatorCode, append_operator_code
from unlite.model.objects.signature import Signature
from unlite.model.objects.subgraph import Subgraph
from unlite.schema import load
from unlite.schema.sniff import sniff
from unlite.storage.source import MappedFile, MemorySource, Source

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from typing_extensions import Self

    from unlite.flatbuffers.findings import Finding
    from unlite.model.saving.save import SaveReport


class Model:
    """A TFLite model. Made by ``unlite.open``; nothing is loaded before it is asked for.

    Attributes:
        source: The bytes that the views read, from the FlatBuffer's first on: the part of ``file`` behind a size prefix
            where it has one. A model of an old version is brought up to the newest in memory.
        file: The bytes as they came.
        schema_version: Version of the schema that the file was written for: 0, 1, 2 or 3.
        root: The Model table; the whole file by schema names.
    """

    __slots__ = (
        "_associated",
        "_buffers",
        "_external_ids",
        "_metadata",
        "_operator_codes",
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
        self.schema_version = format_.version
        self.source = file
        if format_.origin:
            from unlite.storage.window import Window

            self.source = Window(file, format_.origin)
        schema = load(format_.schema)
        try:
            self.root = v.root_view(Wire(self.source), schema.root)
            if format_.version < 3:
                from unlite.schema.upgrade import upgrade

                self.source = MemorySource(upgrade(self.root), file.name)
                self.root = v.root_view(Wire(self.source), load().root)
        except UnliteError as error:
            error.file = error.file or file.name
            raise
        self._weights_folder = None if weights is None else os.fspath(weights)
        self._weight_files: dict[str, Source] = {}
        self._external_ids: dict[int, int] | None = None
        self._buffers: NamedSequence[Buffer] | None = None
        self._operator_codes: NamedSequence[OperatorCode] | None = None
        self._subgraphs: NamedSequence[Subgraph] | None = None
        self._metadata: Metadata | None = None
        self._associated: AssociatedFiles | None = None

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
            self._buffers = NamedSequence(self.root["buffers"], lambda i, t: Buffer(self, i, t), None, "buffers")
        return self._buffers

    @property
    def operator_codes(self) -> NamedSequence[OperatorCode]:
        """The operators that the subgraphs use, by index."""
        if self._operator_codes is None:
            codes = self.root["operator_codes"]
            self._operator_codes = NamedSequence(codes, OperatorCode, None, "operator_codes")
        return self._operator_codes

    @property
    def subgraphs(self) -> NamedSequence[Subgraph]:
        """All subgraphs, by index or name; the first is the main one."""
        if self._subgraphs is None:
            graphs = self.root["subgraphs"]
            self._subgraphs = NamedSequence(graphs, lambda i, t: Subgraph(self, i, t), lambda g: g.name, "subgraphs")
        return self._subgraphs

    @property
    def main(self) -> Subgraph:
        """The first subgraph."""
        return self.subgraphs[0]

    @property
    def signatures(self) -> NamedSequence[Signature]:
        """Named ways to call the model, by index or key."""
        defs = self.root["signature_defs"]
        return NamedSequence(defs, lambda i, t: Signature(self, i, t), lambda s: s.key, "signature_defs")

    @property
    def metadata(self) -> Metadata:
        """Metadata entries: name -> bytes; assignable by name."""
        if self._metadata is None:
            self._metadata = Metadata(self)
        return self._metadata

    @property
    def associated_files(self) -> AssociatedFiles:
        """Files in a ZIP behind the model (labels, vocabularies): name -> bytes."""
        if self._associated is None:
            self._associated = AssociatedFiles(self.file)
        return self._associated

    @property
    def is_changed(self) -> bool:
        """Whether anything was assigned since the model was opened."""
        return self.root._changes is not None

    def verify(self) -> list[Finding]:
        """Everything that is wrong with the file as it was opened: broken structure, and what the runtime refuses.

        Never raises for what the file holds; an empty list, or one without errors, means that it can be used.
        """
        from unlite.model.checking.verify import verify_file

        return verify_file(self.file)

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
                when the file is next opened.
            rewrite: Write anew even where a copy or a patch would do.
            drop_unknown: Allow a rewrite to drop fields that no known schema has.
            progress: Told the number of bytes each time some were written.

        Raises:
            LostFieldsError: a rewrite would drop unknown fields.
            SaveError: the file cannot be written, or ``in_place`` does not suffice.
        """
        from unlite.model.saving.save import save

        return save(self, path, in_place=in_place, rewrite=rewrite, drop_unknown=drop_unknown, progress=progress)

    def _append_buffer(self, data: bytes) -> int:
        """Adds a buffer; its index."""
        index = len(self.buffers)
        self.root.buffers = [*(buffer._table for buffer in self.buffers), {"data": data}]
        self.buffers._tables = self.root["buffers"]
        return index

    def _append_operator_code(self, code: OperatorCode, version: int) -> int:
        index = append_operator_code(self, code, version)
        self.operator_codes._tables = self.root["operator_codes"]
        return index

    def close(self) -> None:
        """Lets go of the file. Arrays that were handed out stay valid."""
        self.file.close()
        for file in self._weight_files.values():
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Model {self.file.name}: {len(self.subgraphs)} subgraphs>"

    def _repr_html_(self) -> str:
        from unlite.model.facts.html import model_html

        return model_html(self)


def open_model(file: Any, *, weights: str | os.PathLike[str] | None = None) -> Model:
    """Opens a TFLite model of any version.

    Args:
        file: A path, bytes (anything with a buffer), a binary file object, or a URL: ``https:`` and ``http:``, and
            with the ``remote`` extra whatever fsspec knows (``s3:``, ``gs:``, ``hf:``). A Model is returned as it is.
            A path may lead to JSON, a C array or a dump as well, and name a part: ``x.litertlm#prefill_decode``,
            ``models.h#g_person``.
        weights: Folder of the model's weight files, where it has any; its own folder when left out. Names inside a
            model never lead out of it.

    Raises:
        UnsupportedFormatError: it is something else.
        CorruptFileError: its root cannot be read. Damage further in shows when it is reached; ``verify`` finds all.
    """
    if isinstance(file, Model):
        return file
    if isinstance(file, (str, os.PathLike)):
        real = os.path.realpath(os.fsdecode(file))  # the journal lies beside the file, not beside a link to it
        if os.path.exists(f"{real}.unlite-undo"):
            from unlite.storage.journal import recover

            recover(real)
    from unlite.model.opening import model_inside, open_whole

    source, part, is_text_allowed = open_whole(file)
    if part is None:
        try:
            return Model(source, weights)
        except UnsupportedFormatError:
            pass  # it may hold a model all the same
    return Model(model_inside(source, part, is_text_allowed=is_text_allowed), weights)
