"""Tables by which kernels compute functions of quantized numbers.

Numbers of 8 bits have a table with an entry for each. Those of 16 bits have one with 513 entries, between which is
interpolated. Source: LiteRT tflite/kernels/internal/common.h, LUTPopulate and LUTLookup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unlite.pytorch.arithmetic.exact import constant
from unlite.pytorch.arithmetic.quantized import dequantize, look_up
from unlite.pytorch.trace import by_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.pytorch.options import Options


def tabulated(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator on one tensor: its float function at the entries of a table, looked up.

    The function is called in double precision, and rounded to what a float32 function gives.
    """

    def exact(x: Any, *, options: Options) -> Any:
        source, target = options.inputs[0], options.output
        low, high = source.range

        def real(values: Tensor) -> Tensor:
            result: Tensor = function(values.double(), options=options).float()
            return result

        if high - low > 255:
            table = entries(real, source.scale, source.zero_point, target.scale, target.zero_point)
            return interpolate(x, constant(options, "table", table))
        reals = real(dequantize(torch.arange(low, high + 1), source.scale, source.zero_point)).numpy()
        found = _round(reals * (np.float32(1) / np.float32(target.scale))) + target.zero_point
        return look_up(
            x, constant(options, "table", found.clip(*target.range).astype(np.dtype(str(target.dtype)[6:]))), low
        )

    return exact


def each(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function on the stored integers of one tensor, as int64: by a table of its results where they have 8 bits."""

    def exact(x: Any, *, options: Options) -> Any:
        low, high = options.inputs[0].range
        if high - low > 255:
            return function(x.to(torch.int64), options=options)
        table = function(torch.arange(low, high + 1), options=options)
        return look_up(x, constant(options, "table", table.numpy()), low)

    return exact


def entries(
    function: Callable[[Tensor], Tensor],
    scale: float,
    zero_point: int,
    out_scale: float,
    out_zero_point: int,
    one: Any = np.float32,
) -> Any:
    """513 entries for a function of numbers of 16 bits; each is moved by half of the error in the middle behind it.

    one: the type that they are computed in.
    """
    first = one(scale) * one(-32768 - zero_point)
    last = one(scale) * one(32767 - zero_point)
    out_first = one(out_scale) * one(-32768 - out_zero_point)
    out_last = one(out_scale) * one(32767 - out_zero_point)
    step = (last - first) / one(512)
    inverse = one(65536) / (out_last - out_first)
    places = first + np.arange(512, dtype=one) * step

    def steps(at: Any) -> Any:
        return function(torch.from_numpy(np.asarray(at, dtype=one))).numpy() * inverse

    sample, behind = _round(steps(places)), steps(first + np.arange(1, 513, dtype=one) * step)
    middle = _round((behind + sample) / one(2))
    bias = _round((middle - _round(steps(places + step / one(2)))) / one(2))
    table = np.append(sample - bias, _round(steps(last)))
    return np.clip(table, -32768, 32767).astype(np.int16)


def _round(x: Any) -> Any:
    return np.trunc(x + np.copysign(x.dtype.type(0.5), x))


@by_table
def interpolate(x: Tensor, table: Tensor) -> Tensor:
    """Between the two entries of a table of 513 that numbers of 16 bits lie between, as int16."""
    x, table = x.to(torch.int64), table.to(torch.int64)
    place = 256 + (x >> 7)
    before = table[place]
    step = (table[place + 1] - before).to(torch.int16).to(torch.int64)  # in 16 bits there too: it may wrap around
    return (before + ((step * (x & 127) + 64) >> 7)).to(torch.int16)
