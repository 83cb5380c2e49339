"""ONNX files run by ONNX Runtime, on the file's own inputs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def session(model: Any) -> onnxruntime.InferenceSession:
    """A path or bytes, loaded."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_file(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs in the layout and with the types of the ``.tflite``; complex numbers as such."""
    runner = session(model)
    facts = json.loads(runner.get_modelmeta().custom_metadata_map["unlite.io"])
    ends = {kind: [fact for fact in facts if fact["kind"] == kind] for kind in ("input", "output")}
    given: dict[str, np.ndarray] = {}
    for stored, end, fact in zip(inputs, runner.get_inputs(), ends["input"], strict=True):
        value = np.stack([stored.real, stored.imag], -1) if stored.dtype.kind == "c" else stored
        given[end.name] = value.transpose(FIRST) if fact["layout"] == "NCHW" else value
    results = runner.run([end.name for end in runner.get_outputs()[: len(ends["output"])]], given)
    return [_as_in_file(value, fact) for value, fact in zip(results, ends["output"], strict=True)]


def _as_in_file(value: np.ndarray, fact: dict[str, Any]) -> np.ndarray:
    if fact["dtype"].startswith("COMPLEX"):
        return value[..., 0] + 1j * value[..., 1]
    return value.transpose(LAST) if fact["layout"] == "NCHW" else value
