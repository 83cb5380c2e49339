"""What the operators of an ML program mean, in PyTorch: name of the MIL operator -> function.

A function takes the operator's inputs by their MIL names: tensors, strings, tuples of tensors, None for what is left
out. It computes in float32 where the program has float16; the evaluator rounds the result to the type that the program
declares. What an operator means is documented in coremltools, coremltools/converters/mil/mil/ops/defs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.coreml.mil import elementwise, gathering, movement, reducing, windows

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES = (elementwise, gathering, movement, reducing, windows)


def _joined() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for family in FAMILIES:
        twice = found.keys() & family.OPERATORS.keys()
        if twice:
            raise ValueError(f"two meanings of {', '.join(sorted(twice))}")
        found.update(family.OPERATORS)
    return found


OPERATORS = _joined()
