"""Products with matrices and lookups against the operator suite and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.check import Constant, Made, check_operator, compare, random


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("shape", [(3, 8), (2, 3, 8), (2, 1, 2, 8), (8,)])
def test_fully_connected(shape: tuple[int, ...], kept: bool) -> None:
    options = ("FullyConnectedOptions", {"keep_num_dims": kept, "fused_activation_function": "RELU"})
    weight, bias = Constant(random(5, 8, seed=1)), Constant(random(5))
    after = (*shape[:-1], 5) if kept else (int(np.prod(shape)) // 8, 5)
    resized = ((4, *shape[1:]),) if len(shape) > 1 else ()
    check_operator("FULLY_CONNECTED", [random(*shape), weight, bias], after, options, resized=resized)
    check_operator("FULLY_CONNECTED", [random(*shape), weight, None], after, options, exports=True)
    check_operator("FULLY_CONNECTED", [random(*shape), random(5, 8, seed=1)], after, options)


@pytest.mark.parametrize("shape", [(3, 16), (2, 4, 2), (1, 2, 2, 4, 1)])
def test_rows_that_cross_dimensions(shape: tuple[int, ...]) -> None:
    """Rows of 8, wherever x's dimensions end."""
    options = ("FullyConnectedOptions", {})
    inputs = [random(*shape), Constant(random(5, 8, seed=1)), Constant(random(5))]
    check_operator("FULLY_CONNECTED", inputs, (int(np.prod(shape)) // 8, 5), options, resized=((4, *shape[1:]),))


def test_bias_with_two_dimensions() -> None:
    inputs = [random(3, 8), Constant(random(5, 8)), Constant(random(1, 5))]
    check_operator("FULLY_CONNECTED", inputs, (3, 5), ("FullyConnectedOptions", {}))


@pytest.mark.parametrize("adj_x", [True, False])
@pytest.mark.parametrize("adj_y", [True, False])
@pytest.mark.parametrize(
    ("left", "right"),
    [((), ()), ((2,), ()), ((), (2,)), ((3, 1), (1, 2)), ((2, 1, 3), (2, 3)), ((2, 3), (2, 1, 2, 3)[1:])],
)
def test_batch_matmul(left: tuple[int, ...], right: tuple[int, ...], adj_x: bool, adj_y: bool) -> None:
    x = random(*left, *((4, 3) if adj_x else (3, 4)))
    y = random(*right, *((5, 4) if adj_y else (4, 5)), seed=1)
    after = (*np.broadcast_shapes(left, right), 3, 5)
    options = ("BatchMatMulOptions", {"adj_x": adj_x, "adj_y": adj_y})
    check_operator("BATCH_MATMUL", [x, y], after, options, exports=len(left) == 2)
    check_operator("BATCH_MATMUL", [x, Constant(y)], after, options)


def test_batch_matmul_of_integers() -> None:
    """LiteRT has none without scales; products of numbers up to 100, 64 of them."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
    from unlite.pytorch.ops.dense import batch_matmul
    from unlite.pytorch.options import Options

    x, y = random(2, 3, 64, dtype="int8"), random(2, 64, 5, dtype="int8", seed=1)
    result = batch_matmul(torch.from_numpy(x), torch.from_numpy(y), options=Options())
    compare([np.matmul(x.astype("i4"), y.astype("i4"))], result, 0)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int32", "uint8", "int64", "bool"])
@pytest.mark.parametrize("shape", [(6, 4), (5, 2, 3), (6, 1, 2, 3)])
def test_embedding_lookup(shape: tuple[int, ...], dtype: str) -> None:
    rows, table = np.array([4, 0, 0, 3], "i4"), Constant(random(*shape, dtype=dtype))
    made = [Made(table.dtype, (4, *shape[1:]))]
    check_operator("EMBEDDING_LOOKUP", [rows, table], made, exports=dtype == "float32")


@pytest.mark.parametrize("combiner", ["SUM", "MEAN", "SQRTN"])
@pytest.mark.parametrize("sparse", [False, True])
def test_embedding_lookup_sparse(combiner: str, sparse: bool) -> None:
    """Cells with several rows, one, and none; once with two dimensions left, once with one."""
    rows = np.array([1, 3, 0, 1, 2], "i4")
    if sparse:
        indices = np.array([[0, 0, 0], [0, 0, 2], [0, 1, 0], [1, 1, 1], [1, 1, 3]], "i4")
        size, left = np.array([2, 2, 4], "i4"), (2, 2)
    else:
        indices = np.array([[0, 0], [0, 1], [1, 0], [3, 2], [3, 3]], "i4")
        size, left = np.array([4, 4], "i4"), (4,)
    weights = np.array([2, 0.5, 1, 3, -0.25], "f4")
    inputs = [rows, Constant(indices), Constant(size), Constant(weights), Constant(random(4, 3, 2))]
    options = ("EmbeddingLookupSparseOptions", {"combiner": combiner})
    made = [Made("FLOAT32", (*left, 3, 2))]
    check_operator("EMBEDDING_LOOKUP_SPARSE", inputs, made, options, exports=True)
