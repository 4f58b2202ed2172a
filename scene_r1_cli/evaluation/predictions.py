"""Predictions in: our own ``predictions.jsonl``, or a submission file of ScanRefer or ScanQA."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.annotations import read_text
from scene_r1_cli.errors import InputError
from scene_r1_cli.evaluation.items import Item

UNALIGNED_M, UNALIGNED_SHARE = 1.0, 0.1


@dataclass(frozen=True)
class Matched:
    """Predictions joined with queries.

    Attributes:
        rows: Prediction by query key; a query without one is missing here and counts as wrong.
        faults: One sentence for each prediction that could not be used.
    """

    rows: Mapping[tuple[str, str], Mapping[str, Any]]
    faults: tuple[str, ...]


def read_predictions(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Rows of one or more files, in order.

    Raises:
        InputError: A file cannot be read, or a row is no object.
    """
    rows: list[dict[str, Any]] = []
    for path in paths:
        text = read_text(path)
        try:
            if path.suffix == ".json":
                found = [_of_submission(row) for row in json.loads(text)]
            else:
                found = [json.loads(line) for line in text.split("\n") if line.strip()]
            if not all(isinstance(row, dict) and "scene_id" in row for row in found):
                raise ValueError("a row has no scene_id")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise InputError(f"{path} is no predictions file: {error!r}.") from error
        rows += found
    return rows


def match(rows: Sequence[Mapping[str, Any]], items: Sequence[Item]) -> Matched:
    """Join predictions with queries by query_id, else by object_id and ann_id.

    A prediction for a query that is not there, or for one that has one already, is a fault. So is a field
    that makes no sense; it is then taken as not predicted.
    """
    by_name = {(item.label.scene_id, *item.names): item.key for item in items if item.names}
    keys = {item.key for item in items}
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    faults: list[str] = []
    for number, row in enumerate(rows, start=1):
        scene_id = str(row["scene_id"])
        key = (scene_id, str(row.get("query_id", "")))
        if key not in keys:
            name = (scene_id, str(row.get("object_id", "")), str(row.get("ann_id", "")))
            key = by_name.get(name, key)
        told = f"prediction {number} ({scene_id}, {row.get('query_id') or row.get('object_id')})"
        if key not in keys:
            faults.append(f"{told} is for no query of this evaluation")
        elif key in found:
            faults.append(f"{told} is for a query that has a prediction already; the first one counts")
        else:
            bad = row_faults(row)
            faults += [f"{told} {fault}; it counts as wrong" for fault in dict.fromkeys(bad.values())]
            found[key] = {**row, **dict.fromkeys(bad)}
    return Matched(found, tuple(faults))


def row_faults(row: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the fields of a prediction that are scored, by field; empty if nothing is."""
    found: dict[str, str] = {}
    several = row.get("boxes3d")
    boxes = [row.get("box3d"), *(several if isinstance(several, list) else [])]
    fault = next((fault for box in boxes if (fault := box_fault(box))), "")
    if several is not None and not isinstance(several, list):
        fault = "has boxes3d that are no list"
    if fault:
        # Either field can hold the box that is scored.
        found |= {"box3d": fault, "boxes3d": fault}
    span = row.get("span_s")
    if span is not None and not _is_span(span):
        found["span_s"] = "has a span_s that is not [start, end] in seconds"
    answers = row.get("answers")
    if answers is not None and not isinstance(answers, list):
        found["answers"] = "has answers that are no list"
    return found


def box_fault(box: Any) -> str:
    """What is wrong with a predicted box; empty if nothing, or if there is none."""
    if box is None:
        return ""
    try:
        values = [float(value) for name in ("center_m", "size_m") for value in box[name]]
    except (KeyError, TypeError, ValueError, OverflowError):
        return "has no center_m and size_m of three numbers"
    if len(values) != 6 or not all(map(math.isfinite, values)):
        return "has a box that is not finite"
    return "has a box with a negative side" if min(values[3:]) < 0 else ""


def _is_span(span: Any) -> bool:
    try:
        start, end = (float(value) for value in span)
    except (TypeError, ValueError, OverflowError):
        return False
    return math.isfinite(start) and math.isfinite(end) and start <= end


def unaligned_guess(matched: Matched, items: Sequence[Item]) -> str:
    """A helpful guess when predicted boxes lie nowhere near the truth; empty otherwise."""
    apart = [
        float(np.linalg.norm(np.asarray(row["box3d"]["center_m"]) - item.label.box3d.center_m))
        for item in items
        if item.label.box3d is not None and (row := matched.rows.get(item.key)) and row.get("box3d")
    ]
    # A model that picks wrong objects is right now and then; boxes in another frame hardly ever.
    if len(apart) < 5 or np.mean(np.asarray(apart) < UNALIGNED_M) > UNALIGNED_SHARE:
        return ""
    return (
        f"boxes look unaligned: median distance to the truth {np.median(apart):.1f} m; "
        "is axisAlignment missing, or are the boxes in the scan frame?"
    )


def _of_submission(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ScanRefer's ``pred.json`` (eight corners) or of ScanQA's (``answer_top10``)."""
    if "answer_top10" in row:
        # An empty answer is how a query without one is handed in.
        answers = [str(answer) for answer in dict.fromkeys(row["answer_top10"]) if answer]
        return {"scene_id": row["scene_id"], "query_id": str(row["question_id"]), "answers": answers}
    corners = np.asarray(row["bbox"], dtype=np.float64).reshape(8, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    return {
        "scene_id": row["scene_id"],
        "object_id": str(row["object_id"]),
        "ann_id": str(row["ann_id"]),
        "box3d": {"center_m": ((low + high) / 2).tolist(), "size_m": (high - low).tolist()},
    }
