from __future__ import annotations

import numpy as np
import pytest
from tests.pytorch.litert import DTYPES, Made, agree

KEY, COUNTER = 0x0123456789ABCDEF, 0xFEDCBA98FFFFFFFE  # the counter's lower word runs over after two steps


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (8, 2, 2), (0,)])
@pytest.mark.parametrize(("algorithm", "words"), [("THREEFRY", 2), ("PHILOX", 2), ("PHILOX", 3), ("DEFAULT", 3)])
def test_bits_and_next_state_equal_litert(algorithm, words, shape, dtype):
    state = np.array([KEY, COUNTER, 42][:words], "u8")
    agree(
        "STABLEHLO_RNG_BIT_GENERATOR",
        [state],
        [Made("UINT64", (words,)), Made(DTYPES[dtype], shape)],
        ("StablehloRngBitGeneratorOptions", {"algorithm": algorithm}),
        export=shape == (7,),
    )
