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
    custom: Mapping[str, Callable[..., Any]] | None = None,
) -> fx.GraphModule:
    """A model as a ``torch.fx.GraphModule`` of plain torch calls.

    Args:
        model: A Model, a path, or bytes.
        quantized: ``"float"``: quantized tensors become real numbers, weights are dequantized and trainable.
        layout: ``"nhwc"``: every tensor keeps the file's shape. ``"nchw"``: pictures have their channels first, inside
            and, where convolutions reach them, at the inputs and outputs.
        signature: Key of the signature to convert; it names a subgraph.
        subgraph: Index of the subgraph to convert.
        custom: Functions for custom operators, by custom code. Each is called as the built-in ones are: the inputs in
            order, and the keyword ``options``.

    Returns:
        The module. Call it with the inputs in the file's order; one output comes as a tensor, several as a tuple. Its
        ``meta["unlite.io"]`` says of each input and output which layout it has, see ``layout.record_ends``.

    Raises:
        UnsupportedOperatorError: operators without a meaning here; all of them are listed.
    """
    from unlite.pytorch.layout import record_ends, to_channels_first
    from unlite.pytorch.lower import Lowering

    if quantized != "float":
        raise InvalidValueError(f"quantized={quantized!r} is not there yet; it is 'float'.")
    if layout not in ("nhwc", "nchw"):
        raise InvalidValueError(f"layout={layout!r} is not there; it is 'nhwc' or 'nchw'.")
    opened = open_model(model)
    graph = opened.signatures[signature].subgraph if signature is not None else opened.subgraphs[subgraph]
    module = Lowering(graph, custom).run()
    record_ends(module, graph)
    if layout == "nchw":
        to_channels_first(module)
    return module
