"""``unlite metadata``: what a model carries beside its graphs."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from unlite.cli.output import new_parser, print_json, print_table, printable
from unlite.cli.streams import MODEL, open_input
from unlite.cli.tree import tree
from unlite.errors import NotFoundError, SaveError, UnliteError
from unlite.flatbuffers import view as v

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from unlite.containers.zip_tail import ZipEntry
    from unlite.model.model import Model
    from unlite.storage.sink import Sink

EXAMPLES = """\
  unlite metadata face.tflite                       entries, decoded, and associated files
  unlite metadata face.tflite --json                for programs
  unlite metadata labeler.tflite --extract labels/  all associated files into a folder
  unlite metadata labeler.tflite --file labels.txt  one of them to standard output"""

SHOWN_BYTES = 256
MOST_ENTRIES = 200  # that are decoded; models have a handful


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "metadata",
        "Shows a model's metadata entries, decoded where their format is known, and its associated files.",
        EXAMPLES,
    )
    made.add_argument("model", metavar="MODEL", help=MODEL)
    made.add_argument("--json", action="store_true", help="for programs")
    made.add_argument("--extract", metavar="FOLDER", help="write the associated files into a folder")
    made.add_argument("--file", metavar="NAME", help="only this associated file; without --extract to standard output")
    made.add_argument("--force", action="store_true", help="let --extract write over files that are there")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Shows or extracts; returns 0."""
    with open_input(arguments.model) as model:
        if arguments.extract is not None:
            _extract(model, arguments.extract, arguments.file, arguments.force)
        elif arguments.file is not None:
            content = _one(model, arguments.file)
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
        elif arguments.json:
            files = [{"name": entry.name, "bytes": entry.size} for entry in _members(model)]
            print_json({"metadata": list(_json_facts(model)), "associated_files": files})
        else:
            _show(model)
    return 0


def _facts(model: Model) -> Iterator[tuple[dict[str, Any], v.Table | None]]:
    """What is known of each entry, and its root table where it is a FlatBuffer."""
    for number, entry in enumerate(model.root["metadata"] or ()):
        facts: dict[str, Any] = {"name": entry["name"] or "", "buffer": entry["buffer"]}
        table = None
        if number < MOST_ENTRIES:
            try:
                facts["bytes"] = len(model.metadata[facts["name"]])
                value = model.metadata.decoded(facts["name"])
            except UnliteError as error:
                facts |= {"kind": "unreadable", "value": error.message}
            else:
                table = value if isinstance(value, v.Table) else None
                facts |= {"kind": "FlatBuffer", "value": None} if table is not None else _plain(value)
        yield facts, table


def _plain(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        return {"kind": "text", "value": value}
    return {"kind": "bytes", "value": value.hex() if isinstance(value, bytes) and len(value) <= SHOWN_BYTES else None}


def _json_facts(model: Model) -> Iterator[dict[str, Any]]:
    from unlite.flatbuffers.json_writer import write_json

    for facts, table in _facts(model):
        if table is not None:
            pieces: list[bytes] = []
            try:
                write_json(table, pieces.append, drop_unknown=True, null_for_nan=True)
                facts["value"] = json.loads(b"".join(pieces))
            except UnliteError as error:
                facts |= {"kind": "unreadable", "value": error.message}
        yield facts


def _show(model: Model) -> None:
    shown = False
    for facts, table in _facts(model):
        shown = True
        name = printable(facts["name"])
        size = f", {facts['bytes']} bytes" if "bytes" in facts else ""
        if table is not None:
            print(f"{name} (FlatBuffer in buffer {facts['buffer']}{size})")
            try:
                for line in tree(table):
                    print(f"  {line}")
            except UnliteError as error:
                print(f"  cannot be read further: {printable(error.message)}")
        elif facts.get("value") is not None:
            print(f"{name}: {printable(facts['value'])}")
        else:
            print(f"{name} (in buffer {facts['buffer']}{size})")
    members = _members(model)
    if members:
        print_table("associated files", ("file", "bytes"), [(entry.name, entry.size) for entry in members])
    if not shown and not members:
        print(f"{printable(model.file.name)} has no metadata and no associated files.", file=sys.stderr)


def _members(model: Model) -> tuple[ZipEntry, ...]:
    tail = model.associated_files.tail
    return tail.members if tail is not None else ()


def _one(model: Model, name: str) -> bytes:
    """The content of an associated file. Raises NotFoundError with the names that there are."""
    tail = model.associated_files.tail
    if tail is None or name not in tail.entries:
        names = list(tail.entries) if tail is not None else []
        there = f"There is: {', '.join(map(printable, names[:20]))}." if names else "The model has none."
        raise NotFoundError(f"there is no associated file {name!r}.", file=model.file.name, hint=there)
    return tail.read(name)


def _copy(content: bytes, sink: Sink) -> None:
    sink.write(content)


def _extract(model: Model, folder: str, only: str | None, force: bool) -> None:
    """Writes associated files. Nothing is written unless every name is safe and, without ``force``, free."""
    from unlite.containers.zip_tail import safe_name
    from unlite.storage.atomic import write_atomically

    if only is not None:
        _one(model, only)
    chosen: dict[str, ZipEntry] = {}
    for entry in _members(model):
        if (only is None or entry.name == only) and not entry.name.endswith("/"):
            target = os.path.join(folder, *safe_name(entry.name).split("/"))
            if target in chosen:
                raise SaveError(f"several associated files are called {entry.name!r}.", file=model.file.name)
            chosen[target] = entry
    taken = [target for target in chosen if os.path.lexists(target)]
    if taken and not force:
        shown = ", ".join(map(printable, taken[:10]))
        raise SaveError(f"already there: {shown}. Nothing was written.", hint="--force writes over them.")
    tail = model.associated_files.tail
    for target, entry in chosen.items():
        if tail is not None:
            content = tail.content(entry)
            try:
                os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            except OSError as error:
                raise SaveError(f"cannot be made: {error.strerror}.", file=os.path.dirname(target)) from error
            write_atomically(target, partial(_copy, content))
            print(printable(target))
    if not chosen:
        print(f"{printable(model.file.name)} has no associated files.", file=sys.stderr)
