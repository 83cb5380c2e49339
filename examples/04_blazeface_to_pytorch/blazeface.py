"""BlazeFace, the detector of faces for pictures taken at arm's length, as one would write it by hand."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor, nn


class BlazeBlock(nn.Module):
    """Depthwise and pointwise convolution around a shortcut, which is pooled and gets channels of zeros as needed."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.more = stride, channels_out - channels_in
        self.depthwise = nn.Conv2d(channels_in, channels_in, 3, stride, padding=2 - stride, groups=channels_in)
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.stride == 2:  # with a stride of 2, the picture is padded at its end alone
            x = F.pad(x, (0, 1, 0, 1))
            shortcut = F.max_pool2d(shortcut, 2)
        shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.more))
        return F.relu(self.pointwise(self.depthwise(x)) + shortcut)


class BlazeFace(nn.Module):
    """[N, 3, 128, 128] in -1..1 -> scores [N, 896, 1] before the sigmoid, and boxes with six points [N, 896, 16].

    Of the 896 places, 512 are two each on a grid of 16 x 16, the others six each on a grid of 8 x 8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 5, stride=2)
        widths = [24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88]
        halving = (32, 48)
        self.fine = nn.Sequential(*(BlazeBlock(a, b, 1 + (b in halving)) for a, b in pairwise(widths)))
        self.coarse = nn.Sequential(BlazeBlock(88, 96, 2), *(BlazeBlock(96, 96) for _ in range(4)))
        self.scores_fine, self.scores_coarse = nn.Conv2d(88, 2, 1), nn.Conv2d(96, 6, 1)
        self.boxes_fine, self.boxes_coarse = nn.Conv2d(88, 32, 1), nn.Conv2d(96, 96, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.stem(F.pad(x, (1, 2, 1, 2))))
        fine = self.fine(x)
        coarse = self.coarse(fine)
        scores = [_rows(self.scores_fine(fine), 1), _rows(self.scores_coarse(coarse), 1)]
        boxes = [_rows(self.boxes_fine(fine), 16), _rows(self.boxes_coarse(coarse), 16)]
        return torch.cat(scores, 1), torch.cat(boxes, 1)


def _rows(x: Tensor, size: int) -> Tensor:
    """[N, places * size, H, W] -> [N, H * W * places, size]."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, size)
