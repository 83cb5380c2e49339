"""Sparse tensors: patterns by hand, and what LiteRT's DENSIFY makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.strategies import model_bytes

from unlite.errors import CorruptFileError, InvalidValueError
from unlite.model.model import open_model


def dense(size: int) -> dict[str, Any]:
    return {"format": "DENSE", "dense_size": size}


def csr(segments: list[int], indices: list[int], kind: str = "Int32Vector") -> dict[str, Any]:
    return {
        "format": "SPARSE_CSR",
        "array_segments_type": kind,
        "array_segments": {"values": segments},
        "array_indices_type": kind,
        "array_indices": {"values": indices},
    }


def sparse(
    shape: list[int], data: bytes, levels: list[Any], dtype: str = "INT8", order: Any = None, blocks: Any = None
) -> Any:
    """A model with one sparse tensor."""
    sparsity: dict[str, Any] = {"traversal_order": order or list(range(len(levels))), "dim_metadata": levels}
    if blocks is not None:
        sparsity["block_map"] = blocks
    values = {
        "version": 3,
        "subgraphs": [{"tensors": [{"shape": shape, "type": dtype, "buffer": 1, "sparsity": sparsity}]}],
        "buffers": [{}, {"data": data}],
    }
    return open_model(model_bytes(values)).main.tensors[0]


# Each with the dense tensor written by hand.
HAND: dict[str, tuple[Any, Any]] = {
    "rows dense, columns compressed": (
        ([3, 4], bytes([1, 2, 3]), [dense(3), csr([0, 2, 2, 3], [0, 3, 1])]),
        [[1, 0, 0, 2], [0, 0, 0, 0], [0, 3, 0, 0]],
    ),
    "8-bit indices": (
        ([3, 4], bytes([1, 2, 3]), [dense(3), csr([0, 2, 2, 3], [0, 3, 1], "Uint8Vector")]),
        [[1, 0, 0, 2], [0, 0, 0, 0], [0, 3, 0, 0]],
    ),
    "16-bit indices": (
        ([3, 4], bytes([1, 2, 3]), [dense(3), csr([0, 2, 2, 3], [0, 3, 1], "Uint16Vector")]),
        [[1, 0, 0, 2], [0, 0, 0, 0], [0, 3, 0, 0]],
    ),
    # Column by column: traversal order [1, 0]. Column 0 holds row 0; column 1 none; column 2 rows 0 and 1.
    "columns first": (
        ([2, 3], bytes([1, 2, 3]), [dense(3), csr([0, 1, 1, 3], [0, 0, 1])], "INT8", [1, 0]),
        [[1, 0, 2], [0, 0, 3]],
    ),
    "all dense": (([2, 2], bytes([1, 2, 3, 4]), [dense(2), dense(2)]), [[1, 2], [3, 4]]),
    "both compressed": (([3, 3], bytes([5]), [csr([0, 1], [2]), csr([0, 1], [1])]), [[0, 0, 0], [0, 0, 0], [0, 5, 0]]),
    "nothing stored": (([2, 2], b"", [dense(2), csr([0, 0, 0], [])]), [[0, 0], [0, 0]]),
    # 4 x 4 in blocks of 2 x 2: block row 0 has block column 1, block row 1 has block column 0. Blocks row by row.
    "blocks": (
        (
            [4, 4],
            bytes([1, 2, 3, 4, 5, 6, 7, 8]),
            [dense(2), csr([0, 1, 2], [1, 0]), dense(2), dense(2)],
            "INT8",
            [0, 1, 2, 3],
            [0, 1],
        ),
        [[0, 0, 1, 2], [0, 0, 3, 4], [5, 6, 0, 0], [7, 8, 0, 0]],
    ),
    # 2 x 8 in blocks of 1 x 4 along the columns: row 0 has block 1, row 1 has block 0.
    "blocks along one dimension": (
        (
            [2, 8],
            bytes(range(1, 9)),
            [dense(2), csr([0, 1, 2], [1, 0]), dense(4)],
            "INT8",
            [0, 1, 2],
            [1],
        ),
        [[0, 0, 0, 0, 1, 2, 3, 4], [5, 6, 7, 8, 0, 0, 0, 0]],
    ),
    # Three INT4 leaves in two bytes, 1 | 2 << 4, 3: the last half byte is not used.
    "packed elements": (
        ([2, 3], b"\x21\x03", [dense(2), csr([0, 2, 3], [0, 2, 1])], "INT4"),
        [[1, 0, 2], [0, 3, 0]],
    ),
    "packed elements, none": (([2, 3], b"", [dense(2), csr([0, 0, 0], [])], "INT2"), [[0, 0, 0], [0, 0, 0]]),
    # Seven INT2 leaves, from the low bits: 0b01_01_01_01, 0b__01_01_01
    "quarter bytes": (
        ([7], b"\x55\x15", [csr([0, 7], [0, 1, 2, 3, 4, 5, 6])], "INT2"),
        [1, 1, 1, 1, 1, 1, 1],
    ),
}


@pytest.mark.parametrize("name", HAND)
def test_by_hand(name: str) -> None:
    arguments, expected = HAND[name]
    tensor = sparse(*arguments)
    assert tensor.is_sparse
    assert tensor.numpy().tolist() == expected


@pytest.mark.parametrize("name", HAND)
def test_values_of_the_same_pattern_can_be_stored(name: str) -> None:
    arguments, expected = HAND[name]
    tensor = sparse(*arguments)
    old = tensor.numpy()
    tensor.data = old.copy()
    assert bytes(tensor.data) == arguments[1]
    tensor.data = np.where(old != 0, 1, 0).astype(old.dtype)
    assert tensor.numpy().tolist() == (np.array(expected) != 0).astype(int).tolist()


def test_values_outside_the_pattern_are_refused() -> None:
    tensor = sparse(*HAND["both compressed"][0])
    with pytest.raises(InvalidValueError, match="stores none") as caught:
        tensor.data = np.ones((3, 3), "i1")
    assert "old != 0" in str(caught.value)


def test_litert_agrees(shared: Path) -> None:
    """The real sparse model: DENSIFY's outputs in LiteRT are our dense arrays."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    path = shared / "models/face_full_range_sparse_fp16.tflite"
    model = open_model(path)
    judge = interpreter.Interpreter(
        str(path),
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    judge.allocate_tensors()
    judge.invoke()
    compared = 0
    for operator in model.main.operators:
        if operator.name == "DENSIFY":
            (source,), (target,) = operator.inputs, operator.outputs
            assert source is not None
            assert target is not None
            assert source.is_sparse
            found = source.numpy()
            assert found.dtype == np.float16
            assert np.array_equal(found, judge.get_tensor(target.index))
            compared += 1
    assert compared > 10


BROKEN: dict[str, Any] = {
    "too few values": ([3, 4], bytes([1, 2]), [dense(3), csr([0, 2, 2, 3], [0, 3, 1])]),
    "too many values": ([3, 4], bytes([1, 2, 3, 4]), [dense(3), csr([0, 2, 2, 3], [0, 3, 1])]),
    "an index outside": ([3, 4], bytes([1, 2, 3]), [dense(3), csr([0, 2, 2, 3], [0, 4, 1])]),
    "a negative index": ([3, 4], bytes([1, 2, 3]), [dense(3), csr([0, 2, 2, 3], [0, -1, 1])]),
    "segments that fall": ([3, 4], bytes([1, 2, 3]), [dense(3), csr([0, 2, 1, 3], [0, 3, 1])]),
    "segments past the indices": ([3, 4], bytes([1, 2, 3]), [dense(3), csr([0, 2, 2, 9], [0, 3, 1])]),
    "negative segments": ([3, 4], bytes([1, 2, 3]), [dense(3), csr([-3, 2, 2, 3], [0, 3, 1])]),
    "too few segments": ([3, 4], bytes([1, 2, 3]), [dense(3), csr([0, 3], [0, 3, 1])]),
    "no segments": ([3, 4], bytes([1, 2, 3]), [dense(3), csr([], [0, 3, 1])]),
    "no indices": ([3, 4], b"", [dense(3), {"format": "SPARSE_CSR"}]),
    "too few levels": ([3, 4], bytes([1, 2, 3]), [dense(3)]),
    "too many levels": ([3], bytes([1, 2, 3]), [dense(3), dense(1)]),
    "a wrong order": ([3, 4], bytes([1, 2, 3]), [dense(3), csr([0, 2, 2, 3], [0, 3, 1])], "INT8", [0, 0]),
    "a block of nothing": ([4], bytes(4), [dense(4), dense(1)], "INT8", [0, 1], [7]),
    "a compressed block": ([4], bytes(4), [dense(4), csr([0, 1], [0])], "INT8", [0, 1], [0]),
    "a dense size past the shape": ([3], bytes(4), [dense(4)]),
    "a negative dense size": ([3], bytes(3), [dense(-3)]),
    "a huge dense size": ([2**31 - 1], bytes(3), [dense(2**31 - 1)]),
    "huge dense sizes": ([2**16, 2**16], bytes(3), [dense(2**16), dense(2**16)]),
    "a huge shape": ([2**31 - 1, 2**31 - 1], bytes([1]), [csr([0, 1], [5]), csr([0, 1], [5])]),
    "no dimensions": ([], bytes([1]), []),
}


@pytest.mark.parametrize("name", BROKEN)
def test_descriptions_that_contradict_themselves(name: str) -> None:
    """None of them takes more than a little memory."""
    tensor = sparse(*BROKEN[name])
    if name == "no dimensions":  # one value at no place: that of a scalar
        assert tensor.numpy().tolist() == 1
        return
    with pytest.raises(CorruptFileError) as caught:
        tensor.numpy()
    assert ("shape" if name == "a huge shape" else "sparsity") in f"{caught.value.path} {caught.value.message}"
