"""Which operators reach ONNX: ``python docs/measured/measure_onnx.py [CASE ...]`` writes ``onnx.json`` beside itself.

Float cases of the operator suite (``operator_cases.py``) are converted and run in ONNX Runtime. About five minutes on
one core.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from operator_cases import SUITE, difference, float_cases, measure, stored
from tests.onnx.running import run_file

from unlite.model.model import open_model
from unlite.onnx.convert import to_ir
from unlite.onnx.files import write


def outcome(case: dict[str, Any]) -> str:
    """ "" where a case passes, else why it does not."""
    arrays = stored(case)
    model = open_model(SUITE / case["model"])
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "case.onnx"))
        write(to_ir(model, model.main), path)
        return difference(case, run_file(path, [arrays[entry["key"]] for entry in case["inputs"]]))


if __name__ == "__main__":
    measure(outcome, float_cases(), Path(__file__).with_name("onnx.json"))
