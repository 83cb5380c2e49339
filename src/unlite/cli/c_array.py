"""``unlite c-array``: a model as a C array."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from unlite.cli.output import new_parser, refuse_model_name
from unlite.cli.progress import counted
from unlite.cli.streams import MODEL, STANDARD, open_input
from unlite.containers.c_array import write_c_array, write_c_header
from unlite.model.saving.save import as_source
from unlite.storage.atomic import write_atomically

if TYPE_CHECKING:
    import argparse

    from unlite.storage.sink import Sink

EXAMPLES = """\
  unlite c-array face.tflite -o g_model.cc
  unlite c-array face.tflite --name face -o face.cc --header face.h
  unlite c-array face.tflite | head
  unlite build g_model.cc -o face.tflite       and back"""

GROWTH = 6.2  # characters of text per byte


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "c-array",
        "Writes a model as a C or C++ array, aligned to 16 bytes, with its length beside it.",
        EXAMPLES,
    )
    made.add_argument("model", metavar="MODEL", help=MODEL)
    made.add_argument("-o", "--output", metavar="FILE", help="the .cc or .c file; standard output when left out")
    made.add_argument("--name", default="g_model", help="name of the array (g_model); its length is NAME_len")
    made.add_argument("--header", metavar="FILE", help="write a header with the declarations, too, and include it")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Writes the text; returns 0."""
    refuse_model_name(arguments.output)
    with open_input(arguments.model) as model:
        source = as_source(model)
        output = None if arguments.output == STANDARD else arguments.output
        header = arguments.header
        included = None if header is None else _from(output, header)
        pieces = counted(write_c_array(source, arguments.name, header=included), source, "writing", GROWTH)
        if header is not None:
            text = write_c_header(arguments.name)
            write_atomically(header, lambda sink: sink.write(text))
        if output is None:
            for piece in pieces:
                sys.stdout.write(piece.decode("ascii"))
            return 0

        def write(sink: Sink) -> None:
            for piece in pieces:
                sink.write(piece)

        size = write_atomically(output, write).size
    print(f"{output}: {source.size} bytes as {arguments.name}, {size} bytes of text", file=sys.stderr)
    return 0


def _from(output: str | None, header: str) -> str:
    """The header's path as seen from the folder of the file that includes it."""
    folder = os.path.dirname(os.path.abspath(output)) if output is not None else os.getcwd()
    return os.path.relpath(header, folder).replace(os.sep, "/")
