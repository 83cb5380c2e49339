"""``unlite doctor``: libraries and versions. The judge is importlib.metadata; extras are those of pyproject.toml."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from pathlib import Path

import pytest

from unlite.cli import main
from unlite.cli.doctor import PARTS


def test_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["executable"] == sys.executable
    assert said["python"].startswith(".".join(map(str, sys.version_info[:3])))
    versions = {part["library"]: part["version"] for part in said["libraries"]}
    assert versions["numpy"] == importlib.metadata.version("numpy")
    assert set(versions) == {part.library for part in PARTS}


def test_what_is_missing_comes_with_its_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "torch\tnot installed\tconvert, compare, dump; weights: .pth\tpip install 'unlite[torch]'" in out
    assert "numpy\tnot installed\tvalues of tensors; weights, set\tpip install 'unlite'" in out


def test_every_extra_and_each_of_its_libraries_is_listed(root: Path) -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    wanted = {
        (extra, re.match(r"[\w-]+", requirement)[0])
        for extra, requirements in extras.items()
        if extra not in ("all", "dev")
        for requirement in requirements
    }
    wanted.remove(("torch", "ai-edge-litert"))  # listed once, with the extra that brings it alone
    assert {(part.extra, part.library) for part in PARTS} == wanted
