"""Tokens of a JSON text, read through a window: a text of any length is never in memory as a whole.

Takes what flatc takes: keys without quotes, strings in single quotes, ``//`` and ``/* */`` comments, commas behind
the last entry, a byte order mark. Knows nothing of schemas.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unlite.errors import TextError
from unlite.storage.source import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from unlite.storage.source import Source

# Kinds of tokens; also their groups in _TOKEN.
WORD, STRING, MARK = 1, 2, 3

_SPACE = re.compile(rb"[ \t\r\n]*")
_TOKEN = re.compile(rb'[ \t\r\n]*(?:([-+.\w]+)|"([^"\\\x00-\x1f]*)"|([\[\]{},:]))')
_MEMBER = re.compile(rb'[ \t\r\n]*(?:(,)[ \t\r\n]*)?(?:"([^"\\\x00-\x1f]*)"[ \t\r\n]*:|([A-Za-z_]\w*)[ \t\r\n]*:|(\}))')
_END = 4  # its group of the closing brace
_OPENED = re.compile(rb"[ \t\r\n]*\{")
_NEXT = re.compile(rb'[ \t\r\n]*,[ \t\r\n]*(?=[{"])')
_NUMBERS = re.compile(rb"[-+.,\w \t\r\n]*")
_CONTROL = re.compile(rb"[\x00-\x1f]")
_ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'\\/bfnrt])|)"
)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONTINUATION = bytes(range(0x80, 0xC0))  # bytes of UTF-8 that begin no character

CUT_SHORT = "The text looks cut short: compare its size with the source and fetch it again."


class Text:
    """A JSON text and a place in it.

    Args:
        source: The text, UTF-8.
        name: What messages call it.

    Attributes:
        start: Byte offset of the latest token; of a string, of what its quotes hold.
    """

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        self._name = name
        self._data = b""  # the window,
        self._base = 0  # where it begins,
        self._at = 0  # and the place in it
        self.start = 0
        self._more()
        if self._data.startswith(b"\xef\xbb\xbf"):
            self._at = 3

    @property
    def position(self) -> int:
        """Byte offset of the place."""
        return self._base + self._at

    def seek(self, position: int) -> None:
        """Goes on reading at a byte offset."""
        if self._base <= position <= self._base + len(self._data):
            self._at = position - self._base
        else:
            self._data, self._base, self._at = b"", position, 0

    def _more(self) -> bool:
        """Reads on, and forgets what lies before the place; False at the end of the text."""
        rest = self._data[self._at :]
        self._base += self._at
        self._at = 0
        begin = self._base + len(rest)
        # At least twice as much as before: a long string must not be read again with each piece.
        length = min(max(CHUNK, len(rest)), self._source.size - begin)
        self._data = b"".join([rest, *self._source.chunks(begin, length)]) if length else rest
        return length > 0

    # -- tokens ---------------------------------------------------------------------------------------------------

    def token(self) -> tuple[int, bytes]:
        """Kind and bytes of the next token; of a string, what its quotes hold."""
        found = _TOKEN.match(self._data, self._at)
        if found is None or found.end() == len(self._data):
            return self._far_token()
        kind = found.lastindex or 0
        self.start = self._base + found.start(kind)
        self._at = found.end()
        return kind, found[kind]

    def _far_token(self) -> tuple[int, bytes]:
        """The same where the window ends, a comment comes first, or something is wrong."""
        byte = self.peek()
        if byte in b"\"'":
            return STRING, self._string()
        while True:
            found = _TOKEN.match(self._data, self._at)
            if found is None:
                raise self.error(f"{_shown(byte)} has no place here.", self.position)
            if found.end() < len(self._data) or not self._more():
                break
        kind = found.lastindex or 0
        self.start = self.position
        self._at += len(found[kind])
        return kind, found[kind]

    def peek(self) -> int:
        """The byte that comes next behind white space and comments."""
        while True:
            self._at = _SPACE.match(self._data, self._at).end()  # type: ignore[union-attr]  # it always matches
            if self._at == len(self._data):
                if not self._more():
                    raise self.error("the text ends too early.", self.position, CUT_SHORT)
            elif self._data[self._at] != 0x2F:
                return self._data[self._at]
            else:
                self._comment()

    def _comment(self) -> int:
        """Goes behind the comment that begins here; its length. The end of the text ends a ``//`` one."""
        while len(self._data) < self._at + 2 and self._more():
            pass
        begin = self._data[self._at : self._at + 2]
        if begin not in (b"//", b"/*"):
            raise self.error("'/' has no place here.", self.position)
        end, seen = b"\n" if begin == b"//" else b"*/", 2
        while (found := self._data.find(end, self._at + seen)) < 0:
            seen = max(2, len(self._data) - self._at - 1)
            if self._more():
                continue
            if begin == b"/*":
                raise self.error("a comment is not closed.", self.position, CUT_SHORT)
            found, end = len(self._data), b""
            break
        length = found + len(end) - self._at
        self._at += length
        return length

    def _string(self) -> bytes:
        """What the quotes hold that begin here, its escapes as they are."""
        quote = self._data[self._at]
        self._at += 1
        self.start = self.position
        seen = 0
        while True:
            end = self._data.find(quote, self._at + seen)
            control = _CONTROL.search(self._data, self._at + seen, len(self._data) if end < 0 else end)
            if control is not None:
                raise self.error(
                    f"a string holds a raw control character, 0x{control[0][0]:02X}.",
                    self._base + control.start(),
                    f'Close the string in front of it, or write it as "\\u{control[0][0]:04X}".',
                )
            if end >= 0:
                slashes = 0
                while end - slashes > self._at and self._data[end - slashes - 1] == 0x5C:
                    slashes += 1
                if slashes % 2 == 0:
                    break
                seen = end + 1 - self._at
                continue
            seen = len(self._data) - self._at
            if not self._more():
                raise self.error("a string is not closed.", self.start - 1, CUT_SHORT)
        raw = self._data[self._at : end]
        self._at = end + 1
        return raw

    def key(self, first: bool) -> bytes | None:
        """The next key of an object, its colon passed; None behind the object's end."""
        found = _MEMBER.match(self._data, self._at)
        if found is None:
            return self._far_key(first)
        kind = found.lastindex or 0
        if (found[1] is None) != first and (first or kind != _END):
            return self._far_key(first)
        self._at = found.end()
        if kind == _END:
            return None
        self.start = self._base + found.start(kind)
        return found[kind]

    def _far_key(self, first: bool) -> bytes | None:
        kind, token = self.token()
        comma = not first and kind == MARK and token == b","
        if comma:
            kind, token = self.token()
        if kind == MARK and token == b"}":
            return None
        if kind == MARK:
            raise self.error(f"a key in quotes is wanted, not '{token.decode()}'.", self.start)
        if not comma and not first:
            raise self.error("a comma is missing in front of this key.", self.start - (kind == STRING))
        start = self.start
        if b"\\" in token:
            token = self.decode(token).encode("utf-8", "surrogateescape")
        kind, colon = self.token()
        if kind != MARK or colon != b":":
            raise self.error("a colon is missing in front of this value.", self.start - (kind == STRING))
        self.start = start
        return token

    def item(self, first: bool) -> bool:
        """Whether one more entry of an array follows; False behind the array's end."""
        found = None if first else _NEXT.match(self._data, self._at)
        if found is not None:
            self._at = found.end()
            return True
        byte = self.peek()
        if byte == 0x2C and not first:
            self._at += 1
            byte = self.peek()
        elif byte != 0x5D and not first:
            raise self.error("a comma or ']' is missing in front of this.", self.position)
        if byte == 0x5D:
            self._at += 1
        return byte != 0x5D

    def inside(self) -> Iterator[bytes]:
        """The text up to the next ``]``, in pieces, with blanks for comments; goes behind it."""
        while True:
            end = self._data.find(b"]", self._at)
            stop = len(self._data) if end < 0 else end
            comment = self._data.find(b"/", self._at, stop)
            piece = self._data[self._at : stop if comment < 0 else comment]
            self._at += len(piece)
            yield piece
            if comment >= 0:
                yield b" " * self._comment()
            elif end >= 0:
                self._at += 1
                return
            elif not self._more():
                raise self.error("the text ends inside an array.", self.position, CUT_SHORT)

    def passed(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """The first group of a pattern that matches here, within the window; else None, and nothing is passed."""
        found = pattern.match(self._data, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[1]

    def opened(self) -> bool:
        """Whether a brace that opens comes next, within the window; only then it is passed."""
        found = _OPENED.match(self._data, self._at)
        if found is None:
            return False
        self._at = found.end()
        self.start = self._base + self._at - 1
        return True

    def passed_null(self) -> bool:
        """Whether ``null`` comes next; only then it is passed."""
        if self.peek() != 0x6E:
            return False
        position = self.position
        if self.token() == (WORD, b"null"):
            return True
        self.seek(position)
        return False

    def expect(self, mark: bytes, wanted: str) -> None:
        """Passes the opening bracket of the value that is wanted. Raises TextError where another value stands."""
        kind, token = self.token()
        if kind != MARK or token != mark:
            raise self.wrong(f"{wanted} in {'braces' if mark == b'{' else 'brackets'} is wanted", kind, token)

    def commas(self, begin: int, end: int) -> int:
        """How many commas stand between two byte offsets."""
        return sum(chunk.tobytes().count(b",") for chunk in self._source.chunks(begin, end - begin))

    def skip(self) -> None:
        """Goes behind the value that comes next."""
        depth = 0
        while True:
            kind, token = self.token()
            if kind == MARK:
                depth += 1 if token in b"{[" else -1 if token in b"}]" else 0
            if depth <= 0:
                return
            self._at = _NUMBERS.match(self._data, self._at).end()  # type: ignore[union-attr]  # it always matches

    def end(self) -> None:
        """Makes sure that nothing but white space and comments follows."""
        while True:
            self._at = _SPACE.match(self._data, self._at).end()  # type: ignore[union-attr]  # it always matches
            if self._at < len(self._data):
                if self._data[self._at] != 0x2F:
                    raise self.error("there is more text behind the end of the document.", self.position)
                self._comment()
            elif not self._more():
                return

    # -- strings and errors ---------------------------------------------------------------------------------------

    def decode(self, raw: bytes) -> str:
        r"""The string that the latest token is; \uDC80 to \uDCFF and \x80 to \xFF stay single bytes in it."""
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise self.error(
                f"byte 0x{raw[error.start]:02X} is no UTF-8 text.",
                self.start + error.start,
                "Save the text as UTF-8. A byte that is to stay as it is, is written as "
                f'"\\uDC{raw[error.start]:02X}".',
            ) from None
        return _ESCAPE.sub(self._unescaped, text) if "\\" in text else text

    def _unescaped(self, found: re.Match[str]) -> str:
        high, low, single, byte, letter = found.groups()
        if letter:
            return _ESCAPED.get(letter, letter)
        if high:
            return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
        code = int(single, 16) if single else int(byte, 16) if byte else -1
        if byte and code >= 0x80:
            code += 0xDC00
        if code < 0 or (0xD800 <= code < 0xE000 and not 0xDC80 <= code <= 0xDCFF):
            at = self.start + len(found.string[: found.start()].encode())
            if code < 0:
                raise self.error(
                    f"'{found.string[found.start() : found.start() + 2]}' is no escape.",
                    at,
                    'A backslash itself is written as "\\\\".',
                )
            raise self.error(f"'{found[0]}' is half of a character.", at, "Write both halves of the surrogate pair.")
        return chr(code)

    def wrong(self, wanted: str, kind: int, token: bytes, hint: str | None = None) -> TextError:
        """An error for the latest token, a value of the wrong type, for the caller to raise."""
        shown = token.decode("utf-8", "replace")
        shown = repr(f"{shown[:40]}..." if len(shown) > 40 else shown)
        if kind == MARK:
            shown = {b"{": "an object", b"[": "a list"}.get(token, shown)
        return self.error(f"{wanted}, not {shown}.", self.start - (kind == STRING), hint)

    def error(self, message: str, position: int, hint: str | None = None) -> TextError:
        """An error at a byte offset, for the caller to raise."""
        line, begin, at = 1, 0, 0
        for chunk in self._source.chunks(0, position):
            line += chunk.tobytes().count(b"\n")
            newline = chunk.tobytes().rfind(b"\n")
            begin = at + newline + 1 if newline >= 0 else begin
            at += len(chunk)
        column = 1
        for chunk in self._source.chunks(begin, position - begin):
            column += len(chunk.tobytes().translate(None, _CONTINUATION))
        return TextError(message, line=line, column=column, file=self._name, hint=hint)


def _shown(byte: int) -> str:
    return f"'{chr(byte)}'" if 0x20 < byte < 0x7F else f"byte 0x{byte:02X}"


def within(error: TextError, step: str) -> TextError:
    """The error with its path begun one step further out, at a key or an ``[index]``."""
    inner = error.path or ""
    error.path = f"{step}{'.' if inner and not inner.startswith('[') else ''}{inner}"
    return error


def did_you_mean(name: str, known: Iterable[str], what: str) -> str:
    """A hint for a name that is not known: those close to it, else all."""
    from difflib import get_close_matches

    names = list(known)
    matches = get_close_matches(name[:80], names, 3)
    if matches:
        return f"Did you mean {' or '.join(map(repr, matches))}?"
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    return f"{what}: {', '.join(names[:30]) or 'none'}{more}."
