"""Which operators reach Core ML: ``python docs/measured/measure_coreml.py [CASE ...]`` writes ``coreml.json`` here.

Float cases of the operator suite (``operator_cases.py``) are converted, computed in float32, saved, and the saved
programs evaluated. Of one set of operators five cases are run at most. About five minutes on one core.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from operator_cases import SUITE, difference, float_cases, has_quantized_ends, measure, stored
from tests.coreml.running import run_package, saved

from unlite.model.model import open_model

MOST_CASES = 5


def outcome(case: dict[str, Any]) -> str:
    """ "" where a case passes, else why it does not."""
    arrays = stored(case)
    model = open_model(SUITE / case["model"])
    with tempfile.TemporaryDirectory() as folder:
        program = saved(model, Path(folder), precision="float32")
        given = [arrays[entry["key"]] for entry in case["inputs"]]
        return difference(case, run_package(program, model.main.inputs, given))


if __name__ == "__main__":
    cases = [case for case in float_cases() if not has_quantized_ends(case)]
    measure(outcome, cases, Path(__file__).with_name("coreml.json"), MOST_CASES)
