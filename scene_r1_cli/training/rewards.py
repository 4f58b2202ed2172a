"""Rewards of GRPO: how good one completion is, as a number in [0, 1]. Pure.

Scene-R1 (arXiv 2506.17545) rewards the IoU with the task's label and the form of the reply. Replies are read
by the very parsers that inference uses; only the completion is read, so nothing in a prompt can match.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from scene_r1_cli.evaluation.answers import (
    MULTIPLE_CHOICE,
    NUMERICAL,
    clean_match,
    mean_relative_accuracy,
    vsi_score_read,
)
from scene_r1_cli.geometry.boxes import box2d_iou
from scene_r1_cli.geometry.intervals import Interval, best_run_iou, union_iou
from scene_r1_cli.models.families import Family, box_to_original
from scene_r1_cli.models.parse import ParseFailure, parse_answer, parse_boxes, parse_span

SOFT_SCALE = 0.25
"""A span this share of the video away from the nearest run earns 1/e of the soft term."""

_ANSWER = r"<answer>(?P<answer>.+?)</answer>\s*"
_FORM = re.compile(rf"\s*<think>(?P<think>.+?)</think>\s*{_ANSWER}", re.DOTALL)
_DIRECT_FORM = re.compile(rf"\s*{_ANSWER}", re.DOTALL)
_TAG = re.compile(r"</?(?:think|answer)>")


def format_reward(completion: str, *, think: bool = True) -> float:
    """1 for exactly one think and one answer block, in that order, with nothing else; 0 otherwise.

    With ``think`` off, for exactly one answer block and nothing else.
    """
    form, num_tags = (_FORM, 4) if think else (_DIRECT_FORM, 2)
    return float(len(_TAG.findall(completion)) == num_tags and form.fullmatch(completion) is not None)


def temporal_reward(
    completion: str,
    runs_s: Sequence[Interval],
    duration_s: float,
    rule: Literal["best_run", "union"] = "best_run",
    soft_weight: float = 0.0,
) -> float:
    """IoU of the span with the best-matching visible run.

    Args:
        completion: The reply.
        runs_s: Visible runs of the object; any one of them is a right answer.
        duration_s: Length of the video; the span is clipped to it.
        rule: ``union`` takes all runs together instead.
        soft_weight: Share of the reward given for nearness, which spans that touch no run can earn too.

    Returns:
        In [0, 1]; 0 for a reply that cannot be read, or a span without length.

    Raises:
        ValueError: There are no runs: such a query has no temporal reward.
    """
    if not runs_s:
        raise ValueError("a temporal reward needs at least one visible run")
    span = parse_span(completion)
    if isinstance(span, ParseFailure):
        return 0.0
    start_s, end_s = max(span.start_s, 0.0), min(span.end_s, duration_s)
    iou = 0.0
    if end_s > start_s:
        clipped = (start_s, end_s)
        iou = best_run_iou(clipped, runs_s) if rule == "best_run" else union_iou(clipped, runs_s)
    if not soft_weight:
        return iou
    middle = (span.start_s + span.end_s) / 2
    away_s = min(max(0.0, a - middle, middle - b) for a, b in runs_s)
    nearness = 2.718281828459045 ** (-away_s / (SOFT_SCALE * duration_s))
    return (1 - soft_weight) * iou + soft_weight * nearness


def box_reward(
    completion: str,
    box_xyxy_px: Sequence[float] | None,
    family: Family,
    model_wh: tuple[int, int],
    original_wh: tuple[int, int],
) -> float:
    """IoU of the first box with the label, in pixels of the original image.

    Args:
        completion: The reply.
        box_xyxy_px: The label; None if the object is not in the frame: then "null" is right.
        family: Decides the coordinates of the reply.
        model_wh: Size at which the model saw the frame.
        original_wh: Size of the original image.

    Returns:
        In [0, 1]; 0 for a reply that cannot be read.
    """
    found = parse_boxes(completion)
    if isinstance(found, ParseFailure):
        return 0.0
    if box_xyxy_px is None or not found.boxes:
        return float(box_xyxy_px is None and not found.boxes)
    box = box_to_original(found.boxes[0].xyxy_model, family, model_wh, original_wh)
    return 0.0 if box is None else float(box2d_iou(box, box_xyxy_px))


def answer_reward(completion: str, answers: Sequence[str], kind: str = "") -> float:
    """1 for a right text or choice, mean relative accuracy for a number.

    Raises:
        ValueError: There is no accepted answer.
    """
    if not answers:
        raise ValueError("an answer reward needs at least one accepted answer")
    found = parse_answer(completion)
    if isinstance(found, ParseFailure):
        return 0.0
    if kind in MULTIPLE_CHOICE | NUMERICAL:
        return vsi_score_read(found.text, answers[0], kind)
    try:
        float(answers[0])
    except ValueError:
        return float(clean_match(found.text, answers))
    return max(float(clean_match(found.text, answers)), mean_relative_accuracy(found.text, answers[0]))
