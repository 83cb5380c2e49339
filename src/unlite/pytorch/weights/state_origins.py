"""Which tensors of a model the entries of a file are: its constants by name, or the state of a converted network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidValueError, UnliteError
from unlite.model.formats.weights import LazyArrays, keyed_constants
from unlite.pytorch.weights.origins import Origin, from_header, module_origins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unlite.model.formats.weights import Axes
    from unlite.model.model import Model


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
    try:
        fitting = [found for layout in ("nhwc", "nchw") if (found := _fitting(model, arrays, layout))]
    except UnliteError as error:
        hint = f"The model cannot be converted, to see whether it is the state of its conversion: {error.message}"
    if not fitting:
        raise InvalidValueError(
            f"the weights do not fit the model: {len(unknown)} unknown to the model: "
            f"{', '.join(map(repr, unknown[:10]))}{', ...' if unknown[10:] else ''}.",
            file=file,
            hint=hint,
        )
    if any(found != fitting[0] for found in fitting):
        raise InvalidValueError(
            "the state fits both layouts of the conversion.",
            file=file,
            hint="Put it back from Python: unlite.store_weights(model, module).",
        )
    return fitting[0]


def _fitting(model: Model, arrays: Mapping[str, Any], layout: str) -> dict[str, Origin | None] | None:
    """The origins of a conversion's state, where the entries have its keys and shapes."""
    from unlite.pytorch.module import to_torch

    module = to_torch(model, layout=layout)
    state = module.state_dict()
    if set(arrays) != set(state):
        return None
    for key, value in state.items():
        shape = arrays.shape_of(key) if isinstance(arrays, LazyArrays) else arrays[key].shape
        if tuple(value.shape) != tuple(shape):
            return None
    origins = module_origins(module)
    return {key: origins[key] for key in arrays if key in origins}
