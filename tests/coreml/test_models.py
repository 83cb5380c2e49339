"""Real models as ML programs, computed in float32, against LiteRT: every output within its floor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.coreml.running import judged

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
pytest.importorskip("coremltools", reason="coremltools is not installed (extra 'coreml')")
pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")

import unlite

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
"""coremltools leaves a temporary folder to the garbage collector."""

MODELS = Path(__file__).parents[3] / "shared" / "models"
KNOWN = {
    "automl_labeler_uint8": (4, "a step, rounded the other way in real arithmetic, is two at the output"),
    "selfie_segmentation_landscape_fp16": (10, "a sigmoid far below zero: its range is tiny, its argument's is not"),
}
"""Models past their floor: by how many times at most, and why."""
DYNAMIC = {"precise_vad_while_drq"}
"""Models whose kernels round activations to 8 bits on the way. Here they stay real: nearer to the truth, and further
from LiteRT than its kernels are from each other."""


def runnable() -> list[str]:
    """The models that LiteRT runs."""
    manifest = MODELS / "MANIFEST.json"
    if not manifest.is_file():
        return []
    rows = json.loads(manifest.read_text(encoding="utf-8"))["models"]
    return [Path(row["file"]).stem for row in rows if row["runs_in_litert_2_3_0"]]


@pytest.mark.parametrize("name", runnable())
def test_outputs_are_within_their_floor(name: str, tmp_path: Path) -> None:
    path = MODELS / f"{name}.tflite"
    if name in DYNAMIC:
        package = tmp_path / "model.mlpackage"
        unlite.to_coreml(path, precision="float32").save(package)
        found = unlite.compare(path, package)
        assert found.verdict == "same"
        assert all(tensor.max_abs < tensor.step for tensor in found.tensors if tensor.step)
        return
    times, _ = KNOWN.get(name, (1.0, ""))
    assert judged(path, tmp_path, times=times) == []
