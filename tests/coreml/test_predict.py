"""On a Mac, Apple's runtime gives the outputs: here a stand-in plays its part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
pytest.importorskip("coremltools", reason="coremltools is not installed (extra 'coreml')")

import coremltools as ct
from tests.pytorch.litert import Constant, Made, one_operator

import unlite
from unlite.coreml import predict as room
from unlite.coreml.evaluate import Program
from unlite.errors import UnliteError

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
"""coremltools leaves a temporary folder to the garbage collector."""


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, str]:
    """A model that adds 1, and its package."""
    file = tmp_path / "add.tflite"
    zeros = np.zeros((2, 3), "f4")
    file.write_bytes(
        one_operator("ADD", [zeros, Constant(np.ones(1, "f4"))], [Made("FLOAT32", (2, 3))], ("AddOptions", {}))
    )
    package = str(tmp_path / "add.mlpackage")
    unlite.to_coreml(file, precision="float32").save(package)
    return file, package


class Mac:
    """A stand-in of MLModel that predicts what the evaluation gives, and something on top of it."""

    error = 0.0

    def __init__(self, path: str, **_: Any) -> None:
        self._program = Program(path)
        self._spec = ct.utils.load_spec(path)

    def get_spec(self) -> Any:
        return self._spec

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {name: value + self.error for name, value in self._program.run(inputs).items()}


@pytest.mark.parametrize(("error", "verdict"), [(0.0, "same"), (0.01, "different")])
def test_both_are_compared_on_a_mac(
    error: float, verdict: str, made: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mac, "error", error)
    monkeypatch.setattr(room, "can_predict", lambda: True)
    real = ct.models.MLModel
    monkeypatch.setattr(
        ct.models, "MLModel", lambda path, **how: (real if how.get("skip_model_load") else Mac)(path, **how)
    )
    found = unlite.compare(*made)
    assert found.verdict == verdict, found.reason


def test_runtime_that_fails_is_told(made: tuple[Path, str]) -> None:
    """Beside a Mac, coremltools itself refuses to predict."""
    if room.can_predict():
        pytest.skip("this is a Mac")
    program = Program(made[1])
    with pytest.raises(UnliteError, match="Core ML does not run it"):
        room.predict(program, {"input_0": np.zeros((2, 3), "f4")})
