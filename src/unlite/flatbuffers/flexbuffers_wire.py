"""FlexBuffers on the wire: what reading and writing them share.

A FlexBuffer is written front to back, and everything that refers to something comes after it; the root is last::

    ... | root slot (width bytes) | type byte | width byte

A slot holds a scalar, or the distance back to what it refers to. All slots of a vector have one width. A type byte is
``type << 2 | log2(width)``, where the width is that of the slots, or of the size field, of what is referred to.

=============  =======================================================================================
string, blob   size | bytes; a string ends with NUL, which is not counted
key            bytes, NUL
vector         size | slots | type bytes; a reference leads to the first slot
typed vector   size | slots; the type that the reference names says what the elements are
fixed vector   slots; 2, 3 or 4 numbers
map            distance to the keys (a typed vector) | width of the keys | size | slots | type bytes
=============  =======================================================================================

Source: FlatBuffers docs/source/internals.md, part FlexBuffers; include/flatbuffers/flexbuffers.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, Union

if TYPE_CHECKING:
    from collections.abc import Iterable

Value: TypeAlias = Union[bool, int, float, str, bytes, "list[Value]", "dict[str, Value]", None]
Kind: TypeAlias = Literal["bool", "int", "uint", "float", "key"]

MAX_DEPTH = 64
"""Vectors and maps inside each other; the limit of the verifier in C++ too."""

WIDTHS = (1, 2, 4, 8)
NULL, INT, UINT, FLOAT, KEY, STRING, INDIRECT_INT, INDIRECT_UINT, INDIRECT_FLOAT, MAP, VECTOR = range(11)
VECTOR_INT, VECTOR_KEY, VECTOR_STRING, VECTOR_BOOL = 11, 14, 15, 36
VECTOR_INT2, VECTOR_FLOAT4 = 16, 24
BLOB, BOOL = 25, 26
INLINE = frozenset((NULL, INT, UINT, FLOAT, BOOL))
INDIRECT = {INDIRECT_INT: INT, INDIRECT_UINT: UINT, INDIRECT_FLOAT: FLOAT}

KINDS: dict[int, Kind] = {BOOL: "bool", INT: "int", UINT: "uint", FLOAT: "float", KEY: "key"}
# struct's letters for 1, 2, 4 and 8 bytes. There is room in the format for floats of 8 and 16 bits, but nothing
# writes them, and the readers refuse them or, in C++, take them for integers.
LETTERS = {NULL: "BHIQ", BOOL: "BHIQ", INT: "bhiq", UINT: "BHIQ", FLOAT: "  fd"}


class RawString(bytes):
    """A string whose bytes are not UTF-8, such as a compiled program. Written, it is a string again, not a blob."""


class TypedVector(list[Value]):
    """A list whose elements share one type, which is stored once. It equals the plain list.

    C++ tells the two apart (``AsTypedVector`` of a plain vector is empty), so reading and writing keep the difference.

    Args:
        values: Bools, ints, floats, or strings without NUL.
        kind: Their type; None takes it from the first.
        fixed: The length (2, 3 or 4 numbers) is part of the type.
    """

    kind: Kind | None
    fixed: bool

    def __init__(self, values: Iterable[Value] = (), kind: Kind | None = None, *, fixed: bool = False) -> None:
        super().__init__(values)
        self.kind = kind
        self.fixed = fixed


def letter(type_: int, width: int) -> str:
    """The struct letter of a scalar; a blank where the format has none."""
    return LETTERS[type_][WIDTHS.index(width)]


def is_fixed(type_: int) -> bool:
    """Whether it is the type of a fixed vector."""
    return VECTOR_INT2 <= type_ <= VECTOR_FLOAT4


def is_typed(type_: int) -> bool:
    """Whether it is the type of a typed vector, fixed ones not included."""
    return VECTOR_INT <= type_ <= VECTOR_STRING or type_ == VECTOR_BOOL


def text(content: bytes) -> str:
    """UTF-8; bytes that are not come as lone surrogates, for ``surrogateescape`` to put back."""
    return content.decode("utf-8", "surrogateescape")


def path(steps: Iterable[str | int]) -> str:
    """Keys and indices such as ``["a"][3]``, in ASCII, long keys cut short."""
    import json

    return "".join(f"[{json.dumps(step if isinstance(step, int) else step[:60])}]" for step in steps)
