"""Every real model that LiteRT runs, tensor by tensor; those that it does not, and those that differ, by name.

One LiteRT run serves both modes of a quantized model. What fails is a row here with its reason, and fails the test when
the reason is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="conversions are run in PyTorch")
pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")

import torch

import unlite
from unlite.comparison.compare import compare
from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.carrying import is_quantized

NOT_RUN = {
    "audio_preprocessor_signal_ops": "SignalWindow",  # custom operators of TensorFlow Lite Micro
    "face_attention_customops_fp16": "Landmarks2TransformMatrix",  # custom operators of MediaPipe
    "person_detect_int8": "quantized_dimension",  # prepare_quantization of LiteRT refuses axis 3 of a bias
    "seanet_transpose_conv_int16x8": "transpose_conv.cc",  # weights in another order than the kernel's
}
"""What LiteRT refuses: a part of its own words."""

REFUSED = {
    "mobilenet_v2_edgetpu": "edgetpu-custom-op",
    "person_detect_ethosu": "ethos-u",
    "nl_classifier_customops": "CUSTOM_OP_STRING_TO_FLOATS",
    "sentencepiece_flex": "FlexSentencepieceOp",
    "whitespace_tokenizer_flex": "FlexUnicodeDecodeWithOffsets",
}
"""What has no meaning in PyTorch, as LiteRT has none: the first operator."""

FAR_IN_REAL_NUMBERS = {
    # Its SVDF saturates its 16-bit state, as reference/svdf.h does with every product; real numbers go on.
    "keyword_scrambled_svdf": "operators[1] SVDF",
}
"""Quantized models whose real numbers are far from the integers: the operator, and why."""


def names() -> list[str]:
    folder = Path(__file__).parents[3] / "shared" / "models"
    return sorted(path.stem for path in folder.glob("*.tflite"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run side by side; each with all the machine's threads would be slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", [name for name in names() if name not in REFUSED])
def test_in_real_numbers(shared: Path, name: str) -> None:
    found = compare(shared / f"models/{name}.tflite")
    assert found.first_divergence is None, found.reason
    if name in NOT_RUN:
        assert found.verdict == "not comparable"
        assert NOT_RUN[name] in found.reason
    elif name in FAR_IN_REAL_NUMBERS:
        assert found.verdict == "not comparable"
        assert FAR_IN_REAL_NUMBERS[name] in found.reason
        assert "quantization steps" in found.reason
    else:
        assert found.verdict == "same", found.reason
        assert all(row.ok for row in found.tensors)


@pytest.mark.parametrize("name", list(REFUSED))
def test_without_a_meaning(shared: Path, name: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match=REFUSED[name]):
        compare(shared / f"models/{name}.tflite")


def quantized_names() -> list[str]:
    folder = Path(__file__).parents[3] / "shared" / "models"
    chosen = [name for name in names() if name not in REFUSED and name not in NOT_RUN]
    return [name for name in chosen if has_quantized(unlite.open(folder / f"{name}.tflite"))]


def has_quantized(model: unlite.Model) -> bool:
    return any(is_quantized(tensor) for graph in model.subgraphs for tensor in graph.tensors)


@pytest.mark.parametrize("name", quantized_names())
def test_exact(shared: Path, name: str) -> None:
    """Every quantized tensor equals the reference kernels' in every element; what is real is within its floor."""
    found = compare(shared / f"models/{name}.tflite", quantized="exact")
    assert found.verdict == "same", found.reason
    assert all(row.differing == 0 for row in found.tensors if row.is_exact)


@pytest.mark.parametrize("name", ["mobilenet_v1_025_uint8", "mnist_conv_fc_int8"])
def test_exact_against_the_default_kernels(shared: Path, name: str) -> None:
    """XNNPACK rounds differently; the report says that this is all."""
    found = compare(shared / f"models/{name}.tflite", quantized="exact", kernels="default")
    assert found.verdict == "same", found.reason
    rounded = [row for row in found.tensors if row.is_rounding]
    assert all(row.steps is not None and row.steps <= row.floor for row in rounded)
    if rounded:
        assert "as LiteRT's own two kernels do" in found.reason
