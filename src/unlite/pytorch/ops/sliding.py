"""What operators with a sliding window share: torch's order of dimensions, and padding that needs no sizes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import torch

from unlite.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from unlite.pytorch.options import Options


def channels_first(x: Tensor) -> Tensor:
    """[N, *sizes, C] -> [N, C, *sizes], as torch's windows want it; a view."""
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def channels_last(x: Tensor) -> Tensor:
    """[N, C, *sizes] -> [N, *sizes, C], as the file has it; a view."""
    return x.permute(0, *range(2, x.ndim), 1)


def symmetric_padding(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...] | None:
    """What SAME padding adds on both sides, where that is the same for every size of the input; else None.

    A window of one cell needs none; with stride 1, one of odd size needs half of its reach on each side.
    """
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    if all(r == 0 or (s == 1 and r % 2 == 0) for r, s in zip(reach, stride, strict=True)):
        return tuple(r // 2 for r in reach)
    return None


def known(x: Any, axis: int) -> int:
    """A size that the operator's weights fix: the same for every input."""
    shape = x.shape if isinstance(x, torch.Tensor) else x.fake.shape
    return int(shape[axis])


def positive(values: Sequence[Any], what: str) -> tuple[int, ...]:
    """Strides, dilations and window sizes out of a file, at least 1. Raises InvalidValueError."""
    if not all(isinstance(value, int) and value > 0 for value in values):
        raise InvalidValueError(f"{what} is {list(values)}; each must be an integer above 0.")
    return tuple(values)


def raw_integers(options: Options, count: int) -> tuple[int, ...]:
    """The leading 32-bit integers of custom options that are a C structure. Raises InvalidValueError."""
    raw = options.operator.custom_options_bytes if options.operator is not None else options.custom
    if not isinstance(raw, (bytes, memoryview)) or len(raw) < 4 * count:
        raise InvalidValueError(f"the custom options should be {count} integers of 4 bytes; they are not.")
    return struct.unpack_from(f"<{count}i", raw)
