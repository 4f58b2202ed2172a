"""From instance maps to labels: when an object is visible, and the frames and boxes that show it best.

Works on maps of any data set; rooms and ScanNet share it. Specks (parts of an object seen through a gap,
stray pixels of a projected annotation) are dropped first, so that a box ends where a person would end it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from scene_r1_cli.data.labels import KeyframeLabel
from scene_r1_cli.geometry.intervals import Interval, visible_runs
from scene_r1_cli.types import Camera

SPECK_SHARE = 0.04
"""A connected part smaller than this share of the largest part is a speck."""

MIN_IMAGE_SHARE = 0.0012
"""An object that covers less of the image than this is not visible (1,500 pixels of 1296 x 968)."""

ELEMENT_MIN_IMAGE_SHARE = 0.0001
"""The same for handles, knobs and switches, which are small: 276 pixels of 1920 x 1440."""

MIN_VISIBILITY = 0.25
"""A frame that shows less of the object than this, relative to the best frame, does not show it."""

MAX_GAP_S = 0.6
"""Runs closer than this are one run: a hand that shakes does not end it."""

MIN_RUN_S = 0.5
"""Shorter runs are glimpses, kept only where there is nothing longer."""

MAX_KEYFRAMES = 8
KEYFRAME_GAP_S = 1.0
"""Key frames are at least so far apart."""

CUT_WEIGHT = 0.6
"""How much a frame counts as a key frame if the image border cuts the object."""


@dataclass(frozen=True)
class ObjectView:
    """What one frame shows of one object.

    Attributes:
        frame_index: Source index of the frame.
        area_px: Visible pixels, specks left out.
        box_xyxy_px: Edges of those pixels.
        surface_m2: Their area at the object's distance, facing the camera.
        is_cut: The object touches the image border.
    """

    frame_index: int
    area_px: int
    box_xyxy_px: tuple[float, float, float, float]
    surface_m2: float
    is_cut: bool


@dataclass(frozen=True)
class Visibility:
    """When and where an object is visible; the fields are those of ``Label``."""

    runs_s: tuple[Interval, ...]
    main_run: int
    keyframes: tuple[KeyframeLabel, ...]


def object_views(
    instances: np.ndarray,
    depth_m: np.ndarray,
    camera: Camera,
    frame_index: int,
    left_out: frozenset[int] = frozenset(),
) -> dict[int, ObjectView]:
    """What one frame shows of each object.

    Args:
        instances: (H, W) uint8 in the colour image, 0 = none, object_id + 1 otherwise.
        depth_m: (H', W') float32 depth along +z of the same view at any size, 0 or inf = no reading.
        camera: The colour camera.
        frame_index: Source index of the frame.
        left_out: ``object_id`` of what nobody asks for, such as walls.

    Returns:
        One view per visible ``object_id``; an object without any depth reading is left out.
    """
    height, width = instances.shape
    views: dict[int, ObjectView] = {}
    for object_id, window in enumerate(ndimage.find_objects(instances)):
        if window is None or object_id in left_out:
            continue
        top, left = window[0].start, window[1].start
        mask = without_specks(instances[window] == object_id + 1)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x1, x2 = int(left + columns[0]), int(left + columns[-1])
        y1, y2 = int(top + rows[0]), int(top + rows[-1])
        distance_m = _distance(mask, (left, top), depth_m, instances.shape)
        if distance_m is None:
            continue
        area = int(mask.sum())
        views[object_id] = ObjectView(
            frame_index=frame_index,
            area_px=area,
            box_xyxy_px=(x1 - 0.5, y1 - 0.5, x2 + 0.5, y2 + 0.5),
            surface_m2=area * distance_m**2 / (camera.fx * camera.fy),
            is_cut=x1 == 0 or y1 == 0 or x2 == width - 1 or y2 == height - 1,
        )
    return views


def without_specks(mask: np.ndarray) -> np.ndarray:
    """The connected parts of (H, W) bool ``mask`` that are no specks beside its largest part."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA]
    keep = areas >= SPECK_SHARE * areas[1:].max()
    keep[0] = False
    return keep[parts]


def _distance(
    mask: np.ndarray, corner_xy: tuple[int, int], depth_m: np.ndarray, size_hw: tuple[int, ...]
) -> float | None:
    """Median depth under a mask that lies at ``corner_xy`` of an image of ``size_hw``."""
    # A few hundred pixels are enough, unless the mask is so thin that a coarse grid misses it.
    step = max(1, int(np.sqrt(mask.size / 1000)))
    rows, columns = np.nonzero(mask[::step, ::step])
    if len(rows) < 20:
        step = 1
        rows, columns = np.nonzero(mask)
    row = (rows * step + corner_xy[1]) * depth_m.shape[0] // size_hw[0]
    column = (columns * step + corner_xy[0]) * depth_m.shape[1] // size_hw[1]
    readings = depth_m[row, column]
    readings = readings[(readings > 0) & np.isfinite(readings)]
    return float(np.median(readings)) if len(readings) else None


def find_visibility(
    views: Sequence[ObjectView],
    frame_times_s: Mapping[int, float],
    period_s: float,
    image_wh: tuple[int, int],
    min_image_share: float = MIN_IMAGE_SHARE,
) -> Visibility | None:
    """When an object is visible, and its key frames.

    Args:
        views: Views of one object by rising frame index; frames without it have none.
        frame_times_s: Time of every frame that was looked at, by frame index.
        period_s: Time between those frames.
        image_wh: Size of the colour image.
        min_image_share: An object that covers less of the image is not visible.

    Returns:
        None if no frame shows the object well enough.
    """
    if not views:
        return None
    # The second-best view is the measure, so that one odd frame does not decide.
    surfaces = np.sort([view.surface_m2 for view in views])
    best = surfaces[-min(2, len(surfaces))]
    min_area = min_image_share * image_wh[0] * image_wh[1]
    shown = {
        view.frame_index: (view, min(1.0, view.surface_m2 / best))
        for view in views
        if view.area_px >= min_area and view.surface_m2 >= MIN_VISIBILITY * best
    }
    indices = sorted(frame_times_s)
    times = np.array([frame_times_s[index] for index in indices])
    visible = np.array([index in shown for index in indices])
    runs = visible_runs(times, visible, period_s, MAX_GAP_S)
    long_runs = [run for run in runs if run[1] - run[0] >= MIN_RUN_S]
    runs = long_runs or runs
    if not runs:
        return None
    weight = [
        sum(share for index, (_, share) in shown.items() if run[0] <= frame_times_s[index] < run[1])
        for run in runs
    ]
    main_run = int(np.argmax(weight))
    in_runs = [
        (view, share)
        for index, (view, share) in shown.items()
        if any(run[0] <= frame_times_s[index] < run[1] for run in runs)
    ]
    keyframes = _key_frames(in_runs, frame_times_s, runs[main_run])
    return Visibility(tuple(runs), main_run, keyframes)


def _key_frames(
    views: list[tuple[ObjectView, float]], frame_times_s: Mapping[int, float], main_run: Interval
) -> tuple[KeyframeLabel, ...]:
    """The best views, apart in time; at least half of the places are for the main run."""

    def rank(entry: tuple[ObjectView, float]) -> float:
        return entry[0].surface_m2 * (CUT_WEIGHT if entry[0].is_cut else 1.0)

    def in_main(entry: tuple[ObjectView, float]) -> bool:
        return main_run[0] <= frame_times_s[entry[0].frame_index] < main_run[1]

    ranked = sorted(views, key=lambda entry: (-rank(entry), entry[0].frame_index))
    chosen: list[tuple[ObjectView, float]] = []
    for candidates, places in (
        ([entry for entry in ranked if in_main(entry)], MAX_KEYFRAMES // 2),
        (ranked, MAX_KEYFRAMES),
    ):
        for entry in candidates:
            time_s = frame_times_s[entry[0].frame_index]
            apart = all(abs(time_s - frame_times_s[view.frame_index]) >= KEYFRAME_GAP_S for view, _ in chosen)
            if len(chosen) < places and apart:
                chosen.append(entry)
    chosen.sort(key=lambda entry: entry[0].frame_index)
    return tuple(KeyframeLabel(view.frame_index, view.box_xyxy_px, share) for view, share in chosen)
