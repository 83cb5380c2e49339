"""How much memory a file may ask for. Values by hand: 1 GiB, or 256 times the file's size if that is more."""

from __future__ import annotations

import pickle

import pytest

from unlite.errors import InvalidTypeError, InvalidValueError, MemoryLimitError
from unlite.storage.memory_limit import MemoryLimit, byte_count

GIB = 1 << 30


@pytest.mark.parametrize(
    ("size", "limit", "allowed"),
    [(0, None, GIB), (552, None, GIB), (4 << 20, None, GIB), ((4 << 20) + 1, None, GIB + 256), (1, 5, 5), (1, 0, 0)],
)
def test_what_is_allowed(size: int, limit: int | None, allowed: int) -> None:
    memory = MemoryLimit(size, limit, "x.tflite")
    memory.check(allowed, "a tensor")
    with pytest.raises(MemoryLimitError) as caught:
        memory.check(allowed + 1, "a tensor", "subgraphs[0].tensors[3]")
    error = caught.value
    assert (error.wanted, error.allowed, error.file, error.path) == (
        allowed + 1,
        allowed,
        "x.tflite",
        "subgraphs[0].tensors[3]",
    )
    assert "--limit" in (error.hint or "")


def test_values_that_stay_are_added_up() -> None:
    memory = MemoryLimit(0)
    memory.spend(GIB // 2, "a")
    memory.spend(GIB // 2, "b")
    with pytest.raises(MemoryLimitError, match=f"c would take {GIB + 1} bytes"):
        memory.spend(1, "c")


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("512", 512), ("2K", 2048), (" 3m ", 3 << 20), ("8G", 8 << 30), ("1T", 1 << 40)]
)
def test_numbers_of_bytes(text: str, number: int) -> None:
    assert byte_count(text) == number == byte_count(number)


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "8GB", "x", "1" * 19, "\u0661", -1])
def test_what_is_no_number_of_bytes(text: str | int) -> None:
    with pytest.raises(InvalidValueError):
        byte_count(text)


@pytest.mark.parametrize("value", [1.5, True, b"8G"])
def test_what_is_no_limit(value: object) -> None:
    with pytest.raises(InvalidTypeError):
        byte_count(value)  # type: ignore[arg-type]


def test_the_error_can_be_pickled() -> None:
    error = MemoryLimitError(9, 5, "a tensor", file="f", path="p")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.wanted, again.allowed, again.what) == (str(error), 9, 5, "a tensor")
