"""Basic Pitch, which its authors publish as .tflite and as .mlpackage: our package of the one agrees with the other."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
pytest.importorskip("coremltools", reason="coremltools is not installed (extra 'coreml')")

from tests.coreml.running import saved

from unlite.coreml.evaluate import Program

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
"""coremltools leaves a temporary folder to the garbage collector."""

FOLDER = "basic_pitch/saved_models/icassp_2022"
PINNED = Path(__file__).parents[1] / "onnx" / "basic_pitch.txt"


@pytest.fixture(scope="module")
def wheel(root: Path) -> zipfile.ZipFile:
    """The authors' package, fetched once into .venv/demo; its hash is checked by pip."""
    folder = root / ".venv" / "demo"
    if not (found := sorted(folder.glob("basic_pitch-*.whl"))):
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes")
        done = subprocess.run(
            (*command, "-d", str(folder), "-r", str(PINNED)), check=False, capture_output=True, text=True
        )
        found = sorted(folder.glob("basic_pitch-*.whl"))
        if done.returncode or not found:
            pytest.skip(f"basic-pitch cannot be fetched: {done.stderr.strip()[-200:]}")
    return zipfile.ZipFile(found[0])


def test_as_its_authors_core_ml(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Their package, made by another converter, is a program of the same evaluator: three outputs."""
    wheel.extractall(tmp_path, [name for name in wheel.namelist() if f"{FOLDER}/nmp.mlpackage/" in name])
    theirs = Program(tmp_path / FOLDER / "nmp.mlpackage")
    ours = saved(wheel.read(f"{FOLDER}/nmp.tflite"), tmp_path, precision="float32")
    sound = np.random.default_rng(0).uniform(-1, 1, (1, 43844, 1)).astype("f4")  # two seconds
    expected = theirs.run(dict.fromkeys(theirs.inputs, sound))
    results = {name: ours.run(ours.feed([sound]))[name] for name in ours.outputs}
    assert len(expected) == 3
    found = []
    for wanted in expected.values():
        assert wanted.std() > 1e-3
        alike = {name: value for name, value in results.items() if value.shape == wanted.shape}
        found += [name for name, value in alike.items() if np.abs(value - wanted).max() < 5e-6]
    assert sorted(found) == sorted(results)
