"""C and C++ source text as tokens, each with its place; enough to find declarations and to read literals.

The text is never compiled and no macro is expanded. Comments and white space are dropped, a preprocessor line is
one token. Source: ISO C17, 5.1.1.2 (translation phases) and 6.4 (lexical elements); C++20, [lex].
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from unlite.errors import InvalidTypeError, TextError

if TYPE_CHECKING:
    from typing_extensions import Buffer

WHITE_SPACE = b" \t\r\n\v\f"

_TOKEN = re.compile(
    rb"""(?P<space>[ \t\r\n\v\f]*) (?:
      (?P<line_comment>//[^\n]*)
    | (?P<comment>/\*)
    | (?P<raw>(?:u8|[uUL])?R"(?P<delimiter>[^()\\\s]{0,16})\()
    | (?P<string>(?:u8|[uUL])?")
    | (?P<char>(?:u8|[uUL])?')
    | (?P<word>[A-Za-z_$\x80-\xff][A-Za-z0-9_$\x80-\xff]*)
    | (?P<number>\.?[0-9][A-Za-z0-9_.]*(?:(?:'|(?<=[eEpP])[+-])[A-Za-z0-9_.]+){0,64})
    | (?P<mark>.) )?
    """,
    re.VERBOSE | re.DOTALL,
)
_NOT_DULL = re.compile(rb"""[()\[\]{}'"/#]""")
_NUMBER = re.compile(
    rb"(?:0[xX](?P<hex>[0-9a-fA-F']+)|0[bB](?P<binary>[01']+)|(?P<octal>0[0-7']*)|(?P<decimal>[1-9][0-9']*))"
    rb"(?:[uU](?:ll|LL|[lLzZ])?|(?:ll|LL|[lLzZ])[uU]?)?"
)
_RADIX = {"hex": 16, "binary": 2, "octal": 8, "decimal": 10}
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]+|[0-7]{1,3}|.?)", re.DOTALL)
_ESCAPED = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b"e": 27}
_ESCAPED.update((mark, ord(mark)) for mark in (b"'", b'"', b"?", b"\\"))
_QUOTE_STOP = {b'"': re.compile(rb'["\\\n]'), b"'": re.compile(rb"['\\\n]")}
_DIRECTIVE_STOP = re.compile(rb"\n|/[*/]|[\"']")
_DIRECTIVE_STOP_PLAIN = re.compile(rb"\n|/[*/]")
_JOINED_LINES = re.compile(rb"\\[ \t]*\r?\n")
HUGE = 1 << 64


class Token(NamedTuple):
    """``kind`` is word, number, string, raw, char, directive, the character itself for a mark, or empty at the end."""

    kind: str
    start: int
    end: int


class Tokens:
    """The tokens of a text from ``position`` on.

    Args:
        text: UTF-8 bytes, UTF-16 bytes with a mark (what a redirection in PowerShell writes), or a string.
        file: The text's file name, for messages.
    """

    def __init__(self, text: str | Buffer, file: str | None = None) -> None:
        self.file = file
        self._original = as_utf8(text, file)
        # A backslash before a line's end joins two lines before anything else is looked at. The joined text is
        # read; the places where it was joined give back the place in the original.
        self._joints = array("Q")
        self._removed = array("Q")
        self.text = self._original
        if b"\\" in self._original:
            removed = 0
            for joint in _JOINED_LINES.finditer(self._original):
                self._joints.append(joint.start() - removed)
                removed += joint.end() - joint.start()
                self._removed.append(removed)
            if removed:
                self.text = _JOINED_LINES.sub(b"", self._original)
        self.position = 0
        self._at_line_start = True
        self._counted = (0, 1)
        self._known_escapes: dict[bytes, bytes] = {}

    def next(self) -> Token:
        """The next token; its kind is empty at the end of the text. Raises TextError for what is never closed."""
        text = self.text
        while match := _TOKEN.match(text, self.position):
            kind = match.lastgroup or ""
            start, end = match.span(kind)
            if kind == "space":
                break
            if kind in ("mark", "comment", "line_comment"):
                self._at_line_start |= b"\n" in match["space"]
            if kind == "mark":
                kind = chr(text[start])
                if kind == "#" and self._at_line_start:
                    kind, end = "directive", self._end_of_directive(end)
            elif kind == "raw":
                end = self._after(b")" + match["delimiter"] + b'"', end, start, "this string")
            elif kind in ("string", "char"):
                end = self._closing_quote(text[end - 1 : end], end)
                if end < 0:
                    raise self.error(f"this {kind} is not closed on its line.", start)
            elif kind in ("comment", "line_comment"):
                self.position = self._after(b"*/", end, start, "this comment") if kind == "comment" else end
                continue
            self._at_line_start = False
            self.position = end
            return Token(kind, start, end)
        return Token("", len(text), len(text))

    def peek(self) -> Token:
        """The next token, which stays the next one."""
        state = self.position, self._at_line_start
        token = self.next()
        self.position, self._at_line_start = state
        return token

    def skip_group(self, opening: Token) -> Token:
        """The token that closes the bracket ``opening``, which has just been read; what lies between is dropped."""
        text = self.text
        depth = 1
        stop = 0
        while True:
            if self.position >= stop:
                # For speed alone: what cannot open or close anything is passed over, up to where a token ends.
                match = _NOT_DULL.search(text, self.position)
                stop = match.start() if match else len(text)
                end = 1 + max(text.rfind(b"\n", self.position, stop), text.rfind(b",", self.position, stop))
                if end:
                    self.position = end
                    self._at_line_start = text[end - 1 : end] == b"\n"
            token = self.next()
            if not token.kind:
                break
            if token.kind in ("(", "[", "{"):
                depth += 1
            elif token.kind in (")", "]", "}"):
                depth -= 1
                if not depth:
                    return token
        raise self.error(f"this '{opening.kind}' is never closed: the text looks cut short.", opening.start)

    def spelled(self, token: Token) -> bytes:
        """The token as it stands in the text."""
        return self.text[token.start : token.end]

    def literal(self, token: Token) -> bytes:
        """The bytes that a string or character token stands for, without a string's closing zero.

        Raises:
            TextError: its characters are wider than a byte, or an escape sequence is unknown or no byte.
        """
        quote = '"' if token.kind == "string" else "'"
        prefix, _, body = self.spelled(token)[:-1].partition(quote.encode())
        if prefix not in (b"", b"u8"):
            raise self.error(f"the {token.kind} has characters wider than a byte.", token.start)
        if b"\\" not in body:
            return body
        begin = token.start + len(prefix) + 1
        known = self._known_escapes
        return _ESCAPE.sub(lambda match: known.get(match[0]) or self._unescaped(match, begin), body)

    def _unescaped(self, match: re.Match[bytes], begin: int) -> bytes:
        code: bytes = match[1]
        if code[:1] == b"x" and len(code) > 1:
            # A hexadecimal escape takes every digit that follows, so "\x1cfe" is one character, too large for a byte.
            value = int(code[1:], 16) if len(code) < 20 else HUGE
        elif code.isdigit():
            value = int(code, 8) if not code.strip(b"01234567") else HUGE
        else:
            value = _ESCAPED.get(code, HUGE)
        if value > 0xFF:
            raise self.error(
                f"the escape sequence {printable(match[0])} stands for no byte.",
                begin + match.start(),
                hint="A hexadecimal escape takes all digits that follow: end the string there and begin another.",
            )
        byte = bytes((value,))
        if len(code) < 4:
            self._known_escapes[match[0]] = byte
        return byte

    def error(self, message: str, position: int, hint: str | None = None) -> TextError:
        """A TextError at ``position`` in the text."""
        place = self._place(position)
        begin = self._original.rfind(b"\n", 0, place) + 1
        column = len(self._original[begin:place].decode(errors="replace")) + 1
        return TextError(message, line=self.line(position), column=column, file=self.file, hint=hint)

    def line(self, position: int) -> int:
        """Number of the line, from 1, on which ``position`` lies."""
        place = self._place(position)
        counted, line = self._counted
        if counted > place:
            counted, line = 0, 1
        self._counted = (place, line + self._original.count(b"\n", counted, place))
        return self._counted[1]

    def _place(self, position: int) -> int:
        """The same place in the original text, where no lines were joined."""
        before = bisect_right(self._joints, position)
        return position + (self._removed[before - 1] if before else 0)

    def _after(self, closing: bytes, position: int, start: int, what: str) -> int:
        found = self.text.find(closing, position)
        if found < 0:
            raise self.error(f"{what} is never closed: the text looks cut short.", start)
        return found + len(closing)

    def _closing_quote(self, quote: bytes, position: int) -> int:
        """End of a literal whose text begins at ``position``; -1 if the line ends first."""
        text, stop = self.text, _QUOTE_STOP[quote]
        while match := stop.search(text, position):
            if match[0] == b"\n":
                return -1
            position = match.end()
            if match[0] == quote:
                return position
            position += 1
        return -1

    def _end_of_directive(self, position: int) -> int:
        """End of a preprocessor line. A comment may carry it on to further lines; a lone quote means nothing."""
        stop = _DIRECTIVE_STOP
        while match := stop.search(self.text, position):
            mark, position = match[0], match.end()
            if mark == b"\n":
                return match.start()
            if mark == b"//":
                newline = self.text.find(b"\n", position)
                return len(self.text) if newline < 0 else newline
            if mark == b"/*":
                position = self._after(b"*/", position, match.start(), "this comment")
            else:
                closing = self._closing_quote(mark, position)
                if closing < 0:
                    stop = _DIRECTIVE_STOP_PLAIN
                position = max(closing, position)
        return len(self.text)


def as_utf8(text: str | Buffer, file: str | None = None) -> bytes:
    """A text's bytes in UTF-8, without a byte order mark. Raises TextError where it is no Unicode."""
    try:
        if isinstance(text, str):
            return text.removeprefix("\ufeff").encode()
        data = text if isinstance(text, bytes) else bytes(memoryview(text))
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16").encode()
    except TypeError:
        raise InvalidTypeError(
            f"the text of a C file is wanted, as a string or bytes, not {type(text).__name__}.", file=file
        ) from None
    except UnicodeError as error:
        raise TextError(f"the text is not Unicode: {error}.", line=1, column=1, file=file) from error
    return data.removeprefix(b"\xef\xbb\xbf")


def begin_in_utf8(head: bytes) -> bytes:
    """The first bytes of a text, cut anywhere, in UTF-8 and without a byte order mark."""
    name = "utf-32" if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff") else "utf-16"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or name == "utf-32":
        return head.decode(name, "ignore").encode()
    return head.removeprefix(b"\xef\xbb\xbf")


def number(spelled: bytes) -> int | None:
    """The value of an integer as C spells it (decimal, hexadecimal, octal, binary; suffix; separators).

    None if it is no integer. Values of more than 64 digits come as 2^64.
    """
    match = _NUMBER.fullmatch(spelled)
    if match is None:
        return None
    for system, radix in _RADIX.items():
        digits: bytes | None = match[system]
        if digits is not None:
            if b"'" in digits:
                if b"''" in digits or digits.startswith(b"'") or digits.endswith(b"'"):
                    return None
                digits = digits.replace(b"'", b"")
            digits = digits.lstrip(b"0")
            return HUGE if len(digits) > 64 else int(digits or b"0", radix)
    return None


def printable(spelled: bytes) -> str:
    """The text for a message: cut at 60 characters, with nothing in it that a terminal would obey."""
    text = spelled[:61].decode(errors="replace")
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(spelled) <= 60 else f"{text[:57]}..."
