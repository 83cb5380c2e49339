"""Packed elements and strings: what a buffer's bytes mean where NumPy has no such layout.

Sources: LiteRT tflite/kernels/internal/portable_tensor_utils.cc (4 and 2 bits), tflite/string_util.h (strings).
"""

from __future__ import annotations

import itertools
from struct import unpack_from
from typing import TYPE_CHECKING, Any

from unlite.errors import CorruptFileError, InvalidValueError
from unlite.flatbuffers.pack import encode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def unpack_bits(data: memoryview, dtype: str, count: int) -> NDArray[np.generic]:
    """``count`` elements of INT4, UINT4 or INT2, the first in the lowest bits of a byte. int8 or uint8, [count]."""
    import numpy as np

    bits = 2 if dtype == "INT2" else 4
    packed = np.frombuffer(data, "u1")
    shifts = np.arange(0, 8, bits, dtype="u1")
    values = ((packed[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[:count]
    if dtype.startswith("U"):
        return values
    sign = 1 << (bits - 1)
    return ((values ^ sign).astype("i1") - sign).astype("i1")


def pack_bits(values: NDArray[np.generic], dtype: str) -> bytes:
    """The reverse of ``unpack_bits``; unused bits of the last byte are 0."""
    import numpy as np

    bits = 2 if dtype == "INT2" else 4
    per_byte = 8 // bits
    flat = values.reshape(-1).astype("u1") & ((1 << bits) - 1)
    padded = np.zeros(-(-flat.size // per_byte) * per_byte, "u1")
    padded[: flat.size] = flat
    shifts = np.arange(0, 8, bits, dtype="u1")
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(padded.reshape(-1, per_byte) << shifts, axis=1).astype("u1")
    return packed.tobytes()


def unpack_strings(data: memoryview, path: str) -> list[bytes]:
    """The strings of a STRING tensor: int32 count, count + 1 int32 offsets from the start, bytes.

    Raises:
        CorruptFileError: counts or offsets do not fit the bytes.
    """
    if not len(data):
        return []
    if len(data) < 4:
        raise CorruptFileError(f"{len(data)} bytes hold no strings.", path=path)
    (count,) = unpack_from("<i", data)
    if count < 0 or 4 + 4 * (count + 1) > len(data):
        raise CorruptFileError(f"{count} strings do not fit {len(data)} bytes.", path=path)
    offsets = unpack_from(f"<{count + 1}i", data, 4)
    if any(a > b for a, b in itertools.pairwise(offsets)) or offsets[0] < 0 or offsets[-1] > len(data):
        raise CorruptFileError("string offsets do not rise, or leave the buffer.", path=path)
    return [bytes(data[a:b]) for a, b in itertools.pairwise(offsets)]


def pack_strings(strings: Any, path: str) -> bytes:
    """The reverse of ``unpack_strings``; takes bytes and str (written as UTF-8)."""
    from struct import pack

    parts: list[bytes] = []
    for string in strings:
        if not isinstance(string, (bytes, str)):
            raise InvalidValueError(f"strings are wanted, not {string!r:.60}.", path=path)
        parts.append(encode(string, path) if isinstance(string, str) else bytes(string))
    offsets = [4 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return pack(f"<{len(offsets) + 1}i", len(parts), *offsets) + b"".join(parts)
