from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Made, agree

ORDER = ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
LOGIC = ("LOGICAL_AND", "LOGICAL_OR")


@pytest.mark.parametrize("dtype", ["float32", "int16", "int32", "int64", "float16"])
@pytest.mark.parametrize("name", ["EQUAL", "NOT_EQUAL", *ORDER])
def test_types_and_broadcast(name, dtype):
    if (name, dtype) == ("NOT_EQUAL", "int16"):
        pytest.skip("LiteRT has no kernel: it takes the model and writes nothing")
    x, y = np.array([[1], [-2], [3]], dtype), np.array([-2, 1, 7, 3], dtype)
    agree(name, [x, y], Made("BOOL", (3, 4)), resized=[x.reshape(3, 1, 1), y])


@pytest.mark.parametrize("name", ["EQUAL", "NOT_EQUAL", *ORDER])
def test_not_a_number(name):
    x = np.array([np.nan, np.nan, 1, np.inf], "f4")
    agree(name, [x, np.array([np.nan, 1, np.nan, np.inf], "f4")], Made("BOOL", (4,)), export=True)


@pytest.mark.parametrize("name", ["EQUAL", "NOT_EQUAL", *LOGIC])
def test_logic(name):
    x, y = np.array([[False], [True]]), np.array([False, True])
    agree(name, [x, y], Made("BOOL", (2, 2)), export=True)


def test_not():
    agree("LOGICAL_NOT", [np.array([[False, True]])], Made("BOOL", (1, 2)), resized=[np.array([[True], [False]])])


def condition(*shape: int) -> np.ndarray:
    return np.array(np.arange(int(np.prod(shape))).reshape(shape) % 2 == 0)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("shapes", [((), (2, 3)), ((2,), (2, 3)), ((2, 3), (2, 3)), ((2,), (2, 3, 2))])
def test_select(dtype, shapes):
    x = np.ones(shapes[1], dtype)
    agree("SELECT", [condition(*shapes[0]), x, np.zeros_like(x)], Made(DTYPES[dtype], shapes[1]))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64"])
@pytest.mark.parametrize(
    "shapes",
    [
        ((), (2, 3), (2, 3)),
        ((3,), (2, 3), (2, 3)),
        ((2, 1), (2, 3), ()),
        ((2,), (2, 1), ()),
        ((1, 2, 1, 2, 1), (2, 1, 1, 1, 3), (1,)),
    ],
)
def test_select_v2_broadcasts(dtype, shapes):
    c, x, y = shapes
    agree(
        "SELECT_V2",
        [condition(*c), np.ones(x, dtype), np.zeros(y, dtype)],
        Made(DTYPES[dtype], np.broadcast_shapes(*shapes)),
        export=True,
    )


@pytest.mark.parametrize("name", ["SELECT", "SELECT_V2"])
@pytest.mark.parametrize("shapes", [((1,), (), ()), ((), (1,), (1,)), ((1, 1), (1,), (1,)), ((1,), (1, 1), (1, 1))])
def test_single_elements_take_the_shape_of_the_file(name, shapes):
    c, x, out = shapes
    for made in {out, c}:
        agree(name, [condition(*c), np.ones(x, "f4"), np.zeros(x, "f4")], Made("FLOAT32", made))


def test_select_resized():
    data = [condition(3), np.ones((3, 2), "f4"), np.zeros((3, 2), "f4")]
    agree(
        "SELECT", [condition(2), np.ones((2, 2), "f4"), np.zeros((2, 2), "f4")], Made("FLOAT32", (2, 2)), resized=data
    )
