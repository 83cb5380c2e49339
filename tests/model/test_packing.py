"""Packed elements and strings, against layouts by hand and LiteRT."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlite.errors import CorruptFileError, InvalidValueError
from unlite.model.values.packing import pack_bits, pack_strings, unpack_bits, unpack_strings

# byte 0xF8: INT4 low 8 -> -8, high F -> -1. INT2 of 0b11100100: 0, 1, 2 -> -2, 3 -> -1, from the low bits up.
HAND = [
    ("INT4", b"\xf8", [-8, -1]),
    ("INT4", b"\x70\x0f", [0, 7, -1]),
    ("UINT4", b"\xf8\x03", [8, 15, 3]),
    ("INT2", b"\xe4", [0, 1, -2, -1]),
    ("INT2", b"\xe4\x02", [0, 1, -2, -1, -2]),
    ("INT4", b"", []),
    ("INT2", b"", []),
]


@pytest.mark.parametrize(("dtype", "data", "values"), HAND)
def test_by_hand(dtype: str, data: bytes, values: list[int]) -> None:
    found = unpack_bits(memoryview(data), dtype, len(values))
    assert found.dtype == ("u1" if dtype == "UINT4" else "i1")
    assert found.tolist() == values
    assert pack_bits(np.array(values, found.dtype), dtype) == data


@given(values=st.lists(st.integers(0, 15), max_size=33), dtype=st.sampled_from(["INT4", "UINT4", "INT2"]))
def test_back_again(values: list[int], dtype: str) -> None:
    low, count = {"INT4": (8, 16), "UINT4": (0, 16), "INT2": (2, 4)}[dtype]
    array = np.array([value % count - low for value in values], "u1" if dtype == "UINT4" else "i1")
    data = pack_bits(array, dtype)
    assert len(data) == -(-len(values) * (2 if dtype == "INT2" else 4) // 8)
    assert unpack_bits(memoryview(data), dtype, len(values)).tolist() == array.tolist()


def test_strings_by_hand() -> None:
    # count 3; offsets 20, 22, 22, 25 from the start (4 * (3 + 2) = 20); then the bytes
    data = struct.pack("<5i", 3, 20, 22, 22, 25) + b"abxyz"
    assert unpack_strings(memoryview(data), "") == [b"ab", b"", b"xyz"]
    assert pack_strings([b"ab", "", "xyz"], "") == data
    assert unpack_strings(memoryview(b""), "") == []
    assert pack_strings([], "") == struct.pack("<2i", 0, 8)
    assert unpack_strings(memoryview(pack_strings([], "")), "") == []


@given(strings=st.lists(st.binary(max_size=9), max_size=9))
def test_strings_back_again(strings: list[bytes]) -> None:
    assert unpack_strings(memoryview(pack_strings(strings, "")), "") == strings


def test_strings_of_litert(tmp_path_factory: pytest.TempPathFactory) -> None:
    """LiteRT reads what we write."""
    judge = pytest.importorskip("ai_edge_litert.interpreter")
    from tests.model.independent import buffer, code, model, operator, tensor

    data = pack_strings([b"one", "zw\u00f6lf", b"", b"\xff\x00\x01"], "")
    file = model(
        [tensor("s", [4], "STRING", 1), tensor("i", [2], "INT32"), tensor("o", [2], "STRING")],
        [buffer(data)],
        [operator([0, 1], [2])],
        [code("GATHER")],
        [1],
        [2],
    )
    runner = judge.Interpreter(model_content=file)
    assert [bytes(text) for text in runner.get_tensor(0)] == [b"one", "zw\u00f6lf".encode(), b"", b"\xff\x00\x01"]


HOSTILE = [
    b"\1",
    struct.pack("<i", -1),
    struct.pack("<i", 1),
    struct.pack("<2i", 0, 9),
    struct.pack("<2i", 2**31 - 1, 8),
    struct.pack("<3i", 1, 12, 13),
    struct.pack("<3i", 1, 13, 12) + b"x",
    struct.pack("<3i", 1, -1, 12),
    struct.pack("<4i", 2, 16, 17, 16) + b"x",
]


@pytest.mark.parametrize("data", HOSTILE)
def test_hostile_strings(data: bytes) -> None:
    with pytest.raises(CorruptFileError) as caught:
        unpack_strings(memoryview(data), "here")
    assert caught.value.path == "here"


@given(data=st.binary(max_size=40))
def test_any_bytes_as_strings(data: bytes) -> None:
    try:
        assert sum(map(len, unpack_strings(memoryview(data), "here"))) <= len(data)
    except CorruptFileError as error:
        assert error.path == "here"


def test_what_is_no_string() -> None:
    with pytest.raises(InvalidValueError):
        pack_strings([5], "here")
    with pytest.raises(InvalidValueError):
        pack_strings(["\ud800"], "here")
