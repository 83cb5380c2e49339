"""New constants that need no NumPy: a ``.npy`` that holds just what a tensor stores, and numbers as JSON.

Loading NumPy takes longer than changing a weight. What is not known here for certain to be plain is left to NumPy,
which also says what is wrong with it.
"""

from __future__ import annotations

import re
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class, named like one
from typing import TYPE_CHECKING, NamedTuple

from unlite.flatbuffers.view import NUMPY_CODES
from unlite.model.values.dtypes import elements, plain_type, stored_bytes
from unlite.storage.source import MappedFile, MemorySource, Span

if TYPE_CHECKING:
    from unlite.model.objects.tensor import Tensor
    from unlite.storage.source import Source

LONGEST_HEADER = 10_000  # NumPy reads no longer one

# What NumPy writes, to the letter: keys in this order, numbers in little-endian order or of one byte.
_HEADER = re.compile(
    rb"\{'descr': '(\|[biu]1|<[iufc]\d{1,2})', 'fortran_order': False, 'shape': \(([\d, ]{0,640})\), \} *\n"
)
_LENGTHS = {b"\x93NUMPY\1\0": Struct("<H"), b"\x93NUMPY\2\0": Struct("<I"), b"\x93NUMPY\3\0": Struct("<I")}
_CODES = {kind: code for code, kind in NUMPY_CODES.items()}
_EXACT = {"f": 1 << 24, "d": 1 << 53}  # up to here a float type holds every whole number


class Npy(NamedTuple):
    """The array in a ``.npy``, axes in C order.

    Attributes:
        kind: Type of an element, as ``dtypes.plain_type`` names it.
        shape: Its shape.
        span: Its bytes.
    """

    kind: str
    shape: tuple[int, ...]
    span: Span


def read_npy(path: str) -> Npy | None:
    """What a ``.npy`` holds; None for any that takes a closer look, damaged ones among them.

    Raises:
        UnliteError: it cannot be opened.

    Source: NumPy's numpy/lib/format.py, "Format Version 1.0" to "3.0".
    """
    source = MappedFile(path)
    layout = _LENGTHS.get(bytes(source.view(0, 8))) if source.size >= 12 else None
    if layout is None:
        return None
    (length,) = source.unpack(layout, 8)
    start = 8 + layout.size + length
    if length > LONGEST_HEADER or start > source.size:
        return None
    found = _HEADER.fullmatch(source.view(8 + layout.size, length))
    if found is None:
        return None
    shape = tuple(map(int, found[2].replace(b",", b" ").split()))
    width = int(found[1][2:])
    if elements(shape) * width != source.size - start:
        return None
    kind = found[1].decode().lstrip("|")
    return Npy("?" if kind == "b1" else kind, shape, Span("new", source, start, source.size - start))


def plain_content(tensor: Tensor, text: str) -> Span | None:
    """The bytes to store in a tensor for ``@FILE.npy``, ``@FILE`` or numbers as JSON; None where NumPy has to look.

    Args:
        tensor: A constant.
        text: What it is to hold.

    Raises:
        UnliteError: the file cannot be opened.
    """
    kind = plain_type(tensor.dtype)
    wanted = tensor._constant().length
    if kind is None or tensor.is_sparse or wanted != stored_bytes(tensor.dtype, elements(tensor.shape)):
        return None
    if text.startswith("@") and text.endswith(".npy"):
        found = read_npy(text[1:])
        return found.span if found is not None and (found.kind, found.shape) == (kind, tensor.shape) else None
    if text.startswith("@"):
        source: Source = MappedFile(text[1:])
    else:
        source = MemorySource(_packed(text, _CODES.get(kind, ""), tensor.shape))
    return Span("new", source, 0, wanted) if source.size == wanted else None


def _packed(text: str, code: str, shape: tuple[int, ...]) -> bytes:
    """Numbers as JSON that fit a type and a shape as they are, little-endian; b"" for any that do not."""
    import json

    try:
        flat = [json.loads(text)]
    except (ValueError, RecursionError):
        return b""
    for size in shape:
        if not all(isinstance(entry, list) and len(entry) == size for entry in flat):
            return b""
        flat = [value for entry in flat for value in entry]
    exact = _EXACT.get(code, 0)
    for value in flat:
        plain = type(value) is bool if code == "?" else type(value) is int or (exact and type(value) is float)
        if not plain or (exact and type(value) is int and abs(value) > exact):
            return b""
    try:
        return Struct(f"<{len(flat)}{code}").pack(*flat)
    except (StructError, OverflowError):
        return b""
