"""``unlite build``: a model from JSON or from a C array."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from unlite.cli.output import new_parser, printable, size
from unlite.cli.progress import Watched, progress
from unlite.errors import UnliteError
from unlite.schema import NEWEST
from unlite.storage.atomic import write_atomically
from unlite.storage.source import MappedFile, MemorySource, Source

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  unlite build face.json -o face.tflite           from 'unlite json', or from flatc
  unlite build g_model.cc -o model.tflite         from a C array
  unlite build models.h --name g_person -o person.tflite
  unlite build old.json --schema v1 -o old.tflite"""
C_ENDINGS = (".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".ino", ".inc")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "build", "Builds a model from JSON, or from the C array that microcontroller projects keep.", EXAMPLES
    )
    made.add_argument("file", metavar="FILE", help="JSON text or C source; - for standard input")
    made.add_argument("-o", "--output", metavar="MODEL", required=True, help="the .tflite to write")
    made.add_argument(
        "--schema", default=NEWEST, metavar="NAME", help="schema of the JSON text, such as v1; the newest else"
    )
    made.add_argument("--name", metavar="ARRAY", help="which array, where a C file holds several")
    tail = made.add_mutually_exclusive_group()
    tail.add_argument("--tail", metavar="FILE", help="the tail file; FILE.tail beside the JSON file else")
    tail.add_argument("--no-tail", action="store_true", help="build without the tail that the JSON file remembers")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Builds, and says what the verifier thinks of the result."""
    source = MemorySource(sys.stdin.buffer.read(), "<stdin>") if arguments.file == "-" else MappedFile(arguments.file)
    if _is_c(arguments.file, source):
        from unlite.containers.c_array import read_c_array

        data = read_c_array(source.view(0, source.size), arguments.name, source.name)
        written = write_atomically(arguments.output, lambda sink: sink.write(data)).size
    else:
        written = _from_json(source, arguments)
    print(f"{printable(arguments.output)}: {size(written)}", file=sys.stderr)
    _judge(arguments.output)
    return 0


def _from_json(source: Source, arguments: argparse.Namespace) -> int:
    from unlite.model.formats.json import build_model

    tail: str | bool | None = arguments.tail
    if arguments.no_tail:
        tail = False
    elif tail is None and arguments.file != "-":
        tail = f"{arguments.file}.tail"
    schema = arguments.schema
    with progress("reading JSON", source.size) as advance:
        text = Watched(source, advance)
        return write_atomically(
            arguments.output, lambda sink: build_model(text, sink, schema=schema, tail_file=tail)
        ).size


def _is_c(path: str, source: Source) -> bool:
    ending = os.path.splitext(path)[1].lower()
    if ending == ".json" or ending in C_ENDINGS:
        return ending != ".json"
    return bytes(source.view(0, min(source.size, 4096))).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{"


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
