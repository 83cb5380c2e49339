"""What stands in a list of bytes in C or C++: numbers, characters, elements with a type of their own, or with an index.

Source: ISO C17, 6.7.9 (initialisers) and 6.4.4 (constants); C++17, [cstddef.syn] (std::byte).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unlite.containers.c_tokens import WHITE_SPACE, Token, Tokens, number, printable

if TYPE_CHECKING:
    from unlite.errors import TextError

UNSIGNED, SIGNED, PLAIN = (0, 255), (-128, 127), (-128, 255)
# Names of eight-bit types. Whether a plain char has a sign is the compiler's choice; its bytes are the same.
BYTE_TYPES = {
    **dict.fromkeys(b"uint8_t u_int8_t uint8 u8 byte BYTE Byte uchar UCHAR char8_t ai_u8".split(), UNSIGNED),
    **dict.fromkeys(b"int8_t int8 i8 s8 ai_i8".split(), SIGNED),
}
_NOT_PLAIN = re.compile(rb"['\"/#}]")
# An element whose type is named: std::byte{0x1c}, uint8_t(28), (char)28, static_cast<uint8_t>(28).
_TYPE = rb"(?:::\s*)?(?:std\s*::\s*)?(?:(?:unsigned|signed)\s+)?[A-Za-z_]\w*"
_VALUE = rb"\s*([-+]?)\s*([0-9][0-9A-Za-z']*)\s*"
_CAST = re.compile(
    rb"(%b)\s*\{%b\}|(%b)\s*\(%b\)|\(\s*(%b)\s*\)%b|static_cast\s*<\s*(%b)\s*>\s*\(%b\)" % ((_TYPE, _VALUE) * 4)
)
_CAST_BEGINS = re.compile(rb"\s*(?:%b\s*[{(<]|\()" % _TYPE)
_NOT_PLAIN_CAST = re.compile(rb"['\"/#;]")  # where elements have braces of their own; no list has a semicolon
_PLAIN_INDEX = re.compile(rb"\[([0-9]{1,10})\]\s*=\s*([0-9A-Za-z]+)\s*,")
_BLOCK = 1 << 20
LARGEST, GROWTH = 1 << 30, 256
"""An index such as ``[1000000] =`` may make an array this large, or this many times its text, and no larger."""


def out_of_proportion(length: int, text: bytes) -> bool:
    """Whether a text asks for more bytes than one of its length may."""
    return length >= max(LARGEST, GROWTH * len(text))


class Elements:
    """Reads lists of elements.

    Args:
        tokens: The text; lists are read where it stands.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._values: dict[tuple[int, int], _Values] = {}
        self._run_end = 0

    def read(self, opening: Token, limits: tuple[int, int]) -> bytes:
        """The bytes of a list of numbers, of which the brace has been read."""
        data = bytearray()
        token = self._after_run(data, opening.end, limits, opening)
        while token.kind != "}":
            if token.kind == "[":
                return self._designated(data, token, opening, limits)
            data.append(self._element(token, opening, limits))
            token = self.next_inside(opening)
            if token.kind == ",":
                token = self._after_run(data, token.end, limits, opening)
            elif token.kind != "}":
                raise self.unexpected(token, "',' or '}'")
        return bytes(data)

    def _designated(self, data: bytearray, token: Token, opening: Token, limits: tuple[int, int]) -> bytes:
        """The same from the first element with an index on: ``[3] = 28``, or GNU C's ``[3 ... 7] = 28``.

        Elements that are not named are 0; of two for one place the later one counts, as in C.
        """
        at, text = len(data), self._tokens.text
        values = self._values.setdefault(limits, _Values(limits))
        while token.kind != "}":
            while (plain := _PLAIN_INDEX.match(text, token.start)) and int(plain[1]) == at == len(data):
                try:  # for speed alone
                    data.append(values[plain[2]])
                except KeyError:
                    break
                at += 1
                self._tokens.position = plain.end()
                token = self.next_inside(opening)
            if token.kind == "}":
                break
            first = last = at
            if token.kind == "[":
                first, last = self._indices(token, opening)
                token = self.next_inside(opening)
            byte = self._element(token, opening, limits)
            data += bytes(max(0, last + 1 - len(data)))
            data[first : last + 1] = bytes((byte,)) * (last + 1 - first)
            at = last + 1
            token = self.next_inside(opening)
            if token.kind == ",":
                token = self.next_inside(opening)
            elif token.kind != "}":
                raise self.unexpected(token, "',' or '}'")
        return Designated(data)

    def _indices(self, bracket: Token, opening: Token) -> tuple[int, int]:
        """First and last index of an element; the equals sign behind the brackets is read."""
        tokens = self._tokens
        group = tokens.text[bracket.end : tokens.skip_group(bracket).start]
        first, _, last = group.partition(b"...")
        indices = [number(part.strip(WHITE_SPACE)) for part in ((first, last) if last else (first, first))]
        equals = self.next_inside(opening)
        if equals.kind != "=":
            raise self.unexpected(equals, "'='")
        if indices[0] is None or indices[1] is None or indices[1] < indices[0]:
            raise tokens.error(f"{printable(group)!r} is no index of an element.", bracket.end)
        if out_of_proportion(indices[1], tokens.text):
            raise tokens.error(f"the index {indices[1]} is out of all proportion to the text.", bracket.end)
        return indices[0], indices[1]

    def _after_run(self, data: bytearray, start: int, limits: tuple[int, int], opening: Token) -> Token:
        """Adds to ``data`` the run of plain numbers, each followed by a comma, that begins at ``start``.

        Returns the token after it. This is for speed alone, and leaves everything it does not know to the caller:
        every element's text is looked up in a table of the texts seen so far, which are few.
        """
        text = self._tokens.text
        if start >= self._run_end:
            plain = _NOT_PLAIN_CAST if _CAST_BEGINS.match(text, start) else _NOT_PLAIN
            stop = plain.search(text, start)
            self._run_end = stop.start() if stop else len(text)
            end = text.rfind(b",", start, self._run_end)
            values = self._values.setdefault(limits, _Values(limits))
            while start < end:
                comma = end if end - start <= _BLOCK else text.rfind(b",", start, start + _BLOCK)
                if comma < 0:
                    break
                try:
                    data += bytes(map(values.__getitem__, text[start:comma].split(b",")))
                except KeyError:
                    break
                start = comma + 1
            self._tokens.position = start
        return self.next_inside(opening)

    def next_inside(self, opening: Token) -> Token:
        token = self._tokens.next()
        if not token.kind:
            raise self._tokens.error("this '{' is never closed: the text looks cut short.", opening.start)
        if token.kind == "directive":
            raise self._tokens.error(
                "a preprocessor line stands inside an array.",
                token.start,
                hint="Branches and included files are not followed: run the C preprocessor first (cc -E).",
            )
        return token

    def unexpected(self, token: Token, wanted: str) -> TextError:
        return self._tokens.error(
            f"{wanted} is expected here, not {printable(self._tokens.spelled(token))!r}.", token.start
        )

    def _element(self, token: Token, opening: Token, limits: tuple[int, int]) -> int:
        """The byte of one element that begins with ``token``."""
        tokens = self._tokens
        if token.kind in ("word", "(", ":") and (cast := _CAST.match(tokens.text, token.start)):
            sign_in_cast, digits_in_cast = _in_cast(cast)
            value = number(digits_in_cast)
            byte = None if value is None else _as_byte(value, sign_in_cast == b"-", digits_in_cast, limits)
            if byte is None:
                raise tokens.error(
                    f"{printable(cast[0])} does not lie in {limits[0]}..{limits[1]}, the array's type.", token.start
                )
            tokens.position = cast.end()
            return byte
        if token.kind == "char":
            data = tokens.literal(token)
            if len(data) != 1:
                raise tokens.error("a character constant of one byte is expected here.", token.start)
            return data[0]
        digits = self.next_inside(opening) if token.kind in ("+", "-") else token
        value = number(tokens.spelled(digits)) if digits.kind == "number" else None
        if value is None:
            raise self.unexpected(digits, "an integer or a character constant")
        byte = _as_byte(value, token.kind == "-", tokens.spelled(digits), limits)
        if byte is None:
            sign = "-" if token.kind == "-" else ""
            spelled = sign + printable(tokens.spelled(digits))
            raise tokens.error(f"{spelled} does not lie in {limits[0]}..{limits[1]}, the array's type.", token.start)
        return byte


class Designated(bytes):
    """Elements some of which were named by index: zeros fill the array up to its stated length."""


def _in_cast(cast: re.Match[bytes]) -> tuple[bytes, bytes]:
    """Sign and number of an element whose type is named; no number where that type is not eight bits wide."""
    kind, sign, spelled = (group for group in cast.groups() if group is not None)
    name = kind.split()[-1].rpartition(b":")[2]
    return sign, spelled if name == b"char" or name in BYTE_TYPES else b""


def _as_byte(value: int, negative: bool, spelled: bytes, limits: tuple[int, int]) -> int | None:
    """The byte that stores a number in an array of this range; None if it does not fit."""
    if negative and value:
        if b"u" in spelled.lower():
            return None  # minus an unsigned number is a large one
        value = -value
    return value & 0xFF if limits[0] <= value <= limits[1] else None


class _Values(dict[bytes, int]):
    """Text of an element, with the white space around it -> its byte. Texts that are no number raise KeyError."""

    def __init__(self, limits: tuple[int, int]) -> None:
        super().__init__()
        self._limits = limits

    def __missing__(self, text: bytes) -> int:
        spelled = text.strip(WHITE_SPACE)
        if cast := _CAST.fullmatch(spelled):
            sign, spelled = _in_cast(cast)
        else:
            sign = spelled[:1] if spelled[:1] in (b"+", b"-") else b""
            spelled = spelled[len(sign) :].lstrip(WHITE_SPACE)
        value = number(spelled)
        byte = None if value is None else _as_byte(value, sign == b"-", spelled, self._limits)
        if byte is None:
            raise KeyError(text)
        if len(self) < 4096 and len(text) < 64:
            self[text] = byte
        return byte
