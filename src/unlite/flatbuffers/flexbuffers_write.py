"""FlexBuffers from Python values."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import NamedTuple

from unlite.errors import InvalidTypeError, InvalidValueError
from unlite.flatbuffers import flexbuffers_wire as wire
from unlite.flatbuffers.flexbuffers_wire import TypedVector

ELEMENTS: dict[type, int] = {bool: wire.BOOL, int: wire.INT, float: wire.FLOAT, str: wire.KEY}
# Text that many slots share counts against a reader's budget; keys up to this length never exhaust it.
LONGEST_SHARED_KEY = 128
TYPES: dict[str, int] = {kind: type_ for type_, kind in wire.KINDS.items()}


def encode(value: object, *, integer_width: int | None = None) -> bytes:
    """A FlexBuffer with this value; ``decode`` gives an equal one back.

    A key that several maps have is stored once, the entries of a map are in the order of their keys' bytes, numbers
    have the fewest bytes that hold them, integers from 2**63 on are unsigned.

    Args:
        value: None, bool, int, float, str, bytes, list or tuple (a plain vector), TypedVector, dict with str keys.
        integer_width: Bytes (1, 2, 4 or 8) that every integer has at least: room for ``patch_integers``.

    Raises:
        InvalidTypeError: A type that FlexBuffers do not know, or elements of different types in a TypedVector.
        InvalidValueError: An integer beyond 64 bits, a key with NUL, lone surrogates that stand for no bytes, a
            fixed vector that is not 2, 3 or 4 numbers, more than MAX_DEPTH levels, another ``integer_width``.
    """
    if integer_width is not None and integer_width not in wire.WIDTHS:
        raise InvalidValueError(f"integer_width is {integer_width!r}; it can be 1, 2, 4 or 8 bytes.")
    return _Writer(integer_width or 1).finish(value)


class _Stored(NamedTuple):
    """A value on its way into a slot: a scalar and the bytes it needs, or the position and width of what is written."""

    type: int
    value: int | float
    width: int


class _Writer:
    """The bytes so far, where each key is, and the path of the value at hand."""

    def __init__(self, integer_width: int) -> None:
        self.integer_width = integer_width
        self.data = bytearray()
        self.keys: dict[bytes, int] = {}
        self.steps: list[str | int] = []

    def finish(self, value: object) -> bytes:
        root = self.store(value)
        width = self.slot_width(root, 0)
        self.align(width)
        self.write(root, width)
        self.data += bytes((_type_byte(root, width), width))
        return bytes(self.data)

    def store(self, value: object, type_: int | None = None) -> _Stored:
        """Writes what a slot cannot hold. ``type_``: that of a typed vector's elements, for integers and strings."""
        if value is None:
            return _Stored(wire.NULL, 0, 1)
        if isinstance(value, bool):
            return _Stored(wire.BOOL, int(value), 1)
        if isinstance(value, int):
            return self.integer(value, type_ or (wire.UINT if value >= 1 << 63 else wire.INT))
        if isinstance(value, float):
            return _Stored(wire.FLOAT, value, _float_width(value))
        if isinstance(value, str):
            return self.key(value) if type_ == wire.KEY else self.content(wire.STRING, self.utf8(value), b"\0")
        if isinstance(value, wire.RawString):
            return self.content(wire.STRING, value, b"\0")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.content(wire.BLOB, bytes(value), b"")
        if len(self.steps) >= wire.MAX_DEPTH:
            raise InvalidValueError(
                f"more than {wire.MAX_DEPTH} lists and dicts inside each other.", path=wire.path(self.steps)
            )
        if isinstance(value, TypedVector):
            return self.typed_vector(value)
        if isinstance(value, (list, tuple)):
            return self.vector(wire.VECTOR, [self.inside(index, item) for index, item in enumerate(value)])
        if isinstance(value, dict):
            return self.map(value)
        raise InvalidTypeError(f"a FlexBuffer cannot hold a {type(value).__name__}.", path=wire.path(self.steps))

    def inside(self, step: str | int, value: object, type_: int | None = None) -> _Stored:
        self.steps.append(step)
        stored = self.store(value, type_)
        self.steps.pop()
        return stored

    def integer(self, value: int, type_: int) -> _Stored:
        bits = (~value if value < 0 else value).bit_length() + (type_ == wire.INT)
        if bits > 64 or (value < 0 and type_ == wire.UINT):
            raise InvalidValueError(f"{value} does not fit 64 bits ({wire.KINDS[type_]}).", path=wire.path(self.steps))
        return _Stored(type_, value, max(_width(bits), self.integer_width))

    def utf8(self, value: str) -> bytes:
        content = b""
        with suppress(UnicodeEncodeError):
            content = value.encode("utf-8", "surrogateescape")
        if wire.text(content) != value:
            raise InvalidValueError("text with lone surrogates that stand for no bytes.", path=wire.path(self.steps))
        return content

    def key(self, value: str) -> _Stored:
        content = self.utf8(value)
        if 0 in content:
            raise InvalidValueError("a key cannot contain NUL.", path=wire.path([*self.steps, value]))
        position = self.keys.get(content, len(self.data))
        if position == len(self.data):
            self.data += content + b"\0"
        if len(content) <= LONGEST_SHARED_KEY:
            self.keys[content] = position
        return _Stored(wire.KEY, position, 1)

    def content(self, type_: int, content: bytes, tail: bytes) -> _Stored:
        width = _width(len(content).bit_length())
        self.align(width)
        self.data += len(content).to_bytes(width, "little")
        stored = _Stored(type_, len(self.data), width)
        self.data += content + tail
        return stored

    def typed_vector(self, values: TypedVector) -> _Stored:
        type_ = TYPES[values.kind] if values.kind else ELEMENTS.get(type(values[0])) if values else wire.INT
        if (
            values.kind is None
            and type_ == wire.INT
            and any(isinstance(item, int) and item >= 1 << 63 for item in values)
        ):
            type_ = wire.UINT
        if type_ is None or any(
            ELEMENTS.get(type(item)) != (wire.INT if type_ == wire.UINT else type_) for item in values
        ):
            kind = values.kind or "bool, int, float or str"
            raise InvalidTypeError(
                f"not every element of the typed vector is of type {kind}.", path=wire.path(self.steps)
            )
        if values.fixed and not (type_ in (wire.INT, wire.UINT, wire.FLOAT) and 2 <= len(values) <= 4):
            raise InvalidValueError("a fixed vector has 2, 3 or 4 numbers.", path=wire.path(self.steps))
        first = wire.VECTOR_INT2 + 3 * (len(values) - 2) if values.fixed else wire.VECTOR_INT
        return self.vector(first + type_ - wire.INT, [self.inside(i, item, type_) for i, item in enumerate(values)])

    def map(self, value: dict[object, object]) -> _Stored:
        entries: list[tuple[bytes, _Stored, _Stored]] = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidTypeError(f"a key is of type {type(key).__name__}, not str.", path=wire.path(self.steps))
            entries.append((self.utf8(key), self.key(key), self.inside(key, item)))
        entries.sort(key=lambda entry: entry[0])
        keys = self.vector(wire.VECTOR_KEY, [key for _, key, _ in entries])
        return self.vector(wire.MAP, [item for _, _, item in entries], keys)

    def vector(self, type_: int, items: list[_Stored], keys: _Stored | None = None) -> _Stored:
        front = [keys, _Stored(wire.UINT, keys.width, 1)] if keys else []
        if not wire.is_fixed(type_):
            front.append(_Stored(wire.UINT, len(items), _width(len(items).bit_length())))
        slots = front + items
        width = max(self.slot_width(item, index) for index, item in enumerate(slots))
        self.align(width)
        position = len(self.data) + len(front) * width
        for item in slots:
            self.write(item, width)
        if type_ in (wire.VECTOR, wire.MAP):
            self.data += bytes(_type_byte(item, width) for item in items)
        return _Stored(type_, position, width)

    def align(self, width: int) -> None:
        self.data += bytes(-len(self.data) % width)

    def slot_width(self, item: _Stored, index: int) -> int:
        """Bytes that the item needs as slot ``index`` of the vector that is written next."""
        if item.type in wire.INLINE:
            return item.width
        for width in wire.WIDTHS[:-1]:
            position = len(self.data) + -len(self.data) % width + index * width
            if position - item.value < 1 << 8 * width:
                return width
        return wire.WIDTHS[-1]

    def write(self, item: _Stored, width: int) -> None:
        if item.type in wire.INLINE:
            self.data += struct.pack("<" + wire.letter(item.type, width), item.value)
        else:
            self.data += (len(self.data) - int(item.value)).to_bytes(width, "little")


def _type_byte(item: _Stored, slot_width: int) -> int:
    return item.type << 2 | wire.WIDTHS.index(max(item.width, slot_width) if item.type in wire.INLINE else item.width)


def _width(bits: int) -> int:
    return next(width for width in wire.WIDTHS if bits <= 8 * width)


def _float_width(value: float) -> int:
    with suppress(OverflowError):
        if struct.unpack("<f", struct.pack("<f", value))[0] == value:
            return 4
    return 8
