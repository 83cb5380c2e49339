"""``unlite convert --to coreml``: what is written, what is replaced, and the script for a Mac."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.model.small import dense_layer

from unlite.cli import main

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
ct = pytest.importorskip("coremltools", reason="coremltools is not installed (extra 'coreml')")
pytest.importorskip("ai_edge_litert", reason="LiteRT is what a conversion is compared with")

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
"""coremltools leaves a temporary folder to the garbage collector."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "dense.tflite"
    path.write_bytes(dense_layer())
    return path


def convert(*arguments: object) -> int:
    return main(["convert", *map(str, arguments), "--to", "coreml"])


def test_written_compared_and_replaced(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "dense.mlpackage"
    for _ in range(2):  # the second time it replaces its own
        assert convert(model, "-o", package, "--precision", "float32", "--json") == 0
        assert json.loads(capsys.readouterr().out)["verdict"] == "same"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dense.mlpackage", "dense.tflite"]


def test_float16_is_the_default_and_the_same(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each operator is right on its own inputs, as far as float16 goes."""
    assert convert(model, "-o", tmp_path / "dense.mlpackage") == 0
    assert "same" in capsys.readouterr().out


def test_package_of_others_is_left_alone(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "theirs.mlpackage"
    assert convert(model, "-o", package, "--no-compare") == 0
    theirs = ct.models.MLModel(str(package), skip_model_load=True)
    del theirs.user_defined_metadata["unlite.io"]
    other = tmp_path / "other.mlpackage"
    theirs.save(str(other))
    before = sorted((path, path.stat().st_mtime_ns) for path in other.rglob("*"))
    capsys.readouterr()
    assert convert(model, "-o", other, "--no-compare") == 2
    assert "left alone" in capsys.readouterr().err
    assert sorted((path, path.stat().st_mtime_ns) for path in other.rglob("*")) == before
    (package / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b"\xff damaged")
    assert convert(model, "-o", package, "--no-compare") == 2


def test_options_are_told(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(model, "-o", tmp_path / "dense.mlmodel") == 2
    assert "end in .mlpackage" in capsys.readouterr().err
    assert convert(model, "-o", tmp_path / "dense.mlpackage", "--image-scale", "0.5") == 2
    assert "--image-input NAME" in capsys.readouterr().err
    assert convert(model, "-o", tmp_path / "dense.mlpackage", "--mac-script", tmp_path / "check.sh") == 2
    assert "ends in .py" in capsys.readouterr().err


@pytest.mark.parametrize("error", [0.0, 1.0])
def test_script_replays_the_comparison(
    error: float,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A stand-in plays Apple's runtime: it predicts what the evaluation gives, or something else."""
    from unlite.coreml.evaluate import Program

    script = tmp_path / "check.py"
    assert convert(model, "-o", tmp_path / "dense.mlpackage", "--mac-script", script, "--no-compare") == 0
    with np.load(tmp_path / "check.npz") as data:
        assert {name.partition("/")[0] for name in data.files} == {"input", "evaluated", "litert"}

    class Mac:
        def __init__(self, path: str) -> None:
            self._program = Program(path)
            self._spec = ct.utils.load_spec(path)

        def get_spec(self) -> Any:
            return self._spec

        def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
            return {name: value + error for name, value in self._program.run(inputs).items()}

    real = ct.models.MLModel
    monkeypatch.setattr(ct.models, "MLModel", lambda path, **how: real(path, **how) if how else Mac(path))
    monkeypatch.setattr(sys, "argv", [str(script)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script))
    assert ended.value.code == (1 if error else 0)
    said = capsys.readouterr().out
    assert said.count("apart") == 2
    assert ("too far" in said) == bool(error)
