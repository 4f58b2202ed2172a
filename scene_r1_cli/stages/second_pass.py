"""Stage ``masks``, once more: the first estimate says which frames show the object, and masks are made there.

Off unless ``tracker.second_pass`` is set: with the geometric tracker it won nothing (docs/results.md). Boxes
around the estimate are not given to the tracker as further prompts: that lost, as what the first pass missed
lies outside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.config import TrackerConfig
from scene_r1_cli.errors import InputError, StageFailure
from scene_r1_cli.geometry.camera import project
from scene_r1_cli.geometry.masks import look_up
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.geometry.visibility import SEEN, classify_points
from scene_r1_cli.models.trackers import Tracker
from scene_r1_cli.stages.masks import candidates_that_show, clip_boxes, masks_in_frames, spread_views
from scene_r1_cli.types import Box2D, FrameMask, PointSet, Scene

MAX_POINTS = 600
"""Points of the estimate looked for in each frame."""

MIN_SEEN = 0.15
"""Share of the points that a frame must see to be tracked."""

AGREE_SHARE = 0.3
"""Of the points that a frame sees, the share that its mask must cover; else it is of something else."""


@dataclass(frozen=True)
class Sighting:
    """What a frame shows of the estimate: (N, 2) colour pixels of the points it sees, and their share."""

    frame_index: int
    pixels_xy: np.ndarray
    share: float


def track_again(
    tracker: Tracker,
    scene: Scene,
    boxes_2d: Sequence[Box2D],
    first: tuple[FrameMask, ...],
    lift: Callable[[Sequence[FrameMask]], PointSet],
    config: TrackerConfig,
) -> tuple[FrameMask, ...]:
    """Track once more, in the frames that see most of what the first pass found.

    The first pass had to choose its frames by a few points inside the boxes. Masks that cover little of what
    their frame sees of the estimate are left out.

    Args:
        tracker: See ``load_tracker``.
        scene: The capture.
        boxes_2d: As for ``track_masks``.
        first: Masks of the first pass.
        lift: Masks to points.
        config: ``max_views``.

    Returns:
        Masks by rising ``frame_index``; those of the first pass if they cannot be lifted, or if the second
        has none that agree with them.

    Raises:
        InputError, StageFailure: See ``track_masks``.
    """
    boxes = clip_boxes(scene, boxes_2d)
    try:
        points = lift(first)
        measured = points.points_world_m[points.view_counts > 0]
        sample = measured[:: -(-len(measured) // MAX_POINTS)]
        sightings = {
            seen.frame_index: seen for seen in find_sightings(scene, sample, boxes, config.max_views)
        }
        frame_indices = sorted({box.frame_index for box in boxes} | set(sightings))
        again = tuple(masks_in_frames(tracker, scene, boxes, frame_indices))
    except StageFailure:
        return first
    kept = [
        mask
        for mask in again
        if mask.frame_index not in sightings or _agrees(mask, sightings[mask.frame_index])
    ]
    return tuple(kept) or first


def find_sightings(
    scene: Scene, points_world_m: np.ndarray, boxes: Sequence[Box2D], max_views: int
) -> list[Sighting]:
    """Up to ``max_views`` frames that see most of (N, 3) points, out of twice as many that differ most."""
    given = sorted({box.frame_index for box in boxes})
    candidates = np.array(candidates_that_show(scene, points_world_m, given), dtype=np.int64)
    target = np.median(points_world_m, axis=0)
    chosen = spread_views(scene, given, candidates, target, 2 * max_views)
    found = [sight(scene, frame_index, points_world_m) for frame_index in chosen]
    seen = [sighting for sighting in found if sighting is not None and sighting.share >= MIN_SEEN]
    return sorted(seen, key=lambda sighting: -sighting.share)[:max_views]


def sight(scene: Scene, frame_index: int, points_world_m: np.ndarray) -> Sighting | None:
    """What a frame sees of (N, 3) points; None if its depth cannot be read."""
    try:
        depth_m = scene.read_depth(frame_index)
    except InputError:
        # The tracker and lifting meet the same frame, and say so.
        return None
    world_from_camera = scene.world_from_depth_camera(frame_index)
    state, _ = classify_points(points_world_m, world_from_camera, scene.depth_camera, depth_m)
    camera_from_world = invert(scene.world_from_color_camera(frame_index))
    pixels_xy, _ = project(scene.color_camera, transform_points(camera_from_world, points_world_m))
    seen = (state == SEEN) & np.isfinite(pixels_xy[:, 0])
    return Sighting(frame_index, pixels_xy[seen], float(seen.mean()))


def _agrees(mask: FrameMask, sighting: Sighting) -> bool:
    decoded = mask.mask.decode()
    covered = look_up(decoded, (0, 0, decoded.shape[1], decoded.shape[0]), sighting.pixels_xy)
    return bool(covered.sum() >= AGREE_SHARE * len(covered))
