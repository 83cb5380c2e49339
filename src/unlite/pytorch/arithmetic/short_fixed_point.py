"""Sigmoid and hyperbolic tangent in fixed point of 16 bits, as tables of all 65536 numbers.

Integer LSTM kernels compute both by polynomials and Newton's method on numbers with n whole and 15 - n fractional bits.
Arrays hold them as int64. Source: gemmlowp fixedpoint/fixedpoint.h, logistic and tanh of FixedPoint<int16_t, n>.
"""

from __future__ import annotations

from typing import Any

import numpy as np

ONE = 32767  # 1 with no whole bits
EXPONENTS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)  # e^-0.25, e^-0.5, ..., as Q0.31


def sigmoid_entries(whole: int) -> Any:
    """1 / (1 + e^-x) in steps of 2^-15 for x = i * 2^(whole - 15), i from -32768 to 32767. int16 [65536]."""
    x = np.arange(-32768, 32768)
    positive = _newton(_exp(-_size(x), whole), share=True)
    found = np.where(x > 0, positive, ONE - positive)
    return np.where(x == 0, 1 << 14, found).astype(np.int16)


def tanh_entries(whole: int) -> Any:
    """Hyperbolic tangent in steps of 2^-15 for x = i * 2^(whole - 15), i from -32768 to 32767. int16 [65536]."""
    x = np.arange(-32768, 32768)
    size = _newton(_exp(-_size(x), whole + 1), share=False)
    return np.where(x == 0, 0, np.where(x > 0, size, -size)).astype(np.int16)


def _size(x: Any) -> Any:
    return np.minimum(np.abs(x), 32768)


def _product(x: Any, y: Any) -> Any:
    return (x * y + (1 << 14)) >> 15


def _saturated(x: Any) -> Any:
    return np.clip(x, -32768, 32767)


def _divided(x: Any, bits: int) -> Any:
    """``x / 2^bits``, halves away from 0."""
    return (x + ((1 << bits) >> 1) + (x >> 63)) >> bits


def _short(constant: int) -> int:
    """A Q0.31 constant in 16 bits."""
    return (constant + (1 << 15)) >> 16


def _exp(x: Any, whole: int) -> Any:
    """e^x for x <= 0 with whole bits, with none."""
    fraction = 15 - whole
    quarter = 1 << (fraction - 2)
    part = (x & (quarter - 1)) - quarter
    rest = part - x
    a = _saturated(part << whole) + (1 << 12)
    a2 = _product(a, a)
    a3, a4 = _product(a2, a), _product(a2, a2)
    terms = _divided(_product(_divided(a4, 2) + a3, _short(715827883)) + a2, 1)
    found = _saturated(_short(1895147668) + _product(a + terms, _short(1895147668)))
    for exponent, power in enumerate(EXPONENTS, start=-2):
        if whole > exponent:
            has_bit = (rest & (1 << (fraction + exponent))) != 0
            found = np.where(has_bit, _product(found, _short(power)), found)
    if whole > 5:
        found = np.where(x < -(1 << (fraction + 5)), 0, found)
    return np.where(x == 0, ONE, found)


def _newton(x: Any, *, share: bool) -> Any:
    """1 / (1 + x), or else (1 - x) / (1 + x), for x from 0 to 1."""
    half = (x + ONE + 1) >> 1
    y = _short(1515870810) + _product(half, -_short(1010580540))
    for _ in range(3):
        y = y + _saturated(_product(y, (1 << 13) - _product(half, y)) << 2)
    return _saturated(y << 1) if share else _saturated((y - (1 << 13)) << 2)
