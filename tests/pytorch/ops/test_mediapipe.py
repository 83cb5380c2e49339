"""MediaPipe's operators: sums written out as its kernels do, and a real model."""

from __future__ import annotations

from math import atan2, cos, floor, sin
from typing import Any

import numpy as np
import pytest
from tests.pytorch.check import compare, random

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

from unlite.errors import InvalidValueError  # noqa: E402
from unlite.pytorch.ops.mediapipe import (  # noqa: E402
    landmarks_to_transform_matrix,
    transform_landmarks,
    transform_tensor_bilinear,
)
from unlite.pytorch.options import Options  # noqa: E402

CROP: dict[str, Any] = {
    "subset_idxs": [1, 4, 2, 7, 5],
    "left_rotation_idx": 1,
    "right_rotation_idx": 6,
    "target_rotation_radians": 0.3,
    "output_height": 6,
    "output_width": 10,
    "scale_x": 1.5,
    "scale_y": 1.25,
}


def move(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, 0, x], [0, 1, 0, y], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def turn(angle: float) -> np.ndarray:
    c, s = cos(angle), sin(angle)
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def test_matrix_of_a_crop() -> None:
    """The product of four matrices: to the box's middle, turned back, scaled, from the crop's middle."""
    landmarks = random(1, 8, 3) * 20 + 30
    (x1, y1), (x2, y2) = landmarks[0, 1, :2], landmarks[0, 6, :2]
    angle = 0.3 - atan2(y2 - y1, x2 - x1)
    turned = [turn(angle) @ [*landmarks[0, i, :2], 0, 1] for i in CROP["subset_idxs"]]
    low, high = np.min(turned, 0), np.max(turned, 0)
    middle = turn(-angle) @ ((low + high) / 2)
    scale = np.diag([1.5 * (high - low)[0] / 10, 1.25 * (high - low)[1] / 6, 1, 1])
    expected = move(*middle[:2]) @ turn(-angle) @ scale @ move(-5, -3)
    result = landmarks_to_transform_matrix(torch.from_numpy(landmarks), options=Options(custom=CROP))
    compare([expected[None].astype("f4")], result, 1e-6)


def test_reading_a_crop() -> None:
    """Cell by cell; the first and last columns of the crop lie outside the picture."""
    x = random(1, 5, 7, 2)
    matrix = np.array([[0.9, 0.3, 0, -0.6], [-0.2, 0.7, 0, 1.1], [0, 0, 1, 0], [0, 0, 0, 1]], "f4")
    expected = np.zeros((1, 4, 9, 2), "f4")
    for row, column in np.ndindex(4, 9):
        across, down = (matrix[i, 0] * (column + 0.5) + matrix[i, 1] * (row + 0.5) + matrix[i, 3] - 0.5 for i in (0, 1))
        if not (0 <= across <= 6 and 0 <= down <= 4):
            continue
        left, top = floor(across), floor(down)
        for i, j in np.ndindex(2, 2):
            part = (down - top if i else 1 - down + top) * (across - left if j else 1 - across + left)
            expected[0, row, column] += part * x[0, min(top + i, 4), min(left + j, 6)]
    assert np.count_nonzero(expected[..., 0]) not in (0, 36)
    options = Options(custom={"output_height": 4, "output_width": 9})
    given = torch.from_numpy(x), torch.from_numpy(matrix[None])
    compare([expected], transform_tensor_bilinear(*given, options=options), 2e-6)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_moving_landmarks(dimensions: int) -> None:
    landmarks, matrix = random(1, 5, dimensions), random(1, 4, 4)
    expected = landmarks.copy()
    for i, point in enumerate(landmarks[0]):
        expected[0, i, :2] = [matrix[0, j, :2] @ point[:2] + matrix[0, j, 3] for j in (0, 1)]
    result = transform_landmarks(torch.from_numpy(landmarks), torch.from_numpy(matrix), options=Options())
    compare([expected], result, 1e-6)


def test_other_versions_are_refused() -> None:
    options = Options(custom={"subset": [1, 2], "output_size": [4, 4]})
    x, matrix = torch.zeros(1, 4, 4, 6), torch.zeros(1, 4, 4)
    with pytest.raises(InvalidValueError):
        landmarks_to_transform_matrix(x, options=options)
    with pytest.raises(InvalidValueError):
        transform_tensor_bilinear(x, matrix, options=options)
    with pytest.raises(InvalidValueError):
        transform_landmarks(x, matrix, options=options)


def test_a_real_model(shared: Any) -> None:
    """LiteRT does not run it: the mesh of 468 landmarks and the parts around it must agree where they share points."""
    from unlite.model.model import open_model
    from unlite.pytorch.module import to_torch

    model = open_model(shared / "models/face_attention_customops_fp16.tflite")
    x = torch.full(model.main.inputs[0].shape, 0.5)
    with torch.no_grad():
        results = to_torch(model)(x)
    assert [tuple(result.shape) for result in results] == [tensor.shape for tensor in model.main.outputs]
    assert all(torch.isfinite(result).all() for result in results)
