"""docs/operators.md is what the tables say, and README.md counts as it does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")


@pytest.fixture(scope="module")
def printed(root: Path) -> str:
    done = subprocess.run([sys.executable, root / "docs/operators.py"], capture_output=True, text=True, check=True)
    return done.stdout


def test_page_is_printed_from_the_tables(root: Path, printed: str) -> None:
    page = (root / "docs/operators.md").read_text(encoding="utf-8")
    assert page == printed, "write it anew: make operators"


def test_every_operator_of_the_schema_is_on_the_page(root: Path, printed: str) -> None:
    text = (root / "src/unlite/schema/bundled/tflite.fbs").read_text(encoding="utf-8")
    enum = text.split("enum BuiltinOperator : int {", 1)[1].split("}", 1)[0]
    names = {line.partition("=")[0].strip() for line in enum.splitlines() if "=" in line.partition("//")[0]}
    assert len(names) > 200
    for name in names - {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}:
        assert f"| {name} |" in printed or f"`{name}`" in printed, name


def test_readme_has_the_same_counts(root: Path, printed: str) -> None:
    summary = next(line for line in printed.splitlines() if "builtin operators that" in line)
    readme = " ".join((root / "README.md").read_text(encoding="utf-8").split())
    assert summary in readme
