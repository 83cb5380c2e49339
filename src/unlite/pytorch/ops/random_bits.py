"""STABLEHLO_RNG_BIT_GENERATOR: random bits that follow from a state alone, the same as LiteRT's to the last bit."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch

from unlite.errors import InvalidValueError
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def stablehlo_rng_bit_generator(state: Any, *, options: Options) -> tuple[Any, Any]:
    """The next state, and random bits. state: UINT64 [2], or [3] with Philox; both results as the file says.

    The bits are of type INT32, UINT32, INT64 or UINT64, in the output's shape, which no input decides.
    Source: LiteRT tflite/kernels/rng_bit_generator.cc.
    """
    bits = options.outputs[1]
    if bits.dtype not in (torch.int32, torch.uint32, torch.int64, torch.uint64):
        raise InvalidValueError(f"its second output is {bits.dtype}; bits are integers of 32 or 64 bits.")
    count = prod(bits.shape) * bits.dtype.itemsize // 4
    generate = threefry_bits if options.algorithm == "THREEFRY" else philox_bits
    made = generate(state, count)
    return made[0], words_as(made[1], bits.dtype, list(bits.shape))


@helper
def threefry_bits(state: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Threefry 2x32, 20 rounds: the next state, UINT64 [2], and ``count`` words of 32 bits as INT64.

    state: UINT64 [2], the key and a counter. Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011).
    """
    mask = 0xFFFFFFFF
    words = state.view(torch.int32).long() & mask
    keys = [words[0], words[1], words[0] ^ words[1] ^ 0x1BD11BDA]
    blocks = -(-count // 2)
    counter = words[2] + torch.arange(blocks + 1, device=state.device)
    first, second = counter & mask, (words[3] + (counter >> 32)) & mask
    end = (first[-1], second[-1])
    a, b = (first[:-1] + keys[0]) & mask, (second[:-1] + keys[1]) & mask
    for group in range(5):
        for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            a = (a + b) & mask
            b = ((b << turn) | (b >> (32 - turn))) & mask ^ a
        a = (a + keys[(group + 1) % 3]) & mask
        b = (b + keys[(group + 2) % 3] + group + 1) & mask
    following = torch.stack([words[0] | words[1] << 32, end[0] | end[1] << 32])
    return following.view(torch.uint64), torch.stack([a, b], 1).flatten()[:count]


@helper
def philox_bits(state: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Philox 4x32, 10 rounds: the next state, UINT64 of the same size, and ``count`` words of 32 bits as INT64.

    state: UINT64 [2], the key and a counter, or [3], a counter twice as wide, of which the lower half counts.
    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011).
    """
    mask = 0xFFFFFFFF
    words = state.view(torch.int32).long() & mask
    upper = 4 if state.shape[0] == 3 else 0
    blocks = -(-count // 4)
    counter = words[2] + torch.arange(blocks + 1, device=state.device)
    first, second = counter & mask, (words[3] + (counter >> 32)) & mask
    end = (first[-1], second[-1])
    a, b = first[:-1], second[:-1]
    c, d = words[upper].expand(blocks), words[upper + 1].expand(blocks)
    for turn in range(10):
        key_0 = (words[0] + turn * 0x9E3779B9) & mask
        key_1 = (words[1] + turn * 0xBB67AE85) & mask
        p, q = a * 0xD2511F53, c * 0xCD9E8D57  # 64 bits each; that INT64 has a sign changes none of them
        a, b, c, d = (q >> 32 & mask) ^ b ^ key_0, q & mask, (p >> 32 & mask) ^ d ^ key_1, p & mask
    following = torch.stack([words[0] | words[1] << 32, end[0] | end[1] << 32])
    following = torch.cat([following, state.view(torch.int64)[2:]])
    return following.view(torch.uint64), torch.stack([a, b, c, d], 1).flatten()[:count]


@helper
def words_as(words: Tensor, dtype: torch.dtype, shape: list[int]) -> Tensor:
    """Words of 32 bits, INT64, as integers of a type; two words for one of 64 bits, the lower one first."""
    if dtype.itemsize == 4:
        return words.to(torch.int32).view(dtype).reshape(shape)
    pairs = words.reshape(-1, 2)
    return (pairs[:, 0] | pairs[:, 1] << 32).view(dtype).reshape(shape)


OPERATORS = {"STABLEHLO_RNG_BIT_GENERATOR": stablehlo_rng_bit_generator}
