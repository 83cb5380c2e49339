from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Constant, Made, agree, convert, one_operator

from unlite.errors import UnsupportedOperatorError

TWO = ("STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM")


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "bool"]
)
@pytest.mark.parametrize("name", TWO)
def test_two_operands(name, dtype):
    x = np.array([[7, 0, 250, 3], [1, 1, 0, 100]]).astype(dtype)
    y = np.array([[3, 0, 250, 9], [0, 1, 1, 200]]).astype(dtype)
    agree(name, [x, y], Made(DTYPES[dtype], (2, 4)), resized=[x[:1], y[:1]], export=True)


def gather(operand: np.ndarray, indices: np.ndarray, result: tuple[int, ...], **options: object) -> None:
    made = Made(DTYPES[operand.dtype.name], result)
    agree("STABLEHLO_GATHER", [operand, indices], made, ("StablehloGatherOptions", options), export=True)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_gather_moves_slices_inside(dtype):
    operand = np.arange(24, dtype="f4").reshape(3, 4, 2)
    gather(
        operand,
        np.array([[[0, 0], [1, 0], [2, 1]], [[0, 1], [1, 1], [9, -4]]], dtype),
        (2, 3, 2, 2),
        offset_dims=[2, 3],
        collapsed_slice_dims=[0],
        start_index_map=[1, 0],
        index_vector_dim=2,
        slice_sizes=[1, 2, 2],
    )


def test_gather_of_rows():
    gather(
        np.arange(12, dtype="i4").reshape(4, 3),
        np.array([[3], [0], [7]], "i4"),
        (3, 3),
        offset_dims=[1],
        collapsed_slice_dims=[0],
        start_index_map=[0],
        index_vector_dim=1,
        slice_sizes=[1, 3],
    )


def test_gather_with_offsets_first_and_vectors_along_the_first_axis():
    gather(
        np.arange(20, dtype="i8").reshape(4, 5),
        np.array([[0, 1, 3], [4, 2, 0]], "i8"),  # three vectors of two
        (2, 3, 1),
        offset_dims=[0, 2],
        collapsed_slice_dims=[],
        start_index_map=[0, 1],
        index_vector_dim=0,
        slice_sizes=[2, 1],
    )


BODIES = ["", "STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM"]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("dtype", ["float32", "int32", "int8"])
def test_scatter(body, dtype):
    operand = np.arange(1, 25).reshape(3, 4, 2).astype(dtype)
    indices = np.array([[[0, 2], [1, 0], [2, 1]], [[0, 0], [1, 1], [3, 9]]], "i8")  # the last one is outside
    updates = np.random.default_rng(1).integers(1, 40, (2, 3, 2, 2)).astype(dtype)
    options = {
        "update_window_dims": [2, 3],
        "inserted_window_dims": [0],
        "scatter_dims_to_operand_dims": [1, 0],
        "index_vector_dim": 2,
        "update_computation_subgraph_index": 1,
    }
    agree(
        "STABLEHLO_SCATTER",
        [operand, indices, updates],
        Made(DTYPES[dtype], (3, 4, 2)),
        ("StablehloScatterOptions", options),
        subgraphs=[(body, DTYPES[dtype])],
        export=True,
    )


@pytest.mark.parametrize("body", BODIES)
def test_scatter_of_rows_in_part_outside(body):
    options = {
        "update_window_dims": [1],
        "inserted_window_dims": [],
        "scatter_dims_to_operand_dims": [0],
        "index_vector_dim": 1,
        "update_computation_subgraph_index": 1,
    }
    operand = np.arange(6, dtype="f4")
    updates = np.array([[10, 20, 30], [7, 8, 9]], "f4")
    agree(
        "STABLEHLO_SCATTER",
        [operand, Constant(np.array([4, -1], "i4")), updates],
        Made("FLOAT32", (6,)),
        ("StablehloScatterOptions", options),
        subgraphs=[(body, "FLOAT32")],
        resized=[np.arange(9, dtype="f4"), updates],
    )


def test_scatter_with_an_unknown_computation_is_refused():
    options = {"update_window_dims": [], "index_vector_dim": 1, "update_computation_subgraph_index": 1}
    inputs = [Made("FLOAT32", (3,)), Made("INT32", (1, 1)), Made("FLOAT32", (1,))]
    for subgraphs in ([("SUB", "FLOAT32")], []):
        data = one_operator(
            "STABLEHLO_SCATTER",
            inputs,
            [Made("FLOAT32", (3,))],
            ("StablehloScatterOptions", options),
            subgraphs=subgraphs,
        )
        with pytest.raises(UnsupportedOperatorError, match="computation"):
            convert(data)
