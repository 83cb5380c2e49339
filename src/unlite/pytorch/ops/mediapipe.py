"""MediaPipe's operators of the attention mesh: a crop that follows landmarks, and the way back.

Version 2 of each, the one that MediaPipe registers. What a graph holds for them in its options is read by
tensorflow/lite/delegates/gpu/common/mediapipe/*.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.errors import InvalidValueError
from unlite.pytorch.ops.sliding import channels_first, channels_last, known, positive
from unlite.pytorch.trace import helper

if TYPE_CHECKING:
    from unlite.pytorch.options import Options


def landmarks_to_transform_matrix(landmarks: Any, *, options: Options) -> Any:
    """Matrix from places in a crop to places in the picture. landmarks: [N, L, 3] -> [N, 4, 4].

    The crop is the box around some of the landmarks, once the line between two of them is turned to a given angle,
    scaled about its middle. Source: MediaPipe mediapipe/util/tflite/operations/landmarks_to_transform_matrix.cc, v2.
    """
    names = (
        "subset_idxs",
        "left_rotation_idx",
        "right_rotation_idx",
        "target_rotation_radians",
        "output_height",
        "output_width",
        "scale_x",
        "scale_y",
    )
    subset, left, right, angle, height, width, scale_x, scale_y = (_setting(options, name) for name in names)
    size = positive((height, width), "output size")
    return crop_matrix(landmarks, list(subset), left, right, angle, size, (scale_y, scale_x))


def transform_tensor_bilinear(x: Any, matrix: Any, *, options: Options) -> Any:
    """A crop of a picture, between whose cells it reads; 0 where it lies outside. x: [N, H, W, C] -> [N, H', W', C].

    matrix: [N, 4, 4], from the middles of the crop's cells to those of x.
    Source: MediaPipe mediapipe/util/tflite/operations/transform_tensor_bilinear.cc, v2.
    """
    size = positive((_setting(options, "output_height"), _setting(options, "output_width")), "output size")
    return channels_last(read_crop(channels_first(x), matrix, size))


def transform_landmarks(landmarks: Any, matrix: Any, *, options: Options) -> Any:  # noqa: ARG001
    """Landmarks moved by a matrix, their depth left as it is. landmarks: [N, L, 2 or 3] -> the same; matrix: [N, 4, 4].

    Source: MediaPipe mediapipe/util/tflite/operations/transform_landmarks.cc, v2.
    """
    if landmarks.ndim != 3 or known(landmarks, -1) not in (2, 3):
        raise InvalidValueError("TransformLandmarks has a meaning for landmarks [N, L, 2] and [N, L, 3] alone.")
    turned = torch.matmul(landmarks[:, :, :2], matrix[:, :2, :2].transpose(1, 2))
    moved = turned + matrix[:, :2, 3].unsqueeze(1)
    return moved if known(landmarks, -1) == 2 else torch.cat([moved, landmarks[:, :, 2:]], dim=2)


def _setting(options: Options, name: str) -> Any:
    settings = options.custom
    if not isinstance(settings, dict) or name not in settings:
        raise InvalidValueError(f"the custom options do not say {name}; version 2 of the operator does.")
    return settings[name]


@helper
def crop_matrix(
    landmarks: torch.Tensor,
    subset: list[int],
    left: int,
    right: int,
    angle: float,
    size: tuple[int, ...],
    scale: tuple[float, float],
) -> torch.Tensor:
    """Matrix from a crop of ``size`` to the picture, the line from left to right at ``angle`` in it. -> [N, 4, 4]."""
    line = landmarks[:, right] - landmarks[:, left]
    turn = (angle - torch.atan2(line[:, 1], line[:, 0])).unsqueeze(1)
    cos, sin = torch.cos(turn), torch.sin(turn)
    points = landmarks[:, subset]
    x = cos * points[:, :, 0] - sin * points[:, :, 1]
    y = sin * points[:, :, 0] + cos * points[:, :, 1]
    low, high = torch.stack([x.amin(1), y.amin(1)]), torch.stack([x.amax(1), y.amax(1)])
    middle_x, middle_y = (low + high) / 2
    width, height = high - low
    cos, sin = cos.squeeze(1), sin.squeeze(1)
    across, down = scale[1] * width / size[1], scale[0] * height / size[0]  # of the picture, for one cell of the crop
    xx, xy, yx, yy = cos * across, sin * down, -sin * across, cos * down
    move_x = cos * middle_x + sin * middle_y - (xx * size[1] + xy * size[0]) / 2
    move_y = cos * middle_y - sin * middle_x - (yx * size[1] + yy * size[0]) / 2
    zero, one = torch.zeros_like(xx), torch.ones_like(xx)
    rows = [xx, xy, zero, move_x, yx, yy, zero, move_y, zero, zero, one, zero, zero, zero, zero, one]
    return torch.stack(rows, dim=1).reshape(-1, 4, 4)


@helper
def read_crop(x: torch.Tensor, matrix: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Bilinear reading of x: [N, C, H, W] at the cells of a crop that a matrix moves. -> [N, C, *size]."""
    height, width = x.shape[2], x.shape[3]
    m = matrix.unsqueeze(-1).unsqueeze(-1)
    rows = torch.arange(size[0], dtype=x.dtype, device=x.device).unsqueeze(1) + 0.5
    columns = torch.arange(size[1], dtype=x.dtype, device=x.device) + 0.5
    across = m[:, 0, 0] * columns + m[:, 0, 1] * rows + m[:, 0, 3] - 0.5
    down = m[:, 1, 0] * columns + m[:, 1, 1] * rows + m[:, 1, 3] - 0.5
    inside = (across >= 0) & (across <= width - 1) & (down >= 0) & (down <= height - 1)
    grid = torch.stack([(2 * across + 1) / width - 1, (2 * down + 1) / height - 1], dim=-1)
    crop = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return torch.where(inside.unsqueeze(1), crop, 0.0)


CUSTOM = {
    "Landmarks2TransformMatrix": landmarks_to_transform_matrix,
    "TransformTensorBilinear": transform_tensor_bilinear,
    "TransformLandmarks": transform_landmarks,
}
