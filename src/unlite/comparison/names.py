"""Which tensor of the file a value of a converted model is: written by the converters, read by the comparison.

An ONNX file holds it in ``metadata_props``, a Core ML package in ``user_defined_metadata``, under the same two keys:

``unlite.io``
    JSON of ``module.meta["unlite.io"]``, see ``pytorch/layout/channels_first.py``: what each input and output is.
``unlite.tensors``
    JSON of ``{value: [subgraph, tensor, axes]}``. A value of that name is this tensor of the file, permuted by ``axes``
    (null: in the file's order), see ``pytorch/layout/axis_orders.py``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import fx

IO, TENSORS, REQUANTIZE = "unlite.io", "unlite.tensors", "unlite.requantize"
MOST_AXES = 16


class Place(NamedTuple):
    """A tensor of the file, in an order of its axes.

    Attributes:
        subgraph, tensor: Indices in the file.
        axes: The value is the file's tensor permuted by them; longer than the file's shape where axes of size 1 were
            put in front first. None: in the file's order.
    """

    subgraph: int
    tensor: int
    axes: tuple[int, ...] | None = None


def node_places(node: fx.Node) -> Iterator[Place]:
    """Which tensors of the file a node of a lowered module is; the first is the one it was made for."""
    axes = node.meta.get("axes")
    for subgraph, tensor in node.meta.get("tensors", ()):
        yield Place(subgraph, tensor, None if axes is None else tuple(axes))


def from_metadata(
    metadata: Mapping[str, str], file: str | None = None
) -> tuple[list[dict[str, Any]], dict[str, Place]]:
    """What a converter wrote: the ends, and name -> place. Both are empty where a file has none of it.

    Raises:
        UnsupportedFormatError: it is there, and is not of that form.
    """
    try:
        io = json.loads(metadata.get(IO, "[]"))
        stored = json.loads(metadata.get(TENSORS, "{}"))
        ends = [{**end, "index": _index(end["index"]), "layout": str(end["layout"])} for end in io]
        places = {
            str(name): Place(_index(subgraph), _index(tensor), None if axes is None else _permutation(axes))
            for name, (subgraph, tensor, axes) in stored.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UnsupportedFormatError(
            f"its metadata {IO!r} and {TENSORS!r} are damaged: {type(error).__name__}: {error}.",
            file=file,
            hint="Convert the model again, or remove these two entries.",
        ) from error
    return ends, places


def _index(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r:.40} is no index")
    return value


def _permutation(axes: Any) -> tuple[int, ...]:
    found = tuple(map(_index, axes))
    if len(found) > MOST_AXES or sorted(found) != list(range(len(found))):
        raise ValueError(f"{axes!r:.80} is no order of axes")
    return found


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The order that undoes another."""
    return tuple(axes.index(axis) for axis in range(len(axes)))


def end_axes(layout: str, rank: int) -> tuple[int, ...] | None:
    """The order of an input's or output's axes, from its ``layout`` in ``unlite.io``; None for the file's own."""
    return (0, rank - 1, *range(1, rank - 1)) if layout == "NCHW" and rank > 2 else None
