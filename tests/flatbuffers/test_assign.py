"""Assigning to views: seen by every reader, checked at once, and in what is written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.flatbuffers.flatc_judge import Flatc
from tests.flatbuffers.test_write import rewritten
from tests.flatbuffers.zoo import FULL

from unlite.errors import InvalidTypeError, InvalidValueError, UnknownFieldError
from unlite.flatbuffers import view as v


def saved(flatc: Flatc, root: Any) -> Any:
    """What flatc reads of the changed file."""
    return json.loads(flatc.to_text(rewritten(root, b"ZOO1"), "--strict-json"))


CHANGES: list[tuple[str, Any, Any, Any]] = [
    # field, value, what the view gives then, what flatc reads then
    ("flag", True, True, None),  # flatc leaves out nothing that is stored; True is the default, but it is stored now
    ("small", -7, -7, -7),
    ("real", 0.25, 0.25, 0.25),
    ("optional_float", 1.5, 1.5, 1.5),
    ("kind", "Bird", "Bird", "Bird"),
    ("kind", 42, 42, 42),
    ("legs", "Back Left", "Back Left", "Back Left"),
    ("name", "Tiger", "Tiger", "Tiger"),
    ("names", ["x", "y"], ["x", "y"], ["x", "y"]),
    ("numbers", [5], [5], [5]),
    ("numbers", np.array([7, 8], "<i4"), [7, 8], [7, 8]),
    ("floats", (0.5,), [0.5], [0.5]),
    ("flags", [False], [False], [False]),
    ("kinds", ["Bird", 4], ["Bird", 4], ["Bird", 4]),
    ("shorts", [1, -1], [1, -1], [1, -1]),
    ("aligned", b"\x09\x08", [9, 8], [9, 8]),
    ("aligned", np.array([1.0], "<f4"), [0, 0, 128, 63], [0, 0, 128, 63]),
]


@pytest.mark.parametrize(("name", "value", "seen", "read"), CHANGES)
def test_scalars_strings_and_vectors(name: str, value: Any, seen: Any, read: Any, cage: Any, flatc: Flatc) -> None:
    setattr(cage, name, value)
    assert cage[name] == seen
    assert getattr(cage, name) == seen
    found = saved(flatc, cage)
    if read is not None:
        assert found.pop(name) == read
    assert found.pop("flag", True) is (name == "flag")
    assert {key: found[key] for key in found if key in FULL} == {
        key: FULL[key] for key in FULL if key not in (name, "flag")
    }


def test_tables_structs_and_unions(cage: Any, flatc: Flatc) -> None:
    cage.inner = {"number": 5, "next": {"number": 6}}
    cage.box = {"corners": [{"x": 9, "y": 9.0}] * 2, "weights": [1, 2, 3], "kind": "Cat"}
    cage.points = [{"x": 7, "y": 0.5}]
    cage.any_type = "Leaf"
    cage.any = {"value": 8}
    cage.inners = [{"number": 1}, cage.inner.next]
    assert (cage.inner.next.number, cage.box.corners[1].x, cage.points[0].y, cage.any.value) == (6, 9, 0.5, 8)
    assert v.path(cage.inner.next) == "inner.next"
    found = saved(flatc, cage)
    assert found["inner"] == {"number": 5, "next": {"number": 6}}
    assert found["box"] == {"corners": [{"x": 9, "y": 9.0}] * 2, "weights": [1, 2, 3], "kind": "Cat"}
    assert found["points"] == [{"x": 7, "y": 0.5}]
    assert (found["any_type"], found["any"]) == ("Leaf", {"value": 8})
    assert found["inners"] == [{"number": 1}, {"number": 6}]


def test_a_union_takes_the_type_of_the_table(cage: Any, flatc: Flatc) -> None:
    cage.any = cage.many[1]
    assert (cage.any_type, cage.any.value) == ("Leaf", -1)
    assert saved(flatc, cage)["any_type"] == "Leaf"
    with pytest.raises(InvalidTypeError, match="no member"):
        cage.any = cage


def test_deep_changes_are_seen_from_everywhere(cage: Any, flatc: Flatc) -> None:
    before = cage.inner.next.next
    cage.inner.next.next.number = 33
    assert cage.inner.next.next.number == 33
    cage.inners[2].next.number = 44
    cage.many[1].value = 55
    before.number += 100  # a view from before the first change: what it writes counts, too
    assert cage.inner.next.next.number in (103, 133)
    found = saved(flatc, cage)
    assert found["inners"][2]["next"]["number"] == 44
    assert found["many"][1]["value"] == 55
    assert found["inners"][0] == FULL["inners"][0]


def test_two_views_of_one_place(cage: Any) -> None:
    one, other = cage.inners[0], cage.inners[0]
    one.number = 1
    other.next = {"number": 2}
    assert (cage.inners[0].number, cage.inners[0].next.number) == (1, 2)
    assert (one.next.number, other.number) == (2, 1)


def test_none_takes_out(cage: Any, flatc: Flatc) -> None:
    for name in ("name", "inner", "numbers", "box", "any", "small", "optional_int"):
        setattr(cage, name, None)
    cage.any_type = None
    assert (cage.name, cage.inner, cage.numbers, cage.box, cage.any, cage.optional_int) == (None,) * 6
    assert (cage.small, cage.any_type) == (-5, "NONE")
    assert not {"name", "inner", "numbers", "box", "any", "any_type", "small", "optional_int"} & set(saved(flatc, cage))


def test_a_table_of_another_place(cage: Any, flatc: Flatc) -> None:
    """With what was assigned to it; what is assigned later is its own."""
    cage.inners[0].number = 11
    cage.inner = cage.inners[0]
    assert cage.inner.number == 11
    cage.inner.number = 12
    assert cage.inners[0].number == 11
    found = saved(flatc, cage)
    assert (found["inner"], found["inners"][0]) == ({"number": 12}, {"number": 11})


def test_a_table_of_another_file(cage: Any, flatc: Flatc, full: bytes) -> None:
    other = flatc.root(full)
    cage.inner = other.inners[2]
    cage.inners = other.inners
    cage.numbers = other.numbers
    cage.many_type, cage.many = ["Leaf"], [other.many[1]]
    found = saved(flatc, cage)
    assert (found["inner"], found["inners"], found["numbers"]) == (FULL["inners"][2], FULL["inners"], FULL["numbers"])
    assert found["many"] == [{"value": -1}]


def test_a_long_vector_of_entries(cage: Any, flatc: Flatc) -> None:
    cage.inners = [*cage.inners, {"number": 99}]
    cage.inners[0].number = 98
    cage.inners[3].next = {}
    assert [entry.number for entry in cage.inners] == [98, 0, 0, 99]
    assert saved(flatc, cage)["inners"] == [{"number": 98}, {}, FULL["inners"][2], {"number": 99, "next": {}}]


WRONG = [
    ("small", 200, InvalidValueError),
    ("small", "x", InvalidTypeError),
    ("kind", "Fish", InvalidValueError),
    ("flag", "yes", InvalidTypeError),
    ("name", 5, InvalidTypeError),
    ("numbers", [2**40], InvalidValueError),
    ("numbers", np.array([1.5]), InvalidTypeError),
    ("flags", np.array([1, 0]), InvalidTypeError),
    ("inner", 5, InvalidTypeError),
    ("inner", {"nose": 5}, InvalidValueError),
    ("inners", [5], InvalidTypeError),
    ("points", [{"x": 1}], InvalidValueError),
    ("nose", 5, UnknownFieldError),
    ("_node", 5, UnknownFieldError),
]


@pytest.mark.parametrize(("name", "value", "kind"), WRONG, ids=lambda value: str(value)[:30])
def test_what_does_not_fit_changes_nothing(
    name: str, value: Any, kind: type[Exception], cage: Any, full: bytes
) -> None:
    with pytest.raises(kind):
        setattr(cage, name, value)
    assert rewritten(cage) == rewritten(type(cage)(cage._wire, cage._position, None, ""))


def test_buffers_with_gaps_or_nothing(cage: Any) -> None:
    cage.aligned = memoryview(b"abcdef")[::2]
    assert bytes(cage.aligned.memoryview()) == b"ace"
    cage.aligned = memoryview(np.zeros((0, 3), "f4"))
    assert len(cage.aligned) == 0
    cage.aligned = np.arange(4, dtype="u1")[::2]
    assert list(cage.aligned) == [0, 2]
