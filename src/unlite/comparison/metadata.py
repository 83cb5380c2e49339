"""What a model's TFLite metadata says of its ends: the range of an input, how an image becomes one, files of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import UnliteError
from unlite.flatbuffers.view import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor

ENTRY = "TFLITE_METADATA"


class ImageFacts(NamedTuple):
    """How pixels become an input: ``(pixel - mean) / std`` per channel.

    Attributes:
        mean, std: One number, or one for each channel.
        grey: Whether the model wants one channel.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    grey: bool


def _of_end(model: Model, tensor: Tensor, side: str) -> Table | None:
    """The metadata of an input or output; None where there is none, or none that can be read."""
    try:
        if ENTRY not in model.metadata:
            return None
        root = model.metadata.decoded(ENTRY)
        if not isinstance(root, Table):
            return None
        graphs = root["subgraph_metadata"] or ()
        if tensor.subgraph.index >= len(graphs):
            return None
        ends = graphs[tensor.subgraph.index][f"{side}_tensor_metadata"] or ()
        own = tensor.subgraph.inputs if side == "input" else tensor.subgraph.outputs
        places = [end.index for end in own]
        place = places.index(tensor.index)
        found: Table | None = ends[place] if place < len(ends) else None
        return found
    except (UnliteError, ValueError):
        return None  # metadata is advice: what cannot be read says nothing


def image_facts(model: Model, tensor: Tensor) -> ImageFacts | None:
    """How an image becomes this input; None where the model does not say."""
    stated = _of_end(model, tensor, "input")
    if stated is None:
        return None
    try:
        content: Any = stated["content"]
        properties: Any = content["content_properties"] if content is not None else None
        grey = isinstance(properties, Table) and properties._object.name.endswith("ImageProperties")
        grey = grey and properties["color_space"] == "GRAYSCALE"
        for unit in stated["process_units"] or ():
            options = unit["options"]
            if isinstance(options, Table) and options._object.name.endswith("NormalizationOptions"):
                mean, std = (_numbers(options[name]) for name in ("mean", "std"))
                if mean and std and all(std):
                    return ImageFacts(mean, std, grey)
    except UnliteError:
        return None
    return None


def _numbers(vector: Sequence[float] | None) -> tuple[float, ...]:
    return tuple(float(number) for number in (vector or ())[:64])


def value_range(model: Model, tensor: Tensor) -> tuple[float, float] | None:
    """Smallest and largest value that an input is made for; None where the model does not say."""
    facts = image_facts(model, tensor)
    if facts is not None:
        ends = [
            (pixel - mean) / std for mean, std in zip(facts.mean, facts.std, strict=False) for pixel in (0.0, 255.0)
        ]
        return min(ends), max(ends)
    stated = _of_end(model, tensor, "input")
    try:
        stats = stated["stats"] if stated is not None else None
        low, high = (_numbers(stats[name]) if stats is not None else () for name in ("min", "max"))
    except UnliteError:
        return None
    if low and high and -1e30 < min(low) < max(high) < 1e30:
        return min(low), max(high)
    return None


def labels(model: Model, tensor: Tensor) -> list[str] | None:
    """The labels of an output's last axis, out of the model's associated files; None where there are none."""
    stated = _of_end(model, tensor, "output")
    try:
        for file in (stated["associated_files"] or ()) if stated is not None else ():
            name: Any = file["name"]
            if file["type"] == "TENSOR_AXIS_LABELS" and name in model.associated_files:
                return read_labels(model.associated_files[name])
    except UnliteError:
        return None
    return None


def read_labels(content: bytes) -> list[str]:
    """The lines of a file of labels."""
    return content.decode("utf-8", "replace").splitlines()
