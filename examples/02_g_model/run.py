"""I only have a g_model[] array: how do I change it? Usage: run.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import unlite

STEP = 0.02


def sine(model: unlite.Model, x: np.ndarray) -> np.ndarray:
    """What the network computes, in NumPy: two layers, and nothing below zero between them."""
    w1, b1, w2, b2 = (model.main.tensors[i].numpy() for i in (1, 2, 4, 5))
    return (np.maximum(x[:, None] @ w1.T + b1, 0) @ w2.T + b2)[:, 0]


def describe(model: unlite.Model) -> None:
    x = np.linspace(0, 2 * np.pi, 1000, dtype="f4")
    values = np.concatenate([t.numpy().ravel() for t in model.main.tensors if t.is_constant])
    error = abs(sine(model, x) - np.sin(x)).max()
    print(f"{np.unique(values).size} different weights, off the sine by {error:.3f} at most")


print("== The array in")
text = Path(__file__).with_name("g_model.cc").read_text()
print(text[: text.index("{") + 1].splitlines()[-1], "...")
model = unlite.from_c_array(text)
print(model.description)

print("\n== A look at it")
for operator in model.main.operators:
    print(operator.name, *operator.inputs, "->", *operator.outputs)
print("buffers of", [b.nbytes for b in model.buffers], "bytes; metadata:", *model.metadata)
describe(model)

print(f"\n== All weights to multiples of {STEP}")
for b in model.buffers:
    if b.data is not None and len(b.data) > 16:  # so that min_runtime_version, which is text, stays
        b.data = np.round(np.frombuffer(b.data, "f4") / STEP).astype("f4") * np.float32(STEP)
describe(model)

print("\n== The array out")
Path("g_model.cc").write_text(unlite.to_c_array(model, "g_model"))
again = unlite.from_c_array(Path("g_model.cc").read_text())
describe(again)
errors = [finding for finding in again.verify() if finding.severity == "error"]
print(f"{again.file.size} bytes, as before: {len(errors)} errors")
