"""Several key frames vote in 3D, so that one wrong 2D box does not sink a query."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from scene_r1_cli.config import BoxConfig
from scene_r1_cli.geometry.camera import pixel_rays, project
from scene_r1_cli.geometry.masks import color_pixels_of_depth
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.types import Box2D, Scene

logger = logging.getLogger(__name__)

MAX_ANCHORS = 32
MARGIN = 0.15
"""Of a box's sides, left out at each edge: there the box shows what is behind the object."""

NEAR_PERCENTILE = 60
"""Of the depths in a box, those up to this one are the object's rather than the background's."""

SAME_SURFACE_M = 0.1
"""A point lies on what a frame sees if the depths agree to this, plus ``SAME_SURFACE_SHARE`` of the depth."""

SAME_SURFACE_SHARE = 0.03

AGREE_SHARE = 0.5
"""Share of the points seen again that must lie in the other box."""


def anchor_points(scene: Scene, box: Box2D) -> np.ndarray:
    """(N, 3) world points on what is nearest in the middle of a box; none if there is no depth there.

    Raises:
        InputError: The frame's depth cannot be read.
    """
    depth_m = scene.read_depth(box.frame_index)[::2, ::2]
    valid = np.isfinite(depth_m) & (depth_m > 0)
    points = pixel_rays(scene.depth_camera)[::2, ::2][valid] * depth_m[valid, None]
    pixels = color_pixels_of_depth(points, scene.color_camera, scene.depth_from_color)
    points = points[_inside(pixels, box.xyxy_px, -MARGIN)]
    if not len(points):
        return np.zeros((0, 3))
    points = points[points[:, 2] <= np.percentile(points[:, 2], NEAR_PERCENTILE)]
    points = points[:: max(1, len(points) // MAX_ANCHORS)]
    return transform_points(scene.world_from_depth_camera(box.frame_index), points.astype(np.float64))


def vote(scene: Scene, boxes: tuple[Box2D, ...], config: BoxConfig) -> tuple[Box2D, ...]:
    """``agreeing_boxes``, or all of them if ``config.vote`` is off; raises as it does."""
    return agreeing_boxes(scene, boxes) if config.vote else boxes


def agreeing_boxes(scene: Scene, boxes: Sequence[Box2D]) -> tuple[Box2D, ...]:
    """The boxes of the object that most boxes mean.

    Points in the middle of one box, seen again in the frame of another, lie in that other box if both are of
    one object. A box weighs its score. The box that the most weight agrees with (of equals, the one with the
    larger share of its image) stays, with all that agree with it; two frames that show nothing in common say
    nothing, and then a box of full score stays.

    Args:
        scene: The capture.
        boxes: One object's boxes on different frames, in original colour pixels.

    Returns:
        Some of the boxes, at least one, in their order.

    Raises:
        InputError: The depth of a box's frame cannot be read.
    """
    if len(boxes) < 2:
        return tuple(boxes)
    anchors = [anchor_points(scene, box) for box in boxes]
    # +1 agree, -1 disagree, 0 nothing to say.
    votes = np.zeros((len(boxes), len(boxes)), dtype=np.int64)
    for a, b in combinations(range(len(boxes)), 2):
        shares = [_share_in(scene, anchors[a], boxes[b]), _share_in(scene, anchors[b], boxes[a])]
        known = [share for share in shares if share is not None]
        if known:
            votes[a, b] = votes[b, a] = 1 if np.mean(known) >= AGREE_SHARE else -1
    scores = np.array([box.score for box in boxes])
    np.fill_diagonal(votes, 1)
    support = (votes > 0) @ scores
    best = max(range(len(boxes)), key=lambda index: (support[index], _area(boxes[index])))
    stays = (votes[best] > 0) | ((votes[best] == 0) & (scores == 1))
    kept = tuple(box for box, is_kept in zip(boxes, stays, strict=True) if is_kept)
    if len(kept) < len(boxes):
        dropped = sorted(box.frame_index for box in boxes if box not in kept)
        logger.info("boxes of frames %s are of something else than most and are left out", dropped)
    return kept


def _share_in(scene: Scene, points_world_m: np.ndarray, box: Box2D) -> float | None:
    """Share of points seen in a box's frame that lie in the box; None if too few are seen."""
    if not len(points_world_m):
        return None
    camera_from_world = invert(scene.world_from_depth_camera(box.frame_index))
    points = transform_points(camera_from_world, points_world_m)
    pixels, z = project(scene.depth_camera, points)
    width, height = scene.depth_camera.size_wh
    with np.errstate(invalid="ignore"):
        inside = (z > 0) & (pixels >= 0).all(axis=1) & (pixels <= (width - 1, height - 1)).all(axis=1)
    columns, rows = np.rint(pixels[inside]).astype(np.int64).T
    depth_m = scene.read_depth(box.frame_index)[rows, columns]
    seen = inside.copy()
    seen[inside] = np.abs(depth_m - z[inside]) <= SAME_SURFACE_M + SAME_SURFACE_SHARE * z[inside]
    if seen.sum() < max(3, len(points) // 4):
        return None
    pixels_color = color_pixels_of_depth(
        points[seen].astype(np.float32), scene.color_camera, scene.depth_from_color
    )
    return float(_inside(pixels_color, box.xyxy_px, 0.0).mean())


def _inside(pixels: np.ndarray, xyxy_px: Sequence[float], grow: float) -> np.ndarray:
    """(N,) True for pixels in a box grown by a share of its sides at each edge."""
    x1, y1, x2, y2 = xyxy_px
    grow_x, grow_y = grow * (x2 - x1), grow * (y2 - y1)
    with np.errstate(invalid="ignore"):
        return (
            (pixels[:, 0] >= x1 - grow_x)
            & (pixels[:, 0] <= x2 + grow_x)
            & (pixels[:, 1] >= y1 - grow_y)
            & (pixels[:, 1] <= y2 + grow_y)
        )


def _area(box: Box2D) -> float:
    x1, y1, x2, y2 = box.xyxy_px
    return (x2 - x1) * (y2 - y1)
