"""Fixtures that every test may ask for: real models, and where they lie."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[1]

# How sums are shared among threads decides over their last bits, and in a quantized network over whole steps.
os.environ["OMP_NUM_THREADS"] = "1"

# The machine's speed is no property of the code. In CI the same examples are tried each time, so that a change is
# judged by what it changes.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data beside the checkout: models/, opsuite/, malformed/, schemas/ and others."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared, the models for tests, is not there")
    return folder


@pytest.fixture(scope="session")
def models(shared: Path) -> list[Path]:
    """The real models, sorted by name."""
    return sorted((shared / "models").glob("*.tflite"))


@pytest.fixture(scope="session")
def face() -> Path:
    """BlazeFace (164 operators, float16 weights): from ../shared, else the copy that `make demo` fetches."""
    places = ROOT.parent / "shared/models/blazeface_front_fp16.tflite", ROOT / ".venv/demo/face.tflite"
    for place in places:
        if place.is_file():
            return place
    pytest.skip("no model: neither ../shared nor .venv/demo/face.tflite is there")
