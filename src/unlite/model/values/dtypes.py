"""Element types of tensors: how wide they are, and what NumPy calls them.

Names are the schema's (``TensorType``). Source of the widths: schema.fbs and, for the packed ones, LiteRT
tflite/kernels/internal/portable_tensor_utils.cc.
"""

from __future__ import annotations

from unlite.errors import MissingExtraError, UnsupportedFormatError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

MOST = 1 << 63
WIDEST = 16  # bytes of the widest element, COMPLEX128

BITS: dict[str, int] = {
    "FLOAT32": 32,
    "FLOAT16": 16,
    "INT32": 32,
    "UINT8": 8,
    "INT64": 64,
    "BOOL": 8,
    "INT16": 16,
    "COMPLEX64": 64,
    "INT8": 8,
    "FLOAT64": 64,
    "COMPLEX128": 128,
    "UINT64": 64,
    "UINT32": 32,
    "UINT16": 16,
    "INT4": 4,
    "BFLOAT16": 16,
    "INT2": 2,
    "UINT4": 4,
    "FLOAT8_E4M3FN": 8,
    "FLOAT8_E5M2": 8,
}
"""Stored bits of one element. STRING has no fixed width; RESOURCE and VARIANT have no stored elements."""

PACKED = ("INT4", "UINT4", "INT2")
"""Several elements to a byte, the first in the lowest bits."""

_NUMPY = {
    "FLOAT32": "<f4",
    "FLOAT16": "<f2",
    "INT32": "<i4",
    "UINT8": "u1",
    "INT64": "<i8",
    "BOOL": "?",
    "INT16": "<i2",
    "COMPLEX64": "<c8",
    "INT8": "i1",
    "FLOAT64": "<f8",
    "COMPLEX128": "<c16",
    "UINT64": "<u8",
    "UINT32": "<u4",
    "UINT16": "<u2",
    "INT4": "i1",
    "INT2": "i1",
    "UINT4": "u1",
    "STRING": "O",
}
_ML_DTYPES = {"BFLOAT16": "bfloat16", "FLOAT8_E4M3FN": "float8_e4m3fn", "FLOAT8_E5M2": "float8_e5m2"}
_RANGES = {"INT4": (-8, 7), "UINT4": (0, 15), "INT2": (-2, 1)}


def elements(shape: Sequence[int]) -> int:
    """How many elements a shape has; at most 2**63, past what any file holds."""
    if 0 in shape:
        return 0
    total = 1
    for size in shape:
        total *= size
        if abs(total) > MOST:  # a hostile shape of many dimensions would make a number of megabytes
            return MOST
    return total


def stored_bytes(dtype: str | int, elements: int) -> int | None:
    """Bytes that so many elements take in a file; None where the type has no fixed width."""
    bits = BITS.get(dtype) if isinstance(dtype, str) else None
    return None if bits is None else (bits * elements + 7) // 8


def numpy_dtype(dtype: str, path: str = "") -> np.dtype[np.generic]:
    """NumPy's type for one element, unpacked: INT4 comes as int8, STRING as object (bytes).

    Raises:
        MissingExtraError: BFLOAT16 and FLOAT8 need ml_dtypes (extra ``lowbit``).
        UnsupportedFormatError: the type has no values.
    """
    import numpy as np

    if dtype in _NUMPY:
        return np.dtype(_NUMPY[dtype])
    if dtype in _ML_DTYPES:
        try:
            import ml_dtypes
        except ImportError:
            raise MissingExtraError("ml_dtypes", extra="lowbit", purpose=f"reading {dtype}") from None
        found: np.dtype[np.generic] = np.dtype(getattr(ml_dtypes, _ML_DTYPES[dtype]))
        return found
    raise UnsupportedFormatError(f"a tensor of type {dtype} has no stored values.", path=path)


def plain_type(dtype: str) -> str | None:
    """NumPy's name for one element, such as ``<f4``, ``i1`` or ``?``; None where files store it in another way."""
    return None if dtype in PACKED or dtype == "STRING" else _NUMPY.get(dtype)


def value_range(dtype: str) -> tuple[int, int] | None:
    """Smallest and largest value of an integer type narrower than what NumPy has for it; None for others."""
    return _RANGES.get(dtype)
