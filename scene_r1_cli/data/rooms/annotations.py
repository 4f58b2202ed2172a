"""Annotations of rooms in the formats of ScanRefer, ScanQA, SQA3D and VSI-Bench.

Each room keeps its own rows beside its capture; ``write_split`` joins the rows of a split's rooms into the
files that those benchmarks consist of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.rooms.expressions import Expression
from scene_r1_cli.data.rooms.layout import Room
from scene_r1_cli.data.rooms.questions import Question, Situation
from scene_r1_cli.data.rooms.spatial_questions import SpatialQuestion

ROWS = Path("annotations") / "rooms.json"


@dataclass(frozen=True)
class RoomTexts:
    """All that is said and asked about one room."""

    expressions: Sequence[Expression]
    questions: Sequence[Question]
    situations: Sequence[Situation]
    spatial: Sequence[SpatialQuestion]


def write_rows(scene_dir: Path, scene_id: str, room: Room, texts: RoomTexts) -> None:
    """Write one room's rows of every format to ``annotations/rooms.json``."""
    sqa_questions, sqa_answers = _sqa3d(scene_id, texts.situations)
    rows = {
        "scanrefer": _scanrefer(scene_id, room, texts.expressions),
        "scanqa": _scanqa(scene_id, room, texts.questions),
        "sqa3d_questions": sqa_questions,
        "sqa3d_annotations": sqa_answers,
        "vsibench": _vsibench(scene_id, texts.spatial),
    }
    path = scene_dir / ROWS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))


def write_split(out_root: Path, split: str, scene_ids: Sequence[str]) -> None:
    """Write the files of every benchmark for the rooms of a split.

    Args:
        out_root: Root that has ``scans/<scene_id>/annotations``.
        split: ``train``, ``val`` or ``test``.
        scene_ids: Rooms that belong in the files, in order.
    """
    joined: dict[str, list[dict[str, Any]]] = {}
    for scene_id in scene_ids:
        rows = json.loads((out_root / "scans" / scene_id / ROWS).read_text())
        for name, part in rows.items():
            joined.setdefault(name, []).extend(part)
    # Ids are numbers in these benchmarks' own files, unique over a split.
    for number, (question, answer) in enumerate(
        zip(joined["sqa3d_questions"], joined["sqa3d_annotations"], strict=True)
    ):
        question["question_id"] = answer["question_id"] = number
    for number, row in enumerate(joined["vsibench"]):
        row["id"] = number
    balanced = out_root / "sqa_task" / "balanced"
    balanced.mkdir(parents=True, exist_ok=True)
    _write(out_root / f"ScanRefer_filtered_{split}.json", joined["scanrefer"])
    (out_root / f"ScanRefer_filtered_{split}.txt").write_text("".join(f"{name}\n" for name in scene_ids))
    _write(out_root / f"ScanQA_v1.0_{split}.json", joined["scanqa"])
    _write(
        balanced / f"v1_balanced_questions_{split}_scannetv2.json", {"questions": joined["sqa3d_questions"]}
    )
    _write(
        balanced / f"v1_balanced_sqa_annotations_{split}_scannetv2.json",
        {"annotations": joined["sqa3d_annotations"]},
    )
    lines = (json.dumps(row) + "\n" for row in joined["vsibench"])
    (out_root / f"vsibench_{split}.jsonl").write_text("".join(lines))


def _scanrefer(scene_id: str, room: Room, expressions: Sequence[Expression]) -> list[dict[str, Any]]:
    counts: dict[int, int] = {}
    rows = []
    for expression in expressions:
        number = counts.get(expression.object_id, 0)
        counts[expression.object_id] = number + 1
        rows.append(
            {
                "scene_id": scene_id,
                "object_id": str(expression.object_id),
                "object_name": room.objects[expression.object_id].label.replace(" ", "_"),
                "ann_id": str(number),
                "description": expression.text,
                "token": re.findall(r"[a-z0-9]+|[.,?]", expression.text.lower()),
            }
        )
    return rows


def _scanqa(scene_id: str, room: Room, questions: Sequence[Question]) -> list[dict[str, Any]]:
    return [
        {
            "answers": list(question.answers),
            "object_ids": list(question.object_ids),
            "object_names": [room.objects[i].label for i in question.object_ids],
            "question": question.text,
            "question_id": f"rooms-{scene_id}-{number}",
            "scene_id": scene_id,
        }
        for number, question in enumerate(questions)
    ]


def _sqa3d(
    scene_id: str, situations: Sequence[Situation]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Question rows and annotation rows, in the same order."""
    questions, annotations = [], []
    for situation in situations:
        x, y, z = (round(float(value), 4) for value in situation.position_m)
        half = situation.yaw_rad / 2
        for question in situation.questions:
            questions.append(
                {
                    "alternative_situation": [],
                    "question": question.text,
                    "question_id": 0,
                    "scene_id": scene_id,
                    "situation": situation.text,
                }
            )
            annotations.append(
                {
                    "answer_type": "other",
                    "answers": [{"answer": question.answers[0], "answer_confidence": "yes", "answer_id": 1}],
                    "position": {"x": x, "y": y, "z": z},
                    "question_id": 0,
                    "question_type": question.kind,
                    "rotation": {"_x": 0, "_y": 0, "_z": float(np.sin(half)), "_w": float(np.cos(half))},
                    "scene_id": scene_id,
                }
            )
    return questions, annotations


def _vsibench(scene_id: str, questions: Sequence[SpatialQuestion]) -> list[dict[str, Any]]:
    return [
        {
            "id": 0,
            # Rooms are read by the reader of ScanNet, which this field chooses.
            "dataset": "scannet",
            "scene_name": scene_id,
            "question_type": question.question_type,
            "question": question.question,
            "ground_truth": question.truth,
            "options": None if question.options is None else list(question.options),
        }
        for question in questions
    ]


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1))
