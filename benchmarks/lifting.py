"""How tight is the 3D box, given masks? Ours, ours without each step, an oracle, and recipes of peers.

Objects of held-out noisy rooms, up to 30 views each, masks of three sources (``mask_errors.py``, frozen),
and in the same run the recipes of ``peer_recipes.py``. No row sees anything but masks, colour, depth and
cameras; images are decoded, and the scene's surface is fused, before the clock starts. The oracles are boxes
of the object's surface that depth showed: in any frame of the capture (the aim), and in the given views only
(all that first-pass lifting can know).

    python -m benchmarks.lifting --split test --rooms 40 --out lifting.json
    python -m benchmarks.lifting --split val --rooms 2 --only ours TAB
    python -m benchmarks.lifting --split val --rooms 1 --depth 640 480 --views 60 --only ours ConceptGraphs

Rooms are made once under --root, one folder for each depth size. Intervals are 95 % bootstrap intervals over
scenes. ms is the median time of lifting and fit alone, in one process; the colours of points.ply, which only
a stored cloud needs, are left out.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from benchmarks import lifting_rooms, mask_errors, peer_recipes
from benchmarks.estimates import estimate
from benchmarks.one_box import OPTIONS
from scene_r1_cli.config import LiftingConfig
from scene_r1_cli.data.rooms import split_seeds
from scene_r1_cli.data.scene_surface import SceneSurface
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.geometry.boxes import aabb_iou
from scene_r1_cli.models.presets import ablation_paths
from scene_r1_cli.stages.box3d import fit_boxes
from scene_r1_cli.stages.points import lift_points
from scene_r1_cli.types import Box3D, FrameMask, Scene

SCANNET = "ours, surface: scannet"
"""Ours on a noise-free mesh with given segments, as ScanNet has them; all other rows of ours fuse one."""

ORACLES = ("oracle: any frame", "oracle: given views")


@dataclass(frozen=True)
class Row:
    """One method on one object with one mask source; ``seconds`` is None for oracles."""

    scene_id: str
    object_id: int
    label: str
    source: str
    method: str
    iou: float
    failed: bool
    seconds: float | None
    num_masks: int


METRICS: dict[str, Callable[[Row], float]] = {
    "mean_iou": lambda row: row.iou,
    "acc_at_0.25": lambda row: row.iou >= 0.25,
    "acc_at_0.50": lambda row: row.iou >= 0.5,
    "failed": lambda row: row.failed,
}


def ablations() -> dict[str, dict[str, Any]]:
    """Our rows: what differs from the default LiftingConfig, as configs/ground/ablation-*.yaml have it."""
    rows: dict[str, dict[str, Any]] = {"ours": {}}
    for path in ablation_paths():
        settings = yaml.safe_load(path.read_text()).get("lifting")
        if settings:
            rows[path.stem.replace("ablation-no-", "- ")] = settings
    return rows


def our_recipe(overrides: dict[str, Any], surface: SceneSurface | None) -> peer_recipes.Recipe:
    """Our lifting and fit with some settings changed, called as the peers are."""
    config = LiftingConfig(**overrides)

    def lift(scene: Scene, masks: Sequence[FrameMask], spare: Sequence[FrameMask]) -> Box3D | None:
        try:
            return fit_boxes(lift_points(scene, masks, config, surface, colors=False), config)[0]
        except StageFailure:
            return None

    return lift


def all_methods(fused: SceneSurface | None, given: SceneSurface | None) -> dict[str, peer_recipes.Recipe]:
    """Every row of the table that is timed.

    Args:
        fused: Surface of the room's own depth images.
        given: The room's mesh and segments.
    """
    ours = {name: our_recipe(overrides, fused) for name, overrides in ablations().items()}
    return ours | {SCANNET: our_recipe({}, given)} | peer_recipes.RECIPES


@dataclass(frozen=True)
class Setting:
    """What every room is measured with; ``only`` names the rows, none for all."""

    root: Path
    only: tuple[str, ...] = ()
    depth_size_wh: tuple[int, int] = OPTIONS.depth_size_wh
    max_views: int = lifting_rooms.MAX_VIEWS


def measure_room(seed: int, setting: Setting) -> list[Row]:
    """All methods on all chosen objects of one room."""
    root, only = setting.root, setting.only
    if setting.depth_size_wh != OPTIONS.depth_size_wh:
        root = root / "depth_{}x{}".format(*setting.depth_size_wh)
    room = lifting_rooms.load_room(seed, root, setting.depth_size_wh)
    surfaces = lifting_rooms.room_surfaces(room, root / "surfaces")
    methods = {name: recipe for name, recipe in all_methods(*surfaces).items() if not only or name in only}
    rows = []
    for target in lifting_rooms.choose_targets(room, setting.max_views):
        truth = target.label.box3d
        assert truth is not None  # choose_targets left the others out

        def row(
            source: str,
            method: str,
            box: Box3D | None,
            seconds: float | None,
            count: int,
            target: lifting_rooms.Target = target,
            truth: Box3D = truth,
        ) -> Row:
            iou = 0.0 if box is None else float(_iou(box, truth))
            text = room.class_of[target.object_id]
            scene_id = room.scene.scene_id
            return Row(scene_id, target.object_id, text, source, method, iou, box is None, seconds, count)

        oracles = lifting_rooms.oracle_boxes(room, target)
        for source in mask_errors.SOURCES:
            masks = lifting_rooms.masks_of(room, target.object_id, target.view_indices, source)
            spare = lifting_rooms.masks_of(room, target.object_id, target.spare_indices, source)
            rows += [
                row(source, name, box, None, len(masks)) for name, box in zip(ORACLES, oracles, strict=True)
            ]
            for name, recipe in methods.items():
                started = time.perf_counter()
                box = recipe(room.scene, masks, spare)
                rows.append(row(source, name, box, time.perf_counter() - started, len(masks)))
    return rows


def _iou(box: Box3D, truth: Box3D) -> float:
    return float(aabb_iou(box.center_m, box.size_m, truth.center_m, truth.size_m))


def summarize(rows: list[Row]) -> list[dict[str, Any]]:
    """One entry per source and method, in the order they were run."""
    entries = []
    for source, method in dict.fromkeys((row.source, row.method) for row in rows):
        chosen = [row for row in rows if (row.source, row.method) == (source, method)]
        seconds = [row.seconds for row in chosen if row.seconds is not None]
        entries.append(
            {
                "source": source,
                "method": method,
                "median_ms": 1000 * statistics.median(seconds) if seconds else None,
                **{name: estimate(chosen, value) for name, value in METRICS.items()},
            }
        )
    return entries


def markdown(entries: list[dict[str, Any]]) -> str:
    """The table of docs/results.md, one for each mask source."""
    lines = []
    for source in mask_errors.SOURCES:
        lines += [f"Masks: {source}", ""]
        lines += [
            "| method | mean IoU | Acc@0.25 | Acc@0.5 | no box | n | ms |",
            "|---|---|---|---|---|---|---|",
        ]
        for entry in entries:
            if entry["source"] != source:
                continue
            cells = [
                "{value:.3f} [{ci95[0]:.3f}, {ci95[1]:.3f}]".format(**entry[name])
                for name in ("mean_iou", "acc_at_0.25", "acc_at_0.50")
            ]
            cells += [f"{entry['failed']['value']:.3f}", str(entry["mean_iou"]["n"])]
            cells.append("" if entry["median_ms"] is None else f"{entry['median_ms']:.0f}")
            lines.append(f"| {entry['method']} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _measure(work: tuple[int, Setting]) -> list[Row]:
    return measure_room(*work)


def _gather(rooms: Iterable[list[Row]]) -> list[Row]:
    """Rows of all rooms; says how far it is."""
    rows: list[Row] = []
    for number, of_room in enumerate(rooms, start=1):
        rows += of_room
        objects = len({(row.scene_id, row.object_id) for row in rows})
        print(f"{number} rooms, {objects} objects", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("data/benchmark_rooms"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--rooms", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1, help="processes; times mean something only with 1")
    parser.add_argument("--only", nargs="+", default=[], choices=list(all_methods(None, None)), metavar="ROW")
    parser.add_argument("--depth", nargs=2, type=int, default=OPTIONS.depth_size_wh, metavar=("W", "H"))
    parser.add_argument("--views", type=int, default=lifting_rooms.MAX_VIEWS, help="views of each object")
    parser.add_argument("--out", type=Path, help="JSON with every row")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    seeds = split_seeds(arguments.split)[: arguments.rooms]
    width, height = arguments.depth
    setting = Setting(arguments.root, tuple(arguments.only), (width, height), arguments.views)
    work = [(seed, setting) for seed in seeds]
    if arguments.jobs == 1:
        rows = _gather(map(_measure, work))
    else:
        # Open3D's threads do not survive a fork.
        with get_context("spawn").Pool(arguments.jobs) as pool:
            rows = _gather(pool.imap(_measure, work))
    entries = summarize(rows)
    print(markdown(entries))
    if arguments.out:
        report = {
            "split": arguments.split,
            "rooms": len(seeds),
            "jobs": arguments.jobs,
            "depth_size_wh": [width, height],
            "views": arguments.views,
            "machine": platform.platform(),
            "mask_errors_version": mask_errors.VERSION,
            "metrics": entries,
            "rows": [asdict(row) for row in rows],
        }
        arguments.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
