"""C arrays, written and read; the judges are a C compiler, xxd, and sums by hand."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unlite.containers import c_declarations, c_elements
from unlite.containers.c_array import read_c_array, read_c_arrays, write_c_array, write_c_header
from unlite.errors import (
    AmbiguousNameError,
    InvalidTypeError,
    InvalidValueError,
    NotFoundError,
    TextError,
    UnliteError,
    UnsupportedFormatError,
)
from unlite.storage.source import MemorySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CC = shutil.which("cc")
CXX = shutil.which("c++")
needs_cc = pytest.mark.skipif(CC is None, reason="no C compiler (cc) to judge by")
needs_cxx = pytest.mark.skipif(CXX is None, reason="no C++ compiler (c++) to judge by")

EVERY_BYTE = bytes(range(256)) * 2 + b"\x01\x02\x03"


class Pieces(MemorySource):
    """Gives its chunks in odd lengths, as a source may."""

    def chunks(self, offset: int, length: int) -> Iterator[memoryview]:
        end, step = offset + length, 1
        while offset < end:
            yield self.view(offset, min(step, end - offset))
            offset += step
            step = step * 2 + 1


def written(data: bytes, name: str = "g_model", header: str | None = None) -> bytes:
    return b"".join(write_c_array(MemorySource(data), name, header=header))


# Writing


def test_whole_text() -> None:
    assert written(bytes(range(0xF0, 0xFD)), "m").decode() == (
        "#ifndef M_H_\n"
        "#define M_H_\n"
        "\n"
        "extern const unsigned char m[];\n"
        "extern const unsigned int m_len;\n"
        "\n"
        "#ifndef __cplusplus\n"
        "#include <stdalign.h>\n"
        "#endif\n"
        "\n"
        "alignas(16) const unsigned char m[] = {\n"
        "  0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb,\n"
        "  0xfc,\n"
        "};\n"
        "const unsigned int m_len = 13;\n"
        "\n"
        "#endif  // M_H_\n"
    )


def test_pair_of_files() -> None:
    assert written(b"\1", "m", header="net/m.h").decode() == (
        '#include "net/m.h"\n'
        "\n"
        "#ifndef __cplusplus\n"
        "#include <stdalign.h>\n"
        "#endif\n"
        "\n"
        "alignas(16) const unsigned char m[] = {\n"
        "  0x01,\n"
        "};\n"
        "const unsigned int m_len = 1;\n"
    )
    assert write_c_header("m").decode() == (
        "#ifndef M_H_\n#define M_H_\n\n"
        "extern const unsigned char m[];\nextern const unsigned int m_len;\n\n"
        "#endif  // M_H_\n"
    )


@pytest.mark.parametrize("length", [1, 11, 12, 13, 24, 12 * 2048 - 1, 12 * 2048, 12 * 2048 + 1, 100_000])
def test_rows_at_every_seam(length: int) -> None:
    data = (EVERY_BYTE * 200)[:length]
    text = b"".join(write_c_array(Pieces(data)))
    rows = text.partition(b"= {\n")[2].partition(b"\n};")[0].decode().split("\n")
    assert rows == [
        "  " + " ".join(f"0x{byte:02x}," for byte in data[start : start + 12]) for start in range(0, length, 12)
    ]


@given(st.binary(min_size=1, max_size=100))
def test_read_gives_back_what_was_written(data: bytes) -> None:
    (array,) = read_c_arrays(written(data))
    assert (array.name, array.data, array.declared_length, array.line) == ("g_model", data, len(data), 11)


@pytest.mark.parametrize("name", ["", "3d", "a b", "a-b", "int", "alignas", "class", "a\n", 'x[]={0};//"', "µ", "a$"])
def test_name_must_be_an_identifier(name: str) -> None:
    with pytest.raises(InvalidValueError):
        write_c_array(MemorySource(b"1"), name)
    with pytest.raises(InvalidValueError):
        write_c_header(name)


@pytest.mark.parametrize("header", ["", 'a"b.h', "a\nb.h", "a\\b.h", "<a.h>"])
def test_header_name_is_not_code(header: str) -> None:
    with pytest.raises(InvalidValueError):
        write_c_array(MemorySource(b"1"), header=header)


def test_no_bytes_make_no_array() -> None:
    with pytest.raises(InvalidValueError):
        write_c_array(MemorySource(b""))


MAIN = """
#include <stdio.h>
#include <stdint.h>
%s
int main(void) {
  if ((uintptr_t)g_model %% 16 != 0) return 1;
  return fwrite(g_model, 1, g_model_len, stdout) != g_model_len;
}
"""


def compiled(compiler: str | None, folder: Path, arguments: list[str]) -> bytes:
    """What the program prints that the compiler makes without a warning."""
    assert compiler is not None
    flags = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([compiler, *flags, *arguments, "-o", "program"], cwd=folder, check=True)
    return subprocess.run([folder / "program"], capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("compiler", "standard", "suffix"),
    [
        pytest.param(CC, "c11", "c", marks=needs_cc),
        pytest.param(CC, "c17", "c", marks=needs_cc),
        pytest.param(CXX, "c++11", "cc", marks=needs_cxx),
    ],
)
def test_compilers_get_the_bytes(tmp_path: Path, compiler: str | None, standard: str, suffix: str) -> None:
    (tmp_path / f"alone.{suffix}").write_bytes(written(EVERY_BYTE))
    (tmp_path / "alone.h").write_bytes(written(EVERY_BYTE))
    (tmp_path / "g_model.h").write_bytes(write_c_header())
    (tmp_path / f"g_model.{suffix}").write_bytes(written(EVERY_BYTE, header="g_model.h"))
    (tmp_path / f"main.{suffix}").write_text(MAIN % '#include "g_model.h"\n#include "g_model.h"')
    (tmp_path / f"one.{suffix}").write_text(MAIN % '#include "alone.h"\n#include "alone.h"')
    flag = f"-std={standard}"
    assert compiled(compiler, tmp_path, [flag, f"main.{suffix}", f"g_model.{suffix}"]) == EVERY_BYTE
    assert compiled(compiler, tmp_path, [flag, f"main.{suffix}", f"alone.{suffix}"]) == EVERY_BYTE
    assert compiled(compiler, tmp_path, [flag, f"one.{suffix}"]) == EVERY_BYTE


# Reading


@pytest.mark.skipif(shutil.which("xxd") is None, reason="no xxd to judge by")
def test_what_xxd_writes(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(EVERY_BYTE)
    for capitals in ([], ["-u"]):
        done = subprocess.run(["xxd", "-i", *capitals, "net.tflite"], cwd=tmp_path, capture_output=True, check=True)
        (array,) = read_c_arrays(done.stdout)
        assert (array.name, array.data, array.declared_length) == ("net_tflite", EVERY_BYTE, len(EVERY_BYTE))


OTHER_CODE = (
    "#include <cstdio> // it's \"quoted\n"
    "#define BRACE }\n"
    "struct S { int a; char b[3]; };\n"
    "static S s = {1, {2, 3, 4}};\n"
    'const char* names[] = {"}", "b"};\n'
    "enum { A = 1, B };\n"
    "int g(int a) {\n  return a\n#define CLOSE }\n    , a; // it's }\n/* it's } */ }\n"
    "double weights[] = {1'0.5, 2e-3, 0x1p+3,\n 7, /* } */ 8, '}', 1};\n"
    "template <int N = 3> int f(int a[] = nullptr) { char x[] = {N}; return a ? x[0] : '}'; }\n"
    "const float scale[] = {0.5f, 1e-3f};\n"
    'auto raw = R"(" } unsigned char x[] = {9};)";\n'
    "int n = 1'000 + sizeof(s) * 2;\n"
    "unsigned char x[] = {1};\n"
    "unsigned int x_len = sizeof(x);\n"
)

# Each text declares one array x; the bytes are by hand. All but the marked ones compile as C++17, and the compiler
# is asked for its opinion too.
SPELLINGS = {
    "hexadecimal": ("unsigned char x[] = {0x1c, 0XFF, 0x0, 0x000a};", b"\x1c\xff\x00\x0a"),
    "decimal": ("unsigned char x[] = {28,255, 0};", b"\x1c\xff\x00"),
    "octal": ("unsigned char x[] = {017, 0377, 00};", b"\x0f\xff\x00"),
    "binary": ("unsigned char x[] = {0b11, 0B10000000};", b"\x03\x80"),
    "suffixes": ("unsigned char x[] = {1u, 2U, 3l, 4L, 5ul, 6LLU, 0x7uLL};", b"\1\2\3\4\5\6\7"),
    "separators": ("unsigned char x[] = {0x1'c, 1'0'0, 0b1'1, 0'17};", b"\x1c\x64\x03\x0f"),
    "characters": (r"unsigned char x[] = {'a', '\0', '\x1c', '\'', '\\', '\n', ',', '}', '/', '\177'};",
                   b"a\x00\x1c'\\\n,}/\x7f"),
    "prefixed character": ("unsigned char x[] = {u8'a'};", b"a"),
    "signed": ("signed char x[] = {-1, - 128, 127, +5, -0x10};", b"\xff\x80\x7f\x05\xf0"),
    "signed type by name": ("#include <cstdint>\nint8_t x[] = {-2};", b"\xfe"),
    "plain char": ("const char x[] = {-1, 28};", b"\xff\x1c"),
    "comments": ("unsigned char x[] = { // 0x01, }\n1 /* 2, } */, /**/3 // \\\n 4,\n};", b"\1\3"),
    "joined lines": ("unsigned char x[] = {1, \\\n 2, // a \\\n 3,\n 4};", b"\1\2\4"),
    "carriage returns": ("unsigned char x[] = {\r\n1,\r\n2 // 3\r\n};\r\n", b"\1\2"),
    "no white space": ("unsigned char x[]={1,2};", b"\1\2"),
    "trailing comma": ("unsigned char x[] = {1, 2,};", b"\1\2"),
    "stated size": ("unsigned char x[2] = {1, 2};", b"\1\2"),
    "size by a macro": ("#define N (0x2) // two\nunsigned char x[N] = {1, 2};", b"\1\2"),
    "size by a constant": ("const unsigned n = 2;\nunsigned char x[n] = {1, 2};", b"\1\2"),
    "size by an expression": ("unsigned char x[1 + 1] = {1, 2};", b"\1\2"),
    "alignas": ("alignas(16) const unsigned char x[] = {1};", b"\1"),
    "attribute after": ("const unsigned char x[] __attribute__((aligned(4))) = {1};", b"\1"),
    "attribute before": ('__attribute__((section(".rodata"), aligned(16))) const unsigned char x[] = {1};', b"\1"),
    "C++ attribute": ("[[gnu::aligned(16)]] const unsigned char x [[gnu::unused]] [] = {1};", b"\1"),
    "macros": ("#define PROGMEM\n#define ALIGN(n)\nstatic const unsigned char x[] PROGMEM ALIGN(16) = {1};", b"\1"),
    "constexpr": ("#include <cstdint>\nstatic constexpr std::uint8_t x[]{1, 2};", b"\1\2"),
    "namespaces": ("namespace a { inline namespace b { unsigned char x[] = {1}; } }\nusing a::x;", b"\1"),
    "extern C": ('extern "C" {\nextern const unsigned char x[];\nconst unsigned char x[] = {1};\n}', b"\1"),
    "std::array": ("#include <array>\n#include <cstdint>\nconst std::array<uint8_t, 3> x = {{1, 2, 3}};", b"\1\2\3"),
    "std::array, one brace": ("#include <array>\nconst std::array<unsigned char, 2> x = {1, 2};", b"\1\2"),
    "second of two": ("unsigned char y[] = {7}, x[] = {1, 2};", b"\1\2"),
    "string": (r'unsigned char x[] = "\x1c\0TFL3";', b"\x1c\0TFL3\0"),
    "string in braces": (r'const char x[] = {"a" "b"};', b"ab\0"),
    "a hexadecimal escape ends with its string": (r'const char x[] = "\x1c" "fe" "\x0" /* " */ "1";', b"\x1cfe\0001\0"),
    "an octal escape ends after three digits": (r'const char x[] = "\0011\18\7";', b"\x011\x018\x07\0"),
    "quotes in a string": (r'const char x[] = "\"};\\";', b'"};\\\0'),
    "a string on two lines": ('const char x[] = "a\\\nb\\x1\\\nc";', b"ab\x1c\0"),
    "sized string with its zero": ('const char x[3] = "ab";', b"ab\0"),
    "std::byte": ("#include <cstddef>\nconst std::byte x[] = {std::byte{0x1c}, std::byte{ 0b11 }, std::byte(255),};",
                  b"\x1c\x03\xff"),
    "std::array of std::byte": (
        "#include <array>\n#include <cstddef>\nstd::array<std::byte, 2> x{{std::byte{1}, std::byte{2}}};", b"\1\2"),
    "types of elements": (
        "#include <cstdint>\nconst uint8_t x[] = {uint8_t{1}, (unsigned char)2, static_cast<uint8_t>(3), 4};",
        b"\1\2\3\4"),
    "other code": (OTHER_CODE, b"\1"),
}  # fmt: skip


# The same for C, where indices may stand in any order, and GNU C, which knows ranges of them.
DESIGNATED = {
    "in order": ("unsigned char x[] = {[0] = 1, [1] = 2, [2] = 3};", b"\1\2\3"),
    "a gap": ("unsigned char x[] = {[3] = 0x1c};", b"\0\0\0\x1c"),
    "behind a gap": ("unsigned char x[] = {7, [3] = 1, 2};", b"\7\0\0\1\2"),
    "back": ("unsigned char x[] = {1, 2, 3, [1] = 9};", b"\1\x09\3"),
    "back, and on from there": ("unsigned char x[] = {[3] = 1, [0] = 9, 8};", b"\x09\x08\0\1"),
    "a stated length": ("unsigned char x[6] = {[1] = 1,};", b"\0\1\0\0\0\0"),
    "a range": ("unsigned char x[] = {[0 ... 2] = 0xff, [4] = 1};", b"\xff\xff\xff\0\1"),
}


@pytest.mark.parametrize(("text", "data"), DESIGNATED.values(), ids=DESIGNATED)
def test_elements_with_an_index(text: str, data: bytes) -> None:
    assert read_c_array(text, "x") == data


BARE = {
    "xxd -i from standard input": ("  0x1c, 0x00,\n  0xff\n", b"\x1c\0\xff"),
    "a comma behind the last": ("28, 0, 255,\n", b"\x1c\0\xff"),
    "in braces": ("{ 0x1c, -1 }", b"\x1c\xff"),
    "an initialiser": ("{1, 2};\n", b"\1\2"),
    "a comment in front": ("// weights\n1, /* 2, */ 3", b"\1\3"),
}


@pytest.mark.parametrize(("text", "data"), BARE.values(), ids=BARE)
def test_bare_list(text: str, data: bytes) -> None:
    assert read_c_array(text) == data


@pytest.mark.parametrize(("text", "data"), SPELLINGS.values(), ids=SPELLINGS)
def test_spellings(text: str, data: bytes) -> None:
    assert read_c_array(text, "x") == data
    assert read_c_array(text.encode(), "x") == data
    assert read_c_array(memoryview(bytearray(text.encode())), "x") == data


@needs_cxx
def test_the_compiler_agrees(tmp_path: Path) -> None:
    """All spellings in one program, each in its own namespace, so that one compilation judges them all."""
    includes = "#include <array>\n#include <cstdint>\n#include <cstdio>\n"
    bodies, prints = "", ""
    for number, (text, _) in enumerate(SPELLINGS.values()):
        lines = [line for line in text.split("\n") if not line.startswith("#include")]
        body = "\n".join(lines).replace('extern "C"', f"namespace c{number}")
        bodies += f"namespace n{number} {{\n{body}\n}}\n"
        if f"namespace c{number}" in body:
            bodies += f"namespace n{number} {{ using c{number}::x; }}\n"
        for macro in ("N", "PROGMEM", "ALIGN", "BRACE"):
            bodies += f"#undef {macro}\n"
        prints += (
            f'  for (auto byte : n{number}::x) std::printf("%02x", static_cast<int>(byte) & 255);\n  std::puts("");\n'
        )
    (tmp_path / "all.cc").write_bytes(f"{includes}{bodies}int main() {{\n{prints}}}\n".encode())
    assert CXX is not None
    subprocess.run([CXX, "-std=c++17", "-w", "all.cc", "-o", "program"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=True)
    assert dict(zip(SPELLINGS, done.stdout.split("\n"), strict=False)) == {
        spelling: data.hex() for spelling, (_, data) in SPELLINGS.items()
    }


def test_sized_string_without_its_zero() -> None:
    """Allowed in C, not in C++: C17, 6.7.9, paragraph 14."""
    assert read_c_array('const char x[2] = "ab";') == b"ab"


@pytest.mark.parametrize(("stated", "data"), [(2, b"ab"), (3, b"ab\0")])
def test_stated_length_decides_on_the_zero(stated: int, data: bytes) -> None:
    (array,) = read_c_arrays(f'const char x[] = "ab";\nconst int x_len = {stated};')
    assert (array.data, array.declared_length) == (data, stated)


@pytest.mark.parametrize(
    "constant",
    [
        "const unsigned int x_len = 3;",
        "const int x_size = 3;",
        "constexpr size_t x_length = 0x3u;",
        "#define x_len 3",
        "#define x_LEN (3) /* three */",
        "unsigned int y_len = 9, x_len = 3;",
    ],
)
def test_length_constants(constant: str) -> None:
    for text in (f"{constant}\nchar x[] = {{1, 2, 3}};", f"char x[] = {{1, 2, 3}};\n{constant}"):
        assert read_c_arrays(text)[0].declared_length == 3
    with pytest.raises(TextError) as raised:
        read_c_arrays(f"char x[] = {{1, 2}};\n{constant}")
    assert raised.value.line == 2
    assert "2 elements" in raised.value.message
    assert " 3." in raised.value.message


@pytest.mark.parametrize(
    "constant", ["int x_len = sizeof(x);", "int x_len = 2 * 5;", "#define x_len 2 * 5", "int len = 9;"]
)
def test_other_constants_are_left_alone(constant: str) -> None:
    assert read_c_arrays(f"char x[] = {{1}};\n{constant}")[0].declared_length is None


def test_branches_have_lengths_of_their_own() -> None:
    text = "#if A\nchar x[] = {1};\nint x_len = 1;\n#else\nchar x[] = {1, 2};\nint x_len = 2;\n#endif\n"
    assert [array.data for array in read_c_arrays(text)] == [b"\1", b"\1\2"]
    with pytest.raises(AmbiguousNameError) as raised:
        read_c_array(text, "x")
    assert raised.value.indices == (0, 1)


# Text, line, column (by counting), and what the message must say.
REFUSED = {
    "too large": ("unsigned char x[] = {0x1c,\n  256};", 2, 3, "256 does not lie in 0..255"),
    "too large by far": (f"unsigned char x[] = {{{'9' * 5000}}};", 1, 22, "does not lie"),
    "negative": ("unsigned char x[] = {-1};", 1, 22, "-1 does not lie in 0..255"),
    "too large for its sign": ("signed char x[] = {200};", 1, 20, "200 does not lie in -128..127"),
    "too small": ("signed char x[] = {-129};", 1, 20, "-129"),
    "minus an unsigned number": ("char x[] = {-1u};", 1, 13, "-1u"),
    "no number": ("char x[] = {1, A};", 1, 16, "'A'"),
    "no octal number": ("char x[] = {08};", 1, 13, "'08'"),
    "a fraction": ("char x[] = {1.0};", 1, 13, "'1.0'"),
    "an expression": ("char x[] = {1 + 2};", 1, 15, "'+'"),
    "two numbers": ("char x[] = {1 2};", 1, 15, "',' or '}'"),
    "split number": ("char x[] = {0x 1c};", 1, 13, "'0x'"),
    "no number between commas": ("char x[] = {1,,2};", 1, 15, "','"),
    "a comma alone": ("char x[] = {,};", 1, 13, "','"),
    "a designator of a field": ("char x[] = {.a = 1};", 1, 13, "'.'"),
    "an index by name": ("char x[] = {[A] = 1};", 1, 14, "'A' is no index"),
    "an index out of proportion": ("char x[] = {[2000000000] = 1};", 1, 14, "proportion"),
    "a length out of proportion": ("char x[2000000000] = {[1] = 1};", 1, 6, "proportion"),
    "an index past the brackets": ("char x[2] = {[2] = 1};", 1, 6, "3 elements, but its brackets say 2"),
    "a std::byte that is none": ("std::byte x[] = {std::byte{256}};", 1, 18, "std::byte{256} does not lie in 0..255"),
    "an element of a wide type": ("char x[] = {int{1}};", 1, 13, "int{1}"),
    "a bare list with more behind it": ("1, 2, 3};\nint x;", 2, 1, "'int'"),
    "nested braces": ("char x[] = {{1}, {2}};", 1, 13, "'{'"),
    "two characters": ("char x[] = {'ab'};", 1, 13, "one byte"),
    "a wide character": ("char x[] = {L'a'};", 1, 13, "wider"),
    "a wide string": ('char x[] = L"a";', 1, 12, "wider"),
    "greedy escape": (r'char x[] = "a\x1cfe";', 1, 14, r"\x1cfe"),
    "unknown escape": (r'char x[] = "\q";', 1, 13, r"\q"),
    "open string": ('char x[] = "abc;\n', 1, 12, "not closed"),
    "open comment": ("char x[] = {1, /* 2};\n", 1, 16, "never closed"),
    "open brace": ("\nchar x[] = {1, 2,", 2, 12, "never closed"),
    "open function": ("void f() {\nchar x[] = {1};", 1, 10, "never closed"),
    "a branch inside": ("char x[] = {1,\n#if A\n2,\n#endif\n3};", 2, 1, "preprocessor"),
    "an included file": ('char x[] = {\n#include "x.inc"\n};', 2, 1, "preprocessor"),
    "brackets say more": ("unsigned char x[4] = {1, 2, 3};", 1, 15, "3 elements, but its brackets say 4"),
    "brackets say less": ("unsigned char x[2] = {1, 2, 3};", 1, 15, "3 elements, but its brackets say 2"),
    "length says more": ("char x[] = {1};\nint x_len = 12;", 2, 13, "1 elements, but its length constant says 12"),
    "wider elements": ("const uint32_t x[] = {1, 2};", 1, 16, "'const uint32_t', is not known to be eight bits"),
    "int": ("int x[] = {1, 2};", 1, 5, "'int'"),
    "pointers": ('const char *x[] = {"a"};', 1, 13, "pointers"),
    "two dimensions": ("char x[2][2] = {{1, 2}, {3, 4}};", 1, 6, "dimension"),
    "std::array of arrays": ("std::array<std::array<char, 1>, 1> x = {{{1}}};", 1, 36, "dimension"),
    "zeros": ("unsigned char x[512] = {0};", 1, 15, "filled with zeros"),
    "zeros of unknown number": ("unsigned char x[kSize] = {};", 1, 15, "filled with zeros"),
    "after other characters": ("/* äö\n */ /*😀*/ char x[] = {300};", 2, 23, "300"),
    "after a joined line": ("char x[] = \\\n{1, 300};", 2, 5, "300"),
    "after joined lines with white space": ("char x[] \\ \r\n = \\\t\n\\\n{1,\\\r\n 300};", 5, 2, "300"),
    "UTF-8 mark": ("\ufeffchar x[] = {300};", 1, 13, "300"),
}


@pytest.mark.parametrize(("text", "line", "column", "says"), REFUSED.values(), ids=REFUSED)
def test_refused_with_its_place(text: str, line: int, column: int, says: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(TextError) as raised:
            read_c_arrays(form, "net.h")
        error = raised.value
        assert (error.line, error.column, error.file) == (line, column, "net.h")
        assert says in error.message


def test_other_arrays_do_not_stand_in_the_way() -> None:
    text = 'const int shape[] = {1, 96, 96, 1};\nchar arena[99] = {0};\nconst char *labels[] = {"a"};\nchar x[] = {7};'
    assert read_c_array(text) == b"\7"
    with pytest.raises(TextError, match="'const int'"):
        read_c_array(text, "shape")
    with pytest.raises(TextError, match="zeros"):
        read_c_array(text, "arena")


def test_which_array_must_be_said() -> None:
    text = "unsigned char a[] = {1};\nunsigned char b[] = {2, 0, 0, 0, 'T', 'F', 'L', '3'};"
    with pytest.raises(NotFoundError, match="a, b") as raised:
        read_c_array(text)
    assert raised.value.hint
    assert read_c_array(text, "a") == b"\1"
    assert read_c_array(text, "b") == b"\2\0\0\0TFL3"
    with pytest.raises(NotFoundError, match=r"(?s)'c'.*a, b"):
        read_c_array(text, "c")


@pytest.mark.parametrize("text", ["", "hello", "int main() { return 0; }", "\0\1\2", "extern const unsigned char x[];"])
def test_no_array(text: str) -> None:
    assert read_c_arrays(text) == []
    with pytest.raises(UnsupportedFormatError):
        read_c_array(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_marked_encodings(encoding: str) -> None:
    """A redirection in Windows PowerShell writes UTF-16 with a byte order mark."""
    assert read_c_array("// ü\nchar x[] = {1};".encode(encoding)) == b"\1"


def test_text_that_is_no_text() -> None:
    with pytest.raises(TextError):
        read_c_arrays(b"\xff\xfe\x00")
    with pytest.raises(TextError):
        read_c_arrays("\ud800")
    with pytest.raises(InvalidTypeError):
        read_c_arrays(5)  # type: ignore[arg-type]  # what the test is about


def test_many_declarations_end_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_declarations, "MAX_DECLARATIONS", 10)
    assert len(read_c_arrays("char x[] = {1};\n" * 10)) == 10
    with pytest.raises(TextError) as raised:
        read_c_arrays("char x[] = {1};\n" * 11)
    assert raised.value.line == 11


# The quick way over long lists and the slow one, token by token, are the same.

NUMBERS = [
    "0x1c",
    "0XfF",
    "0",
    "017",
    "255",
    "-1",
    "- 1",
    "+7",
    "0b101",
    "1u",
    "1UL",
    "/* , */ 3",
    "// ,\n4",
    "5 //}\n",
]
OTHERS = [
    "256",
    "08",
    "'a'",
    "','",
    "'}'",
    "0x1'c",
    "1 2",
    "",
    "A",
    "1.5",
    "0x",
    "-",
    "-1u",
    "#x",
    "\n#if 1\n",
    "{1}",
    '"a"',
    "uint8_t{7}",
    "std::byte( 0x1c )",
    "(char)-3",
    "static_cast<unsigned char>(9)",
    "int{1}",
    "byte{}",
]
ELEMENTS = st.sampled_from([*NUMBERS, *OTHERS])
SPACES = st.sampled_from(["", " ", "\n  ", "\t", "\r\n", "\v\f", " \\\n"])


@given(
    st.sampled_from(["unsigned char", "signed char", "char", "std::array<unsigned char, 3>"]),
    st.lists(st.tuples(SPACES, ELEMENTS, SPACES)),
    st.sampled_from(["", ",", " , ", ",,"]),
    st.sampled_from(["};", "}", "", "}};", "}\nconst int x_len = 3;", "}, y[] = {1, 2};"]),
)
@example("unsigned char", [(" ", "0x1c", "")] * 40, ",", "};")
def test_quick_and_slow_agree(kind: str, elements: list[tuple[str, str, str]], comma: str, rest: str) -> None:
    name = "x" if "<" in kind else "x[]"
    text = f"{kind} {name} = {{" + ",".join(before + text + after for before, text, after in elements) + comma + rest

    def outcome() -> object:
        try:
            return read_c_arrays(text)
        except TextError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        quick = outcome()
        patch.setattr(c_elements, "_BLOCK", 7)
        blockwise = outcome()
        patch.setattr(c_elements.Elements, "_after_run", lambda self, data, start, limits, o: self.next_inside(o))
        slow = outcome()
    assert quick == slow
    assert blockwise == slow


SAMPLE = "\n".join(text for text, _ in SPELLINGS.values()).replace("int n =", "int m =").encode()


@given(
    st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), max_size=20), st.integers(0, len(SAMPLE))
)
def test_damaged_text_is_read_or_refused(changes: list[tuple[int, int]], end: int) -> None:
    text = bytearray(SAMPLE)
    for position, value in changes:
        text[position] = value
    try:
        read_c_arrays(bytes(text[:end] if end else text))
    except UnliteError as error:
        assert str(error)


@given(st.binary(max_size=200) | st.text("xX019'\"\\/*#{}[]()=,;<> \nchar", max_size=200))
def test_any_text_is_read_or_refused(text: bytes | str) -> None:
    try:
        read_c_arrays(text)
    except UnliteError as error:
        assert str(error)


@pytest.mark.parametrize(
    "text",
    [
        b"char x[] = {" * 20_000,
        b"[" * 100_000,
        b"\\\n" * 100_000 + b"char x[] = {1};",
        b"char x[] = {" + b"1'" * 100_000 + b"1};",
        b"char x[] = {" + b"-" * 100_000,
        b"#error '" + b"\\'" * 50_000 + b"\nchar x[] = {1};",
        b'char x[] = "' + b'" "' * 50_000 + b'";',
        b"a " * 200_000 + b"; char x[] = {1};",
        b"char x[] = {" + b"/**/" * 50_000 + b"1};",
        b"char x[] = {" + b"1,/**/" * 50_000 + b"1};",
    ],
    ids=lambda text: repr(text[:14])[2:-1],
)
def test_long_nonsense_takes_no_long_time_and_no_deep_stack(text: bytes) -> None:
    try:
        read_c_arrays(text)
    except UnliteError as error:
        assert len(str(error)) < 500
