"""From a sentence to a 3D box in held-out rooms, with a preset's model, beside two ways to do without it.

Every query goes the whole way of `scener1 ground`: span, key frames, 2D boxes, tracker, lifting, 3D box.
Rows beside it: the same with the label's best 2D box in place of the model's ("true 2D box": what tracker and
lifting allow), and a random visible object of the true class with its true box ("random of class": what
knowing the class alone would give). Then the same by what singles the object out in the sentence.

    python -m benchmarks.end_to_end --split test --rooms 40 --per-room 6 --out end_to_end.json

Rooms are made once under --root. Intervals are 95 % bootstrap intervals over scenes.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.estimates import estimate
from scene_r1_cli.config import GroundConfig
from scene_r1_cli.config_load import load_config
from scene_r1_cli.data.labels import Label, read_labels
from scene_r1_cli.data.rooms import RoomOptions, make_room, split_seeds
from scene_r1_cli.data.rooms.expressions import describe_objects
from scene_r1_cli.data.rooms.layout import lay_out_room
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.evaluation.truth import score_against_label
from scene_r1_cli.geometry.boxes import aabb_iou
from scene_r1_cli.models.provider import Models
from scene_r1_cli.pipeline import Given, ground_query
from scene_r1_cli.types import Box2D, Box3D, Query

OPTIONS = RoomOptions(fps=4.0, color_size_wh=(640, 480), depth_size_wh=(320, 240))


@dataclass(frozen=True)
class Row:
    """One query's outcome; None where there is nothing to score."""

    scene_id: str
    text: str
    kind: str
    iou: float
    given_box_iou: float
    random_of_class_iou: float
    random_of_class_at_25: float
    span_iou: float | None
    box_iou: float | None
    failure: str | None
    seconds: float


def measure_room(seed: int, root: Path, config: GroundConfig, per_room: int) -> list[Row]:
    """Ground some sentences of one room."""
    import torch

    torch.set_num_threads(1)
    folder = make_room(seed, root, OPTIONS).path
    scene = open_scene(folder)
    models, cache = Models(config), root / "surfaces"
    labels = [
        label
        for label in read_labels(folder / "labels" / "rooms.parquet")
        if label.object_id is not None and label.keyframes and label.box3d is not None and not label.answers
    ]
    classes = _classes(folder)
    kinds = kinds_of(seed)
    rows = []
    for index in np.random.default_rng(seed).permutation(len(labels))[:per_room].tolist():
        label = labels[index]
        query = Query(label.scene_id, label.query_id, label.text)
        started = time.perf_counter()
        result = ground_query(scene, query, config, models, cache=cache)
        seconds = time.perf_counter() - started
        truth = score_against_label(result, label)
        keyframe = max(label.keyframes, key=lambda item: item.visibility)
        given = Given(boxes_2d=(Box2D(keyframe.frame_index, keyframe.box_xyxy_px),))
        lifted = score_against_label(
            ground_query(scene, query, config, models, given=given, cache=cache), label
        )
        alike = _alike(label, labels, classes)
        rows.append(
            Row(
                scene_id=label.scene_id,
                text=label.text,
                kind=kinds[label.text],
                iou=truth.box3d_iou or 0.0,
                given_box_iou=lifted.box3d_iou or 0.0,
                random_of_class_iou=float(np.mean(alike)),
                random_of_class_at_25=float(np.mean(np.array(alike) >= 0.25)),
                span_iou=truth.span_iou,
                box_iou=truth.box_iou,
                failure=f"{result.failure.stage}: {result.failure.reason}" if result.failure else None,
                seconds=seconds,
            )
        )
    return rows


def kinds_of(seed: int) -> dict[str, str]:
    """What singles the object out in each sentence about a room; see ``Expression.kind``."""
    return {found.text: found.kind for found in describe_objects(lay_out_room(seed))}


def _classes(folder: Path) -> dict[int, str]:
    """Class of each object, from the scene's aggregation file."""
    groups = json.loads((folder / f"{folder.name}.aggregation.json").read_text())["segGroups"]
    return {int(group["objectId"]): group["label"] for group in groups}


def _alike(label: Label, labels: list[Label], classes: dict[int, str]) -> list[float]:
    """IoU with the truth of every visible object of its class, itself included."""
    boxes: dict[int, Box3D] = {}
    for other in labels:
        if other.object_id is not None and other.box3d is not None:
            boxes[other.object_id] = other.box3d
    truth = label.box3d
    assert truth is not None
    assert label.object_id is not None
    return [
        float(aabb_iou(box.center_m, box.size_m, truth.center_m, truth.size_m))
        for object_id, box in boxes.items()
        if classes[object_id] == classes[label.object_id]
    ]


METRICS: dict[str, Callable[[Row], float | None]] = {
    "acc_at_0.25": lambda row: float(row.iou >= 0.25),
    "acc_at_0.50": lambda row: float(row.iou >= 0.5),
    "mean_iou": lambda row: row.iou,
    "span_iou": lambda row: row.span_iou,
    "box_iou_where_labelled": lambda row: row.box_iou,
    "failed": lambda row: float(row.failure is not None),
    "true_2d_box: acc_at_0.25": lambda row: float(row.given_box_iou >= 0.25),
    "true_2d_box: acc_at_0.50": lambda row: float(row.given_box_iou >= 0.5),
    "random_of_class: acc_at_0.25": lambda row: row.random_of_class_at_25,
    "random_of_class: mean_iou": lambda row: row.random_of_class_iou,
}


def by_kind(rows: list[Row]) -> dict[str, dict[str, Any]]:
    """Estimates by kind of sentence (of ten or more), and for one and for several objects of the class."""
    parts = {kind: [row for row in rows if row.kind == kind] for kind in sorted({row.kind for row in rows})}
    parts = {kind: of_kind for kind, of_kind in parts.items() if len(of_kind) >= 10}
    # Where it is the only one, a random object of its class is always right.
    parts["one of its class"] = [row for row in rows if row.random_of_class_at_25 == 1]
    parts["several of its class"] = [row for row in rows if row.random_of_class_at_25 < 1]
    shown = ("acc_at_0.25", "true_2d_box: acc_at_0.25", "random_of_class: acc_at_0.25")
    return {
        part: {name: estimate(of_part, METRICS[name]) for name in shown}
        for part, of_part in parts.items()
        if of_part
    }


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("data/benchmark_rooms"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--rooms", type=int, default=40)
    parser.add_argument("--per-room", type=int, default=6)
    parser.add_argument("--preset", default="pocket")
    parser.add_argument("--model", help="checkpoint folder in place of the preset's")
    parser.add_argument("--set", nargs="+", default=[], help="settings of ground, as KEY=VALUE")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON with every row")
    arguments = parser.parse_args()
    config = load_config(preset=arguments.preset, sets=arguments.set, flags={"model.name": arguments.model})
    rows: list[Row] = []
    with ProcessPoolExecutor(arguments.workers) as pool:
        jobs = [
            pool.submit(measure_room, seed, arguments.root, config, arguments.per_room)
            for seed in split_seeds(arguments.split)[: arguments.rooms]
        ]
        for job in jobs:
            rows += job.result()
            done = np.mean([row.iou >= 0.25 for row in rows])
            print(f"{rows[-1].scene_id}: {len(rows)} queries, Acc@0.25 {done:.3f}", flush=True)
    metrics = {name: estimate(rows, value) for name, value in METRICS.items()}
    for name, metric in metrics.items():
        print(f"{name:30} {metric['value']:.3f} {metric['ci95']} n={metric['n']}")
    kinds = by_kind(rows)
    for kind, found in kinds.items():
        values = "  ".join(f"{name} {metric['value']:.3f} {metric['ci95']}" for name, metric in found.items())
        print(f"{kind:22} n={found['acc_at_0.25']['n']:3}  {values}")
    print(f"seconds per query: median {statistics.median(row.seconds for row in rows):.2f}")
    if arguments.out:
        report = {
            "split": arguments.split,
            "rooms": arguments.rooms,
            "machine": platform.platform(),
            "config": config.model_dump(mode="json"),
            "metrics": metrics,
            "by_kind": kinds,
            "rows": [asdict(row) for row in rows],
        }
        arguments.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
