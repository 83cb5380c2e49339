"""Vectors of scalars as JSON text, both ways and in pieces: what stands between ``[`` and ``]``.

Nearly all of a model is ``[ubyte]``, so here is where a JSON round trip spends its time. ``code`` is the struct
module's letter of the element; its bytes are little-endian, as in a FlatBuffer.
"""

from __future__ import annotations

import math
import re
import struct
from functools import lru_cache
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

LINE = 1 << 16  # no line of text is longer, the comma at its end not counted
MANY_SINGLES = 1 << 12  # bytes; for fewer, importing NumPy costs more than it saves
LONGEST_NUMBER = 4096  # characters; flatc writes any double in fewer than 400
HALF = (1 << 28) - 1  # bits of a float64 that are 0 in every number half-way between two float32


class _Layout(NamedTuple):
    name: str  # in a schema
    width: int  # bytes of its longest text and a comma
    size: int


LAYOUTS = {
    code: _Layout(name, width, struct.calcsize(f"<{code}"))
    for code, name, width in (
        ("?", "bool", 6),
        ("b", "byte", 5),
        ("B", "ubyte", 4),
        ("h", "short", 7),
        ("H", "ushort", 6),
        ("i", "int", 12),
        ("I", "uint", 11),
        ("q", "long", 21),
        ("Q", "ulong", 21),
        ("f", "float", 20),
        ("d", "double", 26),
    )
}

SPACE = b" \t\n\r"
INTEGER = re.compile(rb"[+-]?(?:0x[0-9a-f]+|[0-9]+)", re.IGNORECASE)
REAL = re.compile(rb"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf(?:inity)?)", re.IGNORECASE)
# orjson reads it as the integer 0, which has no sign.
INTEGER_MINUS_ZERO = re.compile(rb"-0(?![.eE0-9])")
WORDS = {b"true": 1, b"false": 0}
IS_ZERO = b"\1" + bytes(255)


class NumberTextError(ValueError):
    """Text that is not a number of the wanted kind.

    Args:
        message: What is wrong, without the place.
        position: Byte position of the number, counted from the caller's base.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


def format_numbers(chunks: Iterable[Buffer], code: str) -> Iterator[bytes]:
    """The text of a vector: ``1,2,3`` without brackets, with newlines only where a line would pass 64 KiB.

    Args:
        chunks: The vector's bytes, each chunk a whole number of elements.
        code: What they are, as in ``ScalarVector.code``.

    Yields:
        Pieces of about 32 KiB. Floats are the shortest text that reads back as the same value, ``1.0`` where they
        are whole, ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` in quotes, where JSON has no number and flatc reads
        strings. As in flatc's text, a bool that is neither 0 nor 1 is ``true``.
    """
    separator = b""
    column = 0
    for text in _texts(chunks, code):
        if column + len(text) > LINE:
            separator = b",\n"
            column = 0
        yield separator + text
        separator = b","
        column += len(text) + 1


def parse_numbers(text: Buffer, code: str, *, base: int = 0) -> bytes:
    """The bytes of the vector whose text this is. Arguments and errors as in ``parse_number_chunks``."""
    return b"".join(parse_number_chunks((text,), code, base=base))


def parse_number_chunks(chunks: Iterable[Buffer], code: str, *, base: int = 0) -> Iterator[bytes]:
    """The bytes of a vector, in pieces, from its text in pieces.

    Takes what flatc takes: any white space, a comma behind the last number, ``+1``, ``007``, ``0x1F``, ``.5``,
    numbers in double quotes; ``true`` and ``false`` in a bool vector; in a float vector whole numbers and, in
    any case, ``nan``, ``inf``, ``infinity``. A decimal number becomes the nearest float of its own size, or infinite.
    Not taken: comments, single quotes, hexadecimal fractions, functions such as ``rad(180)``.

    Args:
        chunks: The text between the brackets, cut anywhere.
        code: What the numbers are, as in ``ScalarVector.code``.
        base: Position of the text's first byte, for errors.

    Raises:
        NumberTextError: a number is missing, is none, or does not fit.
    """
    pending = bytearray()
    position = base
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        for start in range(0, len(view), LINE):
            numbers, comma, rest = bytes(view[start : start + LINE]).rpartition(b",")
            if comma:
                pending += numbers
                yield _parse(bytes(pending), code, position)
                position += len(pending) + 1
                pending = bytearray()
            pending += rest
    if pending.strip(SPACE):
        yield _parse(bytes(pending), code, position)


def shortest_single(value: float) -> float:
    """A number that is the float32 ``value`` when rounded to one, with the fewest digits: 0.1 for 0.10000000149011612.

    Returns:
        The float64 nearest to it: ``repr`` shows just those digits. Infinities and NaN as they are.
    """
    if not math.isfinite(value):
        return value
    # Below a power of two, floats lie twice as close. What rounds to it is therefore not centred on it, and a short
    # decimal there may be found only by looking from the centre.
    nears = (value, value * (1 + 2**-26)) if abs(math.frexp(value)[0]) == 0.5 else (value,)
    # Every decimal of six digits survives in a normal float32, so none has fewer digits than its text with six.
    for digits in range(6 if abs(value) >= 2**-126 else 1, 9):
        for near in nears:
            candidate = float(f"{near:.{digits}g}")
            if _round_to_single(candidate) == value:
                return candidate
    return float(f"{value:.9g}")


def _texts(chunks: Iterable[Buffer], code: str) -> Iterator[bytes | bytearray]:
    layout = LAYOUTS[code]
    step = LINE // 2 // layout.width * layout.size
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        write: Callable[[memoryview, str], bytes | bytearray] = _write_values
        if layout.size == 1:
            write = _write_bytes
        elif code == "f":
            write = _write_singles if len(view) <= MANY_SINGLES else _write_many_singles
        for start in range(0, len(view), step):
            yield write(view[start : start + step], code)


def _write_bytes(view: memoryview, code: str) -> bytearray:
    """Text of elements of one byte: padded cells, a column of all of them at a time, then without the padding."""
    columns = _columns(code)
    data = bytes(view)
    width = len(columns) + 1
    cells = bytearray(b",") * (width * len(data))
    for place, column in enumerate(columns):
        cells[place::width] = data.translate(column)
    cells.pop()
    return cells.translate(None, b" ")


@lru_cache(maxsize=3)
def _columns(code: str) -> tuple[bytes, ...]:
    """For each character of a cell, what every byte value has there."""
    values: Iterable[Any] = (value for (value,) in struct.iter_unpack(f"<{code}", bytes(range(256))))
    texts = [str(value).lower().encode() for value in values]
    width = max(map(len, texts))
    return tuple(bytes(column) for column in zip(*(text.ljust(width) for text in texts), strict=True))


def _write_values(view: memoryview, code: str) -> bytes:
    return _dump(struct.unpack(f"<{len(view) // LAYOUTS[code].size}{code}", view))


def _write_singles(view: memoryview, code: str) -> bytes:
    return _dump([shortest_single(value) for (value,) in struct.iter_unpack(f"<{code}", view)])


def _write_many_singles(view: memoryview, code: str) -> bytes:
    import numpy as np

    return _dump(np.frombuffer(view, f"<{code}").astype(np.float32, copy=False))


def _dump(values: Any) -> bytes:
    import orjson

    text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    if b"null" in text:
        pairs = zip(text.split(b","), values, strict=True)
        text = b",".join(_not_finite(value) if token == b"null" else token for token, value in pairs)
    return text


def _not_finite(value: float) -> bytes:
    if math.isnan(value):
        return b'"NaN"'
    return b'"Infinity"' if value > 0 else b'"-Infinity"'


def _parse(text: bytes, code: str, position: int) -> bytes:
    """The bytes of the numbers in ``text``, at least one."""
    packed = parse_plain(text, code)
    if packed is not None:
        return packed
    numbers: list[bytes] = []
    for token in text.split(b","):
        numbers.append(_parse_number(token, code, position))
        position += len(token) + 1
    return b"".join(numbers)


def parse_plain(text: bytes, code: str) -> bytes | None:
    """The bytes of plain JSON numbers that fit; None where that is not all there is, or it takes a closer look."""
    import orjson

    if code != "?" and (b"u" in text or b"s" in text):  # true and false, which Python takes for integers
        return None
    if code in "fd" and INTEGER_MINUS_ZERO.search(text):
        return None
    try:
        values: list[Any] = orjson.loads(b"[%b]" % text)
        if code in "?B":
            packed = bytes(values)
        else:
            packed = struct.pack(f"<{len(values)}{code}", *values)
            if code == "f" and _rounded_twice(values, packed):
                return None
    except (ValueError, TypeError, OverflowError, struct.error):
        return None
    return packed or None


def _rounded_twice(values: Sequence[float], singles: bytes) -> bool:
    """Whether a float64 lies half-way between two float32, so that the text alone knows which is nearer."""
    doubles = struct.pack(f"<{len(values)}d", *values)
    for index in compress(range(len(values)), doubles[::8].translate(IS_ZERO)):
        (single,) = struct.unpack_from("<f", singles, 4 * index)
        if values[index] != single and not int.from_bytes(doubles[8 * index : 8 * index + 4], "little") & HALF:
            return True
    return False


def _parse_number(token: bytes, code: str, position: int) -> bytes:
    word = token.strip(SPACE)
    position += token.find(word)
    if not word:
        raise NumberTextError("a number is missing.", position)
    name = LAYOUTS[code].name
    shown = ascii(word[:40].decode("latin-1")) + ("..." if len(word) > 40 else "")
    text = word[1:-1].strip(b" ") if len(word) > 1 and word[0] == word[-1] == ord('"') else word
    if len(text) > LONGEST_NUMBER:
        raise NumberTextError(f"{shown} is {len(text)} characters long: too long for a number.", position)
    if code in "fd":
        if not REAL.fullmatch(text):
            raise NumberTextError(f"{shown} is not a number ({name}).", position)
        return struct.pack("<d", float(text)) if code == "d" else _pack_single(text)
    if code == "?" and text in WORDS:
        number = WORDS[text]
    elif INTEGER.fullmatch(text):
        number = int(text, 16 if b"x" in text.lower() else 10)
    else:
        raise NumberTextError(f"{shown} is not a whole number ({name}).", position)
    bits = 8 * LAYOUTS[code].size
    low, high = (-1 << bits - 1, (1 << bits - 1) - 1) if code in "bhiq" else (0, (1 << bits) - 1)
    if not low <= number <= high:
        raise NumberTextError(f"{shown} does not fit {name}, {low} to {high}.", position)
    return number.to_bytes(bits // 8, "little", signed=low < 0)


def _pack_single(text: bytes) -> bytes:
    """The float32 nearest to the number itself, not to its float64. Source: C11 7.22.1.3, strtof."""
    value = float(text)
    bits = int.from_bytes(struct.pack("<d", value), "little")
    if math.isfinite(value) and not bits & HALF and _round_to_single(value) != value:
        from decimal import Decimal

        exact = Decimal(text.decode())
        if exact != value:
            value = math.nextafter(value, math.inf if exact > value else -math.inf)
    return struct.pack("<f", _round_to_single(value))


def _round_to_single(value: float) -> float:
    try:
        packed = struct.pack("<f", value)
    except OverflowError:
        return math.copysign(math.inf, value)
    (single,) = struct.unpack("<f", packed)
    return float(single)
