"""``unlite metadata``: what a model carries beside its graphs."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from unlite.cli.output import add_limit, new_parser, print_facts, print_json, print_table, printable
from unlite.cli.progress import progress
from unlite.cli.streams import MODEL, STANDARD, open_input, output_path, shown
from unlite.cli.tree import tree
from unlite.errors import InvalidValueError, NotFoundError, SaveError, UnliteError
from unlite.flatbuffers import view as v

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from unlite.containers.zip_tail import ZipEntry
    from unlite.model.model import Model
    from unlite.storage.sink import Sink

EXAMPLES = """\
  unlite metadata face.tflite                       entries, decoded, and associated files
  unlite metadata face.tflite --json                for programs; --from-json takes it back
  unlite metadata labeler.tflite --extract labels/  all associated files into a folder
  unlite metadata labeler.tflite --file labels.txt  one of them to standard output

  unlite metadata net.tflite --labels classes.txt -o out.tflite
                                                    labels into the model, named in its metadata
  unlite metadata net.tflite --set vocab.txt=words.txt -o out.tflite
                                                    any file into the archive behind the model
  unlite metadata net.tflite --set-field name='my model' --set-field \\
      'subgraph_metadata[0].input_tensor_metadata[0].name=image' -o out.tflite
  unlite metadata net.tflite --from-json facts.json -o out.tflite
  unlite metadata net.tflite --remove labels.txt --in-place

changes are made in this order: --remove, --from-json, --set, --labels, --set-field. Fields have the names of
TFLite's metadata schema; null takes one out. --from-json takes any part of them, merged into what is there
field by field, and entry by entry in lists of tables; to replace all, --remove TFLITE_METADATA as well."""

SHOWN_BYTES = 256
MOST_ENTRIES = 200  # that are decoded; models have a handful
FILE_PREFIX, ENTRY_PREFIX = "file:", "metadata:"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "metadata",
        "Shows a model's metadata entries, decoded where their format is known, and its associated files;\n"
        "extracts and changes them.",
        EXAMPLES,
    )
    made.add_argument("model", metavar="MODEL", help=MODEL)
    add_limit(made)
    made.add_argument("--json", action="store_true", help="for programs")
    made.add_argument("--extract", metavar="FOLDER", help="write the associated files into a folder")
    made.add_argument("--file", metavar="NAME", help="only this associated file; without --extract to standard output")
    made.add_argument("--force", action="store_true", help="let --extract write over files that are there")
    change = made.add_argument_group("changes")
    change.add_argument("--labels", metavar="FILE", help="put in labels, one a line, and name them in the metadata")
    change.add_argument("--for", dest="labelled", metavar="OUTPUT", help="the output that --labels belong to, by name")
    change.add_argument(
        "--encoding", metavar="NAME", help="how the labels are encoded, where they are not UTF-8: latin-1"
    )
    repeated: dict[str, Any] = {"action": "append", "default": []}
    change.add_argument("--set", metavar="NAME=FILE", help="put in an associated file, or replace one", **repeated)
    change.add_argument("--set-field", metavar="PATH=VALUE", help="set a field of TFLITE_METADATA", **repeated)
    change.add_argument("--from-json", metavar="FILE", help="merge fields out of a JSON document; - is standard input")
    change.add_argument("--remove", metavar="NAME", help="take away an associated file or a metadata entry", **repeated)
    change.add_argument("-o", "--output", metavar="FILE", help="the new model")
    change.add_argument("--in-place", action="store_true", help="let the new model take MODEL's name when it is whole")
    change.add_argument(
        "--drop-unknown", action="store_true", help="let a rewrite drop fields that no known schema has"
    )
    return made


def run(arguments: argparse.Namespace) -> int:
    """Shows, extracts or changes; returns 0. Nothing is written unless every change could be made."""
    changing = bool(arguments.labels or arguments.set or arguments.set_field or arguments.from_json or arguments.remove)
    if changing and (arguments.output is None) == (not arguments.in_place):
        raise InvalidValueError("where to save is not clear.", hint="Give one of -o FILE and --in-place.")
    if not changing and (arguments.output is not None or arguments.in_place):
        raise InvalidValueError("nothing to change was given.", hint="Such as --labels FILE or --set-field PATH=VALUE.")
    if arguments.labels is None and (arguments.labelled or arguments.encoding):
        raise InvalidValueError("--for and --encoding belong to --labels FILE.")
    if arguments.in_place and arguments.model == STANDARD:
        raise InvalidValueError("standard input cannot be changed in place.", hint="Give -o FILE.")
    with open_input(arguments.model, limit=arguments.limit) as model:
        if changing:
            _change(model, arguments)
        elif arguments.extract is not None:
            _extract(model, arguments.extract, arguments.file, arguments.force)
        elif arguments.file is not None:
            content = _one(model, arguments.file)
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
        elif arguments.json:
            files = [{"name": name, "bytes": length} for name, length in model.associated_files.sizes()]
            print_json({"metadata": list(_json_facts(model)), "associated_files": files})
        else:
            _show(model)
    return 0


# -- changing --------------------------------------------------------------------------------------------------------


def _change(model: Model, arguments: argparse.Namespace) -> None:
    """Makes all changes, saves, and says what was done."""
    from unlite.model.metadata.edits import file_name, merge_json, parse_json, set_field, set_labels
    from unlite.model.metadata.labels import read_labels

    done: list[tuple[str, str]] = [(name, _remove(model, name)) for name in arguments.remove]
    if arguments.from_json is not None:
        merge_json(model, parse_json(_read(arguments.from_json), arguments.from_json))
        done.append(("from JSON", printable(arguments.from_json)))
    for text in arguments.set:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise InvalidValueError(f"{text!r:.80} is not NAME=FILE.", hint="Such as --set labels.txt=classes.txt.")
        content = _read(path)
        model.associated_files[name] = content
        done.append((name, f"{len(content)} bytes"))
    if arguments.labels is not None:
        labels = read_labels(_read(arguments.labels), arguments.labels, arguments.encoding)
        done.append(("labels", set_labels(model, labels, file_name(arguments.labels), arguments.labelled)))
    done += [(set_field(model, text), "set") for text in arguments.set_field]
    _warn_of_missing(model)
    _offer_labels(model, [text.partition("=")[0] for text in arguments.set])
    with output_path(arguments.output) as output:
        with progress("saving", model.file.size) as advance:
            saved = model.save(output, drop_unknown=arguments.drop_unknown, progress=advance)
        path = shown(arguments.output) or saved.path
        if arguments.json:
            facts: dict[str, Any] = {"file": path, "how": saved.how, "bytes": saved.size}
            print_json(facts | {"changes": [{"what": what, "done": how} for what, how in done]})
        else:
            print_facts([*done, ("saved", f"{saved.how} {path}, {saved.size} bytes")])


def _warn_of_missing(model: Model) -> None:
    """Says which files the metadata names that are not in the archive."""
    from unlite.model.metadata.tflite_metadata import files_named, read_fields

    try:
        named = files_named(read_fields(model))
    except UnliteError:
        return  # no metadata that can be read
    for name in named:
        if name not in model.associated_files:
            shown = printable(name)
            print(f"The metadata names {shown}, which is not in the model: --set {shown}=FILE.", file=sys.stderr)


def _offer_labels(model: Model, names: list[str]) -> None:
    """Says how a file that fits an output as labels is named in the metadata, where readers look."""
    from unlite.model.metadata.labels import labels_of_output, named_files

    for tensor in model.main.outputs if names and len(model.subgraphs) else ():
        try:
            found = labels_of_output(model, tensor)
        except UnliteError:
            continue  # 'unlite show' says what is wrong with it
        if found is not None and found.file in names and not named_files(model, tensor):
            shown = printable(found.file)
            print(
                f"{shown} fits the output {printable(tensor.name)!r}, but no metadata says so: --labels names it, too.",
                file=sys.stderr,
            )


def _read(path: str) -> bytes:
    from unlite.model.setting.path_values import read_bytes

    return sys.stdin.buffer.read() if path == "-" else read_bytes(path)


def _remove(model: Model, name: str) -> str:
    """Takes away an associated file or a metadata entry; says which. An entry can be told by index: metadata[6]."""
    number = name[len("metadata[") : -1] if name.startswith("metadata[") and name.endswith("]") else ""
    entries = list(model.root["metadata"] or ())
    if number.isdigit() and name not in model.associated_files:
        if int(number) >= len(entries):
            raise NotFoundError(f"there is no metadata entry {number}, only {len(entries)}.", file=model.file.name)
        model.metadata.remove(int(number))
        return "entry taken away"
    file, entry = name.removeprefix(FILE_PREFIX), name.removeprefix(ENTRY_PREFIX)
    is_file = not name.startswith(ENTRY_PREFIX) and file in model.associated_files
    is_entry = not name.startswith(FILE_PREFIX) and entry in model.metadata
    if is_file and is_entry:
        raise InvalidValueError(
            f"{name!r} is the name of an associated file and of a metadata entry.",
            file=model.file.name,
            hint=f"Say which: --remove {FILE_PREFIX}{name} or --remove {ENTRY_PREFIX}{name}.",
        )
    if is_file:
        del model.associated_files[file]
        return "file taken away"
    if is_entry:
        same = [index for index, table in enumerate(entries) if (table["name"] or "") == entry]
        if len(same) > 1:
            options = " or ".join(f"--remove 'metadata[{index}]'" for index in same[:10])
            raise InvalidValueError(
                f"{entry!r} is the name of {len(same)} metadata entries.",
                file=model.file.name,
                hint=f"Say which: {options}.",
            )
        del model.metadata[entry]
        return "entry taken away"
    there = ", ".join(map(printable, [*dict(model.associated_files.sizes()), *model.metadata][:20]))
    raise NotFoundError(
        f"there is no associated file and no metadata entry {name!r}.",
        file=model.file.name,
        hint=f"There is: {there}." if there else "The model has none of either.",
    )


# -- showing ---------------------------------------------------------------------------------------------------------


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
    if isinstance(value, bytes):
        from unlite.model.metadata.tflite_metadata import json_instead

        if json_instead(value) is not None:  # some tools write it where a FlatBuffer is wanted
            value = value.rstrip(b"\0").decode()
    if isinstance(value, str):
        return {"kind": "text", "value": value}
    return {"kind": "bytes", "value": value.hex() if isinstance(value, bytes) and len(value) <= SHOWN_BYTES else None}


def _json_facts(model: Model) -> Iterator[dict[str, Any]]:
    from unlite.flatbuffers.json_writer import write_json

    for facts, table in _facts(model):
        if table is not None:
            pieces: list[bytes] = []
            try:
                write_json(table, pieces.append, drop_unknown=True)
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
    members = model.associated_files.sizes()
    if members:
        print_table("associated files", ("file", "bytes"), members)
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
    if name in tail.repeated:
        print(f"{printable(name)} is there {len(tail.repeated[name])} times; this is the last.", file=sys.stderr)
    return tail.content(tail.entries[name])


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
