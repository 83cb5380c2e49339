"""Models as C arrays: the source text that microcontroller projects link a model in with, written and read.

Written is what users of TensorFlow Lite Micro expect: an aligned ``const unsigned char`` array and its length.
Read is the same, what ``xxd -i`` writes, and what people have made of them (``c_declarations``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unlite.containers.c_declarations import KEYWORDS, CArray, Declarations
from unlite.containers.parts import find_part
from unlite.errors import InvalidValueError, NotFoundError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

    from unlite.storage.source import Source

__all__ = ["CArray", "read_c_array", "read_c_arrays", "write_c_array", "write_c_header"]

ALIGNMENT = 16
COLUMNS = 12
_PIECE = COLUMNS * 2048
_ROW = b"\n" + b", ".join([b"0x00"] * COLUMNS) + b","


def write_c_array(source: Source, name: str = "g_model", *, header: str | None = None) -> Iterator[bytes]:
    """The text of a C or C++ file with the bytes of ``source`` as array ``name`` and their number as ``name_len``.

    It is C++11 and C11. The array is aligned to 16 bytes, as the schema asks of buffers, and visible to other files
    although it is ``const``.

    Args:
        source: The bytes. They are read in pieces, so that a large model is never held as text.
        name: A C identifier.
        header: File name of the header from ``write_c_header``, to be included. Without one the text stands alone:
            it has its own declarations and an include guard, and can be compiled as it is or included once.

    Returns:
        The text in pieces of at most 152 KB; in all 6.2 times as long as the source.

    Raises:
        InvalidValueError: ``name`` is no C identifier, ``header`` no plain file name, or the source is empty or too
            long for an ``unsigned int``.
    """
    check_identifier(name)
    if not 0 < source.size <= 0xFFFFFFFF:
        raise InvalidValueError(f"{source.size} bytes make no C array with a 32-bit length.", file=source.name)
    if header is None:
        return _whole_text(source, name, f"{_guard(name)}\n{_declarations(name)}", f"\n#endif  // {name.upper()}_H_\n")
    if not re.fullmatch(r"[A-Za-z0-9_.+/-]+", header):
        raise InvalidValueError(
            f"{header!r} cannot be written after #include.",
            hint="A header's name here has letters, digits and the marks . _ + - / only.",
        )
    return _whole_text(source, name, f'#include "{header}"\n', "")


def write_c_header(name: str = "g_model") -> bytes:
    """The text of the header that declares the array ``name`` and its length, with an include guard.

    Raises:
        InvalidValueError: ``name`` is no C identifier.
    """
    check_identifier(name)
    return f"{_guard(name)}\n{_declarations(name)}\n#endif  // {name.upper()}_H_\n".encode()


def check_identifier(name: str) -> None:
    """Raises InvalidValueError unless ``name`` can be the name of a variable in C and in C++."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in KEYWORDS:
        raise InvalidValueError(
            f"{name!r} cannot be the name of a C array.",
            hint="A name has letters, digits and underscores, begins with no digit, and is no keyword of C or C++.",
        )


def _guard(name: str) -> str:
    return f"#ifndef {name.upper()}_H_\n#define {name.upper()}_H_\n"


def _declarations(name: str) -> str:
    return f"extern const unsigned char {name}[];\nextern const unsigned int {name}_len;\n"


def _whole_text(source: Source, name: str, before: str, after: str) -> Iterator[bytes]:
    # In C, up to C17, alignas is a macro of this header; in C++ it is a keyword.
    yield f"{before}\n#ifndef __cplusplus\n#include <stdalign.h>\n#endif\n\n".encode()
    yield f"alignas({ALIGNMENT}) const unsigned char {name}[] = {{".encode()
    rest = b""
    for chunk in source.chunks(0, source.size):
        data = b"".join((rest, chunk))
        whole = len(data) // COLUMNS * COLUMNS
        for start in range(0, whole, _PIECE):
            yield _rows(data[start : min(start + _PIECE, whole)])
        rest = data[whole:]
    yield _rows(rest)
    yield f"\n}};\nconst unsigned int {name}_len = {source.size};\n{after}".encode()


def _rows(data: bytes) -> bytes:
    """Rows of twelve numbers, each after its line break: the digits are laid into rows of zeros, six bytes apart."""
    digits = data.hex().encode()
    text = bytearray((_ROW * -(-len(data) // COLUMNS))[: 6 * len(data)])
    text[3::6] = digits[::2]
    text[4::6] = digits[1::2]
    return bytes(text).replace(b"\n", b"\n  ")


def read_c_arrays(text: str | Buffer, file: str | None = None) -> list[CArray]:
    """All arrays of bytes in a C or C++ text, in the text's order.

    An array is read if its elements are of an eight-bit type and are numbers, character constants or strings, at
    namespace level. Functions, types and other declarations are skipped. Macros are not expanded and no branch of
    an ``#if`` is dropped, so that an array can come twice. A string's closing zero belongs to the array, as in C,
    unless the stated length leaves it out.

    Args:
        text: The text: a string, UTF-8 bytes, or UTF-16 bytes with a byte order mark.
        file: The text's file name, for messages.

    Returns:
        The arrays; none if the text has no array at all.

    Raises:
        TextError: An element is no number or does not fit its type, the number of elements is not the one in the
            brackets or in a length constant (``name_len``, ``name_size``, ...), brackets, quotes or comments are
            not closed, or the only arrays are of wider elements, pointers, rows or zeros.
    """
    declarations = Declarations(text, file)
    if not declarations.arrays and declarations.unread:
        raise declarations.refusal()
    return declarations.arrays


def read_c_array(
    text: str | Buffer,
    name: str | int | None = None,
    file: str | None = None,
    *,
    is_wanted: Callable[[CArray], bool] | None = None,
) -> bytes:
    """The bytes of the one array in a C or C++ text, or of the array called ``name``.

    Args:
        text: As for ``read_c_arrays``.
        name: The array's name, ``NAME:2`` for the second of that name, or its position among all arrays.
        file: The text's file name, for messages.
        is_wanted: Where there are several and no name is given, the only one that this is true of is taken.

    Raises:
        UnsupportedFormatError: There is no array in the text.
        NotFoundError: No array has this name; or there are several and ``name`` is not given.
        AmbiguousNameError: Several arrays have this name.
        TextError: As in ``read_c_arrays``.
    """
    declarations = Declarations(text, file)
    arrays = declarations.arrays
    if name is None:
        wanted = [array for array in arrays if is_wanted is not None and is_wanted(array)]
        if len(arrays) == 1 or len(wanted) == 1:
            return (wanted or arrays)[0].data
    if name in declarations.unread or (declarations.unread and not arrays):
        raise declarations.refusal(name if isinstance(name, str) and name in declarations.unread else None)
    if not arrays:
        raise UnsupportedFormatError(
            "there is no C array in this text.",
            file=file,
            hint="A C array looks like: const unsigned char g_model[] = {0x1c, 0x00, ...};",
        )
    if name is not None:
        return arrays[find_part(name, [array.name for array in arrays], file, "array")].data
    names = ", ".join(array.name for array in arrays[:20]) + (", ..." if len(arrays) > 20 else "")
    raise NotFoundError(
        f"the text has {len(arrays)} arrays, so which one is meant must be said: {names}.",
        file=file,
        hint="Give the name of one of them, or its position from 0.",
    )
