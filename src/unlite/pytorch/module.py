"""``to_torch``: a model as a PyTorch module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidValueError
from unlite.model.model import open_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import fx


def to_torch(
    model: Any,
    *,
    quantized: str = "float",
    layout: str = "nhwc",
    signature: str | None = None,
    subgraph: int = 0,
    integer_io: bool = False,
    requantize: str = "none",
    custom: Mapping[str, Callable[..., Any]] | None = None,
    limit: int | str | None = None,
) -> fx.GraphModule:
    """A model as a ``torch.fx.GraphModule`` of plain torch calls.

    Args:
        model: A Model, a path, or bytes.
        quantized: ``"float"``: quantized tensors become real numbers, weights are dequantized and trainable.
            ``"exact"``: quantized tensors are their integers, in and out, and every one agrees bit for bit with
            LiteRT's reference kernels. On a model without quantized tensors both are the same.
        layout: ``"nhwc"``: every tensor keeps the file's shape. ``"nchw"``: pictures have their channels first, inside
            and, where convolutions reach them, at the inputs and outputs.
        signature: Key of the signature to convert; it names a subgraph.
        subgraph: Index of the subgraph to convert.
        integer_io: With ``quantized="float"``: quantized inputs and outputs are integers, as in the file.
        requantize: With ``quantized="float"``: ``"round"`` puts values on the file's grid wherever an operator gives a
            quantized tensor (gradients pass through); ``"none"`` leaves them real.
        custom: Functions for custom operators, by custom code. Each is called as the built-in ones are: the inputs in
            order, and the keyword ``options``.
        limit: Bytes of memory that the model may ask for, as for ``unlite.open``.

    Returns:
        The module. Call it with the inputs in the file's order; one output comes as a tensor, several as a tuple. Its
        ``meta["unlite.io"]`` says of each input and output which layout it has, see ``layout.record_ends``.

    Raises:
        UnsupportedOperatorError: operators without a meaning here; all of them are listed.
        MemoryLimitError: a tensor, or all constants together, would take more memory than the model may ask for.
    """
    from unlite.pytorch.carrying import Carrying
    from unlite.pytorch.layout.channels_first import record_ends, to_channels_first
    from unlite.pytorch.lower import lowered

    _check_choice("quantized", quantized, ("float", "exact"))
    _check_choice("layout", layout, ("nhwc", "nchw"))
    _check_choice("requantize", requantize, ("none", "round"))
    if quantized == "exact" and (integer_io or requantize != "none"):
        raise InvalidValueError("integer_io and requantize are for quantized='float'; 'exact' is integers throughout.")
    opened = open_model(model, limit=limit)
    graph = opened.signatures[signature].subgraph if signature is not None else opened.subgraphs[subgraph]
    carrying = Carrying(exact=quantized == "exact", rounds=requantize == "round", integer_ends=integer_io)
    module = lowered(graph, custom, carrying)
    module.meta["unlite.quantized"] = quantized
    record_ends(module, graph)
    if layout == "nchw":
        to_channels_first(module)
    return module


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidValueError(f"{name}={value!r} is not there; it is {' or '.join(map(repr, choices))}.")
