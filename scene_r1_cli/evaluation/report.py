"""The page of an evaluation: the table, where accuracy is lost, failures as pictures, every query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import InputError
from scene_r1_cli.evaluation.items import ItemSet
from scene_r1_cli.evaluation.predictions import Matched
from scene_r1_cli.evaluation.score import Scored
from scene_r1_cli.evaluation.tables import TITLES, plain, table_of, tables
from scene_r1_cli.query_dir import slug
from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.serialize import box3d_from_json
from scene_r1_cli.stages.report import write_jpeg
from scene_r1_cli.types import Scene
from scene_r1_cli.viewer import drawing
from scene_r1_cli.viewer.html import Picture, write_page

MAX_PICTURES = 24
CHUNK_ROWS = 100
"""Queries whose details are loaded together."""

SPAN_MISSED = 0.05
WRONG_IOU = 0.25
RIGHT = "right"


def write_evaluation_report(
    items: ItemSet,
    matched: Matched,
    scored: Sequence[Scored],
    report: Mapping[str, Any],
    run: RunDir,
) -> Path:
    """Write ``report/index.html``; returns its path.

    Args:
        items: The queries, with where their scenes lie.
        matched: Their predictions.
        scored: Their scores.
        report: Content of ``metrics.json``.
        run: The run.
    """
    lost = Counter(stage_lost(one) for one in scored)
    values = {
        "report": report,
        "about": [(name, plain(value)) for name, value in report.get("about", {}).items()],
        "tables": [(title, *table_of(parts)) for title, parts in tables(report).items()],
        "lost": lost.most_common(),
        "galleries": _galleries(items, matched, scored, run),
    }
    details = [_detail(one, matched.rows.get(one.item.key)) for one in scored]
    return write_page(
        run.report_dir,
        "evaluation.html",
        values,
        data={"rows": [_row(one) for one in scored], "chunk_rows": CHUNK_ROWS},
        chunks=[details[first : first + CHUNK_ROWS] for first in range(0, len(details), CHUNK_ROWS)],
        scripts=("evaluation.js",),
    )


def stage_lost(one: Scored) -> str:
    """The first stage that went wrong for a query, as far as truth is known; ``right`` if none did."""
    if one.missing:
        return "no prediction"
    if one.failure is not None:
        return one.failure[0]
    scores = one.scores
    if one.item.task == "qa":
        return RIGHT if scores and max(scores.values()) > 0 else "answer"
    iou = next((scores[name] for name in ("mean_iou", "acc_at_0.25", "mask_iou") if name in scores), 1.0)
    if iou >= WRONG_IOU:
        return RIGHT
    if scores.get("span_iou", 1.0) < SPAN_MISSED:
        return "span"
    return "box" if scores.get("box_iou", 1.0) < WRONG_IOU else "lifting"


def _row(one: Scored) -> dict[str, Any]:
    """What the list of queries shows of each."""
    return {
        "scene_id": one.item.label.scene_id,
        "query": one.item.label.text,
        "stage": stage_lost(one),
        "score": next(iter(one.scores.values()), None),
    }


def _detail(one: Scored, prediction: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a query shows when it is opened."""
    found = prediction or {}
    label = one.item.label
    reasons = (found.get("rationale") or {}).values()
    ends = [end for _, end in label.runs_s] + list(found.get("span_s") or ())
    return {
        "scores": {TITLES.get(name, name): round(value, 4) for name, value in one.scores.items()},
        "failure": ": ".join(one.failure) if one.failure else None,
        "span_s": found.get("span_s"),
        "runs_s": [list(run) for run in label.runs_s],
        "duration_s": max(ends, default=0.0),
        "answer": (found.get("answers") or [None])[0],
        "truth": " / ".join(label.answers) or None,
        "rationale": [text for text in reasons if text],
    }


def _galleries(
    items: ItemSet, matched: Matched, scored: Sequence[Scored], run: RunDir
) -> list[tuple[str, list[Picture]]]:
    """Key frames of failed groundings with both boxes, by the stage that lost them, evenly over queries."""
    wrong: dict[str, list[tuple[Scored, Mapping[str, Any]]]] = {}
    for one in scored:
        row = matched.rows.get(one.item.key)
        stage = stage_lost(one)
        if one.item.task == "ground" and stage != RIGHT and row is not None and row.get("boxes_2d"):
            wrong.setdefault(stage, []).append((one, row))
    galleries = []
    for stage, pairs in sorted(wrong.items(), key=lambda item: -len(item[1])):
        step = max(1, -(-len(pairs) * len(wrong) // MAX_PICTURES))
        pictures = _pictures(items, pairs[::step], stage, run)
        if pictures:
            galleries.append((f"{stage}: {len(pictures)} of {len(pairs)}", pictures))
    return galleries


def _pictures(
    items: ItemSet, pairs: Sequence[tuple[Scored, Mapping[str, Any]]], stage: str, run: RunDir
) -> list[Picture]:
    pictures: list[Picture] = []
    opened: tuple[str, Scene] | None = None
    for number, (one, row) in enumerate(pairs):
        scene_id = one.item.label.scene_id
        try:
            if opened is None or opened[0] != scene_id:
                opened = (scene_id, open_scene(items.scenes[scene_id]))
            image = _drawn(opened[1], one, row)
        except (InputError, KeyError):
            continue  # predictions can be scored without the captures; then there is nothing to show
        name = f"failures/{slug(stage)}-{number:03d}.jpg"
        write_jpeg(run.report_dir / name, image)
        pictures.append(Picture(name, f"{one.item.label.text} ({scene_id})"))
    return pictures


def _drawn(scene: Scene, one: Scored, row: Mapping[str, Any]) -> Any:
    box_2d = max(row["boxes_2d"], key=lambda box: box.get("score", 1.0))
    index = int(box_2d["frame_index"])
    image = scene.read_color(index)
    pose = scene.world_from_color_camera(index)
    found = box3d_from_json(row["box3d"]) if row.get("box3d") else None
    for box, color in ((one.item.label.box3d, drawing.TRUTH_RGB), (found, drawing.PREDICTED_RGB)):
        if box is not None:
            image = drawing.draw_box3d(image, scene.color_camera, pose, box, color)
    return drawing.draw_box2d(image, box_2d["xyxy_px"])
