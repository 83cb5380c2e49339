"""Pictures in and out: a PNG or JPEG as the input of a model, and a tensor as a PNG."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from unlite.comparison.metadata import image_facts
from unlite.errors import InvalidValueError, MissingExtraError, UnliteError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor

    Array = NDArray[Any]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
DEFAULT_MEAN, DEFAULT_STD = (127.5,), (127.5,)  # pixels to -1..1
SMALLEST, MOST_TILES, MOST_SIDE = 4, 64, 2048


def image_input(
    model: Model,
    tensor: Tensor,
    path: str,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Array:
    """A picture as the input of a model: resized, and ``(pixel - mean) / std`` where the input is of a float type.

    Args:
        model: The model; its metadata says mean and std.
        tensor: The input: [1, H, W, 1 or 3], or [1, 1 or 3, H, W].
        path: A PNG, JPEG or whatever Pillow reads.
        mean: One number or one per channel, in place of the model's own; pixels become -1..1 where nothing says it.
            Inputs of UINT8 take the pixels as they are, those of INT8 the pixels less 128.
        std: Likewise.

    Raises:
        MissingExtraError: Pillow is not installed.
        InvalidValueError: the input takes no picture.
    """
    height, width, channels, first = _picture_shape(tensor)
    pixels = _read(path, width, height, "L" if channels == 1 else "RGB").astype(np.float32)
    pixels = pixels.reshape(height, width, channels)
    facts = image_facts(model, tensor)
    if tensor.dtype in ("UINT8", "INT8"):
        pixels -= 128 if tensor.dtype == "INT8" else 0
    else:
        low = tuple(mean or (facts.mean if facts else DEFAULT_MEAN))
        high = tuple(std or (facts.std if facts else DEFAULT_STD))
        if {len(low), len(high)} - {1, channels} or not all(high):
            raise InvalidValueError(f"mean and std are one number each, or {channels}; std is not 0.", path=tensor.path)
        pixels = ((pixels - np.array(low)) / np.array(high)).astype(np.float32)
    values = (pixels.transpose(2, 0, 1) if first else pixels)[None]
    return np.ascontiguousarray(values).astype(tensor.numpy_dtype)


def _picture_shape(tensor: Tensor) -> tuple[int, int, int, bool]:
    """Height, width, channels, and whether the channels come first."""
    shape = tensor.shape
    if len(shape) == 4 and shape[0] in (1, -1) and tensor.dtype in ("FLOAT32", "FLOAT16", "UINT8", "INT8"):
        if shape[3] in (1, 3) and min(shape[1:3]) > 1:
            return shape[1], shape[2], shape[3], False
        if shape[1] in (1, 3) and min(shape[2:]) > 1:
            return shape[2], shape[3], shape[1], True
    raise InvalidValueError(
        f"input {tensor.name!r}, {tensor.dtype} {list(tensor.shape_signature)}, takes no picture.",
        path=tensor.path,
        hint="Give its values as an .npz.",
    )


def _read(path: str, width: int, height: int, mode: str) -> Array:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtraError("Pillow", extra="images", purpose="reading pictures") from None
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert(mode).resize((width, height), Image.Resampling.BILINEAR))
    except UnidentifiedImageError:
        raise UnsupportedFormatError("is no picture that Pillow reads.", file=path) from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise UnliteError(f"cannot be read: {error}.", file=path) from error


def picture(values: Array) -> bytes | None:
    """A tensor as a PNG; None for one that does not look like a picture.

    values: [1, H, W, C], H and W from 4 to 2048. One channel is grey, three are colours, others are tiles side by
    side, at most 64. The tensor's own smallest and largest value become black and white.
    """
    if values.ndim != 4 or values.shape[0] != 1 or values.dtype.kind not in "fiu":
        return None
    height, width, channels = values.shape[1:]
    if not (SMALLEST <= height <= MOST_SIDE and SMALLEST <= width <= MOST_SIDE and channels):
        return None
    pixels = values[0, :, :, : channels if channels == 3 else MOST_TILES].astype(np.float64)
    finite = pixels[np.isfinite(pixels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    scaled = np.clip(np.nan_to_num((pixels - low) / ((high - low) or 1.0)) * 255, 0, 255).astype(np.uint8)
    return png(scaled if channels == 3 else _tiles(scaled))


def _tiles(pixels: Array) -> Array:
    """Channels side by side: [H, W, C] -> [H * rows, W * columns]."""
    height, width, channels = pixels.shape
    columns = int(np.ceil(np.sqrt(channels)))
    columns = max(min(columns, MOST_SIDE // width), 1)
    rows = -(-channels // columns)
    sheet = np.zeros((rows * height, columns * width), np.uint8)
    for channel in range(channels):
        row, column = divmod(channel, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = pixels[:, :, channel]
    return sheet


def png(pixels: Array) -> bytes:
    """Pixels, uint8 [H, W] or [H, W, 3], as a PNG. Source: PNG specification (W3C), third edition."""
    height, width = pixels.shape[:2]
    colour = 2 if pixels.ndim == 3 else 0
    lines = np.zeros((height, 1 + width * (3 if colour else 1)), np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
