"""Stage ``masks``: from boxes on key frames to the object's masks in many frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from scene_r1_cli.config import TrackerConfig
from scene_r1_cli.errors import InputError, StageFailure
from scene_r1_cli.geometry.camera import project
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.models.trackers import Tracker
from scene_r1_cli.progress import counted
from scene_r1_cli.stages.vote import anchor_points
from scene_r1_cli.types import Box2D, FrameMask, MaskTrack, Scene, TemporalSpan

MAX_CANDIDATES = 600
"""Frames considered; a longer capture is thinned evenly, since neighbours show the same."""

FAR_M = 6.0
"""Beyond this a depth sensor says too little about an object."""

OBJECT_ID = 1


def track_masks(
    tracker: Tracker,
    scene: Scene,
    boxes_2d: Sequence[Box2D],
    span: TemporalSpan | None,
    config: TrackerConfig,
) -> MaskTrack:
    """Carry the boxes of one object to the frames that show it best.

    Args:
        tracker: See ``load_tracker``.
        scene: The capture.
        boxes_2d: The object's boxes, on one or more frames; clipped to the image.
        span: Where the object was found in time; frames in it are preferred. None: no preference.
        config: ``max_views``.

    Returns:
        A stream of masks at the colour image's size, by rising ``frame_index``. Its end raises StageFailure
        if there was none.

    Raises:
        InputError: A box is on a frame the capture does not have.
        StageFailure: There is no box, or none lies in the image.
    """
    boxes = clip_boxes(scene, boxes_2d)
    return masks_in_frames(tracker, scene, boxes, choose_frames(scene, boxes, span, config.max_views))


def masks_in_frames(
    tracker: Tracker, scene: Scene, boxes: Sequence[Box2D], frame_indices: Sequence[int]
) -> Iterator[FrameMask]:
    """Track one object's boxes through some frames, those of the boxes among them; see ``track_masks``."""
    session = tracker.open(scene, frame_indices)
    for box in boxes:
        session.add(OBJECT_ID, box.frame_index, box_xyxy_px=box.xyxy_px)
    num_masks = 0
    for frame_index, objects in counted(session, len(frame_indices)):
        if OBJECT_ID in objects and objects[OBJECT_ID][0].area:
            num_masks += 1
            yield FrameMask(frame_index, *objects[OBJECT_ID])
    if num_masks == 0:
        raise StageFailure("masks", "the tracker found no object inside the boxes")


def clip_boxes(scene: Scene, boxes_2d: Sequence[Box2D]) -> list[Box2D]:
    """Boxes cut to the image, those outside left out; see ``track_masks`` for what is raised."""
    if not boxes_2d:
        raise StageFailure("masks", "there is no box to track")
    width, height = scene.color_camera.size_wh
    usable = set(scene.frame_indices.tolist())
    clipped = []
    for box in boxes_2d:
        if box.frame_index not in usable:
            reasons = {skipped.frame_index: skipped.reason for skipped in scene.skipped}
            why = reasons.get(box.frame_index, "the capture has no such frame")
            raise InputError(f"there is a box on frame {box.frame_index}, which cannot be used: {why}")
        x1, x2 = np.clip([box.xyxy_px[0], box.xyxy_px[2]], -0.5, width - 0.5)
        y1, y2 = np.clip([box.xyxy_px[1], box.xyxy_px[3]], -0.5, height - 0.5)
        if x2 - x1 >= 1 and y2 - y1 >= 1:
            xyxy = (float(x1), float(y1), float(x2), float(y2))
            clipped.append(Box2D(box.frame_index, xyxy, box.label, box.rationale, box.score))
    if not clipped:
        raise StageFailure("masks", f"no box lies inside the {width} x {height} image")
    return clipped


def choose_frames(
    scene: Scene, boxes: Sequence[Box2D], span: TemporalSpan | None, max_views: int
) -> list[int]:
    """Frames to track: every key frame, then views as different as possible, half of them in the span.

    A frame is a candidate if it would show at least half of some points inside the boxes, were nothing in
    between; whether something is, the tracker finds out.

    Returns:
        Rising source indices, at most ``max(max_views, number of key frames)``.
    """
    chosen = sorted({box.frame_index for box in boxes})
    anchors = np.concatenate([anchor_points(scene, box) for box in boxes])
    indices = np.array(candidates_that_show(scene, anchors, chosen), dtype=np.int64)
    target = np.median(anchors, axis=0) if len(anchors) else None
    inside = np.array([index for index in indices.tolist() if _in_span(scene, index, span)], dtype=np.int64)
    half = len(chosen) + (max_views - len(chosen)) // 2 if span is not None else max_views
    chosen = spread_views(scene, chosen, inside, target, half)
    rest = np.setdiff1d(indices, chosen)
    return sorted(spread_views(scene, chosen, rest, target, max_views))


def _in_span(scene: Scene, frame_index: int, span: TemporalSpan | None) -> bool:
    return span is None or span.start_s <= scene.frame(frame_index).timestamp_s < span.end_s


def candidates_that_show(scene: Scene, points_world_m: np.ndarray, without: Sequence[int]) -> list[int]:
    """Frames, thinned, that would show (N, 3) points, were nothing in between; all of them if N = 0."""
    frames = scene.frames[:: max(1, len(scene.frames) // MAX_CANDIDATES)]
    indices = [frame.frame_index for frame in frames if frame.frame_index not in set(without)]
    if not len(points_world_m):
        return indices
    return [index for index in indices if in_view(scene, index, points_world_m)]


def in_view(scene: Scene, frame_index: int, anchors_world_m: np.ndarray) -> bool:
    """Whether a frame would show at least half of (N, 3) points, were nothing in between."""
    camera_from_world = invert(scene.world_from_depth_camera(frame_index))
    pixels, z = project(scene.depth_camera, transform_points(camera_from_world, anchors_world_m))
    with np.errstate(invalid="ignore"):
        inside = ((pixels >= 0) & (pixels <= np.array(scene.depth_camera.size_wh) - 1)).all(axis=1)
    return bool((inside & (z > 0.2) & (z < FAR_M)).mean() >= 0.5)


def spread_views(
    scene: Scene, chosen: list[int], candidates: np.ndarray, target: np.ndarray | None, limit: int
) -> list[int]:
    """Add candidates (frame indices), each time the one farthest from all chosen views, up to ``limit``.

    Views are far apart if they see ``target`` (3,) from other sides or distances; without one, if the camera
    stands elsewhere or looks elsewhere.
    """
    if len(chosen) >= limit or not len(candidates):
        return chosen
    if len(candidates) <= limit - len(chosen):
        return [*chosen, *candidates.tolist()]
    features = _view_features(scene, candidates, target)
    distance = np.full(len(candidates), np.inf)
    for feature in _view_features(scene, np.array(chosen), target):
        distance = np.minimum(distance, np.linalg.norm(features - feature, axis=1))
    added: list[int] = []
    while len(chosen) + len(added) < limit:
        best = int(np.argmax(distance))
        added.append(int(candidates[best]))
        distance = np.minimum(distance, np.linalg.norm(features - features[best], axis=1))
        distance[best] = -1
    return [*chosen, *added]


def _view_features(scene: Scene, frame_indices: np.ndarray, target: np.ndarray | None) -> np.ndarray:
    """(N, F) where views are far apart if they see the target from other sides or distances."""
    world_from_cameras = np.stack([scene.world_from_depth_camera(int(index)) for index in frame_indices])
    positions = world_from_cameras[:, :3, 3]
    if target is None:
        return np.concatenate([positions, world_from_cameras[:, :3, 2]], axis=1)
    towards = target - positions
    distance = np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 0.1)
    return np.concatenate([towards / distance, 0.5 * np.log(distance)], axis=1)
