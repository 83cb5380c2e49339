"""Depth to space, space to batch, and back, against the operator suite and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.check import Constant, Made, check_operator, random


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int32", "int64"])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_depth_and_space(block: int, dtype: str) -> None:
    options = {"block_size": block}
    deep, wide = (2, 3, 4, 2 * block * block), (2, 3 * block, 4 * block, 2)
    resized = ((1, 2, 5, 2 * block * block), (3, 1, 1, 2 * block * block))
    check_operator(
        "DEPTH_TO_SPACE", [random(*deep, dtype=dtype)], wide, ("DepthToSpaceOptions", options), resized=resized
    )
    resized = ((1, 2 * block, 5 * block, 2),)
    check_operator(
        "SPACE_TO_DEPTH", [random(*wide, dtype=dtype)], deep, ("SpaceToDepthOptions", options), resized=resized
    )


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64"])
@pytest.mark.parametrize(
    ("shape", "block", "pads"),
    [
        ((2, 4, 6, 3), [2, 3], [[0, 0], [0, 0]]),
        ((1, 5, 4, 2), [3, 2], [[1, 3], [2, 0]]),
        ((2, 5, 3), [2], [[0, 1]]),
        ((2, 5, 3), [4], [[2, 1]]),
    ],
)
@pytest.mark.parametrize("fixed", [True, False])
def test_space_and_batch(
    shape: tuple[int, ...], block: list[int], pads: list[list[int]], fixed: bool, dtype: str
) -> None:
    sizes = [n + sum(pad) for n, pad in zip(shape[1:], pads, strict=False)]
    after = (shape[0] * int(np.prod(block)), *(n // b for n, b in zip(sizes, block, strict=True)), shape[-1])
    numbers = [np.array(block, "i4"), np.array(pads, "i4")]
    given: list[Any] = [Constant(values) for values in numbers] if fixed else numbers
    kind = {"float32": "FLOAT32", "uint8": "UINT8", "int64": "INT64"}[dtype]
    options = ("SpaceToBatchNDOptions", {})
    bigger = (shape[0] + 1, shape[1] + block[0], *shape[2:])
    check_operator(
        "SPACE_TO_BATCH_ND", [random(*shape, dtype=dtype), *given], [Made(kind, after)], options, resized=(bigger,)
    )
    options = ("BatchToSpaceNDOptions", {})
    bigger = (after[0] * 2, after[1] + 1, *after[2:])
    check_operator(
        "BATCH_TO_SPACE_ND", [random(*after, dtype=dtype), *given], [Made(kind, shape)], options, resized=(bigger,)
    )


def test_three_dimensions() -> None:
    """LiteRT stops at two; expected as TensorFlow defines it: the last block index runs fastest, then the batch."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
    from unlite.pytorch.ops.rearranging import batch_to_space_nd, space_to_batch_nd
    from unlite.pytorch.options import Options

    x, block = random(2, 4, 3, 4, 5), np.array([2, 3, 2])
    pads = np.array([[1, 1], [0, 0], [0, 2]])
    padded = np.pad(x, ((0, 0), *map(tuple, pads), (0, 0)))
    expected = np.concatenate([padded[:, i::2, j::3, k::2] for i, j, k in np.ndindex(2, 3, 2)])
    tensors = [torch.from_numpy(values) for values in (x, block, pads)]
    result = space_to_batch_nd(*tensors, options=Options())
    assert np.array_equal(result.numpy(), expected)
    assert np.array_equal(batch_to_space_nd(result, *tensors[1:], options=Options()).numpy(), x)


def test_export() -> None:
    options = ("DepthToSpaceOptions", {"block_size": 2})
    check_operator("DEPTH_TO_SPACE", [random(1, 2, 2, 8)], (1, 4, 4, 2), options, exports=True)
    numbers = [Constant(np.array([2, 2], "i4")), Constant(np.array([[0, 1], [1, 0]], "i4"))]
    options = ("SpaceToBatchNDOptions", {})
    check_operator("SPACE_TO_BATCH_ND", [random(1, 3, 3, 2), *numbers], (4, 2, 2, 2), options, exports=True)
    options = ("BatchToSpaceNDOptions", {})
    check_operator("BATCH_TO_SPACE_ND", [random(4, 2, 2, 2), *numbers], (1, 3, 3, 2), options, exports=True)
