"""Which tensor of the file each entry of a converted module's state is, and how to turn its values back.

A lowered module knows it from its graph. Written folders carry it in the header of ``model.safetensors`` under
``unlite.places``: JSON of key -> [subgraph, tensor, axes].
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import InvalidValueError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import fx

    from unlite.pytorch.constants import Constant

PLACES = "unlite.places"
"""Key of the header of a model.safetensors."""
MOST_AXES = 64  # NumPy's own limit


class Origin(NamedTuple):
    """The tensor of the file that an entry of a state is.

    Attributes:
        subgraph, tensor: Indices in the file.
        name: The tensor's name; None where only the indices are known.
        axes: The entry is the tensor permuted by them; longer than the tensor's shape where axes of size 1 were put in
            front first. None: as in the file.
    """

    subgraph: int
    tensor: int
    name: str | None = None
    axes: tuple[int, ...] | None = None


def module_origins(module: fx.GraphModule) -> dict[str, Origin | None]:
    """Key -> origin for the constants of a module from ``to_torch``; None for what several constants went into."""
    turned: dict[str, tuple[int, ...]] = module.meta.get("unlite.axes", {})
    found: dict[str, Origin | None] = {}
    for node in module.graph.nodes:
        constant: Constant | None = node.meta.get("constant") if node.op == "get_attr" else None
        if constant is not None:
            key = str(node.target)
            tensor = constant.source
            if tensor is None:
                found[key] = None
            else:
                axes = _joined(constant.axes, turned.get(key), len(tensor.shape))
                found[key] = Origin(tensor.subgraph.index, tensor.index, tensor.name, axes)
    return found


def _joined(first: tuple[int, ...], then: tuple[int, ...] | None, rank: int) -> tuple[int, ...] | None:
    """Two permutations as one; the second may put axes of size 1 in front."""
    first = first or tuple(range(rank))
    if then is not None:
        more = len(then) - rank
        first = tuple(axis if axis < more else more + first[axis - more] for axis in then)
    return None if first == tuple(range(rank)) else first


def to_header(origins: Mapping[str, Origin | None]) -> str:
    """What ``from_header`` reads."""
    places = {
        key: None if origin is None else [origin.subgraph, origin.tensor, origin.axes]
        for key, origin in origins.items()
    }
    return json.dumps(places, separators=(",", ":"))


def from_header(metadata: Mapping[str, str], file: str) -> dict[str, Origin | None] | None:
    """Key -> origin; None where the header does not tell.

    Raises:
        UnsupportedFormatError: it is there, and is not of that form.
    """
    if PLACES not in metadata:
        return None
    try:
        stored = json.loads(metadata[PLACES])
        return {str(key): None if place is None else _origin(*place) for key, place in stored.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UnsupportedFormatError(
            f"its header {PLACES!r} is damaged: {type(error).__name__}: {error}.", file=file, hint="Convert again."
        ) from error


def _origin(subgraph: Any, tensor: Any, axes: Any) -> Origin:
    for index in (subgraph, tensor, *(axes or ())):
        if not isinstance(index, int) or isinstance(index, bool) or index < 0:
            raise ValueError(f"{index!r:.40} is no index")
    if axes is not None and (len(axes) > MOST_AXES or sorted(axes) != list(range(len(axes)))):
        raise ValueError(f"{axes!r:.40} is no permutation")
    return Origin(subgraph, tensor, None, None if axes is None else tuple(axes))


def folder_origins(network: torch.nn.Module) -> dict[str, Origin | None] | None:
    """Key -> origin for a network out of a folder that ``unlite convert`` wrote; None for any other.

    It is empty where the folder's ``model.safetensors`` does not tell, since something else was saved over it.

    Raises:
        UnsupportedFormatError: that file cannot be read.
    """
    names: dict[str, Any] = getattr(type(network).forward, "__globals__", {})
    path, loader = names.get("WEIGHTS"), names.get("load")
    if not isinstance(path, os.PathLike) or loader is None or names.get(type(network).__name__) is not type(network):
        return None
    from safetensors import SafetensorError, safe_open

    file = os.fspath(path)
    try:
        with safe_open(file, framework="np") as opened:
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UnsupportedFormatError(f"cannot be read: {error}.", file=file) from error
    return from_header(metadata, file) or {}


def in_file_order(values: NDArray[Any], shape: tuple[int, ...], axes: tuple[int, ...] | None) -> NDArray[np.generic]:
    """Values of an entry as the tensor of that shape has them; the reverse of permuting it by ``axes``.

    Raises:
        InvalidValueError: there are fewer or more of them.
    """
    import numpy as np

    longer = (1,) * (len(axes) - len(shape)) + shape if axes is not None else shape
    if values.size != int(np.prod(shape, dtype=np.int64)) or (axes is not None and len(axes) != len(longer)):
        raise InvalidValueError(f"{list(values.shape)} does not fit the tensor's {list(shape)}")
    if axes is None:
        return values.reshape(shape)
    turned = values.reshape(tuple(longer[axis] for axis in axes))
    plain: NDArray[Any] = turned.transpose(np.argsort(axes))
    return plain.reshape(shape)
