"""Measures unlite against its limits and against today's tools, all in one run, and prints the table.

    python benchmarks/run.py [--only NAME ...] [--markdown] [--cache FOLDER]

Exit 0: every limit is kept; 1: one is not, or could not be measured. What each figure means: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import compileall
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import converting
import listing
import networks
import quantized
import reading
import saving
from measure import HERE, SOURCE, CommandError
from models import CACHE, is_made
from table import markdown, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from table import Row


class Figure(NamedTuple):
    """A group of rows.

    Attributes:
        measure: Measures them, given the folder of models.
        models: The models it needs.
    """

    measure: Callable[[Path], list[Row]]
    models: tuple[str, ...] = ()


FIGURES = {
    "list-small": Figure(listing.small),
    "list-large": Figure(listing.large, ("language",)),
    "list-many": Figure(listing.many, ("many",)),
    "pages": Figure(listing.pages, ("language",)),
    "remote": Figure(listing.remote, ("language",)),
    "change": Figure(saving.change, ("language",)),
    "set": Figure(saving.set_weights, ("language",)),
    "in-place": Figure(saving.in_place, ("language",)),
    "rewrite": Figure(saving.rewrite, ("language",)),
    "rewrite-outside": Figure(saving.rewrite_outside, ("outside",)),
    "json": Figure(converting.json_text, ("vision",)),
    "read": Figure(reading.touch, ("many",)),
    "convert-torch": Figure(networks.convert),
    "run-torch": Figure(networks.eager),
    "run-exact": Figure(quantized.exact),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures unlite against its limits and against today's tools.")
    parser.add_argument("--only", nargs="+", choices=list(FIGURES), default=list(FIGURES), help="these figures alone")
    parser.add_argument("--markdown", action="store_true", help="print rows for benchmarks/README.md")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the models (default: benchmarks/.cache)")
    options = parser.parse_args()
    compileall.compile_dir(SOURCE, quiet=1)  # as installed: a start that compiles the package would be twice as long
    rows, failed = [], False
    for name in options.only:
        print(f"{name} ...", file=sys.stderr)
        try:
            make_models(FIGURES[name].models, options.cache)
            rows += FIGURES[name].measure(options.cache)
        except CommandError as error:
            failed = True
            print(f"{name}: not measured: {error}", file=sys.stderr)
    print(markdown(rows) if options.markdown else plain(rows))
    system = f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {platform.machine()}"
    print(f"\n{time.strftime('%Y-%m-%d')}, {system}")
    return int(failed or any(row.ok == "NO" for row in rows))


def make_models(names: tuple[str, ...], cache: Path) -> None:
    """Makes the models that are missing. In a process of its own: this one stays small."""
    missing = [name for name in names if not is_made(name, cache)]
    if missing:
        command = [sys.executable, str(HERE / "models.py"), *missing, "--cache", str(cache)]
        if subprocess.run(command, check=False).returncode:
            raise CommandError(f"models.py cannot make {', '.join(missing)}.")


if __name__ == "__main__":
    sys.exit(main())
