"""The way back from JSON: the bytes of the model that a document describes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from unlite.errors import CorruptFileError, UnliteError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.json_reader import read_json
from unlite.flatbuffers.nodes import LIMIT
from unlite.flatbuffers.write import Plan
from unlite.model.objects.operator import DISPATCH
from unlite.model.saving import trailing_data as tail
from unlite.model.saving.accelerators import Bytecode
from unlite.model.saving.sections import OVERREAD, Pieces
from unlite.schema import NEWEST, load
from unlite.schema.sniff import IDENTIFIER
from unlite.storage.source import MemorySource, Source
from unlite.storage.window import Window

if TYPE_CHECKING:
    from unlite.model.saving.trailing_data import Piece, Record
    from unlite.storage.sink import Sink

RECORD = "unlite_tail"
"""Name of the metadata entry for what lies behind the model: size and checksum of a tail file, or the tail itself."""


def build_model(text: Source, sink: Sink, *, schema: str = NEWEST, tail_file: str | bool | None = None) -> None:
    """Streams the model that a JSON document describes.

    Args:
        text: The document.
        sink: Takes the model.
        schema: Name of the bundled schema.
        tail_file: Path of the tail file; False to build without; None where there can be none.
    """
    name = schema if schema.startswith(NEWEST) else f"{NEWEST}_{schema}"
    owner = load(name).root
    tree = read_json(text, load(name))
    if name != NEWEST and load(name).file_identifier != IDENTIFIER.decode():
        Plan(owner, tree).write(sink)
        return
    behind = _recalled(tree, tail_file, text.name)
    weights = Pieces()
    plan = Plan(owner, tree, identifier=IDENTIFIER)
    if plan.size > LIMIT:
        _move_out(tree, weights)
        plan = Plan(owner, tree, identifier=IDENTIFIER)
    end = weights.place(plan.size) + (OVERREAD if weights else 0)
    places = tail.place(behind, end)
    if any(piece.kind == "bytecode" for piece in behind):
        _patch_bytecode(tree, places)
        plan = Plan(owner, tree, identifier=IDENTIFIER)
    plan.write(sink)
    weights.write(sink)
    if weights:
        sink.write(bytes(OVERREAD))
    if behind or weights:
        tail.write(behind, sink)


def _recalled(tree: dict[str, Any], tail_file: str | bool | None, document: str) -> list[Piece]:
    """Takes the record of a tail out of the tree, and opens the tail."""
    remembered = _take_record(tree)
    beside = f"{document}.tail"
    if tail_file is False:
        return []
    inside = remembered is not None and remembered.size >= len(tail.MAGIC) and remembered.view(0, 8) == tail.MAGIC
    if remembered is not None and inside and tail_file in (None, True, beside):
        return tail.read_tail(remembered)
    record = None if remembered is None or inside else _record(remembered, document)
    if isinstance(tail_file, str) and (record is not None or os.path.exists(tail_file)):
        if record is None and tail_file == beside:
            raise UnliteError(
                "lies beside a document that does not know it.",
                file=tail_file,
                hint="Name it to have it built in (--tail FILE), or say --no-tail.",
            )
        return tail.read_tail_file(tail_file, record)
    if record is not None:
        raise UnliteError(
            "the document remembers a tail file (associated files, accelerator bytecode), and there is none.",
            file=document,
            path=f"metadata {RECORD!r}",
            hint="Name it (--tail FILE, tail=FILE), or build without it: --no-tail (tail=False).",
        )
    return []


def _take_record(tree: dict[str, Any]) -> Source | None:
    """Takes the metadata entry that remembers a tail out of the tree; what its buffer holds. None without one."""
    metadata = tree.get("metadata") or []
    found = next((entry for entry in metadata if entry and entry.get("name") == RECORD), None)
    if found is None:
        return None
    metadata.remove(found)
    if not metadata:
        del tree["metadata"]
    buffers, index = tree.get("buffers") or [], found.get("buffer", 0)
    data = (buffers[index] or {}).get("data") if index < len(buffers) else None
    if index == len(buffers) - 1:
        buffers.pop()
    elif index < len(buffers):
        buffers[index] = {}
    if isinstance(data, v.ScalarVector):
        return Window(data._wire.source, *data.span())
    return MemorySource(data or b"")


def _record(remembered: Source, document: str) -> Record:
    try:
        facts = json.loads(bytes(remembered.view(0, remembered.size)))
        return tail.Record(int(facts["size"]), int(facts["crc32"]))
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:  # OverflowError: Infinity
        raise CorruptFileError(
            "what the document remembers of its tail file is damaged.",
            file=document,
            path=f"metadata {RECORD!r}",
            hint="Write JSON and tail anew, together; or take that metadata entry out.",
        ) from error


def _move_out(tree: dict[str, Any], weights: Pieces) -> None:
    """Puts the data of all buffers behind the FlatBuffer, which may not outgrow 2 GiB."""
    for i, buffer in enumerate(tree["buffers"]):
        data = (buffer or {}).get("data")
        if isinstance(data, v.ScalarVector):
            start, length = data.span()
            tree["buffers"][i] = {"offset": weights.add(data._wire.source, start, length), "size": length}


def _patch_bytecode(tree: dict[str, Any], places: dict[int, int]) -> None:
    """Sets the offsets of accelerator bytecode to its new place."""
    from unlite.flatbuffers.flexbuffers import decode

    codes = tree.get("operator_codes") or []
    for graph in tree.get("subgraphs") or []:
        for operator in graph.get("operators") or []:
            index = operator.get("opcode_index", 0)
            data = operator.get("custom_options")
            if data is None or index >= len(codes) or codes[index].get("custom_code") != DISPATCH:
                continue
            options = bytes(data.memoryview() if isinstance(data, v.ScalarVector) else data)
            try:
                value = decode(options)
            except UnliteError:
                continue
            old = value.get("bytecode_offset") if isinstance(value, dict) else None
            if isinstance(old, int) and old in places:
                code = Bytecode(options, old, 0)
                code.patch(places[old])
                operator["custom_options"] = bytes(code.options)
