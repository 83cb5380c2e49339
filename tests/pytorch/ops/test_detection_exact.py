"""Detections from quantized boxes and scores, judged by LiteRT's reference kernels, which take UINT8."""

from __future__ import annotations

import numpy as np
from tests.pytorch.quantized_models import Tensor, constant, differing, output, random_integers

from unlite.flatbuffers.flexbuffers import encode

SETTINGS = {
    "max_detections": 6,
    "max_classes_per_detection": 1,
    "detections_per_class": 6,
    "nms_score_threshold": 0.0,
    "nms_iou_threshold": 0.4,
    "num_classes": 4,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
    "use_regular_nms": True,
}


def test_quantized_boxes_and_scores() -> None:
    rng = np.random.default_rng(1)
    scores = rng.permutation(256)[:100].astype(np.uint8).reshape(1, 20, 5)  # no two alike
    anchors = rng.integers(60, 200, (20, 4)).astype(np.uint8)
    found = differing(
        "TFLite_Detection_PostProcess",
        [
            Tensor(random_integers(rng, "UINT8", (1, 20, 4)), 0.05, 128),
            Tensor(scores, 1 / 256),
            constant(anchors, 0.01),
        ],
        [output("FLOAT32", shape) for shape in ((1, 6, 4), (1, 6), (1, 6), (1,))],
        custom_options=encode(SETTINGS),
    )
    boxes, *others = found
    assert not any(count for count, _, _ in others), found
    assert boxes[2] < 1e-5, found  # the corners are float32 arithmetic: exp may differ in the last digit
