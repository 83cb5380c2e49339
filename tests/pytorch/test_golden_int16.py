"""Golden outputs of TensorFlow Lite Micro's int16 operators, by files and answers of its makers: every element.

The files come with the tests of tflite-micro's SEANet; the manifest names the commit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import run

import unlite
from unlite.model.model import open_model

GOLDEN = Path(__file__).parents[3] / "shared/golden_int16"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "manifest.json").read_bytes()) if GOLDEN.exists() else []

pytestmark = pytest.mark.skipif(not CASES, reason="../shared/golden_int16 is not there")


def numbers(name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """A file of numbers, as a tensor."""
    found = np.array((GOLDEN / name).read_text().replace(",", " ").split(), dtype=np.int64)
    return found.astype(dtype.lower()).reshape(shape)


@pytest.mark.parametrize("case", CASES, ids=[case["file"] for case in CASES])
def test_every_element_is_the_golden_one(case: dict[str, Any]) -> None:
    model = open_model(GOLDEN / case["file"])
    graph = model.subgraphs[0]
    inputs = [
        numbers(name, tensor.dtype, tensor.shape)
        for name, tensor in zip(case["golden"]["inputs"], graph.inputs, strict=True)
    ]
    (result,) = run(unlite.to_torch(model, quantized="exact"), *inputs)
    golden = numbers(case["golden"]["output"], graph.outputs[0].dtype, tuple(result.shape))
    np.testing.assert_array_equal(result.numpy(), golden)
