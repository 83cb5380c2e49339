"""``unlite build``: a model from JSON or from a C array."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from unlite.cli.output import new_parser, printable, size
from unlite.cli.progress import Watched, progress
from unlite.cli.streams import STANDARD, input_source, output_path, shown
from unlite.errors import UnliteError, UnsupportedFormatError
from unlite.model.opening import refusal
from unlite.model.texts import read_array, text_kind
from unlite.schema import NEWEST
from unlite.schema.sniff import IDENTIFIER
from unlite.storage.atomic import write_atomically

if TYPE_CHECKING:
    import argparse

    from unlite.storage.source import Source

EXAMPLES = """\
  unlite build face.json -o face.tflite           from 'unlite json', or from flatc
  unlite build g_model.cc -o model.tflite         from a C array
  unlite build models.h --name g_person -o person.tflite
  xxd model.tflite | unlite build - -o again.tflite
  unlite build old.json --schema v1 -o old.tflite"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "build", "Builds a model from JSON, or from the C array that microcontroller projects keep.", EXAMPLES
    )
    made.add_argument(
        "file", metavar="FILE", help="JSON, C source, or a dump of xxd, hexdump, od; - for standard input"
    )
    made.add_argument(
        "-o", "--output", metavar="MODEL", required=True, help="the .tflite to write; - for standard output"
    )
    made.add_argument(
        "--schema", default=NEWEST, metavar="NAME", help="schema of the JSON text, such as v1; the newest else"
    )
    made.add_argument(
        "--name",
        metavar="ARRAY",
        help="which array of several: its name, NAME:2 for the second of a name, or its position",
    )
    tail = made.add_mutually_exclusive_group()
    tail.add_argument("--tail", metavar="FILE", help="the tail file; FILE.tail beside the JSON file else")
    tail.add_argument("--no-tail", action="store_true", help="build without the tail that the JSON file remembers")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Builds, and says what the verifier thinks of the result."""
    source = input_source(arguments.file)
    with output_path(arguments.output) as output:
        if output is None:
            return 2
        kind = text_kind(source)
        if kind in ("c", "dump") or arguments.name is not None:
            data = read_array(source, _array(arguments.name))
            written = write_atomically(output, lambda sink: sink.write(data)).size
        elif kind == "json":
            written = _from_json(source, output, arguments)
        elif source.size >= 8 and source.view(4, 4) == IDENTIFIER:
            raise UnsupportedFormatError("is a model already, not a text of one.", file=source.name)
        else:
            raise refusal(source)
        print(f"{printable(shown(arguments.output))}: {size(written)}", file=sys.stderr)
        _judge(output)
    return 0


def _array(name: str | None) -> str | int | None:
    return int(name) if name is not None and name.isdecimal() else name


def _from_json(source: Source, output: str, arguments: argparse.Namespace) -> int:
    from unlite.model.formats.json_build import build_model

    tail: str | bool | None = arguments.tail
    if arguments.no_tail:
        tail = False
    elif tail is None and arguments.file != STANDARD:
        tail = f"{arguments.file}.tail"
    schema = arguments.schema
    with progress("reading JSON", source.size) as advance:
        text = Watched(source, advance)
        return write_atomically(output, lambda sink: build_model(text, sink, schema=schema, tail_file=tail)).size


def _judge(path: str) -> None:
    """Hand-made files are often wrong in small ways: better said now than by the runtime."""
    from unlite.model.model import open_model

    try:
        errors = [finding for finding in open_model(path).verify() if finding.severity == "error"]
    except UnliteError as error:
        print(f"warning: written, but not a model: {printable(error.message)}", file=sys.stderr)
        return
    if errors:
        print(f"warning: written, but 'unlite verify' finds {len(errors)} error(s), the first:", file=sys.stderr)
        print(f"  {printable(errors[0].path)}: {printable(errors[0].message)}", file=sys.stderr)
