"""How one result compares with its label."""

from __future__ import annotations

from scene_r1_cli.data.labels import Label
from scene_r1_cli.geometry.boxes import aabb_iou, box2d_iou
from scene_r1_cli.geometry.intervals import best_run_iou
from scene_r1_cli.types import Box2D, Box3D, GroundingResult, TemporalSpan, Truth


def score_against_label(result: GroundingResult, label: Label) -> Truth:
    """IoUs of a result with its label.

    A stage that found nothing scores 0 where the label has truth; where the label has none, the
    score is None.

    Returns:
        ``box3d_iou`` of the axis-aligned box, ``span_iou`` with the best-matching visible run,
        ``box_iou`` as the mean over predicted key frames that the label has a 2D box for.
    """
    return Truth(
        box3d_iou=_box3d_iou(result.box3d, label.box3d) if label.box3d is not None else None,
        span_iou=_span_iou(result.span, label),
        box_iou=_mean_box2d_iou(result.boxes_2d, label),
    )


def _box3d_iou(predicted: Box3D | None, truth: Box3D) -> float:
    if predicted is None:
        return 0.0
    return float(aabb_iou(predicted.center_m, predicted.size_m, truth.center_m, truth.size_m))


def _span_iou(span: TemporalSpan | None, label: Label) -> float | None:
    if not label.runs_s or span is None:
        return None
    return best_run_iou((span.start_s, span.end_s), label.runs_s)


def _mean_box2d_iou(boxes: tuple[Box2D, ...], label: Label) -> float | None:
    truth = {keyframe.frame_index: keyframe.box_xyxy_px for keyframe in label.keyframes}
    scores = [box2d_iou(box.xyxy_px, truth[box.frame_index]) for box in boxes if box.frame_index in truth]
    return sum(scores) / len(scores) if scores else None
