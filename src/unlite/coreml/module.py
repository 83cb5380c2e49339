"""``to_coreml``: a model as an ML program, made by coremltools from the converted module."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from unlite.coreml.library import load_coremltools
from unlite.errors import InvalidValueError, MissingExtraError, UnsupportedOperatorError
from unlite.model.model import open_model

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from torch import fx

    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph

PRECISIONS = ("float16", "float32")
TARGETS = ("iOS16", "iOS17", "iOS18")
LAYOUTS = ("auto", "file")
STATES = "iOS18"
"""The first target that has states."""


def to_coreml(
    model: Any,
    *,
    images: Any = None,
    class_labels: str | os.PathLike[str] | Sequence[str] | bool | None = None,
    precision: str = "float16",
    minimum_deployment_target: str | None = None,
    io_layout: str = "auto",
    requantize: str | None = None,
    signature: str | None = None,
    subgraph: int = 0,
    custom: Mapping[str, Callable[..., Any]] | None = None,
) -> Any:
    """A model as a Core ML model, an ML program.

    Quantized inputs and outputs are their real numbers, float32; scale and zero point stand in the metadata. Resource
    variables and variable tensors become states, which are float16 in Core ML. Weights stay as small as they are in the
    file: float16, 8-bit integers, sparse.

    User-defined metadata: ``unlite.io``, a list of what the inputs and outputs are (``layout.record_ends``, with
    ``feature``, the name in the program, and ``zero_point``); ``unlite.tensors``, value of the program -> [subgraph,
    tensor index, order of its axes or null]; ``unlite.requantize``, as the argument.

    Args:
        model: A Model, a path, or bytes.
        images: Inputs that take pictures: their names, or name -> ``ImageInput`` or a dict of ``color``, ``scale``,
            ``bias`` (``pixel * scale + bias``); True for the only input. Such an input is [1, C, H, W].
            Scale and bias come from the model's metadata where they are not given.
        class_labels: Labels of the first output, for a classifier: a file of lines, a sequence, or True for the file of
            labels inside the model.
        precision: What is computed in: ``"float16"`` or ``"float32"``. Inputs and outputs are float32 in both.
        minimum_deployment_target: ``"iOS16"``, ``"iOS17"`` or ``"iOS18"`` (macOS 13, 14, 15); None for the lowest that
            the model needs: iOS18 for one with states, iOS17 where values are rounded, else iOS16.
        io_layout: ``"auto"``: pictures at inputs and outputs have their channels first where convolutions reach them.
            ``"file"``: inputs and outputs have the file's shapes.
        requantize: ``"round"``: values of quantized tensors are rounded to the file's steps, as in ``to_torch``, and
            end nearer to the file's; ``"none"``: they stay real numbers, which asks less of the device. None:
            ``"round"`` where values on the way are quantized.
        signature: Key of the signature to convert; it names a subgraph.
        subgraph: Index of the subgraph to convert.
        custom: Functions for custom operators, as ``to_torch`` takes them.

    Returns:
        A ``coremltools.models.MLModel``; ``save("name.mlpackage")`` writes it. It is not loaded into Apple's runtime.

    Raises:
        UnsupportedOperatorError: operators that have no meaning here, or that coremltools cannot express.
        InvalidValueError: an option that does not fit the model.
        MissingExtraError: torch or coremltools is not installed.
    """
    _check(precision=(precision, PRECISIONS), io_layout=(io_layout, LAYOUTS))
    if minimum_deployment_target not in (None, *TARGETS):
        _check(minimum_deployment_target=(minimum_deployment_target, TARGETS))
    _check_installed()
    from unlite.coreml.descriptions import describe
    from unlite.coreml.ends import prepare
    from unlite.coreml.images import pictures
    from unlite.coreml.labels import labels_of
    from unlite.coreml.program import convert
    from unlite.coreml.weights import schemes
    from unlite.pytorch.complex_parts import take_parts_first
    from unlite.pytorch.module import to_torch

    opened = open_model(model)
    graph = opened.signatures[signature].subgraph if signature is not None else opened.subgraphs[subgraph]
    taken = pictures(opened, graph, images)
    labels = labels_of(opened, graph, class_labels)
    if requantize is None:
        requantize = "round" if _is_quantized(graph) else "none"
    module = to_torch(opened, layout="nchw", subgraph=graph.index, custom=custom, requantize=requantize)
    take_parts_first(module)
    target = _target(opened, graph, module, minimum_deployment_target, rounds=requantize == "round")
    ends = prepare(module, graph, taken, file_layout=io_layout == "file")
    made = convert(module, graph, ends, target=target, precision=precision, labels=labels, known=schemes(opened))
    made.user_defined_metadata["unlite.io"] = json.dumps(ends.facts)
    made.user_defined_metadata["unlite.requantize"] = requantize
    describe(made, opened, graph, ends)
    return made


def _check(**values: tuple[Any, tuple[str, ...]]) -> None:
    for name, (value, known) in values.items():
        if value not in known:
            raise InvalidValueError(f"{name}={value!r} is not one of {', '.join(known)}.")


def _check_installed() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtraError("torch", extra="torch", purpose="converting to Core ML")
    load_coremltools("converting to Core ML")


def _is_quantized(graph: Subgraph) -> bool:
    """Whether values on the way, and not weights alone, are quantized."""
    tensors = (
        tensor for tensor in graph.tensors if not tensor.is_constant and tensor.dtype in ("INT8", "UINT8", "INT16")
    )
    return any(tensor.quantization is not None and tensor.quantization.scale for tensor in tensors)


def _target(model: Model, graph: Subgraph, module: fx.GraphModule, asked: str | None, *, rounds: bool) -> str:
    """The deployment target. Raises UnsupportedOperatorError where states have no place."""
    import torch

    states: dict[str, Any] = module.meta.get("unlite.state", {})
    if not states:
        return asked or (TARGETS[1] if rounds else TARGETS[0])
    buffers = {key: module.get_buffer(key) for key in states}
    whole = [key for key, buffer in buffers.items() if buffer.dtype not in (torch.float32, torch.float16)]
    if whole:
        raise UnsupportedOperatorError(
            f"the model remembers whole numbers, and Core ML's states are float16: {', '.join(whole)}.",
            operators=tuple(whole),
            file=model.file.name,
            path=graph.path,
        )
    started = [key for key, initial in states.items() if bool(torch.count_nonzero(initial))]
    if started:
        raise UnsupportedOperatorError(
            f"the model remembers values that are not zero before the first run, and Core ML's states start as zeros: "
            f"{', '.join(started)}.",
            operators=tuple(started),
            file=model.file.name,
            path=graph.path,
        )
    if asked not in (None, STATES):
        raise UnsupportedOperatorError(
            f"the model remembers {', '.join(states)}; Core ML has states from {STATES} on.",
            operators=tuple(states),
            file=model.file.name,
            path=graph.path,
            hint=f"Convert it with --minimum-deployment-target {STATES}.",
        )
    return STATES
