"""StableHLO's operators on quantized integers, judged by LiteRT's reference kernels: they take them as they are."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.quantized_models import Tensor, agree_exactly, constant, output, random_integers

TYPES = ("INT8", "UINT8", "INT16")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM"])
def test_two_tensors(name: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    sides = [Tensor(random_integers(rng, dtype, (4, 30)), scale, 3 if dtype != "INT16" else 0) for scale in (0.1, 0.2)]
    agree_exactly(name, sides, output(dtype, (4, 30), 0.1))


@pytest.mark.parametrize("dtype", TYPES)
def test_gaps_and_edges(dtype: str) -> None:
    rng = np.random.default_rng(2)
    x = Tensor(random_integers(rng, dtype, (2, 4, 3)), 0.1)
    value = constant(np.array(7, dtype=dtype.lower()), 0.1)
    steps = constant(np.array([1, 2, 3], dtype=np.int32))
    agree_exactly("DILATE", [x, steps, value], output(dtype, (2, 7, 7), 0.1), ("DilateOptions", {}))
    fields = {"edge_padding_low": [0, 1, 0], "edge_padding_high": [1, 0, 0], "interior_padding": [0, 1, 0]}
    agree_exactly("STABLEHLO_PAD", [x, value], output(dtype, (3, 8, 3), 0.1), ("StablehloPadOptions", fields))
