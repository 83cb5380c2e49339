"""Runs every example as its reader would: ``python run.py face.tflite``, in an empty folder that holds the model.

``expected.txt`` beside ``run.py`` is what it prints (both streams); ``...`` in it: see ``transcript.py``. The last
line may be ``exit 1``, for a program that ends so.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.transcript import matches, run

EXAMPLES = sorted(Path(__file__).parents[1].glob("examples/*/run.py"))


MODELS = {"05_mnist_to_coreml": "mnist_conv_fc_fp32.tflite"}
"""Examples that want another model than the face detector: which one of the shared models."""


@pytest.mark.parametrize("program", EXAMPLES, ids=lambda program: program.parent.name)
def test_example(program: Path, face: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    name = MODELS.get(program.parent.name)
    model = face if name is None else request.getfixturevalue("shared") / "models" / name
    shutil.copyfile(model, tmp_path / "face.tflite")
    expected = program.with_name("expected.txt").read_text(encoding="utf-8")
    ending = re.search(r"^exit (\d+)\s*\Z", expected, re.MULTILINE)
    output, code = run([str(program), "face.tflite"], tmp_path)
    assert code == int(ending[1] if ending else 0), output
    assert matches(expected[: ending.start()] if ending else expected, output), output


def test_numbered_examples_have_a_name() -> None:
    """examples/NN_name/, so that they are read in their order; the demo stands for itself."""
    for program in EXAMPLES:
        assert re.fullmatch(r"\d\d_[a-z0-9_]+|demo", program.parent.name), program
