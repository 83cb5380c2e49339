"""Real models as ML programs, computed in float32, against LiteRT: every output within its floor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.coreml.running import judged

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
pytest.importorskip("coremltools", reason="coremltools is not installed (extra 'coreml')")
pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
"""coremltools leaves a temporary folder to the garbage collector."""

MODELS = Path(__file__).parents[3] / "shared" / "models"
ROUNDED = ("mobilenet_v1_025_uint8", "mobilenet_v2_nchw_int8", "ssd_mobilenet_v1_uint8", "yamnet_int8")
"""Deep quantized models: within one step only if every value is rounded to the file's steps."""
FURTHER = {"mobilenet_v2_nchw_int8": "10 steps, LiteRT's own kernels are 9 apart"}
"""Models whose outputs are past their floor, with how far."""
REFUSED = {"precise_vad_while_drq": "a loop"}
"""Models that LiteRT runs and coremltools cannot express."""


def runnable() -> list[str]:
    """The models that LiteRT runs."""
    manifest = MODELS / "MANIFEST.json"
    if not manifest.is_file():
        return []
    rows = json.loads(manifest.read_text(encoding="utf-8"))["models"]
    return [Path(row["file"]).stem for row in rows if row["runs_in_litert_2_3_0"]]


@pytest.mark.parametrize("name", runnable())
def test_outputs_are_within_their_floor(name: str, tmp_path: Path) -> None:
    if name in REFUSED:
        from unlite.errors import UnsupportedOperatorError

        with pytest.raises(UnsupportedOperatorError, match="subgraphs"):
            judged(MODELS / f"{name}.tflite", tmp_path)
        return
    if name in FURTHER:
        found = judged(MODELS / f"{name}.tflite", tmp_path, requantize="round")
        assert found == ["10 apart, 9 allowed"]
        return
    options = {"requantize": "round"} if name in ROUNDED else {}
    assert judged(MODELS / f"{name}.tflite", tmp_path, **options) == []
