"""Non-maximum suppression against the operator suite, LiteRT, and a real model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.check import Constant, Made, check_operator, compare, random
from tests.pytorch.litert import litert, one_operator

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

from unlite.errors import InvalidValueError  # noqa: E402
from unlite.flatbuffers.flexbuffers import encode  # noqa: E402
from unlite.model.model import open_model  # noqa: E402
from unlite.pytorch.module import to_torch  # noqa: E402
from unlite.pytorch.ops.detection import detection_postprocess  # noqa: E402
from unlite.pytorch.options import Options  # noqa: E402


def crowd(count: int, seed: int = 0) -> np.ndarray:
    """Boxes that overlap, corners in any order, one without area."""
    generator = np.random.default_rng(seed)
    middle, size = generator.uniform(0, 4, (count, 2)), generator.uniform(0.5, 2, (count, 2))
    boxes = np.concatenate([middle - size, middle + size], 1).astype("f4")
    boxes[::3] = boxes[::3, [2, 3, 0, 1]]
    boxes[1, 2:] = boxes[1, :2]
    return boxes


def scalar(value: float, dtype: str = "f4") -> Constant:
    return Constant(np.array(value, dtype))


@pytest.mark.parametrize("sigma", [None, 0.0, 0.3, 2.0])
@pytest.mark.parametrize(
    ("limit", "overlap", "threshold"), [(5, 0.3, 0.4), (30, 0.5, 0.0), (8, 0.1, 0.7), (4, 1.5, 0.2)]
)
def test_non_max_suppression(limit: int, overlap: float, threshold: float, sigma: float | None) -> None:
    scores = np.random.default_rng(2).permutation(20).astype("f4") / 20
    inputs = [crowd(20), scores, scalar(limit, "i4"), scalar(overlap), scalar(threshold)]
    made = [Made("INT32", (limit,)), Made("INT32", ())]
    if sigma is None:
        check_operator("NON_MAX_SUPPRESSION_V4", inputs, made, ("NonMaxSuppressionV4Options", {}), exports=limit == 5)
    else:
        made.insert(1, Made("FLOAT32", (limit,)))
        options = ("NonMaxSuppressionV5Options", {})
        check_operator("NON_MAX_SUPPRESSION_V5", [*inputs, scalar(sigma)], made, options, exports=limit == 5)


def test_a_limit_given_when_it_runs() -> None:
    """The outputs are as long as it says."""
    inputs = [crowd(20), np.linspace(0, 1, 20, dtype="f4"), np.array(15, "i4"), scalar(0.2), scalar(0.3), scalar(0.0)]
    made = [Made("INT32", (15,)), Made("FLOAT32", (15,)), Made("INT32", ())]
    check_operator("NON_MAX_SUPPRESSION_V5", inputs, made, ("NonMaxSuppressionV5Options", {}))


@pytest.mark.parametrize("count", [0, 1])
def test_few_boxes(count: int) -> None:
    """Expected by hand: none or one, zeros behind."""
    from unlite.pytorch.ops.detection import non_max_suppression_v4

    boxes, scores = torch.tensor([[0.0, 0, 1, 1]])[:count], torch.tensor([0.5])[:count]
    numbers = [torch.tensor(value) for value in (3, 0.5, 0.1)]
    compare(
        [np.zeros(3, "i4"), np.array(count, "i4")],
        non_max_suppression_v4(boxes, scores, *numbers, options=Options()),
        0,
    )


SETTINGS = {
    "max_detections": 6,
    "max_classes_per_detection": 1,
    "num_classes": 4,
    "nms_score_threshold": 0.3,
    "nms_iou_threshold": 0.4,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
}


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"max_classes_per_detection": 2},
        {"max_classes_per_detection": 7},
        {"nms_score_threshold": 0.97},
        {"use_regular_nms": True},
        {"use_regular_nms": True, "detections_per_class": 2},
        {"use_regular_nms": True, "nms_score_threshold": 0.97},
        {"max_detections": 50, "use_regular_nms": True, "detections_per_class": 100},
        {"max_detections": 50},
    ],
)
def test_detection_postprocess(changed: dict[str, Any], background: bool) -> None:
    settings = {**SETTINGS, **changed}
    classes = 5 if background else 4
    scores = np.random.default_rng(1).permutation(30 * classes).reshape(1, 30, classes).astype("f4") / (30 * classes)
    anchors = np.concatenate([crowd(30)[:, :2], np.abs(random(30, 2)) + 0.5], 1).astype("f4")
    codes = random(1, 30, 4, seed=3)
    rows = settings["max_detections"] * settings["max_classes_per_detection"]
    made = [Made("FLOAT32", shape) for shape in ((1, rows, 4), (1, rows), (1, rows), (1,))]
    data = one_operator(
        "TFLite_Detection_PostProcess",
        [codes, scores, Constant(anchors)],
        made,
        custom=True,
        custom_options=encode(settings),
    )
    expected = litert(data, codes, scores)
    module = to_torch(open_model(data))
    results = module(torch.from_numpy(codes), torch.from_numpy(scores))
    count = int(expected[3][0])
    given = min(settings["max_classes_per_detection"], 4)
    if not settings.get("use_regular_nms"):  # LiteRT leaves the rest as it was
        for i, array in enumerate(expected[:3]):
            rest = array.reshape(settings["max_detections"], settings["max_classes_per_detection"], -1)
            rest[count:], rest[:, given:] = 0, 0
            expected[i] = rest.reshape(array.shape)
    else:
        expected[:3] = [array[:, : settings["max_detections"]] for array in expected[:3]]
        results = (*(result[:, : settings["max_detections"]] for result in results[:3]), results[3])
    assert count > 0
    compare(expected, results, 1e-6)


def test_export() -> None:
    class Detector(torch.nn.Module):
        def forward(self, *inputs: torch.Tensor) -> Any:
            return detection_postprocess(*inputs, options=Options(custom=SETTINGS))

    example = tuple(torch.from_numpy(random(*shape)).abs() for shape in ((1, 12, 4), (1, 12, 5), (12, 4)))
    expected = [result.numpy() for result in Detector()(*example)]
    compare(expected, torch.export.export(Detector(), example).module()(*example), 0)


@pytest.mark.parametrize("custom", [None, b"", {}, {**SETTINGS, "num_classes": 9}, {**SETTINGS, "y_scale": "1"}])
def test_custom_options_that_say_nothing(custom: Any) -> None:
    with pytest.raises(InvalidValueError):
        detection_postprocess(
            torch.zeros(1, 3, 4), torch.zeros(1, 3, 5), torch.zeros(3, 4), options=Options(custom=custom)
        )
