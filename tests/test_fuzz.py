"""The fuzzer itself, for a moment: ``make fuzz`` runs it for longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def fuzz(root: Path, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "fuzz/run.py"), "--keep", str(folder / "faults"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_few_hundred_damaged_files(seed: str, root: Path, tmp_path: Path) -> None:
    done = fuzz(root, tmp_path, "--runs", "250", "--seconds", "60", "--seed", seed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"damaged files, 0 faults (seed {seed}).\n")


def test_a_fault_is_found_and_kept(root: Path, tmp_path: Path) -> None:
    """With a reader that breaks, the fuzzer says so."""
    (tmp_path / "sitecustomize.py").write_text(
        "import unlite.model.objects.tensor as t\nt.Tensor.shape = property(lambda self: 1 // 0)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(root / "src")])
    done = fuzz(root, tmp_path, "--runs", "5", PYTHONPATH=path)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout
    assert list((tmp_path / "faults").iterdir())
