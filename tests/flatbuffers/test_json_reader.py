"""JSON text into FlatBuffers: what is accepted (flatc judges), and what is said of text that is not."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.flatbuffers.flatc_judge import STRICT, Flatc

from unlite.errors import InvalidTypeError, TextError
from unlite.flatbuffers import json_text
from unlite.flatbuffers.json_reader import compile_json, read_json
from unlite.flatbuffers.json_writer import write_json
from unlite.flatbuffers.view import ScalarVector, root_view
from unlite.flatbuffers.wire import Wire
from unlite.flatbuffers.write import build
from unlite.storage.sink import MemorySink, Sink
from unlite.storage.source import MappedFile

MODEL = """
enum Kind: byte { FLOAT32, FLOAT16, INT32, UINT8 = 3, INT8 = 9 }
enum Mask: ubyte (bit_flags) { A, B, C }
struct Point { x: int; y: float; kind: Kind; }
struct Line { ends: [Point:2]; marks: [ubyte:3]; }
table Tensor { name: string; shape: [int]; kind: Kind; kinds: [Kind]; scale: [float]; is_variable: bool; mask: Mask; }
table Conv { stride: int; ratio: float; big: ulong; tiny: byte; double: double; maybe: int = null; }
table Named { name: string (required); }
union Options { Conv, Point, Word: string, Named }
table Model {
  version: uint; tensors: [Tensor]; options: Options; many: [Options]; line: Line; points: [Point]; words: [string];
  data: [ubyte]; bools: [bool]; inner: [ubyte] (nested_flatbuffer: "Model"); model: Model; named: Named; masks: [Mask];
}
root_type Model;
file_identifier "MODL";
"""
GOOD = rb"""// what people write by hand
{
  version: 3, /* keys without quotes */
  "tensors": [
    {'name': 'single \'quotes\'', "shape": [ 1, +2, 0x10, ], "kind": "INT8", "scale": [1e-3, .5, -inf, NaN, nan, 007]},
    {"name": "\u00fc \ud83d\ude00 \/ \" \x41", "kind": 9, "kinds": ["FLOAT16", 3, "9", INT32], "is_variable": true},
    {"kind": "3", "mask": "A C", "is_variable": "true"},
  ],
  "many_type": ["Conv", "Word", "Point"],
  "many": [{"big": 18446744073709551615, "tiny": -128, double: 1e-300}, "w", {"kind": "UINT8", "y": 0.1, "x": -5}],
  "options": {"stride": 2, "ratio": 1}, "options_type": "Conv",
  "line": {"ends": [{"x": 1, "y": 2, "kind": 0}, {"x": 3, "y": 4, "kind": "INT8"}], "marks": [1, 2, 3]},
  "points": [], "words": ["a", ''], "data": [0, /* ] */ 255 // ]
  ], "bools": [true, false, 1], "inner": {"version": 7, "inner": {"words": ["deep"]}},
  "masks": ["A B", 0, 7,],
} // end"""


@pytest.fixture(scope="module")
def flatc(tmp_path_factory: pytest.TempPathFactory) -> Flatc:
    return Flatc.of(tmp_path_factory.mktemp("flatc"), MODEL)


def same(flatc: Flatc, text: bytes) -> bool:
    return flatc.our_text(flatc.our_binary(text)) == flatc.our_text(flatc.to_binary(text))


def test_what_flatc_reads(flatc: Flatc) -> None:
    assert same(flatc, GOOD)
    assert same(flatc, b"\xef\xbb\xbf {\r\n\t}\r\n")
    assert same(flatc, flatc.to_text(flatc.to_binary(GOOD)))
    assert same(flatc, flatc.to_text(flatc.to_binary(GOOD), *STRICT))


@pytest.mark.parametrize("window", [1, 2, 3, 7, 64])
def test_any_window(flatc: Flatc, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    """Tokens, comments and vectors cut anywhere."""
    texts = GOOD, flatc.our_text(flatc.to_binary(GOOD)), b'{"words": ["' + rb"\"\\" * 50 + b'"]}'
    wanted = [flatc.our_binary(text) for text in texts]
    monkeypatch.setattr(json_text, "CHUNK", window)
    assert [flatc.our_binary(text) for text in texts] == wanted


def test_tree(flatc: Flatc) -> None:
    """What the parts become."""
    tree = read_json(GOOD, flatc.schema)
    assert (tree["version"], tree["options_type"], tree["options"]) == (3, 1, {"stride": 2, "ratio": 1.0})
    assert tree["tensors"][0]["shape"] == b"\1\0\0\0\2\0\0\0\x10\0\0\0"
    assert tree["tensors"][1]["name"] == 'ü 😀 / " A'
    assert tree["line"]["marks"] == [1, 2, 3]
    assert tree["data"] == b"\0\xff"


@pytest.mark.parametrize("spool", [None, io.BytesIO])
def test_long_vectors_wait_in_a_file(flatc: Flatc, spool: Any) -> None:
    text = b'{"data": [' + b"1, 2, 3," * 10_000 + b'], "masks": [' + b'"A C", ' * 10_000 + b"]}"
    tree = read_json(text, flatc.schema, spool=spool and spool())
    assert isinstance(tree["data"], ScalarVector)
    assert bytes(tree["data"].memoryview()) == b"\1\2\3" * 10_000
    assert tree["masks"][9_999] == "A C"
    assert flatc.root(build(flatc.schema.root, tree))["data"].memoryview() == b"\1\2\3" * 10_000


def test_long_nested(flatc: Flatc) -> None:
    text = b'{"inner": {"inner": {"data": [' + b"9," * 10_000 + b"]}}}"
    root = flatc.root(flatc.our_binary(text))
    assert root["inner"].root["inner"].root["data"].memoryview() == b"\x09" * 10_000
    # The bytes themselves are taken too, which flatc does with --json-nested-bytes alone.
    inner = build(flatc.schema.root, {"version": 5})
    root = flatc.root(flatc.our_binary(json.dumps({"inner": list(inner)}).encode()))
    assert root["inner"].root["version"] == 5


def test_null_is_absent(flatc: Flatc) -> None:
    nothing = (
        b'{"words": null, "tensors": null, "data": null, "model": null, "named": null, "line": null, "inner": null}'
    )
    assert flatc.our_binary(nothing) == flatc.our_binary(b"{}")
    text = b'{"options_type": "Conv", "options": {"maybe": null}, "many_type": [], "many": []}'
    assert "maybe" not in str(flatc.root(flatc.our_binary(text))["options"])


def test_union_values_before_their_types(flatc: Flatc) -> None:
    text = b"""{"options": {"stride": 2}, "many": ["]", {"x": 1, "y": 2, "kind": 0}], "version": 3,
        "model": {"options": {"name": "x"}, "options_type": "Named"},
        "many_type": ["Word", "Point"], "options_type": "Conv"}"""
    root = flatc.root(flatc.our_binary(text))
    assert (root["options"]["stride"], root["many"][0], root["many"][1]["x"]) == (2, "]", 1)
    assert (root["version"], root["model"]["options"]["name"]) == (3, "x")
    swapped = b'{"options_type": "Conv", "options": {"stride": 2}, "version": 3}'
    assert flatc.our_binary(b'{"options": {"stride": 2}, "version": 3, "options_type": "Conv"}') == flatc.our_binary(
        swapped
    )


def test_bytes_that_are_no_text(flatc: Flatc) -> None:
    """A lone surrogate of our own, or flatc's escape for --allow-non-utf8, is one byte."""
    root = flatc.root(flatc.our_binary(rb'{"words": ["a\udcff\uDC80", "\xc3\xa9\xff"]}'))
    assert [word.encode("utf-8", "surrogateescape") for word in root["words"]] == [b"a\xff\x80", b"\xc3\xa9\xff"]


def test_identifier(flatc: Flatc) -> None:
    assert flatc.our_binary(b"{}")[4:8] == b"MODL"
    sink = MemorySink()
    compile_json(b"{}", flatc.schema, sink, identifier=b"")
    assert b"MODL" not in sink.value()


def test_another_root(flatc: Flatc) -> None:
    assert read_json(b'{"name": "x"}', flatc.schema, root=flatc.schema.named("Tensor")) == {"name": "x"}


# -- errors -----------------------------------------------------------------------------------------------------------

WRONG = [
    # text, line, column, path, part of the message, part of the hint
    ("", 1, 1, None, "ends too early", "cut short"),
    ("[]", 1, 1, None, "a Model in braces is wanted, not a list", None),
    ("5", 1, 1, None, "a Model in braces is wanted, not '5'", None),
    ('{\n  "versoin": 3}', 2, 4, "versoin", "Model has no field 'versoin'", "'version'"),
    ('{"xyz": 3}', 1, 3, "xyz", "no field", "version, tensors, options_type, options"),
    ('{"version": 3,\n "version": 3}', 2, 3, "version", "stands here twice", "one"),
    ('{"version": "three"}', 1, 13, "version", "not a whole number", None),
    ('{"version": -1}', 1, 13, "version", "does not fit uint", None),
    ('{"version": 4294967296}', 1, 13, "version", "0 to 4294967295", None),
    ('{"version": 1.5}', 1, 13, "version", "not a whole number", None),
    ('{"version": {}}', 1, 13, "version", "a number is wanted, not an object", None),
    ('{"version": null}', 1, 13, "version", "null", "Leave the key out"),
    ('{"version": ' + "9" * 5000 + "}", 1, 13, "version", "5000 characters", None),
    ('{"tensors": [{}, {"kind": "FLOAT23"}]}', 1, 27, "tensors[1].kind", "'FLOAT23' is no name of Kind", "'FLOAT32'"),
    ('{"tensors": [{"kind": "qq"}]}', 1, 23, "tensors[0].kind", "no name", "FLOAT32, FLOAT16, INT32, UINT8, INT8"),
    ('{"tensors": [{"kind": 300}]}', 1, 23, "tensors[0].kind", "out of range, -128 to 127", None),
    ('{"tensors": [{"kind": [1]}]}', 1, 23, "tensors[0].kind", "a name of Kind is wanted, not a list", None),
    (
        '{"tensors": [{"name": "a"},\n{"shape": [1, 2,\n 3000000000]}]}',
        3,
        2,
        "tensors[1].shape[2]",
        "does not fit",
        None,
    ),
    ('{"tensors": [{"shape": [1, "x"]}]}', 1, 28, "tensors[0].shape[1]", "not a whole number", None),
    ('{"tensors": [{"shape": [1 2]}]}', 1, 25, "tensors[0].shape[0]", "'1 2'", None),
    ('{"tensors": [{"shape": 5}]}', 1, 24, "tensors[0].shape", "a list of numbers in brackets", None),
    ('{"tensors": [{"kinds": ["INT8", "INT"]}]}', 1, 33, "tensors[0].kinds[1]", "no name", "'INT8'"),
    ('{"tensors": [{"kinds": [null]}]}', 1, 25, "tensors[0].kinds[0]", "null has no place", "out"),
    ('{"tensors": [{}, null]}', 1, 18, "tensors[1]", "null has no place", "out"),
    ('{"tensors": {"name": "x"}}', 1, 13, "tensors", "a list in brackets is wanted, not an object", None),
    ('{"tensors": [{}, 5]}', 1, 18, "tensors[1]", "a Tensor in braces is wanted, not '5'", None),
    ('{"tensors": [{}\n {}]}', 2, 2, "tensors[1]", "a comma or ']' is missing", None),
    ('{"tensors": [{"scale": [1, 0.5.2]}]}', 1, 28, "tensors[0].scale[1]", "not a number", None),
    ('{"tensors": [{"is_variable": 3.5}]}', 1, 30, "tensors[0].is_variable", "whole number", None),
    ('{"words": ["é", "ü\\q"]}', 1, 19, "words[1]", "'\\q' is no escape", "backslash"),
    ('{"words": ["\\ud800x"]}', 1, 13, "words[0]", "half of a character", "both halves"),
    ('{"words": ["\\u12"]}', 1, 13, "words[0]", "no escape", None),
    ('{"words": [5]}', 1, 12, "words[0]", "a string is wanted, not '5'", "double quotes"),
    ('{"words": ["a\n"]}', 1, 14, "words[0]", "raw control character, 0x0A", "\\u000A"),
    ('{"words": ["a]}', 1, 12, "words[0]", "a string is not closed", "cut short"),
    ('{"words": ["a"', 1, 15, "words[1]", "ends too early", "cut short"),
    ('{"words": ["a"]', 1, 16, None, "ends too early", "cut short"),
    ('{"data": [1, 2', 1, 15, "data", "ends inside an array", "cut short"),
    ('{"words": [,]}', 1, 12, "words[0]", "a string is wanted, not ','", None),
    ('{"version" 3}', 1, 12, None, "a colon is missing", None),
    ('{"version": 3 "words": []}', 1, 15, None, "a comma is missing", None),
    ('{, "version": 3}', 1, 2, None, "a key in quotes is wanted, not ','", None),
    ('{"version": 3}\n}', 2, 1, None, "more text behind the end", None),
    ('{"version": #}', 1, 13, "version", "'#' has no place here", None),
    ('{"version": 3, /* x }', 1, 16, None, "comment is not closed", None),
    ('{"version": 3 / 2}', 1, 15, None, "'/' has no place here", None),
    ('{"options": {"stride": 2}}', 1, 13, "options", "the key 'options_type'", "Conv, Point, Word, Named"),
    ('{"options_type": "NONE", "options": {}}', 1, 37, "options", "type is NONE", "Name its type"),
    ('{"options_type": 77, "options": {}}', 1, 33, "options", "77 is no type of Options", "Conv"),
    ('{"options_type": "Cnov", "options": {}}', 1, 18, "options_type", "no name of Options", "'Conv'"),
    ('{"options_type": "Conv", "options": 5}', 1, 37, "options", "a Conv in braces is wanted", None),
    ('{"options": {"strid": 2}, "options_type": "Conv"}', 1, 15, "options.strid", "no field", "'stride'"),
    ('{"many_type": ["Conv"], "many": [{}, {}]}', 1, 38, "many[1]", "more values than types", None),
    ('{"many_type": ["Conv", "Conv"], "many": [{}]}', 1, 44, "many", "fewer values, 1, than types, 2", None),
    ('{"many": [{}], "many_type": ["Conv", "Conv"]}', 1, 13, "many", "fewer values", None),
    ('{"many_type": ["NONE"], "many": [{}]}', 1, 34, "many[0]", "NONE", None),
    ('{"points": [{"x": 1, "y": 2}]}', 1, 13, "points[0]", "'kind' of Point is missing", "x, y, kind"),
    ('{"line": {"ends": [], "marks": [1, 2, 3]}}', 1, 20, "line.ends", "2 entries are wanted, not 0", None),
    ('{"line": {"marks": [1, 2]}}', 1, 25, "line.marks", "3 entries are wanted, not 2", None),
    ('{"named": {}}', 1, 11, "named", "'name' of Named is missing", "name"),
    ('{"named": {"name": null}}', 1, 11, "named", "'name' of Named is missing", "name"),
    ('{"bools": [true, maybe]}', 1, 18, "bools[1]", "'maybe'", None),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "path", "message", "hint"), WRONG, ids=[row[0][:40] for row in WRONG]
)
def test_errors_name_the_place(
    flatc: Flatc, text: str, line: int, column: int, path: str | None, message: str, hint: str | None
) -> None:
    with pytest.raises(TextError) as caught:
        read_json(text.encode(), flatc.schema, file="model.json")
    error = caught.value
    assert message in error.message
    assert (error.line, error.column, error.path, error.file) == (line, column, path, "model.json")
    assert hint is None or hint in (error.hint or "")


FEWER_VALUES_THAN_TYPES = '{"many_type": ["Conv", "Conv"]'  # flatc lets it pass


@pytest.mark.parametrize("text", [row[0] for row in WRONG if not row[0].startswith(FEWER_VALUES_THAN_TYPES)])
def test_flatc_refuses_them_too(flatc: Flatc, text: str) -> None:
    with pytest.raises(ValueError, match="error"):
        flatc.to_binary(text.encode())


def test_text_that_is_not_utf_8(flatc: Flatc) -> None:
    with pytest.raises(TextError, match="byte 0xFF is no UTF-8") as caught:
        read_json('{"words": ["ü", "ü\N{SNOWMAN}'.encode() + b'\xff"]}', flatc.schema)
    assert (caught.value.column, caught.value.path) == (20, "words[1]")
    with pytest.raises(TextError, match="no field"):
        read_json(b'{"\xff": 1}', flatc.schema)
    with pytest.raises(TextError, match="is not utf-16"):
        read_json("{}".encode("utf-16")[:-1], flatc.schema)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(flatc: Flatc, encoding: str) -> None:
    assert read_json('{"words": ["ü\N{SNOWMAN}"]}'.encode(encoding), flatc.schema) == {"words": ["ü\N{SNOWMAN}"]}


def test_no_text_at_all(flatc: Flatc) -> None:
    with pytest.raises(InvalidTypeError, match="source or bytes"):
        read_json("{}", flatc.schema)


def nest(levels: int) -> bytes:
    return b'{"model":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


def test_nesting_is_bounded(flatc: Flatc) -> None:
    assert same(flatc, nest(64))
    with pytest.raises(ValueError, match="depth"):
        flatc.to_binary(nest(65))
    for text in (nest(65), nest(100_000), b'{"inner":' * 100_000, b'{"options_type": "Point", "options":' * 70):
        with pytest.raises(TextError):
            read_json(text, flatc.schema)
    with pytest.raises(TextError, match="64 deep") as caught:
        read_json(nest(65), flatc.schema)
    assert caught.value.path == ".".join(["model"] * 64)
    # A value that is skipped, its type not yet known, may be nested as it likes.
    with pytest.raises(TextError, match="early"):
        read_json(b'{"options":' + b"[" * 10**5, flatc.schema)


def test_errors_far_into_a_long_text(flatc: Flatc) -> None:
    """Line and column are counted over the windows."""
    text = b'{"words": [\n' + b'"0123456789",\n' * 200_000 + b"5]}"
    with pytest.raises(TextError) as caught:
        read_json(text, flatc.schema)
    assert (caught.value.line, caught.value.column, caught.value.path) == (200_002, 1, "words[200000]")


@given(st.data())
def test_cut_off_text_is_refused(flatc: Flatc, data: st.DataObject) -> None:
    with pytest.raises(TextError):
        read_json(GOOD[: data.draw(st.integers(0, len(GOOD) - len("} // end")))], flatc.schema)


@given(st.data())
def test_damaged_text_is_read_or_refused(flatc: Flatc, data: st.DataObject) -> None:
    text = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3)
            | st.sampled_from([b'"', b"[", b"]", b"{", b"}", b",", b":", b"/*", b"//", b"\\", b"null"])
        )
    try:
        binary = flatc.our_binary(bytes(text))
    except TextError as error:
        assert error.line >= 1
        assert error.column >= 1
    else:
        written = flatc.our_text(binary)
        assert flatc.our_text(flatc.our_binary(written)) == written


@given(st.text())
def test_strings_as_json_writes_them(flatc: Flatc, text: str) -> None:
    """Escaped or raw, as Python's json writes it; surrogates that stand for no byte are refused."""
    for ascii_only in (True, False):
        content = json.dumps({"words": [text]}, ensure_ascii=ascii_only)
        try:
            encoded = content.encode()
        except UnicodeEncodeError:
            continue
        assert read_json(encoded, flatc.schema)["words"] == [text]


@given(st.from_regex(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}(\\u[dD][89a-fA-F][0-9a-fA-F]{2})?", fullmatch=True))
def test_surrogates(flatc: Flatc, escapes: str) -> None:
    wanted = json.loads(f'"{escapes}"')  # pairs become one character, halves stay
    stands_for_bytes = all(not 0xD800 <= ord(char) < 0xE000 or 0xDC80 <= ord(char) <= 0xDCFF for char in wanted)
    content = f'{{"words": ["{escapes}"]}}'.encode()
    if stands_for_bytes:
        assert read_json(content, flatc.schema)["words"] == [wanted]
    else:
        with pytest.raises(TextError, match="half of a character"):
            read_json(content, flatc.schema)


class Nowhere(Sink):
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.position += len(data)


def test_memory_stays_flat(flatc: Flatc, tmp_path: Path) -> None:
    """Eight megabytes of weights, 27 of text: both ways within a few windows."""
    owner = flatc.schema.root
    path, text_path = tmp_path / "model.bin", tmp_path / "model.json"
    path.write_bytes(build(owner, {"data": bytes(range(256)) * 2**15, "version": 3}))
    model = MappedFile(path)
    tracemalloc.start()
    try:
        with text_path.open("wb") as file:
            write_json(root_view(Wire(model), owner), file.write)
        text, sink = MappedFile(text_path), Nowhere()
        compile_json(text, flatc.schema, sink)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    model.close()
    text.close()
    assert text_path.stat().st_size > 25 * 10**6
    assert sink.position > 2**23
    assert peak < 8 * 2**20
    assert bytes(read_json(text_path.read_bytes(), flatc.schema)["data"].memoryview()) == bytes(range(256)) * 2**15
