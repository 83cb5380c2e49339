"""Which tensors of a model the entries of a file are: its constants by name, or the state of a converted network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidValueError, UnliteError
from unlite.model.formats.weights import LazyArrays, keyed_constants
from unlite.pytorch.origins import Origin, from_header, module_origins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unlite.model.formats.weights import Axes
    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph


def state_origins(
    model: Model, arrays: Mapping[str, Any], metadata: Mapping[str, str], file: str, axes: Axes | None = None
) -> dict[str, Origin | None]:
    """Key -> origin for the entries of a file; None for what several constants went into.

    Args:
        model: Where the entries are to go.
        arrays: The entries.
        metadata: Of the file's header; a folder that ``unlite convert`` wrote says there what is what.
        file: The file's name.
        axes: The order of the axes of constants by name, as for ``put_weights``.

    Raises:
        InvalidValueError: the entries are neither the model's constants nor the state of its conversion.
        UnsupportedFormatError: the header is damaged.
    """
    told = from_header(metadata, file)
    if told is not None:
        return {key: told[key] for key in arrays if key in told}
    constants = keyed_constants(model)
    if all(key in constants for key in arrays):
        tensors = {key: constants[key].tensor for key in arrays}
        orders = {key: None if axes is None else axes(tensor) for key, tensor in tensors.items()}
        return {
            key: Origin(tensor.subgraph.index, tensor.index, tensor.name, orders[key])
            for key, tensor in tensors.items()
        }
    unknown = [key for key in arrays if key not in constants]
    hint = "It is the state of no conversion of this model, either."
    fitting: list[dict[str, Origin | None]] = []
    for modes in MODES:
        try:
            fitting = [found for mode in modes for found in _fitting(model, arrays, mode)]
        except UnliteError as error:
            if modes is not MODES[0]:  # the usual conversion works; not every model has the others
                continue
            hint = f"The model cannot be converted, to see whether it is the state of its conversion: {error.message}"
        if fitting:
            break
    if not fitting:
        raise InvalidValueError(
            f"the weights do not fit the model: {len(unknown)} unknown to the model: "
            f"{', '.join(map(repr, unknown[:10]))}{', ...' if unknown[10:] else ''}.",
            file=file,
            hint=hint,
        )
    if any(found != fitting[0] for found in fitting):
        raise InvalidValueError(
            "the state fits several conversions of the model, with its axes in different orders.",
            file=file,
            hint="Put it back from Python: unlite.store_weights(model, module).",
        )
    return fitting[0]


MODES: tuple[tuple[dict[str, Any], ...], ...] = tuple(
    tuple({"layout": layout, **more} for layout in ("nchw", "nhwc"))
    for more in (
        {},
        {"quantized": "exact"},
        {"requantize": "round"},
        {"integer_io": True},
        {"requantize": "round", "integer_io": True},
    )
)
"""Conversions whose states are compared with the entries, the usual ones first; those of one row at the same time."""

PREFIXES = 3  # names in front of all keys that are taken off at most: of wrappers such as DataParallel, torch.compile


def _fitting(model: Model, arrays: Mapping[str, Any], mode: dict[str, Any]) -> list[dict[str, Origin | None]]:
    """The origins of a conversion's states, where the entries have their keys and shapes: as module, and as source."""
    from unlite.pytorch.module import to_torch
    from unlite.pytorch.source.write import written_state

    shapes = {key: _shape(arrays, key) for key in arrays}
    found: list[dict[str, Origin | None]] = []
    for graph in _entry_points(model):
        module = to_torch(model, subgraph=graph.index, **mode)
        state = {key: tuple(value.shape) for key, value in module.state_dict().items()}
        for wanted, origins in ((state, module_origins(module)), written_state(module, graph)):
            keys = _keys_in(shapes, wanted)
            if keys is not None:
                found.append({given: origins[key] for given, key in keys.items() if key in origins})
    return found


def _entry_points(model: Model) -> list[Subgraph]:
    """The subgraphs that are converted: the main one, and those that signatures name."""
    graphs = {model.main.index: model.main}
    for signature in model.signatures:
        graphs.setdefault(signature.subgraph.index, signature.subgraph)
    return list(graphs.values())


def _keys_in(shapes: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]) -> dict[str, str] | None:
    """Key of an entry -> key in the state, if all keys and shapes agree once common prefixes are taken off."""
    keys = {key: key for key in shapes}
    for _ in range(PREFIXES + 1):
        if set(keys.values()) == set(wanted):
            return keys if all(shapes[given] == wanted[key] for given, key in keys.items()) else None
        first = {key.partition(".")[0] for key in keys.values()}
        if len(first) != 1 or not all("." in key for key in keys.values()):
            return None
        keys = {given: key.partition(".")[2] for given, key in keys.items()}
    return None


def _shape(arrays: Mapping[str, Any], key: str) -> tuple[int, ...]:
    return tuple(arrays.shape_of(key) if isinstance(arrays, LazyArrays) else arrays[key].shape)
