"""The operator suite in ../shared/opsuite: its cases, and how one is judged."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SUITE = Path(__file__).parents[3] / "shared" / "opsuite"
FLOAT_KINDS = ("float", "fp16", "control", "stateful", "sparse")
QUANTIZED_KINDS = (
    *("int8", "int8_io", "int8_pertensor", "uint8_io", "int16x8", "int16x8_io"),
    *("int4", "int2", "dynrange", "weight_only8"),
)


@cache
def all_cases() -> dict[str, dict[str, Any]]:
    """Every case, by id; none on a machine without the suite."""
    manifest = SUITE / "manifest.json"
    return {case["id"]: case for case in json.loads(manifest.read_text())["cases"]} if manifest.is_file() else {}


def cases(*operators: str, kinds: tuple[str, ...] = FLOAT_KINDS) -> list[Any]:
    """Parameters for a test: the scored cases of those kinds in which any of the operators occurs; all, without any.

    The id of a case names its operators, so that ``-k CONV_2D`` picks those of one family. Strings and hash tables have
    no values in PyTorch; such models are refused, which tests of their own see to. A model with quantized ends takes
    and gives real numbers once converted, so that its stored integers are no expectation of the float kinds.
    """
    chosen = [
        case
        for case in all_cases().values()
        if case["score"]
        and case["kind"] in kinds
        and (not operators or _operators(case) & set(operators))
        and not has_no_values(case)
        and not (kinds == FLOAT_KINDS and any(end["quantization"][0] for end in (*case["inputs"], *case["outputs"])))
    ]
    if not chosen:
        return [pytest.param(None, marks=pytest.mark.skip(reason="../shared/opsuite is not there, or has no case"))]
    return [pytest.param(case, id=f"{case['id']}-{'+'.join(sorted(_operators(case)))}") for case in chosen]


def _operators(case: dict[str, Any]) -> set[str]:
    return set(case["ops"]) | set(case["custom_ops"])


def has_no_values(case: dict[str, Any]) -> bool:
    """Whether a model works on strings or hash tables."""
    return "STRING" in case["tensor_types"] or any(name.startswith("HASHTABLE") for name in case["ops"])


def tolerance(case: dict[str, Any]) -> float:
    """What a float output may differ by; the suite's own rule."""
    scale = max(case["expected_maxabs"] or 0.0, 1e-3)
    return (1e-4 if case["kind"] in FLOAT_KINDS else 0.03) * scale


def check_case(case: dict[str, Any], allowed: float | None = None, **options: Any) -> None:
    """Converts a case's model and compares all its outputs with what the suite expects.

    allowed: by how much a float output may differ, where that is not ``tolerance``. options: of ``to_torch``.
    """
    import torch

    import unlite

    module = unlite.to_torch(unlite.open(SUITE / case["model"]), **options)
    arrays = np.load(SUITE / case["io"], allow_pickle=False)
    with torch.no_grad():
        results = module(*(as_tensor(arrays[entry["key"]], entry["dtype"]) for entry in case["inputs"]))
    results = results if isinstance(results, tuple) else (results,)
    assert len(results) == len(case["outputs"])
    for entry, result in zip(case["outputs"], results, strict=True):
        judge(arrays[entry["key"]], result, tolerance(case) if allowed is None else allowed, entry["name"])


def check_exact_case(case: dict[str, Any]) -> None:
    """Converts a case's model with quantized="exact": integers are equal, real numbers within 1e-6 of their range."""
    largest = max(case["expected_maxabs"] or 0.0, 1e-3)
    check_case(case, allowed=1e-6 * largest, quantized="exact")


def as_tensor(array: Any, dtype: str) -> Any:
    """An array of the suite as a tensor; bfloat16 is stored as its bits."""
    import torch

    if dtype == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def judge(expected: Any, result: Any, allowed: float, name: str) -> None:
    """Integers and bools exact, NaN meets NaN, real and complex numbers within ``allowed``."""
    import torch

    if result.dtype is torch.bfloat16:
        result, expected = (
            result.float(),
            torch.from_numpy(expected.view(np.int16)).view(torch.bfloat16).float().numpy(),
        )
    actual = result.detach().numpy()
    assert actual.shape == expected.shape, f"{name}: shape {actual.shape}, expected {expected.shape}"
    if expected.dtype.kind in "fc":
        both = np.isnan(expected) & np.isnan(actual)
        with np.errstate(invalid="ignore"):
            distance = np.abs(np.where(both | (expected == actual), 0, actual - expected))
        assert not distance.size or np.max(distance) <= allowed, f"{name}: {np.max(distance)} apart, {allowed} allowed"
    else:
        assert np.array_equal(actual, expected), f"{name}: {np.count_nonzero(actual != expected)} elements differ"
