"""Functions of constants by name, such as ``round(x, 0.02)``: a fixed set, read by a small parser, never as code."""

from __future__ import annotations

import re
from math import isinf, isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import InvalidTypeError, InvalidValueError
from unlite.model.values.dtypes import elements
from unlite.model.values.requantize import half_away, has_real_values, limits, stored_values

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from unlite.model.objects.tensor import Tensor

MOST_STEPS = 16


class Step(NamedTuple):
    """One function with its arguments; the values come first."""

    name: str
    arguments: tuple[float, ...]


def _round(x: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    import numpy as np

    return np.rint(x / step) * step


def _clip(x: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    import numpy as np

    return np.clip(x, low, high)


def _zero(x: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.zeros_like(x)


def _prune(x: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    import numpy as np

    return np.where(np.abs(x) < threshold, 0.0, x)


FUNCTIONS: dict[str, tuple[Callable[..., NDArray[Any]], tuple[str, ...], str]] = {
    "round": (_round, ("step",), "multiples of step, halves to the even one"),
    "clip": (_clip, ("low", "high"), "nothing below low or above high"),
    "scale": (lambda x, factor: x * factor, ("factor",), "times factor"),
    "add": (lambda x, value: x + value, ("value",), "plus value"),
    "zero": (_zero, (), "zeros"),
    "prune": (_prune, ("threshold",), "0 where the magnitude is below threshold"),
    "float16": (lambda x: x.astype("f2").astype("f8"), (), "what half precision holds of them"),
}
"""Name -> what it computes (in double precision), its arguments behind x, and what comes out."""


def usage() -> str:
    """All functions, for messages."""
    return ", ".join(f"{name}({', '.join(('x', *arguments))})" for name, (_, arguments, _) in FUNCTIONS.items())


def parse(text: str) -> list[Step] | None:
    """The steps of ``outer(inner(x, 1), 2)``, the innermost first; None where the text is no call of a function.

    Raises:
        InvalidValueError: it looks like a call, but there is no such function, or its arguments do not fit.
    """
    head = re.match(r"(?:\s*[A-Za-z_]\w*\s*\()+", text)
    if head is None:
        return None
    names = [name.strip() for name in head[0].split("(")[:-1]]
    tail = text[head.end() :]
    if len(names) > MOST_STEPS:
        raise InvalidValueError(f"more than {MOST_STEPS} functions inside one another.")
    steps: list[Step] = []
    rest = re.match(r"\s*x\s*", tail)
    at = rest.end() if rest is not None else 0
    for name in reversed(names):
        arguments = re.compile(r"((?:,[^(),]*)*)\)\s*").match(tail, at)
        if rest is None or arguments is None:
            raise InvalidValueError(f"{text!r:.80} cannot be read.", hint=f"Functions are: {usage()}.")
        steps.append(_step(name, [part.strip() for part in arguments[1].split(",")[1:]]))
        at = arguments.end()
    if tail[at:].strip():
        raise InvalidValueError(f"behind the function stands {tail[at:].strip()!r:.40}.", hint="One function is all.")
    return steps


def _step(name: str, arguments: list[str]) -> Step:
    if name not in FUNCTIONS:
        raise InvalidValueError(f"there is no function {name!r}.", hint=f"There are: {usage()}.")
    _, wanted, _ = FUNCTIONS[name]
    if len(arguments) != len(wanted):
        raise InvalidValueError(f"{name} wants {', '.join(('x', *wanted))}; {len(arguments)} arguments stand behind x.")
    numbers: list[float] = []
    for what, text in zip(wanted, arguments, strict=True):
        try:
            number = float(text)
        except ValueError:
            raise InvalidValueError(f"the {what} of {name} is a number, not {text!r:.40}.") from None
        if isnan(number) or (isinf(number) and what not in ("low", "high")):
            raise InvalidValueError(f"the {what} of {name} cannot be {text}.")
        if what in ("step", "threshold") and number <= 0:
            raise InvalidValueError(f"the {what} of {name} is more than 0, not {text}.")
        numbers.append(number)
    if name == "clip" and numbers[0] > numbers[1]:
        raise InvalidValueError(f"clip wants low <= high, not {numbers[0]} and {numbers[1]}.")
    return Step(name, tuple(numbers))


def apply(tensor: Tensor, steps: list[Step]) -> tuple[NDArray[np.generic], int]:
    """The stored values after the functions, and how many of them had to be clipped to what the type holds.

    They see real values: of a quantized tensor the dequantized ones, and its own scale takes the results back. An
    integer tensor without a scale stands for its integers, and results are rounded.

    Raises:
        NoDataError: the tensor holds no constant.
        InvalidTypeError: its elements are no numbers.
        InvalidValueError: a result is too large for its type.
    """
    import numpy as np

    if tensor.is_sparse:  # few bytes may stand for many values: stored ones, and two arrays in double precision
        limit = tensor.subgraph.model.memory_limit()
        limit.check(24 * elements(tensor.shape), "a sparse tensor in double precision", tensor.path)
    stored = tensor.numpy()
    if stored.dtype.kind not in "iuf" and "FLOAT" not in tensor.dtype:
        raise InvalidTypeError(f"functions work on numbers, not on {tensor.dtype}.", path=tensor.path)
    real = has_real_values(tensor)
    values = np.asarray(stored if not real or "FLOAT" in tensor.dtype else tensor.dequantize(), np.float64)
    for step in steps:
        function, _, _ = FUNCTIONS[step.name]
        with np.errstate(over="ignore", invalid="ignore"):
            after = function(values, *step.arguments)
        lost = np.isfinite(values) & ~np.isfinite(after)
        if lost.any():
            raise InvalidValueError(f"{step.name} makes {np.count_nonzero(lost)} values too large.", path=tensor.path)
        values = after
    if real:
        return stored_values(tensor, values)
    low, high = limits(tensor)
    rounded = half_away(values)
    clipped = int(np.count_nonzero((rounded < low) | (rounded > high)))
    with np.errstate(invalid="ignore"):
        whole = np.where(rounded >= float(high), high, np.clip(rounded, low, high).astype(stored.dtype))
    return np.where(values == stored, stored, whole.astype(stored.dtype)), clipped
