"""``to_onnx``: a model as an ONNX graph, made by PyTorch's own exporter from the converted module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidValueError, MissingExtraError
from unlite.model.model import open_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx
    import onnx_ir as ir

    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph

QUANTIZED = ("qdq", "float", "exact")
LAYOUTS = ("nchw", "nhwc")


def to_onnx(
    model: Any,
    *,
    quantized: str | None = None,
    real_io: bool = False,
    layout: str = "nchw",
    signature: str | None = None,
    subgraph: int = 0,
    custom: Mapping[str, Callable[..., Any]] | None = None,
) -> onnx.ModelProto:
    """A model as an ONNX model of standard operators, opset 21.

    Values bear the names of the file's tensors. ``metadata_props`` has what the file says of itself, and under
    ``unlite.io`` and ``unlite.tensors`` (JSON) which layout the inputs and outputs have, and which value is which
    tensor of the file. What the model remembers from run to run becomes inputs, which have the initial values where
    they are left out, and outputs of the same name with ``.next`` behind it.

    Args:
        model: A Model, a path, or bytes.
        quantized: What becomes of quantized tensors. ``"qdq"``: QuantizeLinear and DequantizeLinear with the file's
            scales stand around operators on real numbers, and weights stay as small as they are in the file.
            ``"float"``: nothing is rounded, weights are float32. ``"exact"``: integer arithmetic as LiteRT's reference
            kernels do it, bit for bit, slower. Float models are the same in all three. None: ``"exact"`` where
            activations are real and kernels quantize them on the way (dynamic range), ``"qdq"`` elsewhere.
        real_io: Quantized inputs and outputs become real numbers, float32; else they keep the file's type.
        layout: ``"nchw"``: pictures have their channels first, inside and, where convolutions reach them, at inputs and
            outputs. ``"nhwc"``: the file's order.
        signature: Key of the signature to convert; it names a subgraph.
        subgraph: Index of the subgraph to convert.
        custom: Functions for custom operators, as ``to_torch`` takes them.

    Returns:
        The model; ``onnx.checker`` has accepted it.

    Raises:
        UnsupportedOperatorError: operators that cannot be expressed; all of them are listed.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    check_installed()
    from unlite.onnx.files import checked_proto

    opened = open_model(model)
    graph = opened.signatures[signature].subgraph if signature is not None else opened.subgraphs[subgraph]
    made = to_ir(opened, graph, quantized=quantized, real_io=real_io, layout=layout, custom=custom)
    return checked_proto(made)


def check_installed() -> None:
    """Raises MissingExtraError where a library is missing."""
    from importlib.util import find_spec

    for library, extra in (("torch", "torch"), ("onnx", "onnx"), ("onnxscript", "onnx")):
        if find_spec(library) is None:
            raise MissingExtraError(library, extra=extra, purpose="converting to ONNX")


def to_ir(
    model: Model,
    graph: Subgraph,
    *,
    quantized: str | None = None,
    real_io: bool = False,
    layout: str = "nchw",
    custom: Mapping[str, Callable[..., Any]] | None = None,
) -> ir.Model:
    """What ``to_onnx`` gives, as onnx_ir has it: weights are not copied yet."""
    from unlite.onnx.ends import prepare
    from unlite.onnx.export import export
    from unlite.onnx.names import give_initial_values, give_names
    from unlite.onnx.opsets import opset_of
    from unlite.onnx.optimize import optimize
    from unlite.onnx.properties import describe
    from unlite.onnx.quantization import quantize_ends, store_constants
    from unlite.onnx.scores import keep_digits
    from unlite.pytorch.carrying import quantizes_inside
    from unlite.pytorch.complex_parts import take_parts_first
    from unlite.pytorch.module import to_torch

    if quantized is None:
        quantized = "exact" if quantizes_inside(graph) else "qdq"
    if quantized not in QUANTIZED:
        raise InvalidValueError(f"quantized={quantized!r} is not there; it is one of {', '.join(QUANTIZED)}.")
    if layout not in LAYOUTS:
        raise InvalidValueError(f"layout={layout!r} is not there; it is 'nchw' or 'nhwc'.")
    module = to_torch(
        model,
        quantized="exact" if quantized == "exact" else "float",
        requantize="round" if quantized == "qdq" else "none",
        layout=layout,
        subgraph=graph.index,
        custom=custom,
    )
    facts = module.meta["unlite.io"]
    take_parts_first(module)
    keep_digits(module)
    ends = prepare(module, graph)
    made = export(module, ends, graph, opset_of(graph))
    names = give_names(made, ends, graph)
    store_constants(made, names, integers=quantized == "qdq")
    if not real_io:
        quantize_ends(made, names, graph)
    optimize(made)
    give_initial_values(made, ends)
    describe(made, model, facts, names.places)
    made.metadata_props["unlite.requantize"] = "round" if quantized == "qdq" else "none"
    return made
