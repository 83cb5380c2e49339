"""What a model's TFLite metadata says of its inputs: their range, and how an image becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import UnliteError
from unlite.flatbuffers.view import Table
from unlite.model.metadata.tflite_metadata import tensor_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor


class ImageFacts(NamedTuple):
    """How pixels become an input: ``(pixel - mean) / std`` per channel.

    Attributes:
        mean, std: One number, or one for each channel.
        grey: Whether the model wants one channel.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    grey: bool


def image_facts(model: Model, tensor: Tensor) -> ImageFacts | None:
    """How an image becomes this input; None where the model does not say."""
    stated = tensor_metadata(model, tensor, "input")
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
    stated = tensor_metadata(model, tensor, "input")
    try:
        stats = stated["stats"] if stated is not None else None
        low, high = (_numbers(stats[name]) if stats is not None else () for name in ("min", "max"))
    except UnliteError:
        return None
    if low and high and -1e30 < min(low) < max(high) < 1e30:
        return min(low), max(high)
    return None
