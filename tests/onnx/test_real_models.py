"""Every real model that LiteRT runs, in ONNX Runtime: within what LiteRT's own kernels differ by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
pytest.importorskip("onnx", reason="onnx is not installed (extra 'onnx')")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra 'onnx')")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra 'onnx')")
pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")

from tests.onnx.running import run_file  # noqa: E402

from unlite.comparison.inputs import make_inputs  # noqa: E402
from unlite.comparison.litert import NotRunnable, run_litert  # noqa: E402
from unlite.errors import UnsupportedOperatorError  # noqa: E402
from unlite.model.model import open_model  # noqa: E402
from unlite.onnx.convert import to_ir  # noqa: E402
from unlite.onnx.files import write  # noqa: E402

FOLDER = Path(__file__).parents[3] / "shared" / "models"
REFUSED = {
    "mobilenet_v2_edgetpu": "edgetpu-custom-op",
    "nl_classifier_customops": "strings",
    "person_detect_ethosu": "ethos-u",
    "sentencepiece_flex": "FlexSentencepieceOp",
    "whitespace_tokenizer_flex": "FlexUnicodeDecodeWithOffsets",
}
"""What cannot be converted, and a word of the reason."""
APART = {
    "selfie_segmentation_landscape_fp16": "its output spans 4e-5 only: 8e-8 apart",
}
"""Known to be further apart than the floor, and why."""
CONVOLUTIONAL = (
    "blazeface_front_fp16",
    "face_landmark_fp32",
    "hand_landmark_lite_fp16",
    "mobilenet_v1_025_uint8",
    "selfie_segmentation_landscape_fp16",
)


def named(*names: str) -> list[Any]:
    return [pytest.param(FOLDER / f"{name}.tflite", id=name) for name in names]


def convertible() -> list[Any]:
    found = sorted(path.stem for path in FOLDER.glob("*.tflite"))
    if not found:
        return [pytest.param(None, marks=pytest.mark.skip(reason="../shared/models is not there"))]
    return named(*(name for name in found if name not in REFUSED))


@pytest.mark.parametrize("path", convertible())
def test_as_litert(path: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model = open_model(path)
    made = to_ir(model, model.main)
    (file,) = write(made, str(tmp_path / "model.onnx"))
    inputs = make_inputs(model)
    outputs = [tensor.index for tensor in model.main.outputs]
    reference = run_litert(model, inputs, tensors=outputs)
    if isinstance(reference, NotRunnable):
        return  # it was converted, checked and loaded; nothing can judge its values
    other = run_litert(model, inputs, tensors=outputs, kernels="default")
    results = run_file(file, inputs)
    far = []
    for index, result in zip(outputs, results, strict=True):
        expected = reference.tensors[index]
        assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
        second = expected if isinstance(other, NotRunnable) else other.tensors[index]
        apart, between = (np.abs(expected.astype(np.float64) - each).max(initial=0) for each in (result, second))
        span = float(expected.max(initial=0)) - float(expected.min(initial=0))
        floor = max(5e-6 * span, 4 * between) if expected.dtype.kind == "f" else max(1, between)
        if not apart <= floor:
            far.append(f"tensor {index}: {apart} apart, {floor} allowed")
    assert bool(far) == (path.stem in APART), far or "it agrees now: take it off the list"


@pytest.mark.parametrize("path", named(*REFUSED))
def test_refused_with_the_reason(path: Path, tmp_path: Path) -> None:
    if not path.is_file():
        pytest.skip("../shared/models is not there")
    model = open_model(path)
    with pytest.raises(UnsupportedOperatorError, match=REFUSED[path.stem]):
        write(to_ir(model, model.main), str(tmp_path / "model.onnx"))


@pytest.mark.parametrize("path", named(*CONVOLUTIONAL))
def test_no_transposes_between_convolutions(path: Path) -> None:
    if not path.is_file():
        pytest.skip("../shared/models is not there")
    model = open_model(path)
    graph = to_ir(model, model.main).graph
    windows = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "Resize")
    behind: set[Any] = set()
    before: set[Any] = set()
    for node in graph:
        if node.op_type in windows or behind.intersection(node.predecessors()):
            behind.add(node)
    for node in reversed(graph):
        if node.op_type in windows or before.intersection(node.successors()):
            before.add(node)
    assert len(behind) > 10
    assert [node.name for node in behind & before if node.op_type == "Transpose"] == []
