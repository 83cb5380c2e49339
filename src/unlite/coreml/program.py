"""A module exported by PyTorch, and converted by coremltools to an ML program."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from unlite.coreml.control_flow import take_apart
from unlite.coreml.library import load_coremltools, quiet, unchecked_steps
from unlite.coreml.marks import Marks, mark_tensors
from unlite.coreml.translations import translations
from unlite.coreml.weights import compression
from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.exported import without_decompositions
from unlite.pytorch.mistakes import is_own_mistake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import fx

    from unlite.coreml.ends import Ends
    from unlite.coreml.weights import Scheme
    from unlite.model.objects.subgraph import Subgraph

FAILURES = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, AssertionError)
MOST = 1024
"""The largest size of an axis that the file leaves open; an ML program has to have one."""
TYPES = {torch.int64: "int32", torch.int32: "int32", torch.int16: "int32", torch.int8: "int32", torch.uint8: "int32"}


def convert(
    module: fx.GraphModule,
    graph: Subgraph,
    ends: Ends,
    *,
    target: str,
    precision: str,
    labels: Sequence[str] | None,
    known: Sequence[Scheme],
) -> Any:
    """The module as an MLModel; ``unlite.tensors`` is among its metadata.

    Raises:
        UnsupportedOperatorError: PyTorch cannot export it, or coremltools cannot express what it exported.
    """
    ct = load_coremltools("converting to Core ML")
    marks = Marks(mark_tensors(module))
    module.recompile()
    settings = _Settings(ct, graph, ends, marks, target, precision, labels, known)
    if ends.free:
        try:
            return _made(_export(module, graph, ends, free=True), settings)
        except UnsupportedOperatorError:
            ends.free.clear()  # what follows from a free size is more than an ML program can say: sizes as in the file
    return _made(_export(module, graph, ends), settings)


class _Settings(NamedTuple):
    """What ``convert`` was told."""

    ct: Any
    graph: Subgraph
    ends: Ends
    marks: Marks
    target: str
    precision: str
    labels: Sequence[str] | None
    known: Sequence[Scheme]


def _made(exported: Any, settings: _Settings) -> Any:
    ct, graph, ends, marks, target, precision, labels, known = settings
    functions = take_apart(exported)
    with quiet(), translations(marks, functions), compression(known) as compress:
        pipeline = ct.PassPipeline()
        pipeline.remove_passes({"common::fuse_conv_scale"})  # it would make new weights of those that are compressed
        pipeline.append_pass(compress)
        try:
            with unchecked_steps():
                made = ct.convert(
                    exported,
                    inputs=[_input(ct, ends, place) for place in range(len(ends.inputs))],
                    outputs=[ct.TensorType(name=name) for name in ends.outputs],
                    convert_to="mlprogram",
                    minimum_deployment_target=getattr(ct.target, target),
                    compute_precision=ct.precision.FLOAT16 if precision == "float16" else ct.precision.FLOAT32,
                    classifier_config=None if labels is None else _classifier(ct, ends, labels),
                    pass_pipeline=pipeline,
                    skip_model_load=True,
                )
            made._mil_program.validate()
        except FAILURES as error:
            if is_own_mistake(error):
                raise
            raise _unsupported(graph, "coremltools cannot express it", error) from error
    names = marks.names(made._mil_program.functions["main"])
    made._mil_program = None  # else saving writes, beside the program, what its debugger knows of it
    made.user_defined_metadata["unlite.tensors"] = json.dumps({name: list(place) for name, place in names.items()})
    return made


def _export(module: fx.GraphModule, graph: Subgraph, ends: Ends, *, free: bool = False) -> Any:
    """The exported program. With ``free`` the sizes that the file leaves open stay open, where that is possible."""
    examples = list(ends.examples)
    shapes: tuple[dict[int, Any], ...] | None = None
    if free:
        automatic: Any = torch.export.Dim.AUTO
        for place, axes in ends.free.items():
            sizes = [max(size, 2) if axis in axes else size for axis, size in enumerate(examples[place].shape)]
            examples[place] = torch.zeros(sizes, dtype=examples[place].dtype)  # PyTorch takes a 1 for a fixed size
        shapes = tuple(dict.fromkeys(ends.free.get(place, ()), automatic) for place in range(len(examples)))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about PyTorch's own ways
        try:
            exported = torch.export.export(module, tuple(examples), dynamic_shapes=shapes)
            exported = without_decompositions(exported)
        except FAILURES as error:
            if is_own_mistake(error):
                raise
            raise _unsupported(graph, "PyTorch cannot export it", error) from error
    if free:
        _settle(exported, graph, ends)
    return exported


def _settle(exported: Any, graph: Subgraph, ends: Ends) -> None:
    """Keeps as free what the exported program has as free."""
    given = [node.meta["val"] for node in exported.graph.nodes if node.op == "placeholder"][-len(ends.inputs) :]
    for place, axes in list(ends.free.items()):
        kept = tuple(axis for axis in axes if not isinstance(given[place].shape[axis], int))
        fixed = [axis for axis in axes if axis not in kept]
        if any(given[place].shape[axis] != ends.examples[place].shape[axis] for axis in fixed):
            raise UnsupportedOperatorError("a size is not free.", operators=(), path=graph.path)
        ends.free[place] = kept


def _unsupported(graph: Subgraph, what: str, error: Exception) -> UnsupportedOperatorError:
    first = (str(error).strip().splitlines() or [""])[0]
    return UnsupportedOperatorError(
        f"{what}: {type(error).__name__}: {first}", operators=(graph.path,), path=graph.path
    )


def _input(ct: Any, ends: Ends, place: int) -> Any:
    example, name = ends.examples[place], ends.inputs[place]
    picture = ends.pictures.get(place)
    if picture is None:
        import numpy as np

        dtype = np.int32 if example.dtype in TYPES or example.dtype == torch.bool else np.float32
        free = ends.free.get(place, ())
        shape = [
            ct.RangeDim(lower_bound=1, upper_bound=max(MOST, size), default=size) if axis in free else size
            for axis, size in enumerate(example.shape)
        ]
        return ct.TensorType(name=name, shape=shape, dtype=dtype)
    is_folded = len(set(picture.scale)) > 1
    layout = ct.colorlayout[picture.color]
    bias = [0.0] * picture.channels if is_folded else list(picture.bias)
    return ct.ImageType(
        name=name,
        shape=tuple(example.shape),
        color_layout=layout,
        scale=1.0 if is_folded else picture.scale[0],
        bias=bias if picture.channels == 3 else bias[0],
    )


def _classifier(ct: Any, ends: Ends, labels: Sequence[str]) -> Any:
    return ct.ClassifierConfig(
        list(labels), predicted_feature_name="classLabel", predicted_probabilities_output=ends.outputs[0]
    )
