"""Predictions as a benchmark's test server takes them; ``--predictions`` reads them back.

ScanRefer (``benchmark/eval.py``) and ScanQA (EvalAI 1715, ``scripts/predict.py``) have such a server. Nr3D,
Sr3D, Multi3DRefer, SQA3D and VSI-Bench publish their answers and have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scene_r1_cli.evaluation.groups import BY_ANNOTATED, OTHERS
from scene_r1_cli.evaluation.items import Item, ItemSet
from scene_r1_cli.evaluation.predictions import Matched
from scene_r1_cli.evaluation.score import predicted_boxes

TOP = 10


def submission(items: ItemSet, matched: Matched) -> list[dict[str, Any]] | None:
    """One row for each query, missing and failed ones included; None where there is no server.

    None too where ScanRefer's classes are not known, since each of its rows says unique or multiple.
    """
    if items.benchmark == "scanrefer" and all(BY_ANNOTATED in item.groups for item in items.items):
        return [_scanrefer_row(item, matched.rows.get(item.key)) for item in items.items]
    if items.benchmark == "scanqa":
        return [_scanqa_row(item, matched.rows.get(item.key)) for item in items.items]
    return None


def _scanrefer_row(item: Item, row: Mapping[str, Any] | None) -> dict[str, Any]:
    boxes = predicted_boxes(row)
    corners = [[0.0, 0.0, 0.0]] * 8  # "no box": its IoU with anything is 0
    if boxes:
        half = boxes[0].size_m / 2
        low, high = (boxes[0].center_m - half).tolist(), (boxes[0].center_m + half).tolist()
        corners = [[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    object_id, ann_id = item.names or ("", "")
    return {
        "scene_id": item.label.scene_id,
        "object_id": object_id,
        "ann_id": ann_id,
        "bbox": corners,
        "unique_multiple": int(item.groups[BY_ANNOTATED] == "multiple"),
        "others": int(item.groups["class"] == OTHERS),
    }


def _scanqa_row(item: Item, row: Mapping[str, Any] | None) -> dict[str, Any]:
    answers = [str(answer) for answer in (row or {}).get("answers") or [""]][:TOP]
    return {
        "scene_id": item.label.scene_id,
        "question_id": item.label.query_id,
        # Public scorers index all ten places.
        "answer_top10": answers + answers[-1:] * (TOP - len(answers)),
        "bbox": [],
    }
