"""LSH_PROJECTION, whose hashes LiteRT computes with FarmHash itself."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import Constant, Made, agree

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")


@pytest.mark.parametrize("size", [1, 3, 4, 5, 12, 13, 28, 29, 59, 60, 61, 100, 124, 125, 188, 300])
def test_every_length_of_a_key(size: int) -> None:
    """A key is four bytes of the seed, and the item's; FarmHash has other rules below 8, 17, 33 and 65 bytes."""
    generator = np.random.default_rng(size)
    seeds = generator.standard_normal((4, 7)).astype("f4")
    x = generator.integers(0, 256, (3, size)).astype("u1")
    agree("LSH_PROJECTION", [Constant(seeds), x], Made("INT32", (28,)), ("LSHProjectionOptions", {"type": "DENSE"}))


@pytest.mark.parametrize("kind", ["DENSE", "SPARSE"])
@pytest.mark.parametrize("dtype", ["i4", "i8", "f4", "?"])
def test_types_and_weights(kind: str, dtype: str) -> None:
    generator = np.random.default_rng(1)
    seeds = Constant(generator.standard_normal((3, 5)).astype("f4"))
    x = generator.integers(0, 2 if dtype == "?" else 1000, (6, 2)).astype(dtype)
    weights = generator.standard_normal(6).astype("f4")
    shape = (15,) if kind == "DENSE" else (3,)
    options = ("LSHProjectionOptions", {"type": kind})
    agree("LSH_PROJECTION", [seeds, x, weights], Made("INT32", shape), options)
    agree("LSH_PROJECTION", [seeds, x], Made("INT32", shape), options, resized=[np.concatenate([x, x[::-1], x])])
