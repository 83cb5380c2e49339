"""A Core ML package in the evaluator: every tensor of the file that its program has a value for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from unlite.comparison.candidate import Candidate, file_values, input_for, output_from
from unlite.comparison.names import REQUANTIZE, from_metadata
from unlite.comparison.torch_run import carried
from unlite.errors import InvalidTypeError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from unlite.model.objects.subgraph import Subgraph

    Array = NDArray[Any]

RUNTIME = "the Core ML program, evaluated in PyTorch"
HALF_STEPS = 8 / 2048
"""How far a value may be from its operator's meaning in float16, as a part of its range: its own rounding is 1 / 2048,
and the operator's constants are rounded too."""


def run_coreml(package: Any, subgraph: Subgraph, inputs: Sequence[Array]) -> Candidate:
    """Runs the program of a package on a ``.tflite``'s inputs: its meaning, not Apple's runtime.

    On a Mac, Apple's runtime runs it too, and gives the outputs; the values on the way are the evaluation's, so that
    the last operators are compared between the two.

    Args:
        package: A path, or coremltools' ``MLModel`` that was saved or loaded.
        subgraph: What it was made from.
        inputs: Stored values, in the file's order.

    Raises:
        UnsupportedFormatError: it is no ML program, or it wants other inputs.
        UnsupportedOperatorError: the evaluator does not know an operator of it.
    """
    from unlite.coreml.evaluate import Program
    from unlite.coreml.predict import can_predict, predict

    path = os.fspath(package) if isinstance(package, (str, os.PathLike)) else getattr(package, "package_path", None)
    if not isinstance(path, str):
        raise InvalidTypeError("the MLModel lies in no folder yet: save it, and compare with the path.")
    program = Program(path)
    ends, places = from_metadata(program.metadata, path)
    layouts = {(end["kind"], end["index"]): end["layout"] for end in ends}
    tensors = subgraph.inputs
    if len(program.inputs) != len(tensors) or len(program.outputs) < len(subgraph.outputs):
        raise UnsupportedFormatError(
            f"has {len(program.inputs)} inputs and {len(program.outputs)} outputs, the .tflite has {len(tensors)} and "
            f"{len(subgraph.outputs)}.",
            file=path,
        )
    is_ours = bool(ends) and all("feature" in end for end in ends)  # then the package says how pictures become pixels
    if is_ours:
        reals = [carried(stored, tensor, True).numpy() for stored, tensor in zip(inputs, tensors, strict=True)]
        given = program.feed(reals)
    else:
        given = {
            name: input_for(tensor, stored, shape, layouts.get(("input", place)), floats=True)
            for place, ((name, shape), tensor, stored) in enumerate(
                zip(program.inputs.items(), tensors, inputs, strict=True)
            )
        }
    wanted = set(places) or {tensor.name for tensor in subgraph.tensors}
    results = program.run(given, tensors="all")
    if can_predict():
        predicted = predict(program, given)
        results.update({name: value.reshape(results[name].shape) for name, value in predicted.items()})
    outputs: list[Array | None] = (
        [*program.results(results)]
        if is_ours
        else [
            output_from(results[name], tensor.shape, layouts.get(("output", place)))
            for place, (name, tensor) in enumerate(zip(program.outputs, subgraph.outputs, strict=False))
        ]
    )
    named = {name: value for name, value in results.items() if name in wanted}
    rounding = HALF_STEPS if "fp16" in program.types() else 0.0
    rounds = program.metadata.get(REQUANTIZE) == "round"
    return Candidate(RUNTIME, file_values(subgraph, named, places, outputs), rounding=rounding, rounds=rounds)
