"""Basic Pitch, which its authors publish as .tflite and as .onnx: our ONNX of the one agrees with the other."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra 'onnx')")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra 'onnx')")

from tests.onnx.running import run_file, session

import unlite

FOLDER = "basic_pitch/saved_models/icassp_2022"


@pytest.fixture(scope="module")
def wheel(root: Path) -> zipfile.ZipFile:
    """The authors' package, fetched once into .venv/demo; its hash is checked by pip."""
    folder = root / ".venv" / "demo"
    if not (found := sorted(folder.glob("basic_pitch-*.whl"))):
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes")
        asked = (*command, "-d", str(folder), "-r", str(Path(__file__).with_name("basic_pitch.txt")))
        done = subprocess.run(asked, check=False, capture_output=True, text=True)
        found = sorted(folder.glob("basic_pitch-*.whl"))
        if done.returncode or not found:
            pytest.skip(f"basic-pitch cannot be fetched: {done.stderr.strip()[-200:]}")
    return zipfile.ZipFile(found[0])


def test_as_its_authors_onnx(wheel: zipfile.ZipFile) -> None:
    ours = unlite.to_onnx(wheel.read(f"{FOLDER}/nmp.tflite"))
    theirs = session(wheel.read(f"{FOLDER}/nmp.onnx"))
    shape = [1, 43844, 1]  # two seconds of sound
    sound = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    names = [end.name for end in theirs.get_outputs()]
    expected = dict(zip(names, theirs.run(None, {theirs.get_inputs()[0].name: sound}), strict=True))
    results = run_file(ours.SerializeToString(), [sound])
    assert len(results) == len(expected) == 3
    for end, result in zip(ours.graph.output, results, strict=True):
        wanted = expected[end.name]
        assert wanted.std() > 1e-3
        np.testing.assert_allclose(result, wanted, rtol=0, atol=1e-4)
