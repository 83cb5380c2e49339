"""Every scored case of the operator suite, once.

A case mostly holds several operators, so it is not run by the test of each family. To see one family's cases:
``pytest tests/pytorch/test_suite.py -k RESIZE_BILINEAR``. What the suite leaves out stands in the family's own test,
``tests/pytorch/ops/test_FAMILY.py``.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.pytorch.suite import (
    FLOAT_KINDS,
    QUANTIZED_KINDS,
    all_cases,
    cases,
    check_case,
    check_exact_case,
    has_no_values,
)

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")


@pytest.mark.parametrize("case", cases(kinds=FLOAT_KINDS))
def test_float(case: dict[str, Any]) -> None:
    check_case(case)


@pytest.mark.parametrize("case", cases(kinds=QUANTIZED_KINDS))
def test_exact(case: dict[str, Any]) -> None:
    """All are judged by the kernels that the suite names: the reference's, or those that LiteRT has instead."""
    check_exact_case(case)


def test_no_quantized_case_is_left_out() -> None:
    scored = {name for name, case in all_cases().items() if case["score"] and case["kind"] not in FLOAT_KINDS}
    if not scored:
        pytest.skip("../shared/opsuite is not there")
    assert {parameter.values[0]["id"] for parameter in cases(kinds=QUANTIZED_KINDS)} == scored


def test_no_case_is_left_out() -> None:
    """All scored float cases are above, but for strings, hash tables, and one whose ends are quantized."""
    scored = {name for name, case in all_cases().items() if case["score"] and case["kind"] in FLOAT_KINDS}
    if not scored:
        pytest.skip("../shared/opsuite is not there")
    run = {parameter.values[0]["id"] for parameter in cases(kinds=FLOAT_KINDS)}
    left = {name for name in scored - run if not has_no_values(all_cases()[name])}
    assert left == {"h_densify_add_int8"}
    assert len(run) >= 0.95 * len(scored)
