"""Which of many boxes are detections: non-maximum suppression.

A box is taken if no better one, taken before, overlaps it too much. Each step takes the best box that is left, so the
helpers here are loops over a number of steps known beforehand, without branches on values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from unlite.errors import InvalidValueError
from unlite.pytorch.arithmetic.exact import through_real
from unlite.pytorch.ops.reducing import top_k
from unlite.pytorch.ops.sliding import known
from unlite.pytorch.trace import helper, ints

if TYPE_CHECKING:
    from unlite.pytorch.options import Options


def detection_postprocess(codes: Any, scores: Any, anchors: Any, *, options: Options) -> tuple[Any, ...]:
    """Detections of an SSD: boxes [1, D, 4], classes [1, D], scores [1, D], how many [1]; the rest is 0.

    codes: [1, B, 4 or more], (y, x, h, w) relative to the anchors: [B, 4]; scores: [1, B, K], the first class being
    the background where K is one more than num_classes. D = max_detections * max_classes_per_detection. With
    use_regular_nms each class is suppressed by itself; without, boxes compete by their best class, and each is given
    with its max_classes_per_detection best ones. Boxes: (ymin, xmin, ymax, xmax).
    Source: LiteRT tflite/kernels/detection_postprocess.cc, whose outputs beyond the detections are undefined.
    """
    settings = options.custom
    if not isinstance(settings, dict):
        raise InvalidValueError("the custom options hold no settings (max_detections and others).")

    def number(name: str, default: float | None = None) -> Any:
        value = settings.get(name, default)
        if not isinstance(value, (int, float)):
            raise InvalidValueError(f"the custom options say {name} = {value!r}; a number is needed.")
        return value

    limit, each = int(number("max_detections")), int(number("max_classes_per_detection"))
    classes = int(number("num_classes"))
    thresholds = float(number("nms_score_threshold")), float(number("nms_iou_threshold"))
    background = known(scores, -1) - classes
    if background not in (0, 1) or limit < 0 or each < 1 or classes < 1:
        raise InvalidValueError(
            f"max_detections {limit}, max_classes_per_detection {each}, num_classes {classes} of {known(scores, -1)}."
        )
    scale = tuple(float(number(f"{name}_scale")) for name in "yxhw")
    boxes = decode_boxes(codes, anchors, scale)
    rated = scores[0, :, 1:] if background else scores[0]
    if number("use_regular_nms", 0):
        per_class = min(int(number("detections_per_class", 100)), limit)
        found: Any = detect_by_class(boxes, rated, limit, each, per_class, *thresholds)
    else:
        found = detect_by_best_class(boxes, rated, limit, each, *thresholds)
    return found[0], found[1], found[2], found[3]


def non_max_suppression_v4(
    boxes: Any,
    scores: Any,
    limit: Any,
    overlap: Any,
    threshold: Any,
    *,
    options: Options,  # noqa: ARG001
) -> tuple[Any, Any]:
    """Places of the boxes that are taken, INT32 [limit] with 0 behind, and how many: INT32 [].

    boxes: [B, 4], two opposite corners (y, x) each; scores: [B]; the rest are scalars. A box needs a score above
    ``threshold``, and is dropped when its intersection over union with one taken before reaches ``overlap``.
    Source: LiteRT tflite/kernels/non_max_suppression.cc, internal/reference/non_max_suppression.h. Of equal scores the
    first comes first; there, as the heap has it.
    """
    (most,) = ints(limit)
    found: Any = suppress(boxes, scores, most, overlap, threshold, None)
    return found[0], found[2]


def non_max_suppression_v5(
    boxes: Any,
    scores: Any,
    limit: Any,
    overlap: Any,
    threshold: Any,
    sigma: Any,
    *,
    options: Options,  # noqa: ARG001
) -> tuple[Any, Any, Any]:
    """As NON_MAX_SUPPRESSION_V4, with the scores of the boxes between its outputs: FLOAT32 [limit].

    With sigma above 0, every box taken lowers the scores of those left by exp(-overlap**2 / (2 * sigma)).
    """
    (most,) = ints(limit)
    found: Any = suppress(boxes, scores, most, overlap, threshold, sigma)
    return found[0], found[1], found[2]


@helper
def decode_boxes(codes: torch.Tensor, anchors: torch.Tensor, scale: tuple[float, ...]) -> torch.Tensor:
    """Corners (ymin, xmin, ymax, xmax) of boxes coded relative to anchors. codes: [1, B, 4 or more] -> [B, 4]."""
    y, x, h, w = codes[0, :, :4].double().unbind(1)
    anchor_y, anchor_x, anchor_h, anchor_w = anchors.double().unbind(1)
    y = (y / scale[0] * anchor_h + anchor_y).float()
    x = (x / scale[1] * anchor_w + anchor_x).float()
    h = (torch.exp(h / scale[2]) * anchor_h / 2).float()
    w = (torch.exp(w / scale[3]) * anchor_w / 2).float()
    return torch.stack([y - h, x - w, y + h, x + w], dim=1)


@helper
def overlaps(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Intersection over union of boxes (ymin, xmin, ymax, xmax); 0 where one has no area. [..., 4] -> [...]."""
    low = torch.maximum(boxes[..., :2], others[..., :2])
    high = torch.minimum(boxes[..., 2:], others[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    other_area = (others[..., 2:] - others[..., :2]).prod(-1)
    return torch.where((area > 0) & (other_area > 0), shared / (area + other_area - shared), 0.0)


@helper
def take_best(
    boxes: torch.Tensor, scores: torch.Tensor, steps: int, threshold: float, overlap: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the boxes taken, best first, for each class by itself, and their scores; -inf behind the last one.

    boxes: [B, 4], scores: [K, B] -> [K, steps] INT64, [K, steps].
    """
    boxes = F.pad(boxes, (0, 0, 0, 1))  # one that is never taken, for when there is none
    left = F.pad(torch.where(scores >= threshold, scores, float("-inf")), (0, 1), value=float("-inf"))
    places, values = [], []
    count = min(steps, boxes.shape[0])
    for _ in range(count):
        value, place = left.max(dim=1, keepdim=True)
        places.append(place)
        values.append(value)
        gone = overlaps(boxes, boxes[place]) > overlap
        left = torch.where(gone, float("-inf"), left).scatter(1, place, float("-inf"))
    if not places:
        return torch.zeros(left.shape[0], 0, dtype=torch.int64), left[:, :0]
    rest = (0, steps - count)
    return F.pad(torch.cat(places, dim=1), rest), F.pad(torch.cat(values, dim=1), rest, value=float("-inf"))


@helper
def detect_by_best_class(
    boxes: torch.Tensor, scores: torch.Tensor, limit: int, each: int, threshold: float, overlap: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Detections of boxes: [B, 4] that compete by their best class. scores: [B, K]."""
    given = min(each, scores.shape[1])
    ordered, classes = top_k(scores, given)
    places, best = take_best(boxes, ordered[:, 0].unsqueeze(0), limit, threshold, overlap)
    places, taken = places[0].clamp(max=boxes.shape[0] - 1), best[0] > float("-inf")

    def filled(values: torch.Tensor) -> torch.Tensor:
        chosen = torch.where(taken.unsqueeze(1), values[places].float(), 0.0)
        return F.pad(chosen, (0, each - given)).reshape(1, limit * each)

    corners = torch.where(taken.reshape(-1, 1, 1), boxes[places].unsqueeze(1).repeat(1, given, 1), 0.0)
    corners = F.pad(corners, (0, 0, 0, each - given)).reshape(1, limit * each, 4)
    return corners, filled(classes), filled(ordered), taken.sum().reshape(1).float()


@helper
def detect_by_class(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    limit: int,
    each: int,
    per_class: int,
    threshold: float,
    overlap: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Detections of boxes: [B, 4], each class suppressed by itself, the best of all classes. scores: [B, K]."""
    places, best = take_best(boxes, scores.transpose(0, 1), per_class, threshold, overlap)
    room = limit * (each - 1) + max(limit - best.numel(), 0)
    best, order = top_k(best.flatten(), min(limit, best.numel()))
    taken = best > float("-inf")
    corners = boxes[places.flatten()[order].clamp(max=boxes.shape[0] - 1)]
    corners = F.pad(torch.where(taken.unsqueeze(1), corners, 0.0), (0, 0, 0, room))
    classes = F.pad(torch.where(taken, (order // per_class).float(), 0.0), (0, room))
    values = F.pad(torch.where(taken, best, 0.0), (0, room))
    return corners.unsqueeze(0), classes.unsqueeze(0), values.unsqueeze(0), taken.sum().reshape(1).float()


@helper
def suppress(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    limit: int,
    overlap: torch.Tensor,
    threshold: torch.Tensor,
    sigma: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes taken one by one: their places and scores, [limit], and how many. boxes: [B, 4], scores: [B]."""
    steps = min(limit, boxes.shape[0])
    first, second = boxes[:, :2], boxes[:, 2:]
    boxes = torch.cat([torch.minimum(first, second), torch.maximum(first, second)], dim=1)
    left = torch.where(scores > threshold, scores, float("-inf"))
    allowed = (scores > threshold).sum()
    places, values = [], []
    for step in range(steps):
        value, place = left.max(dim=0, keepdim=True)
        places.append(place)
        values.append(torch.where(allowed > step, value, float("-inf")))
        shared = overlaps(boxes, boxes[place])
        lower = left
        if sigma is not None:
            lower = torch.where(sigma > 0, left * torch.exp(-0.5 / sigma * shared * shared), left)
        # As in LiteRT, a box without area does not overlap itself, and is taken again.
        left = torch.where((shared < overlap) & (lower > threshold), lower, float("-inf"))
    found = torch.cat(values) if values else scores[:0]
    taken = found > float("-inf")
    count = taken.sum().to(torch.int32)
    place = torch.cat(places) if places else torch.zeros(0, dtype=torch.int64)
    place = F.pad(torch.where(taken, place, 0), (0, limit - steps)).to(torch.int32)
    found = F.pad(torch.where(taken, found, 0.0), (0, limit - steps))
    return place, found, count


OPERATORS = {"NON_MAX_SUPPRESSION_V4": non_max_suppression_v4, "NON_MAX_SUPPRESSION_V5": non_max_suppression_v5}
EXACT_CUSTOM = {"TFLite_Detection_PostProcess": through_real(detection_postprocess)}
CUSTOM = {"TFLite_Detection_PostProcess": detection_postprocess}
