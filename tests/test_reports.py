"""Every small input that once failed has a test: its name stands in one."""

from __future__ import annotations

from pathlib import Path

import pytest

LATER = {"convert"}
"""Folders whose inputs belong to conversions that are not right yet."""


def test_each_has_a_test(root: Path, shared: Path) -> None:
    if not (shared / "reports").is_dir():
        pytest.skip("the inputs are not there")
    texts = "".join(path.read_text(encoding="utf-8") for path in (root / "tests").rglob("*.py"))
    inputs = [path for path in (shared / "reports").iterdir() if path.name not in LATER]
    missing = [path.name for path in inputs if path.name not in texts and path.stem not in texts]
    assert missing == []
