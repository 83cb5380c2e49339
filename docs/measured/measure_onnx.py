"""Which operators reach ONNX: ``python docs/measured/measure_onnx.py [CASE ...]`` writes ``onnx.json`` beside itself.

Float cases of the operator suite (no strings, no control flow) are converted and run in ONNX Runtime; an operator
passes when one of its cases gives what LiteRT gave, within the suite's own tolerance. Cases of which all operators have
passed already are not run. The suite lies in ``../shared/opsuite`` beside the checkout. About five minutes on one core.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from tests.onnx.running import run_file
from tests.pytorch.suite import FLOAT_KINDS, SUITE, all_cases, tolerance

from unlite.errors import UnliteError
from unlite.model.model import open_model
from unlite.onnx.convert import to_ir
from unlite.onnx.files import write

CONTROL = {"WHILE", "IF", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_CASE"}
RESULT = Path(__file__).with_name("onnx.json")


def chosen() -> list[dict[str, Any]]:
    """The cases that count."""
    return [
        case
        for case in all_cases().values()
        if case["score"]
        and case["kind"] in FLOAT_KINDS
        and "STRING" not in case["tensor_types"]
        and not CONTROL & set(case["ops"])
    ]


def outcome(case: dict[str, Any], folder: str) -> str:
    """ "" where a case passes, else why it does not."""
    arrays = np.load(SUITE / case["io"], allow_pickle=False)
    model = open_model(SUITE / case["model"])
    path = os.path.join(folder, "case.onnx")
    try:
        write(to_ir(model, model.main), path)
    except UnliteError as error:
        return str(error).splitlines()[0][:300]
    results = run_file(path, [arrays[entry["key"]] for entry in case["inputs"]])
    for entry, result in zip(case["outputs"], results, strict=False):
        expected = arrays[entry["key"]]
        if result.shape != expected.shape:
            return f"{entry['name']}: shape {list(result.shape)}, expected {list(expected.shape)}"
        if expected.dtype.kind in "fc":
            both = np.isnan(expected) & np.isnan(result)
            with np.errstate(invalid="ignore"):
                apart = np.abs(np.where(both | (expected == result), 0, result - expected))
            if apart.size and not apart.max() <= tolerance(case):
                return f"{entry['name']}: {apart.max():.3g} apart, {tolerance(case):.3g} allowed"
        elif entry["quantization"][0]:  # a quantized end: one step is the noise of rounding
            if np.abs(result.astype(np.int64) - expected).max(initial=0) > 1:
                return f"{entry['name']}: more than one step apart"
        elif not np.array_equal(result, expected):
            return f"{entry['name']}: {np.count_nonzero(result != expected)} of {result.size} elements differ"
    return ""


def main() -> None:
    """Runs the cases and writes the result."""
    torch.set_num_threads(1)
    wanted = set(sys.argv[1:])
    cases = [case for case in chosen() if not wanted or case["id"] in wanted]
    passed: dict[str, list[str]] = {}
    failed: dict[str, dict[str, str]] = {}
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            operators = (*case["ops"], *case["custom_ops"])
            if not wanted and all(name in passed for name in operators):
                continue
            count += 1
            try:
                reason = outcome(case, folder)
            except Exception as error:  # noqa: BLE001 - one case must not end the run
                reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"
            for name in operators:
                if reason:
                    failed.setdefault(name, {})[case["id"]] = reason
                else:
                    passed.setdefault(name, []).append(case["id"])
            if reason:
                print(f"{case['id']}: {reason}", flush=True)
    names = sorted({*passed, *failed})
    print(f"{len(passed)} of {len(names)} operators pass, {count} cases")
    if not wanted:
        table = {
            name: {"passes": name in passed, "case": passed.get(name, [None])[0], "fails": failed.get(name, {})}
            for name in names
        }
        RESULT.write_text(json.dumps({"operators": table, "passing": len(passed)}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
