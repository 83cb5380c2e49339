"""Inputs that take pictures: which colours, and what becomes of a pixel on the way to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlite.comparison.metadata import image_facts
from unlite.errors import InvalidTypeError, InvalidValueError

if TYPE_CHECKING:
    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

COLORS = ("RGB", "BGR", "GRAYSCALE")


@dataclass(frozen=True)
class ImageInput:
    """How a picture becomes an input: ``pixel * scale + bias``, pixels 0..255, in the input's real numbers.

    Attributes:
        color: "RGB", "BGR" or "GRAYSCALE"; None: by the number of channels, RGB for three.
        scale: One number, or one for each channel; None: as the model says.
        bias: Likewise.
    """

    color: str | None = None
    scale: float | Sequence[float] | None = None
    bias: float | Sequence[float] | None = None


@dataclass(frozen=True)
class Picture:
    """An input that takes pictures, all settled.

    Attributes:
        color: "RGB", "BGR" or "GRAYSCALE".
        scale, bias: One number for each channel.
        height, width: In pixels.
        arrange: How the file has the picture: "NHWC", "NCHW", "NHW".
    """

    color: str
    scale: tuple[float, ...]
    bias: tuple[float, ...]
    height: int
    width: int
    arrange: str

    @property
    def channels(self) -> int:
        """1 or 3."""
        return len(self.scale)


def pictures(model: Model, graph: Subgraph, images: Any) -> dict[int, Picture]:
    """Which inputs take pictures, by their place.

    Args:
        model: The model; its metadata says how a pixel is normalized.
        graph: The subgraph.
        images: Names of inputs, or name -> ImageInput (or a dict of its fields); True for the only input. Inputs
            without a name
            that is their own are named by their place, ``0`` or ``"0"``.

    Raises:
        InvalidValueError: no such input, one that takes no picture, or nothing says what becomes of a pixel.
    """
    if images is None or images is False:
        return {}
    if images is True:
        images = {0: ImageInput()} if len(graph.inputs) == 1 else {}
        if not images:
            raise InvalidValueError(f"which input takes pictures? {_listed(graph)}.", file=model.file.name)
    if isinstance(images, str):
        images = [images]
    if not isinstance(images, Mapping):
        images = dict.fromkeys(images, ImageInput())
    found: dict[int, Picture] = {}
    for name, wanted in images.items():
        facts = _facts(name, wanted)
        place = _place(model, graph, name)
        found[place] = _picture(model, graph.inputs[place], facts)
    return found


def _facts(name: Any, wanted: Any) -> ImageInput:
    if isinstance(wanted, Mapping):
        unknown = wanted.keys() - {"color", "scale", "bias"}
        if not unknown:
            return ImageInput(**wanted)
        raise InvalidValueError(f"images[{name!r}] has color, scale and bias, and no {', '.join(map(str, unknown))}.")
    if not isinstance(wanted, ImageInput):
        raise InvalidTypeError(f"images[{name!r}] is color, scale and bias, not {wanted!r:.60}.")
    return wanted


def _place(model: Model, graph: Subgraph, name: Any) -> int:
    places = [place for place, tensor in enumerate(graph.inputs) if tensor.name == name]
    if not places and str(name).isdecimal() and int(name) < len(graph.inputs):
        places = [int(name)]
    if len(places) != 1:
        raise InvalidValueError(f"there is no input {name!r}; {_listed(graph)}.", file=model.file.name)
    return places[0]


def _listed(graph: Subgraph) -> str:
    return f"the inputs are {', '.join(repr(tensor.name) for tensor in graph.inputs)}"


def _picture(model: Model, tensor: Tensor, wanted: ImageInput) -> Picture:
    height, width, channels, arrange = _shape(tensor)
    color = wanted.color or ("RGB" if channels == 3 else "GRAYSCALE")
    if color not in COLORS or (color == "GRAYSCALE") != (channels == 1):
        raise InvalidValueError(
            f"the input {tensor.name!r} has {channels} channels; color is {color!r}.",
            path=tensor.path,
            hint="RGB and BGR have three channels, GRAYSCALE has one.",
        )
    scale, bias = _normalization(model, tensor, wanted)
    return Picture(
        color,
        _each(scale, channels, "scale", tensor),
        _each(bias, channels, "bias", tensor),
        height,
        width,
        arrange,
    )


def _shape(tensor: Tensor) -> tuple[int, int, int, str]:
    """Height, width, channels, and how the file has them."""
    shape = tensor.shape
    if shape and shape[0] in (1, -1):
        if len(shape) == 4 and shape[3] in (1, 3) and min(shape[1:3]) > 0:
            return shape[1], shape[2], shape[3], "NHWC"
        if len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) > 0:
            return shape[2], shape[3], shape[1], "NCHW"
        if len(shape) == 3 and min(shape[1:]) > 1:
            return shape[1], shape[2], 1, "NHW"
    raise InvalidValueError(
        f"the input {tensor.name!r}, {list(shape)}, takes no picture: wanted is [1, H, W, C], [1, C, H, W] with 1 or 3 "
        "channels, or [1, H, W].",
        path=tensor.path,
    )


def _normalization(model: Model, tensor: Tensor, wanted: ImageInput) -> tuple[Any, Any]:
    """Scale and bias, from the caller or from the model."""
    if wanted.scale is not None:
        return wanted.scale, wanted.bias if wanted.bias is not None else 0.0
    quantization = tensor.quantization
    if quantization is not None and len(quantization.scale) == 1 and tensor.dtype in ("UINT8", "INT8"):
        # The integers are the pixels, those of INT8 less 128; their real numbers are scale * (q - zero_point).
        zero = quantization.zero_point[0] if quantization.zero_point else 0
        scale = quantization.scale[0]
        known: tuple[tuple[float, ...], tuple[float, ...]] = (
            (scale,),
            (-scale * (zero + (128 if tensor.dtype == "INT8" else 0)),),
        )
    else:
        facts = image_facts(model, tensor)
        if facts is None:
            raise InvalidValueError(
                f"nothing says what becomes of a pixel at the input {tensor.name!r}.",
                path=tensor.path,
                hint="Give its scale and bias (--image-scale, --image-bias): pixel * scale + bias, pixels 0..255.",
            )
        several = max(len(facts.mean), len(facts.std))
        mean, std = (values * (several if len(values) == 1 else 1) for values in (facts.mean, facts.std))
        known = tuple(1 / s for s in std), tuple(-m / s for m, s in zip(mean, std, strict=False))
    return known[0], wanted.bias if wanted.bias is not None else known[1]


def _each(values: Any, channels: int, what: str, tensor: Tensor) -> tuple[float, ...]:
    """One number for each channel."""
    numbers = tuple(float(value) for value in (values if isinstance(values, Sequence) else [values]))
    if len(numbers) not in (1, channels):
        raise InvalidValueError(
            f"{what} of the input {tensor.name!r} is one number, or {channels}; given are {len(numbers)}.",
            path=tensor.path,
        )
    return numbers * (channels if len(numbers) == 1 else 1)
