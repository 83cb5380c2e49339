"""What a document or an example says it prints, held against what it prints.

Expected text is taken word for word, but for ``...``: alone on a line it stands for any lines (or none), inside a
line for any characters.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def matches(expected: str, actual: str) -> bool:
    """Whether ``actual`` is what ``expected`` promises; blanks at line ends and around the text do not count."""
    pattern = ""
    for line in expected.strip("\n").splitlines():
        parts = map(re.escape, line.rstrip().split("..."))
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else ".*".join(parts) + "\n"
    text = "".join(line.rstrip() + "\n" for line in actual.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None


def run(command: str | list[str], folder: Path) -> tuple[str, int]:
    """Output (both streams, as a person sees them) and exit code of a command started in ``folder``.

    A list is a Python program with its arguments; text is given to bash. The tools installed beside this Python come
    first; the terminal is 120 columns wide and has no colours.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    source = Path(__file__).parents[1] / "src"
    done = subprocess.run(
        ["bash", "-c", command] if isinstance(command, str) else [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(source), "COLUMNS": "120", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return done.stdout, done.returncode
