"""Which operators reach Core ML: ``python docs/measured/measure_coreml.py [CASE ...]`` writes ``coreml.json`` here.

Float cases of the operator suite (no strings, no control flow) are converted, computed in float32, saved, and the saved
programs evaluated; an operator passes when one of its cases gives what LiteRT gave, within the suite's own tolerance.
Cases of which all operators have passed already are not run, and of one set of operators five at most. The suite lies
in ``../shared/opsuite`` beside the checkout. About five minutes on one core.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from tests.coreml.running import run_package, saved
from tests.pytorch.suite import FLOAT_KINDS, SUITE, all_cases, tolerance

from unlite.errors import UnliteError
from unlite.model.model import open_model

CONTROL = {"WHILE", "IF", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_CASE"}
RESULT = Path(__file__).with_name("coreml.json")
MOST_CASES = 5


def chosen() -> list[dict[str, Any]]:
    """The cases that count."""
    return [
        case
        for case in all_cases().values()
        if case["score"]
        and case["kind"] in FLOAT_KINDS
        and "STRING" not in case["tensor_types"]
        and not any(end["quantization"][0] for end in (*case["inputs"], *case["outputs"]))
        and not CONTROL & set(case["ops"])
    ]


def outcome(case: dict[str, Any]) -> str:
    """ "" where a case passes, else why it does not."""
    arrays = np.load(SUITE / case["io"], allow_pickle=False)
    model = open_model(SUITE / case["model"])
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = saved(model, Path(folder), precision="float32")
            results = run_package(program, model.main.inputs, [arrays[entry["key"]] for entry in case["inputs"]])
        except UnliteError as error:
            return error.message.splitlines()[0][:300]
    for entry, result in zip(case["outputs"], results, strict=True):
        expected = arrays[entry["key"]]
        if result.shape != expected.shape:
            return f"{entry['name']}: shape {list(result.shape)}, expected {list(expected.shape)}"
        if expected.dtype.kind == "f":
            same = (np.isnan(expected) & np.isnan(result)) | (expected == result)
            with np.errstate(invalid="ignore"):
                apart = np.abs(np.where(same, 0, result - np.where(same, 0, expected)))
            apart = np.where(same, 0, apart)
            if apart.size and not apart.max() <= tolerance(case):
                return f"{entry['name']}: {apart.max():.3g} apart, {tolerance(case):.3g} allowed"
        elif not np.array_equal(result.astype(np.int64), expected.astype(np.int64)):
            return f"{entry['name']}: {np.count_nonzero(result != expected)} of {result.size} elements differ"
    return ""


def main() -> None:
    """Runs the cases and writes the result."""
    torch.set_num_threads(1)
    wanted = set(sys.argv[1:])
    cases = [case for case in chosen() if not wanted or case["id"] in wanted]
    passed: dict[str, list[str]] = {}
    failed: dict[str, dict[str, str]] = {}
    tried: Counter[tuple[str, ...]] = Counter()
    for case in cases:
        operators = (*case["ops"], *case["custom_ops"])
        tried[operators] += 1
        if not wanted and (all(name in passed for name in operators) or tried[operators] > MOST_CASES):
            continue
        try:
            reason = outcome(case)
        except Exception as error:  # noqa: BLE001 - one case must not end the run
            reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"
        for name in operators:
            if reason:
                failed.setdefault(name, {})[case["id"]] = reason
            else:
                passed.setdefault(name, []).append(case["id"])
        print(f"{case['id']}: {reason or 'passes'}", flush=True)
    names = sorted({*passed, *failed})
    print(f"{len(passed)} of {len(names)} operators pass")
    if not wanted:
        table = {
            name: {"passes": name in passed, "case": passed.get(name, [None])[0], "fails": failed.get(name, {})}
            for name in names
        }
        RESULT.write_text(json.dumps({"operators": table, "passing": len(passed)}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
