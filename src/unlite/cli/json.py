"""``unlite json``: a model as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from unlite.cli.output import new_parser, printable
from unlite.cli.progress import progress
from unlite.model.formats.json import to_json, write_text
from unlite.model.model import open_model
from unlite.schema import NEWEST

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  unlite json face.tflite -o face.json            then edit it, and back:
  unlite build face.json -o face.tflite
  unlite json face.tflite | jq '.subgraphs[0].tensors[].name'
  unlite json old.tflite --schema v1              as an old file is stored, not as version 3"""
TEXT_PER_BYTE = 4  # about: a byte of weights is a number of up to three digits, and a comma


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser("json", "Writes a model as JSON, with the keys that flatc writes. Nothing is lost.", EXAMPLES)
    made.add_argument("model", metavar="MODEL", help="path or URL of a .tflite")
    made.add_argument("-o", "--output", metavar="FILE", help="file to write; what JSON cannot carry goes to FILE.tail")
    made.add_argument("--schema", default=NEWEST, metavar="NAME", help="for old models: v0, v1 or v2, their own schema")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Writes the text."""
    model = open_model(arguments.model)
    if arguments.output:
        with progress("writing JSON", TEXT_PER_BYTE * model.file.size) as advance:
            to_json(model, arguments.output, schema=arguments.schema, progress=advance)
        return 0
    out = sys.stdout.buffer
    write_text(model, out.write, schema=arguments.schema)
    out.flush()
    return 0
