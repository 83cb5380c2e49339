"""Numbers out of the small tensors that tell operators about axes, sizes and paddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def whole(values: Tensor | None) -> list[int]:
    """The integers in a tensor, flattened; none where there is no tensor."""
    return [] if values is None else [int(value) for value in values.reshape(-1).tolist()]


def number(value: Tensor | None, default: float = 0.0) -> float:
    """The one number in a tensor, or the default where there is no tensor."""
    return default if value is None else float(value.reshape(-1)[0])
