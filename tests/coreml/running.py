"""Models converted, saved and evaluated, and how far the outputs are from LiteRT's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unlite.comparison.inputs import make_inputs
from unlite.comparison.litert import LiteRT, NotRunnable
from unlite.comparison.torch_run import carried
from unlite.coreml.evaluate import Program
from unlite.coreml.module import to_coreml
from unlite.model.model import open_model


def saved(model: Any, folder: Path, **options: Any) -> Program:
    """The model's package, written and read again."""
    path = folder / "model.mlpackage"
    to_coreml(model, **options).save(str(path))
    return Program(path)


def run_package(program: Program, tensors: Any, stored: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs, in the file's order and shapes, for the file's stored inputs."""
    reals = [carried(values, tensor, True).numpy() for values, tensor in zip(stored, tensors, strict=True)]
    return program.results(program.run(program.feed(reals)))


def litert_outputs(model: Any, stored: list[np.ndarray]) -> dict[str, list[np.ndarray] | None]:
    """Outputs of LiteRT's reference and default kernels; None where they do not run."""
    outputs = [tensor.index for tensor in model.main.outputs]
    found: dict[str, list[np.ndarray] | None] = {}
    with LiteRT(model) as judge:
        for kernels in ("reference", "default"):
            judge.ask(stored, outputs, kernels=kernels)
            answer = judge.answer()
            found[kernels] = None if isinstance(answer, NotRunnable) else [answer.tensors[i] for i in outputs]
    return found


def past_floor(tensor: Any, reference: np.ndarray, other: np.ndarray, value: np.ndarray, times: float = 1.0) -> str:
    """ "" where an output is within so many times its floor, else how far off it is.

    Quantized: in steps, within 1 or what LiteRT's own kernels differ by. Real: within 5e-6 of the range, or 4 times
    what the kernels differ by. Other integers: equal.
    """
    if value.shape != reference.shape:
        return f"shape {value.shape}, expected {reference.shape}"
    wanted, between = reference.astype("f8"), np.abs(reference.astype("f8") - other.astype("f8")).max(initial=0)
    quantization = tensor.quantization
    if reference.dtype.kind in "iu" and quantization is not None and quantization.scale:
        limits = np.iinfo(reference.dtype)
        zero = quantization.zero_point[0] if quantization.zero_point else 0
        steps = np.clip(np.round(value / np.float32(quantization.scale[0])) + zero, limits.min, limits.max)
        apart, floor = np.abs(steps - wanted).max(initial=0), max(1, between)
    elif reference.dtype.kind == "f":
        span = max(wanted.max(initial=0), 0) - min(wanted.min(initial=0), 0)
        apart, floor = np.abs(value.astype("f8") - wanted).max(initial=0), max(5e-6 * span, 4 * between)
    else:
        apart, floor = np.abs(value.astype("f8") - wanted).max(initial=0), 0
    return "" if apart <= floor * times else f"{apart:.3g} apart, {floor:.3g} allowed"


def judged(path: Path, folder: Path, *, times: float = 1.0, **options: Any) -> list[str]:
    """What is past so many times its floor among a real model's outputs; computed in float32."""
    model = open_model(path)
    stored = make_inputs(model)
    expected = litert_outputs(model, stored)
    reference = expected["reference"] or expected["default"]
    assert reference is not None, "LiteRT does not run it"
    other = expected["default"] or reference
    program = saved(model, folder, precision="float32", **options)
    results = run_package(program, model.main.inputs, stored)
    found = zip(model.main.outputs, reference, other, results, strict=True)
    return [reason for tensor, a, b, value in found if (reason := past_floor(tensor, a, b, value, times))]
