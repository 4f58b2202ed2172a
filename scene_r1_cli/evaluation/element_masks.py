"""Masks on SceneFun3D's laser scans: from lifted points, and in the files that its toolkit reads.

``<visit>_<desc>.txt`` has a line ``predicted_masks/<name>.txt <score>`` a mask; a mask is "start length …" of
its runs of points, counted from 1, in the order of the laser scan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from scene_r1_cli.data.laser_scan import read_crop_mask, read_laser_scan
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import InputError
from scene_r1_cli.evaluation.items import ItemSet
from scene_r1_cli.files import write_text
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.run_dir import RunDir

FOLDER = "predicted_masks"
Mask = tuple[np.ndarray, float]
"""Rising point indices, and confidence."""

NO_MASK: Mask = (np.zeros(1, dtype=np.int64), 0.0)
"""What a query without a mask is written as, since the toolkit reads no file without one. A false positive
below every real score takes nothing from AP."""


def write_masks(
    items: ItemSet, run: RunDir, rows: Sequence[Mapping[str, Any]], voxel_m: float
) -> tuple[Path, int]:
    """Write a submission from the points that each query's run has stored.

    Args:
        items: The queries, with their visits.
        run: The run; the folder becomes ``submission/`` in it.
        rows: Its predictions.
        voxel_m: Cells that points were fused in.

    Returns:
        The folder, and how many queries have no mask.
    """
    by_key = {(row["scene_id"], row["query_id"]): row for row in rows}
    empty = 0
    for visit_id, visit in items.visits.items():
        keys = [item.key for item in items.items if item.label.scene_id == visit_id]
        if not keys:
            continue
        points = read_laser_scan(visit)
        usable = np.flatnonzero(read_crop_mask(visit, len(points)))
        laser_from_world = invert(open_scene(items.scenes[visit_id]).world_from_scan)
        for key in keys:
            row = by_key.get(key, {})
            lifted = run.query(*key).stored_points(seen_only=True) if row.get("status") == "ok" else None
            indices = np.zeros(0, dtype=np.int64)
            if lifted is not None and len(lifted):
                found = transform_points(laser_from_world, lifted.astype(np.float64))
                indices = usable[points_near(points[usable], found, voxel_m)]
            empty += not len(indices)
            score = float((row.get("box3d") or {}).get("score", 1.0))
            write_query(run.submission_dir, key, [(indices, score)] if len(indices) else [])
    return run.submission_dir, empty


def points_near(points_m: np.ndarray, lifted_m: np.ndarray, voxel_m: float) -> np.ndarray:
    """Rising indices of (N, 3) points that lie in the cell of one of (M >= 1, 3) lifted points.

    A lifted point is the mean of its cell, so half a cell's diagonal is how far it reaches.
    """
    reach_m = math.sqrt(3) / 2 * voxel_m
    near = np.flatnonzero(
        ((points_m >= lifted_m.min(axis=0) - reach_m) & (points_m <= lifted_m.max(axis=0) + reach_m)).all(
            axis=1
        )
    )
    distance, _ = KDTree(lifted_m).query(points_m[near], distance_upper_bound=reach_m)
    return near[np.isfinite(distance)]


def write_query(folder: Path, key: tuple[str, str], masks: Sequence[Mask]) -> None:
    """Write one query's masks."""
    stem = "_".join(key)
    lines = []
    for number, (indices, score) in enumerate(masks or [NO_MASK]):
        name = f"{FOLDER}/{stem}_{number:03d}.txt"
        write_text(folder / name, encode_runs(indices))
        lines.append(f"{name} {score:.6g}\n")
    write_text(folder / f"{stem}.txt", "".join(lines))


def read_query(folder: Path, key: tuple[str, str], num_points: int) -> list[Mask] | None:
    """The masks of one query; None if it has no file.

    Raises:
        InputError: A line is no path and score, a path leads out of the folder, or a mask is not of the scan.
    """
    path = folder / f"{'_'.join(key)}.txt"
    if not path.is_file():
        return None
    masks: list[Mask] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        words = line.split()
        try:
            score = float(words[1])
        except (ValueError, IndexError):
            score = math.nan
        if len(words) != 2 or not math.isfinite(score):
            raise InputError(f"{path}, line {number}, is no path of a mask and a score.")
        mask = folder / words[0]
        if not mask.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{path}, line {number}, names a mask outside of its folder.")
        masks.append((decode_runs(_text(mask), num_points, mask), score))
    return masks


def encode_runs(indices: np.ndarray) -> str:
    """Rising point indices to "start length …", counted from 1."""
    if not len(indices):
        return ""
    breaks = np.flatnonzero(np.diff(indices) > 1) + 1
    starts = indices[np.concatenate([[0], breaks])]
    lengths = np.diff(np.concatenate([[0], breaks, [len(indices)]]))
    return " ".join(
        f"{start + 1} {length}" for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    )


def decode_runs(text: str, num_points: int, path: Path) -> np.ndarray:
    """Rising point indices of "start length …". Raises InputError, naming ``path``."""
    words = text.split()
    if len(words) % 2 or not all(word.isdecimal() and len(word) < 19 for word in words):
        raise InputError(f"{path} is no list of runs (start and length, counted from 1).")
    runs = np.array(words, dtype=np.int64).reshape(-1, 2)
    starts, ends = runs[:, 0] - 1, runs.sum(axis=1) - 1
    # Checked before anything of a run's length is made.
    if len(runs) and (starts.min() < 0 or ends.max() > num_points):
        raise InputError(f"{path} names points that the laser scan of {num_points} points does not have.")
    if not len(runs):
        return np.zeros(0, dtype=np.int64)
    mask = np.zeros(num_points, dtype=bool)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        mask[start:end] = True
    return np.flatnonzero(mask)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text.") from error
