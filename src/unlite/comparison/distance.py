"""How far two tensors are apart, and how far they may be: each tensor has a noise floor of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unlite.model.objects.quantization import Quantization

    Array = NDArray[Any]

RELATIVE_FLOOR = 5e-6  # of a tensor's range: float kernels of different libraries stay below it
KERNEL_FACTOR = 4.0  # times what LiteRT's own kernels differ by
MOST_FLOOR = 1e-3  # of the range: two kernels that differ by more say nothing about noise


class Distance(NamedTuple):
    """How far two tensors are apart.

    Attributes:
        max_abs: Largest difference; infinite where shapes differ, or only one side has a NaN there.
        max_rel: The same, as a part of the range.
        differing: Elements further apart than the floor.
        range: From the smallest to the largest finite value, zero included.
    """

    max_abs: float
    max_rel: float
    differing: int
    range: float


def measure(reference: Array, other: Array, floor: float) -> Distance:
    """The distance of two arrays. NaN meets NaN, and an infinity the same one; integers and strings meet exactly."""
    if reference.shape != other.shape:
        return Distance(np.inf, np.inf, max(reference.size, other.size), 0.0)
    if not reference.size:
        return Distance(0.0, 0.0, 0, 0.0)
    if reference.dtype.kind in "SUO" or other.dtype.kind in "SUO":
        differing = int(np.count_nonzero(reference.astype("S") != other.astype("S")))
        return Distance(np.inf if differing else 0.0, np.inf if differing else 0.0, differing, 0.0)
    a, b = _wide(reference), _wide(other)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(a - b).astype(np.float64)
    equal = (a == b) | ((a != a) & (b != b))  # noqa: PLR0124 - true of NaN, and of nothing else
    apart = np.where(equal, 0.0, np.where(np.isnan(apart), np.inf, apart))
    span = value_span(a)
    most = float(apart.max())
    return Distance(most, most / span if span else (np.inf if most else 0.0), int((apart > floor).sum()), span)


def _wide(values: Array) -> Array:
    """The same numbers in a type whose differences are exact enough."""
    if values.dtype.kind == "c":
        return values.astype(np.complex128)
    if values.dtype.kind in "iu" and values.dtype.itemsize > 4:
        return values.astype(np.longdouble)
    return values.astype(np.float64)


def value_span(values: Array) -> float:
    """From the smallest to the largest finite value, zero included."""
    magnitudes = np.abs(values) if values.dtype.kind == "c" else values
    finite = magnitudes[np.isfinite(magnitudes)]
    return float(max(finite.max(), 0) - min(finite.min(), 0)) if finite.size else 0.0


def noise_floor(reference: Array, other_kernels: Array | None) -> float:
    """How far a correct result may be from the reference.

    A part of the tensor's range, or several times what two of LiteRT's own kernels differ by, whichever is more; 0 for
    integers, bools and strings.
    """
    if reference.dtype.kind not in "fcV":
        return 0.0
    span = value_span(_wide(reference))
    floor = RELATIVE_FLOOR * span
    if other_kernels is not None and other_kernels.shape == reference.shape:
        between = KERNEL_FACTOR * measure(reference, other_kernels, 0.0).max_abs
        if between <= MOST_FLOOR * span:
            floor = max(floor, between)
    return floor


def dequantized(stored: Array, quantization: Quantization) -> NDArray[np.float32]:
    """Real values of a tensor's stored integers, ``scale * (q - zero_point)``; several scales run along one axis."""
    scale, zero_point = _aligned(stored, quantization)
    return np.asarray((stored.astype(np.float64) - zero_point) * scale, np.float32)


def _aligned(stored: Array, quantization: Quantization) -> tuple[Array, Array]:
    scale = np.asarray(quantization.scale, np.float64)
    zero_point = np.asarray(quantization.zero_point or (0,), np.float64)
    axis = quantization.quantized_dimension
    if scale.size == 1 or not 0 <= axis < stored.ndim or stored.shape[axis] != scale.size:
        return scale[:1].reshape(()), zero_point[:1].reshape(())
    shape = [-1 if i == axis else 1 for i in range(stored.ndim)]
    return scale.reshape(shape), np.broadcast_to(zero_point, scale.shape).reshape(shape)
