"""Padding of quantized integers, judged by LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.quantized_models import Tensor, agree_exactly, constant, output, random_integers, random_zero_point

AROUND = constant(np.array([[0, 0], [1, 2], [3, 0], [0, 1]], dtype=np.int32))
TYPES = ("INT8", "UINT8", "INT16", "INT32")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["PAD", "PADV2", "MIRROR_PAD"])
def test_padding(name: str, dtype: str) -> None:
    rng = np.random.default_rng(3)
    zero_point = random_zero_point(rng, dtype)
    x = Tensor(random_integers(rng, dtype, (2, 4, 5, 3)), 0.1, zero_point)
    value = np.array(100, dtype=dtype.lower())
    target = output(dtype, (2, 7, 8, 4), 0.1, zero_point)
    if name == "PADV2":
        for given in (constant(value, 0.1, zero_point), Tensor(value, 0.1, zero_point)):
            agree_exactly(name, [x, AROUND, given], target, ("PadV2Options", {}))
    elif name == "PAD":
        agree_exactly(
            name, [x, AROUND], target, ("PadOptions", {}), resized=[random_integers(rng, dtype, (3, 4, 5, 3))]
        )
    else:
        for mode in ("REFLECT", "SYMMETRIC"):
            agree_exactly(name, [x, AROUND], target, ("MirrorPadOptions", {"mode": mode}))
