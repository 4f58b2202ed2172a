"""One box prompt per object: how good is the 3D box with no model at all?

For every object of held-out rooms that a label points at, its best key frame's 2D box goes through the
geometric tracker and lifting (`--frame --box` of the command line), and the result is compared with the
object's true box.

    python -m benchmarks.one_box --split test --rooms 24 --out one_box.json

Rooms are made once under --root. Intervals are 95 % bootstrap intervals over scenes.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.estimates import estimate
from scene_r1_cli.config import GroundConfig
from scene_r1_cli.config_load import load_config
from scene_r1_cli.data.labels import Label, read_labels
from scene_r1_cli.data.rooms import RoomOptions, make_room, split_seeds
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.evaluation.truth import score_against_label
from scene_r1_cli.models.provider import Models
from scene_r1_cli.pipeline import Given, ground_query
from scene_r1_cli.types import Box2D, Query

OPTIONS = RoomOptions(fps=4.0, color_size_wh=(640, 480), depth_size_wh=(320, 240))


@dataclass(frozen=True)
class Row:
    """One object's outcome."""

    scene_id: str
    object_id: int
    text: str
    iou: float
    failure: str | None
    seconds: float


def labels_per_object(labels: list[Label]) -> list[Label]:
    """One grounding label for each object: the first."""
    by_object: dict[int, Label] = {}
    for label in labels:
        if label.object_id is not None and label.keyframes and not label.answers:
            by_object.setdefault(label.object_id, label)
    return list(by_object.values())


def measure_room(seed: int, root: Path, config: GroundConfig) -> list[Row]:
    """Ground every labelled object of one room from one box."""
    folder = make_room(seed, root, OPTIONS).path
    scene = open_scene(folder)
    models = Models(config)
    rows = []
    for label in labels_per_object(read_labels(folder / "labels" / "rooms.parquet")):
        keyframe = max(label.keyframes, key=lambda item: item.visibility)
        given = Given(boxes_2d=(Box2D(keyframe.frame_index, keyframe.box_xyxy_px),))
        started = time.perf_counter()
        result = ground_query(
            scene,
            Query(label.scene_id, label.query_id, label.text),
            config,
            models,
            given=given,
            cache=root / "surfaces",
        )
        seconds = time.perf_counter() - started
        iou = score_against_label(result, label).box3d_iou or 0.0
        failure = f"{result.failure.stage}: {result.failure.reason}" if result.failure else None
        rows.append(Row(label.scene_id, int(label.object_id or 0), label.text, iou, failure, seconds))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("data/benchmark_rooms"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--rooms", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], help="setting as for scener1 ground")
    parser.add_argument("--out", type=Path, help="JSON with every row")
    parser.add_argument("--worst", type=int, default=10, help="rows to print")
    arguments = parser.parse_args()
    config = load_config(sets=arguments.set)
    seeds = split_seeds(arguments.split)[: arguments.rooms]
    rows: list[Row] = []
    with ProcessPoolExecutor(arguments.workers) as pool:
        jobs = [pool.submit(measure_room, seed, arguments.root, config) for seed in seeds]
        for job in jobs:
            rows += job.result()
            print(f"{rows[-1].scene_id}: {len(rows)} objects, mean IoU {np.mean([r.iou for r in rows]):.3f}")
    metrics = {
        "mean_iou": estimate(rows, lambda row: row.iou),
        "acc_at_0.25": estimate(rows, lambda row: row.iou >= 0.25),
        "acc_at_0.50": estimate(rows, lambda row: row.iou >= 0.5),
        "failed": estimate(rows, lambda row: row.failure is not None),
    }
    for name, metric in metrics.items():
        low, high = metric["ci95"]
        print(f"{name:12} {metric['value']:.3f} [{low:.3f}, {high:.3f}] n={metric['n']}")
    print(f"seconds per object: median {statistics.median(row.seconds for row in rows):.2f}")
    for row in sorted(rows, key=lambda row: row.iou)[: arguments.worst]:
        print(f"  {row.iou:.3f} {row.scene_id} object {row.object_id} {row.text!r} {row.failure or ''}")
    if arguments.out:
        report = {
            "split": arguments.split,
            "rooms": len(seeds),
            "machine": platform.platform(),
            "metrics": metrics,
            "rows": [vars(row) for row in rows],
        }
        arguments.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
