"""``unlite json``: a model as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from unlite.cli.output import new_parser, refuse_model_name
from unlite.cli.progress import progress
from unlite.cli.streams import MODEL, STANDARD, open_input
from unlite.model.formats.json import to_json, write_text
from unlite.schema import NEWEST

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  unlite json face.tflite -o face.json            then edit it, and back:
  unlite build face.json -o face.tflite
  unlite json face.tflite | jq '.subgraphs[0].tensors[].name'
  unlite json face.tflite | unlite build - -o again.tflite
  unlite json old.tflite --schema v1              as an old file is stored, not as version 3"""
TEXT_PER_BYTE = 4  # about: a byte of weights is a number of up to three digits, and a comma


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser("json", "Writes a model as JSON, with the keys that flatc writes. Nothing is lost.", EXAMPLES)
    made.add_argument("model", metavar="MODEL", help=MODEL)
    made.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="what lies behind the model goes to FILE.tail; - for standard output",
    )
    made.add_argument(
        "--schema",
        default=NEWEST,
        metavar="NAME",
        help="v0 to v2: as an old model is stored; v3a and others: what they know",
    )
    made.add_argument("--drop-unknown", action="store_true", help="leave out what no known schema has")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Writes the text."""
    refuse_model_name(arguments.output)
    model = open_input(arguments.model)
    if arguments.output and arguments.output != STANDARD:
        with progress("writing JSON", TEXT_PER_BYTE * model.file.size) as advance:
            to_json(
                model,
                arguments.output,
                schema=arguments.schema,
                drop_unknown=arguments.drop_unknown,
                progress=advance,
            )
        return 0
    out = sys.stdout.buffer
    write_text(model, out.write, schema=arguments.schema, drop_unknown=arguments.drop_unknown)
    out.flush()
    return 0
