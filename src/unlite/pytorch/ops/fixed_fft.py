"""Fixed-point Fourier transform, bit for bit as Kiss FFT computes it: numbers of 16 or 32 bits, halved on the way.

Real and imaginary parts are tensors of their own. Sums wrap around as the machine's do; products are rounded back.
Source: Kiss FFT, _kiss_fft_guts.h, kiss_fft.c, kiss_fftr.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from torch import Tensor


@helper
def times(x: Tensor, factor: Tensor) -> Tensor:
    """X * factor, of fractions that fill their type: the product in twice the bits, not yet rounded."""
    wide = torch.int32 if x.dtype == torch.int16 else torch.int64
    return x.to(wide) * factor.to(wide)


@helper
def rounded(product: Tensor) -> Tensor:
    """A product, or a sum of such, rounded back to the type of its factors."""
    bits, narrow = (15, torch.int16) if product.dtype == torch.int32 else (31, torch.int32)
    return ((product + (1 << (bits - 1))) >> bits).to(narrow)


@helper
def divided(x: Tensor, count: int) -> Tensor:
    """X / count, as a multiplication with the rounded down fraction."""
    largest = torch.iinfo(x.dtype).max
    return rounded(times(x, torch.tensor(largest // count, dtype=x.dtype)))


@helper
def turns(phase: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cos and sin of a phase in whole turns, scaled to fill the type."""
    angle = 2 * torch.pi * phase
    largest = torch.iinfo(dtype).max
    real, imaginary = (torch.floor(0.5 + largest * wave).to(dtype) for wave in (torch.cos(angle), torch.sin(angle)))
    return real, imaginary


@helper
def complex_product(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """(a + ib) * (c + id), each part rounded once."""
    return rounded(times(a, c) - times(b, d)), rounded(times(a, d) + times(b, c))


@helper
def fixed_point_fft(real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
    """The transform of complex numbers, divided by their count. [..., n] -> [..., n]; n: a power of 2.

    Four transforms of every fourth number, or two of every second, are joined, after a division by four or two.
    """
    n = real.shape[-1]
    if n == 1:
        return real, imaginary
    radix = 4 if n % 4 == 0 else 2
    parts = [part.reshape(*part.shape[:-1], n // radix, radix).transpose(-1, -2) for part in (real, imaginary)]
    if n > radix:
        parts = list(fixed_point_fft(parts[0], parts[1]))
    steps = torch.arange(n // radix, dtype=torch.float64)
    ends = [(divided(parts[0][..., i, :], radix), divided(parts[1][..., i, :], radix)) for i in range(radix)]
    turned = [complex_product(*ends[i], *turns(-i * steps / n, real.dtype)) for i in range(1, radix)]
    (a, b), (c, d) = ends[0], turned[0]
    if radix == 2:
        return torch.cat([a + c, a - c], dim=-1), torch.cat([b + d, b - d], dim=-1)
    (e, f), (g, h) = turned[1:]
    even, other = (a + e, b + f), (a - e, b - f)
    odd, across = (c + g, d + h), (c - g, d - h)
    return (
        torch.cat([even[0] + odd[0], other[0] + across[1], even[0] - odd[0], other[0] - across[1]], dim=-1),
        torch.cat([even[1] + odd[1], other[1] - across[0], even[1] - odd[1], other[1] + across[0]], dim=-1),
    )


@helper
def fixed_point_rfft(x: Tensor, length: int) -> Tensor:
    """Spectrum of real numbers, divided by their count. x: [..., m], padded with zeros -> [..., length + 2] as pairs.

    Even and odd samples are the parts of complex numbers; their transform of half the length is then taken apart.
    """
    x = torch.cat([x, x.new_zeros([*x.shape[:-1], length - x.shape[-1]])], dim=-1)
    pairs = x.reshape(*x.shape[:-1], length // 2, 2)
    real, imaginary = fixed_point_fft(pairs[..., 0], pairs[..., 1])
    n = length // 2
    first = divided(real[..., :1], 2), divided(imaginary[..., :1], 2)
    k = torch.arange(1, n // 2 + 1)
    a, b = divided(real[..., k], 2), divided(imaginary[..., k], 2)
    c, d = divided(real[..., n - k], 2), divided(-imaginary[..., n - k], 2)
    sum_, difference = (a + c, b + d), (a - c, b - d)
    turned = complex_product(*difference, *turns(-(k.to(torch.float64) / n + 0.5) / 2, x.dtype))
    wide = torch.int64
    s, t = [part.to(wide) for part in sum_], [part.to(wide) for part in turned]
    low = (s[0] + t[0]) >> 1, (s[1] + t[1]) >> 1
    high = (s[0] - t[0]) >> 1, (t[1] - s[1]) >> 1
    ends = [first[0] + first[1], first[0] - first[1]]
    parts = []
    for i in range(2):
        begin, end = (ends[0], ends[1]) if i == 0 else (torch.zeros_like(ends[0]), torch.zeros_like(ends[1]))
        middle = torch.cat([low[i][..., : n - n // 2 - 1], high[i].flip(-1)], dim=-1).to(x.dtype)
        parts.append(torch.cat([begin, middle, end], dim=-1))
    return torch.stack(parts, dim=-1).flatten(-2)
