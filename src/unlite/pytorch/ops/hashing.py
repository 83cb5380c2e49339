"""Locality sensitive hashing: signs of weighted sums of hashes, as bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.pytorch.ops.bits import same_bytes
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def lsh_projection(seeds: Tensor, x: Any, weights: Tensor | None = None, *, options: Options) -> Tensor:
    """Bits of x's signature. seeds: [H, B] float32, x: [n, ...] of any type, weights: [n] -> int32.

    DENSE: [H * B] bits. SPARSE: [H] numbers of B bits each, the first bit highest, plus k << B for the k-th.
    Source: LiteRT tflite/kernels/lsh_projection.cc, RunningSignBit.
    """
    bits = projection_bits(seeds, x, weights)
    return bits.flatten() if options.type == "DENSE" else joined_bits(bits)


@helper
def projection_bits(seeds: Tensor, x: Tensor, weights: Tensor | None) -> Tensor:
    """Whether sum(weights * hash(seed, item)) over x's items is positive, for each seed. -> [H, B] int32."""
    items = same_bytes(x.reshape(x.shape[0], -1), torch.uint8).reshape(x.shape[0], -1)
    first = same_bytes(seeds.flatten(), torch.uint8)
    count, places = first.shape[0], items.shape[0]
    keys = torch.cat(
        [first.unsqueeze(1).expand(count, places, -1), items.unsqueeze(0).expand(count, places, -1)], dim=-1
    )
    hashes = fingerprint(keys).to(torch.float64)
    score = (hashes if weights is None else hashes * weights).sum(-1)
    return (score > 0).to(torch.int32).reshape(seeds.shape)


@helper
def joined_bits(bits: Tensor) -> Tensor:
    """Numbers from their bits, [H, B] -> [H] int32, the first bit highest, plus k << B for the k-th."""
    high, low = bits.shape
    powers = 1 << torch.arange(low, dtype=torch.int64).flip(0)
    return ((bits * powers).sum(-1) + (torch.arange(high) << low)).to(torch.int32)


@helper
def shifted(x: Tensor, count: int) -> Tensor:
    """X >> count of unsigned 64 bits."""
    return (x >> count) & ((1 << (64 - count)) - 1)


@helper
def rotated(x: Tensor, count: int) -> Tensor:
    """The 64 bits of x moved right, around."""
    return shifted(x, count) | (x << (64 - count))


@helper
def folded(x: Tensor) -> Tensor:
    """X with its upper bits mixed into the lower ones."""
    return x ^ shifted(x, 47)


@helper
def mixed(x: Tensor, y: Tensor, factor: Tensor | int) -> Tensor:
    """One hash of two."""
    return folded((y ^ folded((x ^ y) * factor)) * factor) * factor


@helper
def mixed_block(words: tuple[Tensor, Tensor, Tensor, Tensor], a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two hashes of four numbers, from two seeds."""
    a = a + words[0]
    b = rotated(b + a + words[3], 21)
    total = a + words[1] + words[2]
    return total + words[3], b + rotated(total, 44) + a


@helper
def fingerprint(keys: Tensor) -> Tensor:
    """FarmHash's 64 bit fingerprint of byte strings, [..., length] uint8 -> [...] int64 with those 64 bits.

    Numbers are read with the lowest byte first; sums and products wrap around.
    Source: FarmHash, farmhashna.cc, Hash64.
    """
    k0, k1, k2 = 0xC3A5C85C97CB3127 - (1 << 64), 0xB492B66FBE98F273 - (1 << 64), 0x9AE16A3B2F90404F - (1 << 64)
    length = keys.shape[-1]
    octets = keys.to(torch.int64)

    def number(start: int, count: int = 8) -> Tensor:
        return torch.bitwise_left_shift(octets[..., start : start + count], 8 * torch.arange(count)).sum(-1)

    def words(start: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return number(start), number(start + 8), number(start + 16), number(start + 24)

    factor = k2 + 2 * length
    if length < 4:
        raise ValueError("keys of less than four bytes")
    if length < 8:
        return mixed(length + (number(0, 4) << 3), number(length - 4, 4), factor)
    if length <= 16:
        a, b = number(0) + k2, number(length - 8)
        return mixed(rotated(b, 37) * factor + a, (rotated(a, 25) + b) * factor, factor)
    if length <= 64:
        a, b = number(0) * (k1 if length <= 32 else k2), number(8)
        c, d = number(length - 8) * factor, number(length - 16) * k2
        y = rotated(a + b, 43) + rotated(c, 30) + d
        z = mixed(y, a + rotated(b + k2, 18) + c, factor)
        if length <= 32:
            return z
        e, f = number(16) * factor, number(24)
        g, h = (y + number(length - 32)) * factor, (z + number(length - 24)) * factor
        return mixed(rotated(e + f, 43) + rotated(g, 30) + h, e + rotated(f + a, 18) + g, factor)
    zero = torch.zeros_like(octets[..., 0])
    x, y = (zero + 81) * k2 + number(0), (zero + 81) * k1 + 113
    z = folded(y * k2 + 113) * k2
    v, w = (zero, zero), (zero, zero)
    last = (length - 1) // 64 * 64
    multiplier: Tensor | int = k1
    for start in [*range(0, last, 64), -1]:
        times = 1
        if start < 0:  # the last 64 bytes, some of them for the second time
            start = length - 64  # noqa: PLW2901
            multiplier = k1 + ((z & 0xFF) << 1)
            w = (w[0] + ((length - 1) & 63), w[1])
            v = (v[0] + w[0], v[1])
            w = (w[0] + v[0], w[1])
            times = 9
        x = rotated(x + y + v[0] + number(start + 8), 37) * multiplier
        y = rotated(y + v[1] + number(start + 48), 42) * multiplier
        x = x ^ (w[1] * times)
        y = y + v[0] * times + number(start + 40)
        z = rotated(z + w[0], 33) * multiplier
        v = mixed_block(words(start), v[1] * multiplier, x + w[0])
        w = mixed_block(words(start + 32), z + w[1], y + number(start + 16))
        z, x = x, z
    return mixed(mixed(v[0], w[0], multiplier) + folded(y) * k0 + z, mixed(v[1], w[1], multiplier) + x, multiplier)


OPERATORS = {"LSH_PROJECTION": lsh_projection}
MOVES = tuple(OPERATORS)
