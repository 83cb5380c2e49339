"""What a user of the package writes must type-check, under mypy --strict and pyright's strict mode. Never run."""

# pyright: strict
from __future__ import annotations

import numpy as np

import unlite


def halve(model: unlite.Model, name: str) -> str:
    """Halves a constant; says how the file was saved."""
    tensor = model.main.tensors[name]
    tensor.data = tensor.dequantize() / np.float32(2)
    model.description = f"{tensor.name}, halved"
    how: str = model.save("halved.tflite").how
    return how


def rounded(model: unlite.Model) -> None:
    """Rounds all large buffers to multiples of 0.02."""
    for buffer in model.buffers:
        if buffer.data is not None and len(buffer.data) > 1024:
            values = np.frombuffer(buffer.data, np.float32)
            buffer.data = np.round(values / np.float32(0.02)) * np.float32(0.02)


def scale(model: unlite.Model) -> list[float]:
    """Scales of the first input."""
    quantization = model.main.inputs[0].quantization
    return [] if quantization is None else [float(value) for value in quantization.scale]
