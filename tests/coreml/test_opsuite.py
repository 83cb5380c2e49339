"""A sample of the operator suite as ML programs: of every fourth operator that passes one case, and OWN.

All of it is measured by docs/measured/measure_coreml.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.coreml.running import run_package, saved
from tests.pytorch.suite import SUITE, all_cases, tolerance

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
pytest.importorskip("coremltools", reason="coremltools is not installed (extra 'coreml')")

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
"""coremltools leaves a temporary folder to the garbage collector."""

OWN = (
    *("h_bucketize_i32", "h_reduce_window_max", "h_shlo_gather", "h_shlo_pad_neg", "matrix_diag__05_float"),
    *("reverse_sequence__03_float", "segment_sum__r01_float"),
    *("cond__03_float", "h_shlo_case_1", "h_while_loop", "h_while_zero_trip"),
)
"""What coremltools does not translate, and is translated here."""
MEASURED = Path(__file__).parents[2] / "docs" / "measured" / "coreml.json"


def sample() -> list[Any]:
    """Cases of the suite."""
    operators = json.loads(MEASURED.read_text(encoding="utf-8"))["operators"]
    passing = sorted({facts["case"] for facts in operators.values() if facts["passes"]})
    named = dict.fromkeys([*passing[::4], *OWN])
    known = all_cases()
    found = [pytest.param(known[name], id=name) for name in named if name in known]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="../shared/opsuite is not there"))]


@pytest.mark.parametrize("case", sample())
def test_case(case: dict[str, Any], tmp_path: Path) -> None:
    from unlite.model.model import open_model

    arrays = np.load(SUITE / case["io"], allow_pickle=False)
    model = open_model(SUITE / case["model"])
    program = saved(model, tmp_path, precision="float32")
    results = run_package(program, model.main.inputs, [arrays[entry["key"]] for entry in case["inputs"]])
    for entry, result in zip(case["outputs"], results, strict=True):
        expected = arrays[entry["key"]]
        assert result.shape == expected.shape
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance(case))
        else:
            np.testing.assert_array_equal(result.astype(np.int64), expected.astype(np.int64))
