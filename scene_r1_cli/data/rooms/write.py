"""Makes rooms on disk: everything ScanNet would give of a scene, and labels, there whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.labels import read_labels, write_labels
from scene_r1_cli.data.room_marker import RECIPE
from scene_r1_cli.data.rooms import annotations, scannet_files
from scene_r1_cli.data.rooms.capture import Capture, prepare_capture
from scene_r1_cli.data.rooms.labelling import label_room, write_texts
from scene_r1_cli.data.rooms.layout import Room, lay_out_room
from scene_r1_cli.data.rooms.mesh import RoomMesh
from scene_r1_cli.data.rooms.options import RoomOptions, scene_id_of, split_seeds
from scene_r1_cli.data.sources.sens_writer import write_sens
from scene_r1_cli.data.supervision import Visibility, find_visibility
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.geometry.boxes import aabb_from_points
from scene_r1_cli.geometry.transforms import rotation_about_z, transform_points
from scene_r1_cli.progress import counted
from scene_r1_cli.types import Box3D

DEFAULTS = RoomOptions()
LABELS = Path("labels") / "rooms.parquet"


@dataclass(frozen=True)
class RoomSummary:
    """What was made.

    Attributes:
        scene_id: Its name.
        path: Its folder, ``OUT/scans/<scene_id>``.
        num_objects: Objects beside walls, floor and ceiling.
        num_queries: Sentences that point at an object.
        num_questions: Questions with answers.
    """

    scene_id: str
    path: Path
    num_objects: int
    num_queries: int
    num_questions: int


def make_room(seed: int, out_root: Path, options: RoomOptions = DEFAULTS) -> RoomSummary:
    """Make the room of a seed, unless it is there already.

    Args:
        seed: A seed of ``split_seeds``.
        out_root: ScanNet-like root; the room goes to ``out_root/scans/<scene_id>``.
        options: Sizes and rates of its capture.

    Returns:
        What is there now.

    Raises:
        UsageError: The seed belongs to no split.
        InputError: ``out_root`` is a file, or has this scene already but made otherwise.
    """
    scene_id = scene_id_of(seed)
    scene_dir = out_root / "scans" / scene_id
    if out_root.exists() and not out_root.is_dir():
        raise InputError(f"{out_root} is a file; rooms need a folder to be written to.")
    if scene_dir.exists():
        _check_recipe(scene_dir, seed, options)
    else:
        partial = scene_dir.with_name(f".{scene_id}.{os.getpid()}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            _write_room(lay_out_room(seed), scene_id, partial, options)
            if not scene_dir.exists():  # another process may have been quicker, with the same bytes
                os.replace(partial, scene_dir)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    labels = read_labels(scene_dir / LABELS)
    return RoomSummary(
        scene_id=scene_id,
        path=scene_dir,
        num_objects=len(lay_out_room(seed).furniture),
        num_queries=sum(not label.answers for label in labels),
        num_questions=sum(bool(label.answers) for label in labels),
    )


def _recipe(seed: int, options: RoomOptions) -> dict[str, Any]:
    """Seed and options as JSON has them."""
    return json.loads(json.dumps({"seed": seed, **asdict(options)}))


def _check_recipe(scene_dir: Path, seed: int, options: RoomOptions) -> None:
    """Refuse a folder that is no room of ours, or one made with other options."""
    path = scene_dir / RECIPE
    if not path.is_file():
        raise InputError(
            f"{scene_dir} is there already and is no synthetic room.", hint="Write rooms to another folder."
        )
    made = json.loads(path.read_text())
    differing = [
        f"{name} {made.get(name)}"
        for name, value in _recipe(seed, options).items()
        if made.get(name) != value
    ]
    if differing:
        raise InputError(
            f"{scene_dir} was made with other options ({', '.join(differing)}).",
            hint="Delete it, or write rooms to another folder.",
        )


def make_rooms(
    out_root: Path,
    split: str,
    count: int,
    options: RoomOptions = DEFAULTS,
    progress: Callable[[int], object] | None = None,
    processes: int = 1,
) -> list[RoomSummary]:
    """Make the first rooms of a split; those that are there already are kept.

    Args:
        out_root: ScanNet-like root.
        split: ``train``, ``val`` or ``test``.
        count: How many rooms.
        options: Sizes and rates of their captures.
        progress: Told the number of rooms done after each.
        processes: How many rooms to make at a time; one already keeps two cores busy.

    Raises:
        UsageError: There is no such split, or it has fewer rooms.
    """
    seeds = split_seeds(split)
    if not 1 <= count <= len(seeds):
        raise UsageError(f"The {split} split has 1 to {len(seeds)} rooms; {count} were asked for.")
    summaries = []
    make = partial(make_room, out_root=out_root, options=options)
    with ExitStack() as stack:
        if processes > 1:
            # Open3D's threads do not survive a fork.
            context = multiprocessing.get_context("spawn")
            made = stack.enter_context(context.Pool(processes)).imap(make, seeds[:count])
        else:
            made = map(make, seeds[:count])
        for summary in made:
            summaries.append(summary)
            if progress is not None:
                progress(len(summaries))
    scannet_files.write_label_table(out_root / "scannetv2-labels.combined.tsv")
    annotations.write_split(out_root, split, [summary.scene_id for summary in summaries])
    return summaries


def _write_room(room: Room, scene_id: str, scene_dir: Path, options: RoomOptions) -> None:
    world_from_scan = _axis_alignment(room)
    scan_from_world = np.linalg.inv(world_from_scan)
    capture = prepare_capture(room, options, scan_from_world)
    with scannet_files.InstanceZip(scene_dir / f"{scene_id}_2d-instance-filt.zip") as instances:
        num_frames = write_sens(
            scene_dir / f"{scene_id}.sens",
            color_camera=options.color_camera,
            depth_camera=options.depth_camera,
            frames=counted(capture.film(instances.add), len(capture.times_s)),
        )
    scannet_files.write_meta(
        scene_dir / f"{scene_id}.txt",
        options.color_camera,
        options.depth_camera,
        world_from_scan,
        num_frames,
        room.theme,
    )
    mesh = capture.mesh.build()
    vertices_scan = scannet_files.write_mesh(scene_dir / f"{scene_id}_vh_clean_2.ply", mesh, scan_from_world)
    scannet_files.write_segments(scene_dir, scene_id, room, mesh)
    boxes = _true_boxes(mesh, vertices_scan, world_from_scan)
    seen = _visibility(capture)
    texts = write_texts(room, seen, boxes)
    annotations.write_rows(scene_dir, scene_id, room, texts)
    write_labels(scene_dir / LABELS, label_room(scene_id, texts, seen, boxes))
    (scene_dir / RECIPE).write_text(json.dumps(_recipe(room.seed, options)))


def _axis_alignment(room: Room) -> np.ndarray:
    """(4, 4) world_from_scan: a turn about z and a shift, rounded as its text file rounds it."""
    rng = np.random.default_rng([room.seed, 6])
    scan_from_world = rotation_about_z(rng.uniform(0.2, 2 * np.pi - 0.2))
    scan_from_world[:3, 3] = [*rng.uniform(-1.0, 4.0, 2), rng.uniform(0.02, 0.15)]
    return np.round(np.linalg.inv(scan_from_world), 6)


def _true_boxes(mesh: RoomMesh, vertices_scan_m: np.ndarray, world_from_scan: np.ndarray) -> dict[int, Box3D]:
    """Box of each object as ScanRefer makes it: from its vertices in the file, after axis alignment."""
    vertices = transform_points(world_from_scan, vertices_scan_m.astype(np.float64))
    return {
        int(object_id): aabb_from_points(vertices[mesh.objects == object_id])
        for object_id in np.unique(mesh.objects)
    }


def _visibility(capture: Capture) -> dict[int, Visibility]:
    """When each object is visible; objects that never are, are left out."""
    times = dict(enumerate(capture.times_s.tolist()))
    found = {
        object_id: find_visibility(views, times, 1 / capture.options.fps, capture.options.color_size_wh)
        for object_id, views in capture.views.items()
    }
    return {object_id: seen for object_id, seen in found.items() if seen is not None and seen.keyframes}
