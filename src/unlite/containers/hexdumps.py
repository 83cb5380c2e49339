"""Dumps of bytes as text: what ``xxd``, ``xxd -p``, ``hexdump``, ``hexdump -C`` and ``od`` print, read back.

A dump is read or refused: the offsets must be those of the bytes, and the column of characters, where there is one,
must show the same bytes. A line ``*`` stands for repetitions of the line before it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from unlite.containers.c_elements import out_of_proportion
from unlite.containers.c_tokens import as_utf8, begin_in_utf8
from unlite.errors import TextError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Buffer

HEX, OCTAL, DECIMAL = 16, 8, 10
_PLAIN = re.compile(rb"(?:[0-9A-Fa-f]{2})+(?:\s+(?:[0-9A-Fa-f]{2})+)*\s*")
_XXD = re.compile(rb"0+:\s+[0-9A-Fa-f]")
_OFFSET_LED = re.compile(rb"(0{6,16})\s+([-0-9A-Fa-f]+)(?:\s|$)")
_DOTS = bytes(c if 0x20 <= c < 0x7F else 0x2E for c in range(256))


class _Line(NamedTuple):
    """A line of a dump.

    Attributes:
        number: From 1.
        offset: Its digits.
        groups: The digits of its bytes or words.
        characters: The column of characters, where there is one.
        is_wide: Groups have several blanks between them, as decimal ones do.
    """

    number: int
    offset: bytes
    groups: list[bytes]
    characters: bytes | None
    is_wide: bool = False


class _Format(NamedTuple):
    """How offsets and groups are to be read: the offsets' base, bytes of a group, and a line's groups as bytes."""

    base: int
    width: int
    decode: Callable[[list[bytes]], bytes]


def looks_like_dump(text: Buffer) -> bool:
    """Whether a text begins like a dump. Only its first 4 KiB are looked at, which may end anywhere."""
    head = begin_in_utf8(bytes(memoryview(text)[:4096])).strip()
    digits = head.split()
    plain = len(digits) > 0 and all(re.fullmatch(rb"[0-9A-Fa-f]+", part) for part in digits[: max(1, len(digits) - 1)])
    return bool(_XXD.match(head) or _OFFSET_LED.match(head) or (plain and len(digits[0]) % 2 == 0))


def read_dump(text: str | Buffer, file: str | None = None) -> bytes:
    """The bytes that a dump shows.

    Args:
        text: The text: a string, UTF-8 bytes, or UTF-16 bytes with a byte order mark.
        file: The text's file name, for messages.

    Raises:
        TextError: a line is none of a dump, an offset is not where its bytes are, the characters show other bytes, or
            the text ends before the length that its last line states.
    """
    content = as_utf8(text, file).strip()
    offset_led = _OFFSET_LED.match(content)
    if offset_led is None and not _XXD.match(content):
        if _PLAIN.fullmatch(content):
            return bytes.fromhex(content.decode())
        raise TextError("this is no dump of bytes.", line=1, column=1, file=file)
    lines = list(_xxd_lines(content) if offset_led is None else _lines(content))
    found: list[bytes] = []
    error: TextError | None = None
    for format_ in _xxd_formats() if offset_led is None else _formats(lines[0]):
        try:
            data = _Dump(format_, content, file, is_xxd=offset_led is None).read(lines)
        except TextError as caught:
            error = caught if error is None or caught.line > error.line else error
            continue
        if offset_led is None:
            return data
        found.append(data)
    if not found:
        raise error or TextError("these digits are none that a known dump has.", line=1, column=1, file=file)
    if any(data != found[0] for data in found):
        raise TextError(
            "this dump can be read in several ways.",
            line=1,
            column=1,
            file=file,
            hint="Dump the file again, with: xxd FILE",
        )
    return found[0]


def _xxd_lines(content: bytes) -> Iterator[_Line]:
    column = 0
    for number, line in enumerate(content.splitlines(), 1):
        offset, _, rest = line.partition(b":")
        column = column or len(rest) - len(rest.lstrip().partition(b"  ")[2])
        yield _Line(number, offset.strip(), rest[:column].split(), rest[column:] or None)


def _lines(content: bytes) -> Iterator[_Line]:
    for number, line in enumerate(content.splitlines(), 1):
        digits, mark, characters = line, b"", b""
        if line.rstrip().endswith(b"|"):
            digits, mark, characters = line.partition(b"|")
        elif line.rstrip().endswith(b"<"):
            digits, mark, characters = line.partition(b"  >")
        offset, *groups = digits.split() or [b""]
        is_wide = mark != b"|" and b"  " in digits.strip()
        yield _Line(number, offset, groups, characters.rstrip()[:-1] if mark else None, is_wide)


# -- what groups of digits may be ----------------------------------------------------------------------------------


def _xxd_formats() -> Iterator[_Format]:
    """Bytes in their order, ``-e``, ``-b``; the characters tell which one it is."""
    yield _Format(HEX, 1, lambda groups: bytes.fromhex(b"".join(groups).decode()))
    yield _Format(HEX, 1, lambda groups: b"".join(bytes.fromhex(group.decode())[::-1] for group in groups))
    yield _Format(HEX, 1, lambda groups: bytes(int(group, 2) for group in groups))


def _formats(line: _Line) -> Iterator[_Format]:
    """What the first line's groups can be. Which one it is, the offsets tell."""
    lengths = {len(group) for group in line.groups}
    # hexdump -C writes eight digits and od -A x six, both hexadecimal; seven are hexdump's, or od's octal or decimal.
    bases = (HEX, OCTAL, DECIMAL) if len(line.offset) == 7 else (HEX,)
    if line.is_wide or len(lengths) > 1:
        yield from (_Format(base, 1, _decimal_bytes) for base in bases)
        return
    length = lengths.pop()
    hexadecimal, octal = {2: 1, 4: 2, 8: 4, 16: 8}.get(length, 0), {3: 1, 6: 2, 11: 4, 22: 8}.get(length, 0)
    if hexadecimal:
        yield from (_Format(base, hexadecimal, lambda groups: _words(groups, 16, hexadecimal)) for base in bases)
    if octal:
        yield from (_Format(base, octal, lambda groups: _words(groups, 8, octal)) for base in bases)
    if length == 3 and not any(group.startswith(b"0") for group in line.groups):
        yield from (_Format(base, 1, _decimal_bytes) for base in bases)


def _words(groups: Iterable[bytes], radix: int, width: int) -> bytes:
    return b"".join(int(group, radix).to_bytes(width, "little") for group in groups)


def _decimal_bytes(groups: Iterable[bytes]) -> bytes:
    values = [int(group) for group in groups]
    if min(values, default=0) < -128:
        raise ValueError("smaller than a byte")
    return b"".join(value.to_bytes(1, "little", signed=value < 0) for value in values)


class _Dump:
    """One way to read a dump. Raises TextError where the lines do not agree with it."""

    def __init__(self, format_: _Format, text: bytes, file: str | None, *, is_xxd: bool) -> None:
        self._format = format_
        self._text = text
        self._file = file
        self._is_xxd = is_xxd

    def error(self, message: str, line: _Line, hint: str | None = None) -> TextError:
        return TextError(message, line=line.number, column=1, file=self._file, hint=hint)

    def read(self, lines: list[_Line]) -> bytes:
        data = bytearray()
        previous = b""
        is_repeated = is_complete = False
        for line in lines:
            if line.offset == b"*" and not line.groups and previous:
                is_repeated = True
                continue
            offset = self._offset(line)
            if is_repeated:
                self._repeat(data, previous, offset, line)
                is_repeated = False
            if not line.groups and len(data) - self._format.width < offset <= len(data):
                del data[offset:]
                is_complete = True  # the last line states the length
                continue
            if offset != len(data) or is_complete:
                raise self.error(
                    f"its offset is {line.offset.decode(errors='replace')}, but {len(data)} bytes stand before it.",
                    line,
                    "Lines are missing or edited: dump the file again.",
                )
            previous = self._bytes(line)
            data += previous
        if is_repeated or not (is_complete or self._is_xxd):
            raise self.error(
                "the text ends before the line that states its length.", lines[-1], "It looks cut short: dump it again."
            )
        return bytes(data)

    def _offset(self, line: _Line) -> int:
        try:
            return int(line.offset, self._format.base)
        except ValueError:
            raise self.error("this is no line of a dump: it begins with no offset.", line) from None

    def _repeat(self, data: bytearray, previous: bytes, offset: int, line: _Line) -> None:
        gap = offset - len(data)
        if gap < 0 or gap % len(previous):
            raise self.error("the lines that '*' stands for end at no line's beginning.", line)
        if out_of_proportion(offset, self._text):
            raise self.error(f"{offset} bytes are out of all proportion to the text.", line)
        data += previous * (gap // len(previous))

    def _bytes(self, line: _Line) -> bytes:
        try:
            data = self._format.decode(line.groups)
        except (ValueError, OverflowError):
            raise self.error("its digits are not those of the lines before it.", line) from None
        shown = line.characters
        if shown is not None and not self._shows(shown, data.translate(_DOTS)):
            raise self.error(
                "its characters are not those of its bytes.", line, "The line was edited, or is of a format not known."
            )
        return data

    def _shows(self, shown: bytes, characters: bytes) -> bool:
        if self._is_xxd:  # blanks stand in front on a short line, and may have been taken away at a line's end
            blanks, shown = len(shown) - len(characters), shown.rstrip()
            return shown[max(0, blanks) :] == characters.rstrip() and not shown[: max(0, blanks)].strip()
        return characters.startswith(shown) and len(characters) - len(shown) < self._format.width
