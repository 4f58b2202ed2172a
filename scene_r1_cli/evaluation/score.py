"""From predictions and truth to the figures of a benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from scene_r1_cli.evaluation import answers
from scene_r1_cli.evaluation.items import Item, ItemSet
from scene_r1_cli.evaluation.predictions import Matched
from scene_r1_cli.evaluation.statistics import Estimate, mean_by_scene
from scene_r1_cli.geometry.boxes import aabb_iou
from scene_r1_cli.geometry.intervals import best_run_iou
from scene_r1_cli.serialize import box3d_from_json
from scene_r1_cli.types import Box3D

THRESHOLDS = (0.25, 0.5)


@dataclass(frozen=True)
class Scored:
    """One query's scores.

    Attributes:
        item: The query.
        scores: Metric to value in [0, 1]; a metric that does not apply is missing.
        failure: Stage and reason of a failed query; None otherwise.
        missing: There was no prediction.
    """

    item: Item
    scores: Mapping[str, float]
    failure: tuple[str, str] | None
    missing: bool


def score(items: ItemSet, matched: Matched) -> list[Scored]:
    """Score every query; one without a prediction counts as wrong."""
    rows = []
    # ScanQA's EM@10 says something only of a model that gives several answers.
    ten = any(len(row.get("answers") or ()) > 1 for row in matched.rows.values())
    for item in items.items:
        row = matched.rows.get(item.key)
        failed = (row or {}).get("failure")
        failure = (
            (str(failed.get("stage")), str(failed.get("reason"))) if isinstance(failed, Mapping) else None
        )
        if item.task == "qa":
            scores = _question_scores(item, row, ten)
        else:
            scores = _grounding_scores(item, row, items)
        rows.append(Scored(item, scores, failure, row is None))
    return rows


def metrics(items: ItemSet, scored: Sequence[Scored]) -> dict[str, Any]:
    """What ``metrics.json`` holds: every metric over all queries and over each part of the benchmark.

    Returns:
        ``{n, missing, failed, metrics: {name: {value, n, ci95}}, groups: {kind: {part: {…}}}, failures}``.
    """
    report: dict[str, Any] = {
        "schema_version": 1,
        "benchmark": items.benchmark,
        "n": len(scored),
        "missing": sum(row.missing for row in scored),
        "failed": sum(row.failure is not None for row in scored),
        "truth_source": items.truth_source,
        "metrics": estimates(scored),
        "groups": {},
        "failures": dict(Counter(row.failure[0] for row in scored if row.failure).most_common()),
        "notes": list(items.notes),
    }
    for kind in sorted({kind for row in scored for kind in row.item.groups}):
        parts = sorted({row.item.groups[kind] for row in scored if kind in row.item.groups})
        report["groups"][kind] = {
            part: estimates([row for row in scored if row.item.groups.get(kind) == part]) for part in parts
        }
    if "vsi" in report["metrics"]:
        report["metrics"] |= _vsi_overall(scored)
    return report


def estimates(scored: Sequence[Scored]) -> dict[str, dict[str, Any]]:
    """Mean and interval of every metric that some of the queries have."""
    names = list(dict.fromkeys(name for row in scored for name in row.scores))
    return {name: estimate(scored, name).as_json() for name in names}


def estimate(scored: Sequence[Scored], name: str) -> Estimate:
    """Mean of one metric over the queries that have it."""
    chosen = [row for row in scored if name in row.scores]
    return mean_by_scene([row.scores[name] for row in chosen], [row.item.label.scene_id for row in chosen])


def _grounding_scores(item: Item, row: Mapping[str, Any] | None, items: ItemSet) -> dict[str, float]:
    scores: dict[str, float] = {}
    boxes = predicted_boxes(row)
    if items.benchmark == "multi3drefer":
        return _multi_scores(item, boxes, items)
    truth = item.label.box3d
    if truth is not None:
        iou = max_iou([boxes[0]] if boxes else [], truth)
        scores["mean_iou"] = iou
        for threshold in THRESHOLDS:
            # Never rounded first: that alone lifts a published figure by a point.
            scores[f"acc_at_{threshold:.2f}"] = float(iou >= threshold)
    if items.benchmark in ("nr3d", "sr3d") and items.boxes and item.object_ids:
        scores |= _picked(item, boxes, items)
    if item.label.runs_s:
        span = (row or {}).get("span_s")
        scores["span_iou"] = (
            best_run_iou((float(span[0]), float(span[1])), item.label.runs_s) if span else 0.0
        )
    measured = ((row or {}).get("truth") or {}).get("box_iou")
    if measured is not None:
        scores["box_iou"] = float(measured)
    return scores


def predicted_boxes(row: Mapping[str, Any] | None) -> list[Box3D]:
    """All predicted boxes, the first one first."""
    found = (row or {}).get("boxes3d") or ([row["box3d"]] if row and row.get("box3d") else [])
    return [box3d_from_json(box) for box in found]


def max_iou(boxes: Sequence[Box3D], truth: Box3D) -> float:
    """Best IoU of axis-aligned boxes; 0 without any."""
    return max(
        (float(aabb_iou(box.center_m, box.size_m, truth.center_m, truth.size_m)) for box in boxes),
        default=0.0,
    )


def _multi_scores(item: Item, boxes: Sequence[Box3D], items: ItemSet) -> dict[str, float]:
    """Multi3DRefer's F1 over the best assignment of boxes; where nothing fits, only "no box" is right."""
    truths = [items.boxes.get((item.label.scene_id, object_id)) for object_id in item.object_ids]
    if any(truth is None for truth in truths):
        return {}
    scores = {}
    ious = np.array([[max_iou([box], truth) for truth in truths if truth] for box in boxes])
    for threshold in THRESHOLDS:
        if not truths or not boxes:
            scores[f"f1_at_{threshold:.2f}"] = float(not truths and not boxes)
            continue
        rows, columns = linear_sum_assignment(ious, maximize=True)
        hits = int((ious[rows, columns] >= threshold).sum())
        scores[f"f1_at_{threshold:.2f}"] = 2 * hits / (len(boxes) + len(truths))
    return scores


def _picked(item: Item, boxes: Sequence[Box3D], items: ItemSet) -> dict[str, float]:
    """ReferIt3D asks which object it is: a box stands for the true box it is nearest to, or overlaps most."""
    if not boxes:
        return {"acc_by_distance": 0.0, "acc_by_iou": 0.0}
    candidates = {key[1]: box for key, box in items.boxes.items() if key[0] == item.label.scene_id}
    if not candidates:
        return {}
    nearest = min(candidates, key=lambda i: float(np.linalg.norm(candidates[i].center_m - boxes[0].center_m)))
    overlapping = max(candidates, key=lambda i: max_iou([boxes[0]], candidates[i]))
    overlaps = max_iou([boxes[0]], candidates[overlapping]) > 0
    return {
        "acc_by_distance": float(nearest in item.object_ids),
        "acc_by_iou": float(overlaps and overlapping in item.object_ids),
    }


def _question_scores(item: Item, row: Mapping[str, Any] | None, ten: bool) -> dict[str, float]:
    """Scores by the benchmark that asks such questions; a failed query is wrong everywhere."""
    asked_by = item.groups.get("set", "")
    found = [str(answer) for answer in (row or {}).get("answers") or []]
    text = found[0] if found else None
    label = item.label
    kind = label.answer_type
    if not label.answers:  # a test split: its truth is on the benchmark's server
        return {}
    if asked_by == "vsibench" or kind in answers.NUMERICAL | answers.MULTIPLE_CHOICE:
        return {
            "vsi": answers.vsi_score(text, label.answers[0], kind) if text is not None else 0.0,
            "vsi_read": answers.vsi_score_read(text, label.answers[0], kind) if text is not None else 0.0,
        }
    rules: dict[str, Callable[[str, Sequence[str]], bool]] = {
        "em": answers.exact_match,
        "em_clean": answers.clean_match,
        "em_refined": answers.refined_match,
    }
    scores = {name: float(text is not None and rule(text, label.answers)) for name, rule in rules.items()}
    if ten:
        scores["em_at_10"] = float(any(answers.exact_match(one, label.answers) for one in found[:10]))
    return scores


def _vsi_overall(scored: Sequence[Scored]) -> dict[str, Any]:
    """The official overall figure: the mean of eight tasks, of which the three direction levels are one."""
    by_type: dict[str, list[float]] = {}
    for row in scored:
        if "vsi" in row.scores:
            by_type.setdefault(row.item.label.answer_type, []).append(row.scores["vsi"])
    means = {kind: float(np.mean(values)) for kind, values in by_type.items()}
    levels = [value for kind, value in means.items() if kind.startswith(answers.DIRECTIONS)]
    tasks = [value for kind, value in means.items() if not kind.startswith(answers.DIRECTIONS)]
    if levels:
        tasks.append(float(np.mean(levels)))
    return {"vsi_overall": {"value": float(np.mean(tasks)), "n": len(tasks), "ci95": None}}
