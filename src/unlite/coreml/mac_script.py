"""A script and its data that replay a comparison on a Mac, where Apple's runtime is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from unlite.comparison.inputs import graph_of, make_inputs
from unlite.comparison.litert import NotRunnable, run_litert
from unlite.comparison.torch_run import carried
from unlite.coreml.evaluate import Program
from unlite.errors import InvalidValueError
from unlite.model.formats.weight_files import write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unlite.model.model import Model

    Array = NDArray[Any]

SCRIPT = '''"""Runs a Core ML package on a Mac, and tells how far it is from what is expected of it.

    pip install coremltools numpy pillow
    python {name} [{package}]

{data} holds the inputs, what LiteRT gave for them ("litert/..."), and what the evaluation of the program gave without
Apple's runtime ("evaluated/...").
"""

import pathlib
import sys

import coremltools
import numpy

here = pathlib.Path(__file__).resolve().parent
package = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / {package!r}
with numpy.load(here / {data!r}) as stored:
    data = dict(stored)
model = coremltools.models.MLModel(str(package))
inputs = {{name[len("input/"):]: data[name] for name in data if name.startswith("input/")}}
for feature in model.get_spec().description.input:
    if feature.type.WhichOneof("Type") == "imageType":
        from PIL import Image

        pixels = inputs[feature.name][0].transpose(1, 2, 0).round().clip(0, 255).astype("uint8")
        inputs[feature.name] = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
state = model.make_state() if model.get_spec().description.state else None
results = model.predict(inputs, state=state) if state is not None else model.predict(inputs)
wrong = 0
for name in data:
    side, _, output = name.partition("/")
    if side == "input":
        continue
    value = results.get(output)
    if value is None:  # a classifier gives its scores by label
        value = list(next(value for value in results.values() if isinstance(value, dict)).values())
    expected = data[name]
    apart = float(numpy.abs(numpy.asarray(value, "f8").reshape(expected.shape) - expected).max(initial=0))
    span = float(numpy.abs(expected).max(initial=0)) or 1.0
    fine = apart <= {allowed!r} * span
    wrong += not fine
    told = "" if fine else "  <-- too far"
    print(f"{{side:10}} {{output}}: {{apart:.3g}} apart, {{apart / span:.3g}} of its range{{told}}")
sys.exit(1 if wrong else 0)
'''
ALLOWED = {"float16": 0.02, "float32": 1e-4}
"""How far an output may be from what is expected, as a part of its range."""


def write_script(
    model: Model, written: str, script: str, *, package: str, signature: str | None = None, seed: int = 0
) -> None:
    """Writes ``script``, and beside it the data: the same name ending in ``.npz``.

    Args:
        model: What was converted.
        written: Where the package lies now.
        script: Path of the script, ending in ``.py``.
        package: Path that the package will have.
        signature: Key of the signature that was converted.
        seed: Of the random inputs.
    """
    if not script.endswith(".py"):
        raise InvalidValueError("the script's name ends in .py.", file=script)
    graph = graph_of(model, signature)
    values = make_inputs(model, seed=seed, signature=signature)
    program = Program(written)
    inputs = program.feed([carried(value, t, True).numpy() for value, t in zip(values, graph.inputs, strict=True)])
    for fact in program.ends():
        if fact.get("image"):  # Apple's pictures have whole pixels
            inputs[fact["feature"]] = np.clip(np.round(inputs[fact["feature"]]), 0, 255)
    arrays: dict[str, Array] = {f"input/{name}": value for name, value in inputs.items()}
    evaluated = program.run(inputs)
    arrays.update({f"evaluated/{name}": evaluated[name] for name in program.outputs})
    if not any(fact.get("image") for fact in program.ends()):
        answer = run_litert(model, values, tensors=[t.index for t in graph.outputs], signature=signature)
        if not isinstance(answer, NotRunnable):
            ends = [fact for fact in program.ends() if fact["kind"] == "output"]
            arrays.update({f"litert/{end['feature']}": _as_given(graph, answer, end) for end in ends})
    precision = "float16" if any(t == "fp16" for t in program.types()) else "float32"
    data = f"{script[:-3]}.npz"
    write_file(data, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]  # no name is allow_pickle
    text = SCRIPT.format(
        name=os.path.basename(script),
        data=os.path.basename(data),
        package=os.path.relpath(package, os.path.dirname(script) or ".").replace("\\", "/"),
        allowed=ALLOWED[precision],
    )
    write_file(script, lambda file: file.write(text.encode()))


def _as_given(graph: Any, answer: Any, end: dict[str, Any]) -> Array:
    """An output of LiteRT as the program gives it: real numbers, in its layout."""
    tensor = graph.outputs[end["index"]]
    value: Array = carried(answer.tensors[tensor.index], tensor, True).numpy()
    if end["layout"] == "NCHW" and value.ndim == 4:
        value = value.transpose(0, 3, 1, 2)
    return value.reshape(1) if end["layout"] == "SCALAR" else value
