"""Functions of fixed-point numbers, as kernels without a floating-point unit compute them.

A number is held as an int64 tensor within 32 bits: Qm.n has n fractional bits and m + n = 31, so that Q0.31 runs from
-1 to 1. Constants are the functions' coefficients in that form.
Source: gemmlowp fixedpoint/fixedpoint.h; LiteRT tflite/kernels/internal/common.h and quantization_util.cc.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unlite.pytorch.trace import elementwise


@elementwise
def high_product(x: Tensor, y: int | Tensor) -> Tensor:
    """The product of two numbers, one of them Q0.31, rounded to the nearest; halves go up."""
    total = x * y
    total += 1 << 30
    total >>= 31
    return total


@elementwise
def divide_by_power(x: Tensor, bits: int | Tensor) -> Tensor:
    """``x / 2^bits``, rounded to the nearest; halves away from 0."""
    bits = torch.as_tensor(bits)
    total = x + ((1 << bits) >> 1)
    total.addcmul_(x >> 63, (bits > 0).to(torch.int64))
    total >>= bits
    return total


@elementwise
def leading_zeros(x: Tensor) -> Tensor:
    """How many of the upper bits of 32 are 0; x >= 0."""
    return 32 - torch.frexp(x.to(torch.float64)).exponent.to(torch.int64)


@elementwise
def shift_saturating(x: Tensor, bits: int | Tensor) -> Tensor:
    """``x * 2^bits``, within 32 bits."""
    return (x << bits).clamp(-(1 << 31), (1 << 31) - 1)


@elementwise
def exp_of_negative(x: Tensor) -> Tensor:
    """e^x for x <= 0. x: Q5.26 -> Q0.31.

    A quarter at most is left to a polynomial, the rest is a product of known powers.
    """
    quarter = 1 << 24
    part = (x & (quarter - 1)) - quarter
    rest = part - x
    a = (part << 5) + (1 << 28)
    a2 = high_product(a, a)
    a3, a4 = high_product(a2, a), high_product(a2, a2)
    terms = divide_by_power(high_product(divide_by_power(a4, 2) + a3, 715827883) + a2, 1)
    result = 1895147668 + high_product(a + terms, 1895147668)
    powers = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)  # e^-0.25, e^-0.5, ... e^-16
    for bit, power in enumerate(powers, start=24):
        result = torch.where((rest & (1 << bit)) != 0, high_product(result, power), result)
    return torch.where(x == 0, (1 << 31) - 1, result)


@elementwise
def inverse_of_one_plus(x: Tensor) -> Tensor:
    """1 / (1 + x) for x from 0 to 1, by three steps of Newton's method. Q0.31 -> Q0.31."""
    half = (x + (1 << 31)) >> 1  # of 1 + x; 1 is 2^31 - 1 here, and halves go up
    y = 1515870810 + high_product(half, -1010580540)  # 48/17 - 32/17 * half, Q2.29
    for _ in range(3):
        y = y + (high_product(y, (1 << 29) - high_product(half, y)) << 2)
    return shift_saturating(y, 1)


@elementwise
def log_of_at_least_one(x: Tensor) -> Tensor:
    """Natural logarithm for x >= 1. x: Q12.19 -> Q5.26."""
    quarter = 1 << 23  # Q6.25
    zeros = leading_zeros(x)
    r_a = shift_saturating(high_product(shift_saturating(x, zeros - 1), 1518500250), 1)
    power_a = ((12 - zeros) << 25) + quarter
    room = leading_zeros(high_product(x, 1518500250)) - 1
    r_b = shift_saturating(x, room)
    power_b = ((12 - room) << 25) - quarter
    r, power = torch.minimum(r_a, r_b), torch.maximum(power_a, power_b)
    p = r + 1805811301
    p = torch.div(p + torch.where(p >= 0, 1, -1), 2, rounding_mode="trunc")
    q = (r - 1805811301) * 2
    square = high_product(q, q)
    numerator = high_product(q, r) + high_product(high_product(q, square), 117049297)
    inner = 1057819769 + q + high_product(square, 127690142)
    inverse = inverse_of_one_plus(high_product(p, inner) + high_product(q, 638450708))
    return shift_saturating(high_product(power, 1488522236) + high_product(divide_by_power(numerator, 6), inverse), 1)


@elementwise
def inverse_square_root(x: Tensor) -> tuple[Tensor, Tensor]:
    """1 / sqrt(x) for integers x >= 1 as (multiplier, right shift): ``multiplier * 2^-(31 + shift)``."""
    shift = torch.full_like(x, 11)
    pairs = torch.div(leading_zeros(x) - 1, 2, rounding_mode="trunc") - 1
    shift = shift - pairs
    number = (x << (2 * pairs)) >> 1  # Q3.28
    half = divide_by_power(number, 1)
    y = torch.full_like(x, 1 << 28)
    for _ in range(5):
        cube = shift_saturating(high_product(high_product(y, y), y), 6)
        y = shift_saturating(high_product(y, (1 << 28) + (1 << 27)) - high_product(half, cube), 3)
    y = high_product(y, 1518500250)
    y, shift = torch.where(shift < 0, y << (-shift).clamp(min=0), y), shift.clamp(min=0)
    return torch.where(x <= 1, (1 << 31) - 1, y), torch.where(x <= 1, 0, shift)
