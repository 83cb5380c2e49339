"""Cases of the operator suite put through another format, and which operators got there: for the scripts beside it.

An operator passes when one of its cases gives what LiteRT gave, within the suite's own tolerance. Cases of which all
operators have passed already are not run. The suite lies in ``../shared/opsuite`` beside the checkout.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from tests.pytorch.suite import FLOAT_KINDS, SUITE, all_cases, tolerance

from unlite.errors import UnliteError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


def float_cases() -> list[dict[str, Any]]:
    """The scored cases in real numbers, without strings."""
    return [
        case
        for case in all_cases().values()
        if case["score"] and case["kind"] in FLOAT_KINDS and "STRING" not in case["tensor_types"]
    ]


def has_quantized_ends(case: dict[str, Any]) -> bool:
    """Whether an input or output is stored as integers that stand for real numbers."""
    return any(end["quantization"][0] for end in (*case["inputs"], *case["outputs"]))


def stored(case: dict[str, Any]) -> Any:
    """The arrays of a case, by key."""
    return np.load(SUITE / case["io"], allow_pickle=False)


def difference(case: dict[str, Any], results: Sequence[NDArray[Any]]) -> str:
    """ "" where the results are what LiteRT gave, else how far off the first one is that is not."""
    arrays = stored(case)
    for entry, result in zip(case["outputs"], results, strict=True):
        expected = arrays[entry["key"]]
        if result.shape != expected.shape:
            return f"{entry['name']}: shape {list(result.shape)}, expected {list(expected.shape)}"
        if expected.dtype.kind in "fc":
            same = (np.isnan(expected) & np.isnan(result)) | (expected == result)
            with np.errstate(invalid="ignore"):
                apart = np.where(same, 0, np.abs(result - expected)).max(initial=0)
            if not apart <= tolerance(case):
                return f"{entry['name']}: {apart:.3g} apart, {tolerance(case):.3g} allowed"
            continue
        steps = np.abs(result.astype(np.int64) - expected.astype(np.int64))
        noise = 1 if entry["quantization"][0] else 0  # what rounding at a quantized end makes
        if steps.max(initial=0) > noise:
            return f"{entry['name']}: {np.count_nonzero(steps)} of {result.size} elements differ"
    return ""


def first_line(error: Exception) -> str:
    """What an error says, without the file that it says it of."""
    if isinstance(error, UnliteError):
        return error.message.splitlines()[0][:300]
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"


def measure(
    outcome: Callable[[dict[str, Any]], str], cases: list[dict[str, Any]], file: Path, most: int | None = None
) -> None:
    """Runs the cases, or those named in the command, and writes which operators pass.

    Args:
        outcome: Says of a case "" where it passes, else why it does not.
        cases: The cases.
        file: Where the result goes; nowhere where cases were named.
        most: How many cases of one set of operators are run at most.
    """
    torch.set_num_threads(1)
    wanted = set(sys.argv[1:])
    passed: dict[str, list[str]] = {}
    failed: dict[str, dict[str, str]] = {}
    tried: Counter[tuple[str, ...]] = Counter()
    for case in cases:
        operators = (*case["ops"], *case["custom_ops"])
        if wanted and case["id"] not in wanted:
            continue
        tried[operators] += 1
        if not wanted and (all(name in passed for name in operators) or (most and tried[operators] > most)):
            continue
        try:
            reason = outcome(case)
        except Exception as error:  # noqa: BLE001 - one case must not end the run
            reason = first_line(error)
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
        file.write_text(json.dumps({"operators": table, "passing": len(passed)}, indent=1) + "\n", encoding="utf-8")
