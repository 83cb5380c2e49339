"""``unlite flatbuffer``: look into any FlatBuffer through its schema."""

from __future__ import annotations

import os
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any

from unlite.cli.output import new_parser, print_json_line, print_table, printable
from unlite.cli.streams import STANDARD, input_source
from unlite.cli.tree import in_short, type_name
from unlite.errors import InvalidValueError, NotFoundError
from unlite.flatbuffers import open as open_flatbuffer
from unlite.flatbuffers import view as v
from unlite.model.places import find_place
from unlite.model.setting.paths import parse_path, walk
from unlite.schema import names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

EXAMPLES = """\
  unlite flatbuffer face.tflite --schema tflite                      the root's fields
  unlite flatbuffer face.tflite --schema tflite 'subgraphs[0].tensors[3].name'
  unlite flatbuffer face.tflite --schema tflite 'subgraphs[0].tensors[*].name'
  unlite flatbuffer face.tflite --schema tflite 'subgraphs[0].operators[3]' --json
  unlite flatbuffer monster.bin --schema monster.bfbs --root Weapon  another root table
  unlite flatbuffer m.ort --schema ort.fbs -I include 'model.graph.nodes[0].op_type'
  unlite flatbuffer t.arrow --schema Message.fbs --offset 16
  unlite flatbuffer face.tflite#metadata subgraph_metadata           a known place in a model"""
INCLUDE = "folder of files that a .fbs includes; may be given several times"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "flatbuffer",
        "Shows what is in any FlatBuffer, by field name, reading only the parts that are asked for.",
        EXAMPLES,
    )
    made.add_argument(
        "file",
        metavar="FILE",
        help="path or URL of a FlatBuffer, - for standard input; MODEL#metadata, MODEL#edgetpu, X.litertlm#header",
    )
    made.add_argument("path", metavar="PATH", nargs="?", help="what to show, such as subgraphs[0].tensors[3].name")
    made.add_argument(
        "--schema",
        metavar="S",
        help="a .bfbs, a .fbs (extra 'fbs'), or the name of a bundled schema; known for TFLite models and parts",
    )
    made.add_argument("-I", "--include", metavar="DIR", action="append", default=[], help=INCLUDE)
    made.add_argument("--offset", metavar="N", default="0", help="where the FlatBuffer begins, such as 32 or 0x20")
    made.add_argument("--root", metavar="NAME", help="the root table, where it is not the schema's own")
    made.add_argument("--json", action="store_true", help="everything below, as JSON with flatc's keys")
    made.parse_args = made.parse_intermixed_args  # type: ignore[method-assign]  # PATH may stand behind options
    return made


def run(arguments: argparse.Namespace) -> int:
    """Shows; returns 0."""
    root = _root(arguments)
    parts, rest = parse_path(arguments.path) if arguments.path else ([], "")
    if rest:
        raise InvalidValueError(f"{rest!r:.40} stands behind the path.", path=arguments.path[: -len(rest)])
    values = walk(root, parts)
    several = any(part.kind == "all" for part in parts)
    if arguments.json:
        _print_json(values, several)
    elif several:
        for value in values:
            print(_text(value))
    else:
        _show(next(values))
    return 0


def _root(arguments: argparse.Namespace) -> v.Table:
    try:
        offset = int(arguments.offset, 0)
    except ValueError:
        raise InvalidValueError(f"--offset is a number, such as 32 or 0x20, not {arguments.offset!r}.") from None
    place = find_place(input_source(STANDARD) if arguments.file == STANDARD else arguments.file)
    schema = arguments.schema or (None if offset else place.schema)
    if schema is None:
        raise InvalidValueError(
            "the schema of this file is not known.",
            file=place.source.name,
            hint=f"Name it: --schema FILE.fbs, or one of: {', '.join(names())}.",
        )
    include = arguments.include
    return open_flatbuffer(place.source, _schema(schema), root=arguments.root, offset=offset, include=include)


def _schema(name: str) -> str:
    """The name as it is. Raises NotFoundError where it is that of no bundled schema and of no file."""
    if name not in names() and not os.path.exists(name) and not name.endswith((".bfbs", ".fbs")):
        from difflib import get_close_matches

        near = get_close_matches(name, names(), 1)
        raise NotFoundError(
            f"there is no schema {name!r}.{f' Did you mean {near[0]!r}?' if near else ''}",
            hint=f"It is a path to a .bfbs or .fbs, or one of: {', '.join(names())}.",
        )
    return name


def _text(value: Any) -> str:
    """A value alone on its line: strings as they are, everything else in short."""
    return printable(value) if isinstance(value, str) else in_short(value)


def _show(value: Any) -> None:
    if isinstance(value, (v.Table, v.Struct)):
        fields = ((field.name, type_name(field), _field_text(value, field)) for field in value._object.fields)
        print_table(f"{v.path(value)} {value._object.name}".strip(), ("field", "type", "value"), fields)
    elif isinstance(value, v.ScalarVector):
        for entry in value:
            print(entry)
    elif isinstance(value, v.Vector):
        entries = ((i, str(entry) if isinstance(entry, v.View) else in_short(entry)) for i, entry in enumerate(value))
        print_table(v.path(value), ("#", "value"), entries)
    else:
        print(_text(value))


def _field_text(view: Any, field: Any) -> str:
    stored = not isinstance(view, v.Table) or v.is_present(view, field)
    value = view[field.name]
    return in_short(value, field) + ("" if stored or value is None else " (default)")


def _print_json(values: Iterator[Any], several: bool) -> None:
    """Values as JSON, a list of them where the path has a ``*``; the text of tables is streamed."""
    if not several:
        _write_json(next(values))
        return
    sys.stdout.write("[")
    before = "\n"
    for value in values:
        sys.stdout.write(before)
        _write_json(value)
        before = ","
    sys.stdout.write("]\n")


def _write_json(value: Any) -> None:
    from unlite.flatbuffers.json_writer import write_json

    if isinstance(value, v.Table):
        write_json(value, lambda piece: sys.stdout.write(piece.decode("ascii")))
    elif isinstance(value, (v.TableVector, v.UnionVector)):
        _print_json(chain(value), several=True)
    else:
        print_json_line(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, v.Struct):
        return {field.name: _plain(value[field.name]) for field in value._object.fields}
    if isinstance(value, v.Vector):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, v.View) else value
