"""FlexBuffers, the schemaless sibling of FlatBuffers: read, written, and patched in place."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from operator import index as as_integer
from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import CorruptFileError, InvalidTypeError, InvalidValueError, NotFoundError
from unlite.flatbuffers import flexbuffers_wire as wire
from unlite.flatbuffers.flexbuffers_wire import Kind, RawString, TypedVector, Value
from unlite.flatbuffers.flexbuffers_write import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Buffer

__all__ = [
    "RawString",
    "Scalar",
    "TypedVector",
    "Value",
    "decode",
    "encode",
    "is_flexbuffer",
    "locate",
    "patch_integers",
]


@dataclass(frozen=True)
class Scalar:
    """Where a number or bool is stored.

    Attributes:
        position: Byte offset in the FlexBuffer.
        width: Bytes: 1, 2, 4 or 8.
        kind: ``bool``, ``int``, ``uint`` or ``float``.
    """

    position: int
    width: int
    kind: Kind


def decode(data: Buffer) -> Value:
    """The whole value as Python objects.

    Strings that are not UTF-8 come as bytes (RawString). Keys that are not, as text with a lone surrogate for each such
    byte: ``key.encode("utf-8", "surrogateescape")`` gives them back.

    Args:
        data: One FlexBuffer, from its first byte to its last.

    Returns:
        None, bool, int, float, str (strings and keys), bytes (blobs; RawString), list (vectors;
        TypedVector for typed ones) or dict (maps). What two slots refer to is there twice.

    Raises:
        CorruptFileError: Damaged, deeper than MAX_DEPTH, or small and yet unfolding to a huge value. ``offset``
            counts from the start of ``data``; ``path`` is such as ``["a"][3]``, and empty at the root.
    """
    reader = _Reader(data)
    return reader.value(reader.root())


def is_flexbuffer(data: Buffer) -> bool:
    """Whether the bytes are one FlexBuffer from the first to the last.

    FlexBuffers have no magic number, so this is stricter than ``decode``: every byte belongs to a value, or is a zero
    of the padding (1 to 7 bytes) in front of one; the keys of a map are in order; the root is not null. A lone scalar
    must fill the bytes exactly: ``01 04 01``, the options of Arm's ``ethos-u`` operator, is the integer 1.
    Some other data of 3 to 10 bytes can pass for a scalar or an empty vector; longer data hardly ever does. Not seen
    as one: a file with the deprecated vector of strings, whose sizes no reader can reach.
    """
    reader = _Reader(data, strict=True)
    try:
        root = reader.root()
        reader.value(root)
    except CorruptFileError:
        return False
    if root.type in (wire.NULL, wire.KEY) or root.type in wire.INDIRECT:
        return False
    end = 0
    for start, stop in sorted(reader.spans):
        if start > end and (end == 0 or start - end > 7 or any(reader.data[end:start])):
            return False
        end = max(end, stop)
    return True


def locate(data: Buffer, *keys: str | int) -> Scalar:
    """Where the scalar is that keys (of maps) and indices (of vectors) lead to, from the root on.

    Raises:
        NotFoundError: No such key or index.
        InvalidValueError: They lead to something that is not a number or bool.
        CorruptFileError: Damaged on the way there.
    """
    return _Reader(data).locate(keys)


def patch_integers(data: Buffer, values: Mapping[str, int]) -> bytes:
    """A copy with other integers under these keys of the root map; every other byte is kept.

    Raises:
        NotFoundError: The root has no such key.
        InvalidTypeError: A new value is not an integer.
        InvalidValueError: The value there is not an integer, or the new one does not fit its width.
        CorruptFileError: Damaged on the way there.
    """
    original = _Reader(data).data
    patched = bytearray(original)
    for key, value in values.items():
        place = locate(original, key)
        if place.kind not in ("int", "uint"):
            raise InvalidValueError(f"is a {place.kind}, not an integer.", path=wire.path([key]), offset=place.position)
        try:
            content = as_integer(value).to_bytes(place.width, "little", signed=place.kind == "int")
        except TypeError as error:
            raise InvalidTypeError(
                f"an integer is wanted, not {type(value).__name__}.", path=wire.path([key])
            ) from error
        except OverflowError as error:
            raise InvalidValueError(
                f"{value} does not fit {8 * place.width} bits ({place.kind}).",
                path=wire.path([key]),
                offset=place.position,
                hint="Write all of it anew with room in it: encode(decode(data) | values, integer_width=8).",
            ) from error
        patched[place.position : place.position + place.width] = content
    return bytes(patched)


class _Slot(NamedTuple):
    """A place that holds a scalar or a distance, and what is known of the value."""

    position: int
    slot_width: int
    type: int
    width: int


class _Reader:
    """One walk through a FlexBuffer.

    Slots may share what they refer to, so a small file can unfold to a huge value. Hence a budget of twice the size: an
    element costs 1, a vector 4 more, text 1 more for each 32 bytes. Unshared, an element has a byte of its own at
    least, and the smallest vector three (size, slot, type), so only sharing can exhaust it.

    Args:
        data: The bytes.
        strict: Ask for keys in order, and note in ``spans`` (start, end) what belongs to values.
    """

    def __init__(self, data: Buffer, *, strict: bool = False) -> None:
        try:
            self.data = data if isinstance(data, bytes) else bytes(memoryview(data))
        except TypeError as error:
            raise InvalidTypeError(f"bytes are wanted, not {type(data).__name__}.") from error
        self.budget = max(1000, 2 * len(self.data))
        self.steps: list[str | int] = []
        self.strict = strict
        self.spans: set[tuple[int, int]] = set()

    def corrupt(self, message: str, offset: int) -> CorruptFileError:
        return CorruptFileError(f"FlexBuffer: {message}", path=wire.path(self.steps), offset=offset)

    def spend(self, amount: int, offset: int) -> None:
        self.budget -= amount
        if self.budget < 0:
            raise self.corrupt(f"its {len(self.data)} bytes unfold to far more than they can hold.", offset)

    def claim(self, start: int, length: int) -> None:
        """Raises unless the bytes are there."""
        if start < 0 or start + length > len(self.data):
            raise self.corrupt(f"{length} bytes wanted at {start}; there are {len(self.data)}.", max(start, 0))
        if self.strict:
            self.spans.add((start, start + length))

    def take(self, start: int, length: int) -> bytes:
        self.claim(start, length)
        return self.data[start : start + length]

    def unsigned(self, position: int, width: int) -> int:
        return int.from_bytes(self.take(position, width), "little")

    def target(self, slot: _Slot) -> int:
        distance = int.from_bytes(self.data[slot.position : slot.position + slot.slot_width], "little")
        if distance > slot.position:
            raise self.corrupt(f"refers to {distance} bytes before byte {slot.position}.", slot.position)
        return slot.position - distance

    def root(self) -> _Slot:
        end = len(self.data) - 2
        if end <= 0:
            raise self.corrupt(f"{len(self.data)} bytes are too few; the smallest has 3.", 0)
        type_byte, width = self.take(end, 2)
        if width not in wire.WIDTHS:
            raise self.corrupt(f"the root's width is {width}; it can be 1, 2, 4 or 8.", end + 1)
        self.claim(end - width, width)
        return _Slot(end - width, width, type_byte >> 2, 1 << (type_byte & 3))

    def value(self, slot: _Slot) -> Value:
        if slot.type in wire.INLINE:
            if self.strict and slot.width != slot.slot_width:
                raise self.corrupt("the type of a scalar names another width than that of its slot.", slot.position)
            return self.scalars(slot.position, slot.slot_width, slot.type, 1)[0]
        start = self.target(slot)
        if slot.type in wire.INDIRECT:
            self.claim(start, slot.width)
            return self.scalars(start, slot.width, wire.INDIRECT[slot.type], 1)[0]
        if slot.type == wire.KEY:
            return wire.text(self.key(start))
        if slot.type in (wire.STRING, wire.BLOB):
            return self.content(slot, start)
        if len(self.steps) >= wire.MAX_DEPTH:
            raise self.corrupt(f"more than {wire.MAX_DEPTH} vectors and maps inside each other.", start)
        if slot.type == wire.VECTOR:
            return [self.inside(index, element) for index, element in enumerate(self.elements(slot))]
        if slot.type == wire.MAP:
            return {key: self.inside(key, element) for key, element in self.entries(slot).items()}
        if slot.type in (wire.VECTOR_KEY, wire.VECTOR_STRING):
            # A vector of strings cannot say how wide their sizes are. C++ gave it up and reads old ones as keys.
            return TypedVector(map(wire.text, self.keys(slot)), "key")
        first, count, type_ = self.vector(slot)
        return TypedVector(
            self.scalars(first, slot.width, type_, count), wire.KINDS[type_], fixed=wire.is_fixed(slot.type)
        )

    def inside(self, step: str | int, slot: _Slot) -> Value:
        self.steps.append(step)
        value = self.value(slot)
        self.steps.pop()
        return value

    def scalars(self, start: int, width: int, type_: int, count: int) -> list[Value]:
        """Scalars side by side, which are known to lie inside the data."""
        if type_ == wire.NULL or not count:
            return [None] * count
        code = wire.letter(type_, width)
        if code == " ":
            raise self.corrupt(f"a float of {8 * width} bits; only 32 and 64 are defined.", start)
        values = struct.unpack_from(f"<{count}{code}", self.data, start)
        return [value != 0 for value in values] if type_ == wire.BOOL else list(values)

    def content(self, slot: _Slot, start: int) -> str | bytes:
        size = self.unsigned(start - slot.width, slot.width)
        self.spend(size // 32, start)
        content = self.take(start, size)
        if slot.type == wire.BLOB:
            return content
        if self.take(start + size, 1) != b"\0":
            raise self.corrupt("a string does not end with NUL.", start + size)
        try:
            return content.decode()
        except UnicodeDecodeError:
            return wire.RawString(content)

    def key(self, start: int) -> bytes:
        end = self.data.find(0, start)
        if end < 0:
            raise self.corrupt("a key does not end with NUL.", start)
        self.spend((end - start) // 32, start)
        return self.take(start, end + 1 - start)[:-1]

    def vector(self, slot: _Slot) -> tuple[int, int, int]:
        """First element, number of elements and their type (VECTOR: each has its own); all lie inside the data."""
        start, type_ = self.target(slot), slot.type
        if wire.is_fixed(type_):
            fields, element, count = 0, wire.INT + (type_ - wire.VECTOR_INT2) % 3, 2 + (type_ - wire.VECTOR_INT2) // 3
        elif wire.is_typed(type_):
            fields, element = 1, wire.INT + type_ - wire.VECTOR_INT
            count = self.unsigned(start - slot.width, slot.width)
        elif type_ in (wire.VECTOR, wire.MAP):
            fields, element = 3 if type_ == wire.MAP else 1, wire.VECTOR
            count = self.unsigned(start - slot.width, slot.width)
        else:
            raise self.corrupt(f"type {type_} is unknown.", slot.position)
        first, length = start - fields * slot.width, (fields + count) * slot.width
        length += count if element == wire.VECTOR else 0
        self.claim(first, length)
        if first + length > slot.position:
            raise self.corrupt("a vector or map does not end before the slot that refers to it.", slot.position)
        self.spend(count + 4, start)
        return start, count, element

    def elements(self, slot: _Slot) -> Iterator[_Slot]:
        start, count, type_ = self.vector(slot)
        width = slot.width
        for index in range(count):
            type_byte = self.data[start + count * width + index] if type_ == wire.VECTOR else type_ << 2
            yield _Slot(start + index * width, width, type_byte >> 2, 1 << (type_byte & 3))

    def keys(self, slot: _Slot) -> list[bytes]:
        return [self.key(self.target(element)) for element in self.elements(slot)]

    def entries(self, slot: _Slot) -> dict[str, _Slot]:
        """The values' slots by key."""
        elements = list(self.elements(slot))
        width, start = slot.width, self.target(slot)
        keys_width = self.unsigned(start - 2 * width, width)
        if keys_width not in wire.WIDTHS:
            raise self.corrupt(f"the width of the keys is {keys_width}; it can be 1, 2, 4 or 8.", start - 2 * width)
        keys = self.keys(_Slot(start - 3 * width, width, wire.VECTOR_KEY, keys_width))
        if len(keys) != len(elements):
            raise self.corrupt(f"a map with {len(elements)} values and {len(keys)} keys.", start)
        if self.strict and keys != sorted(keys):
            raise self.corrupt("the keys are not in order.", start)
        entries = dict(zip(map(wire.text, keys), elements, strict=True))
        if len(entries) != len(keys):
            raise self.corrupt("a map with the same key twice.", start)
        return entries

    def locate(self, keys: tuple[str | int, ...]) -> Scalar:
        slot = self.root()
        for key in keys:
            found = self.find(slot, key)
            self.steps.append(key)
            if found is None:
                raise NotFoundError("no such key or index in this FlexBuffer.", path=wire.path(self.steps))
            slot = found
        type_ = wire.INDIRECT.get(slot.type, slot.type)
        if type_ == wire.NULL or type_ not in wire.INLINE:
            raise InvalidValueError("is not a number or bool.", path=wire.path(self.steps), offset=slot.position)
        place, width = (
            (self.target(slot), slot.width) if slot.type in wire.INDIRECT else (slot.position, slot.slot_width)
        )
        self.claim(place, width)
        return Scalar(place, width, wire.KINDS[type_])

    def find(self, slot: _Slot, key: str | int) -> _Slot | None:
        if isinstance(key, str):
            return self.entries(slot).get(key) if slot.type == wire.MAP else None
        if slot.type != wire.VECTOR and not wire.is_typed(slot.type) and not wire.is_fixed(slot.type):
            return None
        return next((element for index, element in enumerate(self.elements(slot)) if index == key), None)
