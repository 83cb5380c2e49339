"""The arrays of bytes that a C or C++ text declares, and the lengths it states for them.

An array is read or refused: none comes back with bytes other than those a compiler would make of the text, and
none that disagrees with a stated length. Source: ISO C17, 6.7.9 (initialisers) and 6.4.4 (constants).
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from unlite.containers.c_elements import (
    BYTE_TYPES,
    PLAIN,
    SIGNED,
    UNSIGNED,
    Designated,
    Elements,
    out_of_proportion,
)
from unlite.containers.c_tokens import WHITE_SPACE, Token, Tokens, number, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

    from unlite.errors import TextError

_KEYWORDS = (
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class "
    "co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype "
    "default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline int "
    "long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register "
    "reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch "
    "template this thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using "
    "virtual void volatile wchar_t while xor xor_eq"
)
KEYWORDS = frozenset(_KEYWORDS.split())
MAX_DECLARATIONS = 1 << 16

_LENGTH_SUFFIXES = b"_len _size _length Len Size Length _LEN _SIZE _LENGTH".split()
_DEFINE = re.compile(rb"#[ \t]*define[ \t]+(\w+)[ \t]+\(?[ \t]*([0-9][\w']*)[ \t]*\)?[ \t\r]*(?:/[/*].*)?", re.DOTALL)


@dataclass(frozen=True)
class CArray:
    """An array of bytes in a C text.

    Attributes:
        name: Its name, without a namespace.
        data: Its bytes.
        declared_length: What its length constant or its brackets say; None if neither does.
        line: The line on which its name stands, from 1.
    """

    name: str
    data: bytes = field(repr=False)
    declared_length: int | None
    line: int


class _Declarator(NamedTuple):
    """An array's name, what its brackets hold, its elements' range, or why it is not read."""

    name: Token
    before: list[Token]
    size: bytes
    limits: tuple[int, int] | None
    trouble: str
    is_std_array: bool


class _Found(NamedTuple):
    """An array as it stands; ``ends_in_zero``: a string, with the closing zero that C adds."""

    name: Token
    size: bytes
    data: bytes
    ends_in_zero: bool


class Declarations:
    """What a text declares.

    Attributes:
        arrays: The arrays of bytes that were read.
        unread: Names of arrays that are not of bytes, with the reason and the place of the name.
    """

    def __init__(self, text: str | Buffer, file: str | None = None) -> None:
        self.arrays: list[CArray] = []
        self.unread: dict[str, tuple[str, int]] = {}
        self._tokens = Tokens(text, file)
        self._found: list[_Found] = []
        self._constants: dict[bytes, list[tuple[int, int]]] = {}
        self._count = 0
        self._elements = Elements(self._tokens)
        if self._tokens.peek().kind in ("number", "{", "-"):
            self._bare_list()
        else:
            self._read()
        for found in self._found:
            self._check_length(found)

    def _bare_list(self) -> None:
        """A list without a declaration, in braces or not, as ``xxd -i`` prints what it reads from standard input."""
        tokens = self._tokens
        opening = tokens.peek()
        if opening.kind == "{":
            tokens.next()
        else:
            opening = Token("{", 0, 0)
            tokens.text += b"}"
        data = self._elements.read(opening, PLAIN)
        end = tokens.next()
        if end.kind == ";":
            end = tokens.next()
        if end.kind:
            raise self._elements.unexpected(end, "the end of the text")
        self.arrays.append(CArray("", data, None, tokens.line(opening.end)))

    def refusal(self, name: str | None = None) -> TextError:
        """The error that says why ``name``, or else the first unread array, is not read."""
        name = next(iter(self.unread)) if name is None else name
        reason, position = self.unread[name]
        return self._tokens.error(f"array {name!r} is not read: {reason}.", position)

    def _read(self) -> None:
        tokens = self._tokens
        words: deque[Token] = deque(maxlen=256)
        while (token := tokens.next()).kind:
            if token.kind == "directive":
                if match := _DEFINE.fullmatch(tokens.spelled(token)):
                    self._add_constant(match[1], match[2], token.start)
            elif token.kind in ("(", "["):
                group = Token(token.kind, token.end, tokens.skip_group(token).start)
                if not tokens.spelled(group).lstrip(WHITE_SPACE).startswith(b"["):  # [[attribute]]
                    words.append(group)
            elif token.kind in (";", "}"):
                words.clear()
            elif token.kind not in ("=", "{"):
                words.append(token)
            elif declarator := self._declarator(list(words)):
                self._initialiser(declarator, tokens.next() if token.kind == "=" else token)
                words.clear()
                if tokens.peek().kind == ",":
                    words.extend(declarator.before)
            else:
                if token.kind == "=":
                    self._constant(words)
                elif not self._opens_namespace(words):
                    tokens.skip_group(token)
                words.clear()

    def _opens_namespace(self, words: Iterable[Token]) -> bool:
        spelled = [self._tokens.spelled(word) for word in words]
        return b"namespace" in spelled or spelled[-2:] == [b"extern", b'"C"']

    def _constant(self, words: deque[Token]) -> None:
        """Notes ``name = number``, of which the name and the equals sign have been read."""
        value = self._tokens.peek()
        if words and words[-1].kind == "word" and value.kind == "number":
            self._tokens.next()
            if self._tokens.peek().kind in (";", ","):
                self._add_constant(self._tokens.spelled(words[-1]), self._tokens.spelled(value), value.start)

    def _add_constant(self, name: bytes, spelled: bytes, position: int) -> None:
        value = number(spelled)
        if value is not None:
            self._count_one(position)
            self._constants.setdefault(name, []).append((value, position))

    def _count_one(self, position: int) -> None:
        self._count += 1
        if self._count > MAX_DECLARATIONS:
            raise self._tokens.error(f"there are more than {MAX_DECLARATIONS} declarations in this text.", position)

    def _declarator(self, words: list[Token]) -> _Declarator | None:
        """The array that ``words``, all that stands before an initialiser, declares; None if it is no array."""
        spelled = self._tokens.spelled
        end = len(words)
        while end and words[end - 1].kind in ("word", "("):  # attributes
            end -= 1
        brackets = 0
        while end and words[end - 1].kind == "[":
            end -= 1
            brackets += 1
        if not brackets:
            return self._std_array(words)
        name = words[end - 1] if end else words[0]
        if name.kind != "word" or spelled(name).decode(errors="replace") in KEYWORDS:
            return None
        before = words[: end - 1]
        limits, trouble = self._element_type(before)
        if brackets > 1:
            trouble = "it has more than one dimension"
        return _Declarator(name, before, spelled(words[end]).strip(WHITE_SPACE), limits, trouble, False)

    def _std_array(self, words: list[Token]) -> _Declarator | None:
        """The same for ``std::array<type, size> name``."""
        spelled = self._tokens.spelled
        opening = next((i for i, word in enumerate(words) if word.kind == "<"), 0)
        if not opening or spelled(words[opening - 1]) != b"array" or words[-1].kind != "word" or words[-2].kind != ">":
            return None
        inner = words[opening + 1 : -2]
        comma = next((i for i, word in enumerate(inner) if word.kind == ","), -1)
        if comma < 0:
            return None
        limits, trouble = self._element_type(inner[:comma])
        if any(word.kind == "<" for word in inner):
            trouble = "it has more than one dimension"
        size = self._tokens.text[inner[comma].end : words[-2].start].strip(WHITE_SPACE)
        return _Declarator(words[-1], words[:-1], size, limits, trouble, True)

    def _element_type(self, words: list[Token]) -> tuple[tuple[int, int] | None, str]:
        """Range of an element of this type; None and the reason if it is not eight bits wide."""
        names: list[bytes] = []
        depth = 0
        for word in words:
            depth += (word.kind == "<") - (word.kind == ">")
            if word.kind == "word" and not depth:
                names.append(self._tokens.spelled(word))
            elif word.kind in ("*", "&"):
                return None, "its elements are pointers"
        for name in names:
            if name in BYTE_TYPES:
                return BYTE_TYPES[name], ""
        if b"char" in names:
            return UNSIGNED if b"unsigned" in names else SIGNED if b"signed" in names else PLAIN, ""
        return None, f"its type, {printable(b' '.join(names))!r}, is not known to be eight bits wide"

    def _initialiser(self, declarator: _Declarator, opening: Token) -> None:
        """Reads what follows the equals sign. ``opening`` is its first token."""
        name, _, size, limits, trouble, is_std_array = declarator
        tokens = self._tokens
        self._count_one(name.start)
        if limits is None or trouble:
            self._leave(name, trouble)
            if opening.kind == "{":
                tokens.skip_group(opening)
        elif opening.kind == "string":
            self._found.append(_Found(name, size, self._strings(opening), True))
        elif opening.kind != "{":
            self._leave(name, "it has no list of numbers")
        elif tokens.peek().kind == "string":
            self._found.append(_Found(name, size, self._strings(tokens.next()), True))
            self._close(opening)
        elif is_std_array and tokens.peek().kind == "{":
            self._found.append(_Found(name, size, self._elements.read(tokens.next(), limits), False))
            self._close(opening)
        else:
            self._found.append(_Found(name, size, self._elements.read(opening, limits), False))

    def _leave(self, name: Token, reason: str) -> None:
        self.unread.setdefault(self._shown(name), (reason, name.start))

    def _shown(self, name: Token) -> str:
        return self._tokens.spelled(name).decode(errors="replace")

    def _close(self, opening: Token) -> None:
        """Reads an optional comma and the brace that closes ``opening``."""
        token = self._elements.next_inside(opening)
        if token.kind == ",":
            token = self._elements.next_inside(opening)
        if token.kind != "}":
            raise self._elements.unexpected(token, "'}'")

    def _strings(self, token: Token) -> bytes:
        """The bytes of adjacent strings, with the closing zero."""
        pieces = [self._tokens.literal(token)]
        while self._tokens.peek().kind == "string":
            pieces.append(self._tokens.literal(self._tokens.next()))
        pieces.append(b"\0")
        return b"".join(pieces)

    def _check_length(self, found: _Found) -> None:
        """Compares the number of elements with the brackets and the length constants, then keeps the array."""
        name, size, data, ends_in_zero = found
        spelled = self._tokens.spelled(name)
        stated = number(size)
        in_brackets = self._constants.get(size, []) if stated is None else [(stated, name.start)]
        constants = [place for suffix in _LENGTH_SUFFIXES for place in self._constants.get(spelled + suffix, ())]
        declared = None
        for lengths, what in ((in_brackets, "its brackets say"), (constants, "its length constant says")):
            values = [value for value, _ in lengths]
            if not values:
                continue
            if ends_in_zero and len(data) not in values and len(data) - 1 in values:
                data = data[:-1]
            if isinstance(found.data, Designated) and len(data) < values[0] and lengths is in_brackets:
                if out_of_proportion(values[0], self._tokens.text):
                    raise self._tokens.error(
                        f"a length of {values[0]} is out of all proportion to the text.", name.start
                    )
                data += bytes(values[0] - len(data))
            if len(data) not in values:
                if lengths is in_brackets and data in (b"", b"\0") and not ends_in_zero:
                    self._leave(name, "it is filled with zeros and holds no data")
                    return
                raise self._tokens.error(
                    f"array {self._shown(name)!r} has {len(data)} elements, but {what} {values[0]}.",
                    lengths[0][1],
                    hint="The text looks cut short or edited: write it again from the original file.",
                )
            declared = len(data)
        if size and not in_brackets and data in (b"", b"\0"):
            self._leave(name, "it is filled with zeros and holds no data")
            return
        self.arrays.append(CArray(self._shown(name), data, declared, self._tokens.line(name.start)))
