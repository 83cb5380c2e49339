"""``unlite verify``: everything that is wrong with a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from unlite.cli.output import new_parser, print_json, print_table, printable
from unlite.cli.streams import MODEL, open_input
from unlite.errors import CorruptFileError, UnsupportedFormatError

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  unlite verify face.tflite           a line for each finding
  unlite verify face.tflite --json    for programs
  unlite verify *.tflite > /dev/null && echo all sound"""

COLUMNS = ("severity", "path", "byte", "message")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "verify",
        "Tells everything that is wrong with a model, with path and byte offset. Errors are what LiteRT refuses or\n"
        "what cannot be read; they alone make the exit code 1.",
        EXAMPLES,
    )
    made.add_argument("models", metavar="MODEL", nargs="+", help=MODEL)
    made.add_argument("--json", action="store_true", help='for programs: {"findings": [...]}')
    return made


def run(arguments: argparse.Namespace) -> int:
    """Verifies; returns 1 where there are errors."""
    several = len(arguments.models) > 1
    found = [(name, finding) for name in arguments.models for finding in findings(name)]
    if arguments.json:
        print_json({"findings": [{"file": name, **finding} if several else finding for name, finding in found]})
    elif found:
        title = f"findings in {arguments.models[0]}" if not several else "findings"
        print_table(
            title, (("file",) if several else ()) + COLUMNS, [_row(name, finding, several) for name, finding in found]
        )
    counts = {severity: sum(f["severity"] == severity for _, f in found) for severity in ("error", "warning", "note")}
    if not arguments.json:
        what = printable(arguments.models[0]) if not several else f"{len(arguments.models)} files"
        said = ", ".join(f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items())
        sys.stdout.flush()  # the table comes first where both streams end in one place
        print(f"{what}: {said}", file=sys.stderr)
        if any(f["severity"] == "error" and "file ends at" in f["message"] for _, f in found):
            print("The file looks cut short: compare its size with the source and fetch it again.", file=sys.stderr)
    return 1 if counts["error"] else 0


def findings(name: str) -> list[dict[str, Any]]:
    """What is wrong with a file. One that is no model, or whose root cannot be read, has one error."""
    try:
        model = open_input(name)
    except (UnsupportedFormatError, CorruptFileError) as error:
        message = f"{error.message} {error.hint}" if error.hint else error.message
        return [{"severity": "error", "path": error.path or "root", "offset": error.offset, "message": message}]
    with model:
        return [
            {"severity": f.severity, "path": f.path, "offset": f.offset, "message": f.message} for f in model.verify()
        ]


def _row(name: str, finding: dict[str, Any], several: bool) -> tuple[object, ...]:
    offset = "" if finding["offset"] is None else f"0x{finding['offset']:X}"
    row = (finding["severity"], finding["path"], offset, finding["message"])
    return (name, *row) if several else row
