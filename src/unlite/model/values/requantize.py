"""From real values back to what a tensor stores: the reverse of ``Tensor.dequantize``.

Quantized types: ``q = round(real / scale) + zero_point``, halves away from zero, as LiteRT's QUANTIZE does it, and
clipped to what the element type holds. Source: LiteRT tflite/kernels/internal/reference/quantize.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidValueError, NotQuantizedError
from unlite.model.values.constants import check_quantizable, spread
from unlite.model.values.dtypes import value_range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from unlite.model.objects.tensor import Tensor


def has_real_values(tensor: Tensor) -> bool:
    """Whether the stored values stand for real ones: of a float type, or of an integer type with a scale."""
    if "FLOAT" in tensor.dtype:
        return True
    try:
        check_quantizable(tensor)
    except NotQuantizedError:
        return False
    return True


def stored_values(tensor: Tensor, real: NDArray[np.floating[Any]]) -> tuple[NDArray[np.generic], int]:
    """The values to store so that a constant stands for ``real``, and how many of them had to be clipped.

    An element that equals the present one keeps its stored value, so that integers which float32 cannot tell apart
    (INT32 biases) survive.

    Args:
        tensor: A constant of a float type, or of an integer type with a scale.
        real: Values in the shape of the tensor, of a float type.

    Raises:
        NotQuantizedError: the tensor is of an integer type and has no scale.
        InvalidValueError: a value is too large for a float type, or NaN for an integer type.
    """
    if "FLOAT" in tensor.dtype:
        return narrowed(tensor, real, tensor.numpy_dtype), 0
    import numpy as np

    quantization = check_quantizable(tensor)
    scale, zero_point = spread(tensor, quantization)
    wanted = narrowed(tensor, real, np.dtype("f4"))
    if np.isnan(wanted).any():
        raise InvalidValueError(f"NaN cannot be stored as {tensor.dtype}.", path=tensor.path)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = wanted / scale
    if np.isnan(steps).any():
        raise InvalidValueError("a scale of 0 stands for no values.", path=tensor.path)
    low, high = limits(tensor)
    integers = half_away(steps) + zero_point
    stored = tensor.numpy()
    kept = wanted == tensor.dequantize()
    clipped = np.count_nonzero(~kept & ((integers < low) | (integers > high)))
    with np.errstate(invalid="ignore"):
        # float64 rounds the largest INT64 up to what int64 does not hold.
        inside = np.where(integers >= float(high), high, np.clip(integers, low, high).astype(np.int64))
    return np.where(kept, stored, inside.astype(stored.dtype)), int(clipped)


def limits(tensor: Tensor) -> tuple[int, int]:
    """Smallest and largest value of an integer tensor."""
    import numpy as np

    narrow = value_range(tensor.dtype)
    if narrow is not None:
        return narrow
    information = np.iinfo(tensor.numpy_dtype.name)
    return int(information.min), int(information.max)


def half_away(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded to integers, halves away from zero."""
    import numpy as np

    whole = np.trunc(values)
    with np.errstate(invalid="ignore"):  # inf - inf
        return whole + np.where(np.abs(values - whole) >= 0.5, np.sign(values), 0.0)


def narrowed(tensor: Tensor, real: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values in a float type, rounded to nearest.

    Raises:
        InvalidValueError: a finite value, or an infinity, is too large for the type.
    """
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        result = real.astype(dtype)
        wide = result.astype(np.float64)
    lost = np.isfinite(real) & ~np.isfinite(wide) | np.isinf(real) & np.isnan(wide)
    if lost.any():
        worst = real[lost].flat[0]
        raise InvalidValueError(
            f"{np.count_nonzero(lost)} values, such as {worst!s}, are too large for {dtype.name}.", path=tensor.path
        )
    return result
