"""SAME and VALID padding, as TFLite computes them."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.pytorch.trace import helper


@helper
def pad_same(
    x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], value: float = 0.0
) -> torch.Tensor:
    """Pads the last dimensions so that a window of ``kernel`` gives ceil(size / stride) outputs.

    x: [N, C, *sizes]. The odd cell goes behind. Source: LiteRT tflite/kernels/padding.h, ComputePaddingWithOffset.
    """
    pads: list[int] = []
    for size, k, s, d in zip(
        reversed(x.shape[2:]), reversed(kernel), reversed(stride), reversed(dilation), strict=True
    ):
        total = (-(-size // s) - 1) * s + (k - 1) * d + 1 - size
        total = torch.sym_max(total, 0)  # type: ignore[no-untyped-call]
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)
