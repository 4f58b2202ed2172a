"""One frame's mask as points in the world, and what the views together say of a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.config import LiftingConfig
from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.masks import (
    Crop,
    clip_crop,
    color_pixels_of_depth,
    decode_crop,
    depth_crop_of_color,
    erode,
    look_up,
    mask_bounds,
    rle_bounds,
)
from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.geometry.visibility import EMPTY, SEEN, classify_points, depth_edges
from scene_r1_cli.types import FrameMask, Scene

NEAR_M = 0.25
"""Nearest depth a sensor reads: bounds the parallax between the colour and the depth image."""


MAX_VIEW_POINTS = 6_000
"""Points of one view; of an object that fills the image every n-th says as much."""


@dataclass(frozen=True)
class LiftedView:
    """What one frame's mask gives.

    Attributes:
        frame_index: Source frame.
        depth_m: (H, W) float32 of the whole depth image as it was read: a place far from the mask may be
            another view's mistake.
        crop: Where the mask lies in it, with a margin.
        mask: (h, w) bool on the depth grid, False where there is no reading.
        points_world_m: (N, 3) float32 of the mask after erosion; at most MAX_VIEW_POINTS, evenly spread.
    """

    frame_index: int
    depth_m: np.ndarray
    crop: Crop
    mask: np.ndarray
    points_world_m: np.ndarray


def lift_view(scene: Scene, frame_mask: FrameMask, config: LiftingConfig) -> LiftedView | None:
    """One mask to points in the world frame.

    Returns:
        The view; None if the mask is empty or no depth reading is left under it.

    Raises:
        InputError: The frame's depth cannot be read.
    """
    color_crop = rle_bounds(frame_mask.mask)
    if color_crop is None:
        return None
    # Parallax makes this crop wider than the mask needs.
    search = depth_crop_of_color(
        color_crop, scene.color_camera, scene.depth_camera, scene.depth_from_color, NEAR_M
    )
    if search is None:
        return None
    whole_depth_m = scene.read_depth(frame_mask.frame_index)
    readings = clean_depth(cut(whole_depth_m, search))
    points = cut(pixel_rays(scene.depth_camera), search) * readings[..., None]
    pixels_xy = color_pixels_of_depth(points, scene.color_camera, scene.depth_from_color)
    found = look_up(decode_crop(frame_mask.mask, color_crop), color_crop, pixels_xy) & (readings > 0)
    bounds = mask_bounds(found)
    if bounds is None:
        return None
    x0, y0 = search[0] + bounds[0], search[1] + bounds[1]
    tight = (x0, y0, search[0] + bounds[2], search[1] + bounds[3])
    crop = _with_margin(tight, scene.depth_camera.size_wh)
    depth_m, rays = clean_depth(cut(whole_depth_m, crop)), cut(pixel_rays(scene.depth_camera), crop)
    mask = np.zeros(depth_m.shape, dtype=bool)
    cut(mask, (x0 - crop[0], y0 - crop[1], tight[2] - crop[0], tight[3] - crop[1]))[:] = cut(found, bounds)
    solid = erode_mask(mask, depth_m, config)
    world_from_camera = scene.world_from_depth_camera(frame_mask.frame_index)
    step = -(-int(solid.sum()) // MAX_VIEW_POINTS)
    points = transform_points(world_from_camera, (rays[solid] * depth_m[solid, None])[::step])
    return LiftedView(frame_mask.frame_index, whole_depth_m, crop, mask, points)


def erode_mask(mask: np.ndarray, depth_m: np.ndarray, config: LiftingConfig) -> np.ndarray:
    """Shrink a mask at its rim and beside depth jumps.

    A thin object may vanish under erosion; then the step that removes it is left out.

    Args:
        mask: (h, w) bool.
        depth_m: (h, w) float32.
        config: ``erode_mask_px`` and ``erode_edges_px``.

    Returns:
        (h, w) bool, never empty unless ``mask`` is.
    """
    solid = mask
    if config.erode_edges_px:
        without_edges = solid & ~depth_edges(depth_m, config.erode_edges_px)
        solid = without_edges if without_edges.any() else solid
    if config.erode_mask_px:
        # A hole in depth is no rim of the object.
        inner = solid & erode(mask | (depth_m <= 0), config.erode_mask_px)
        solid = inner if inner.any() else solid
    return solid


def count_views(
    scene: Scene, views: Sequence[LiftedView], points_world_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In how many views each of (N, 3) points is seen, seen inside the mask, and looked through: 3 x (N,)."""
    seen = np.zeros(len(points_world_m), dtype=np.int32)
    inside, empty = np.zeros_like(seen), np.zeros_like(seen)
    for view in views:
        state, pixels_xy = classify_in_view(scene, view, points_world_m)
        in_mask = look_up(view.mask, view.crop, pixels_xy)
        seen += state == SEEN
        inside += (state == SEEN) & in_mask
        empty += state == EMPTY
    return seen, inside, empty


def classify_in_view(
    scene: Scene, view: LiftedView, points_world_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``classify_points`` with one view."""
    world_from_camera = scene.world_from_depth_camera(view.frame_index)
    return classify_points(points_world_m, world_from_camera, scene.depth_camera, view.depth_m)


def cut(image: np.ndarray, crop: Crop) -> np.ndarray:
    """The crop of an image, as a view."""
    return image[crop[1] : crop[3], crop[0] : crop[2]]


def clean_depth(depth_m: np.ndarray) -> np.ndarray:
    """Depth with NaN, infinite and negative readings set to 0, the value of "no reading"."""
    return np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, 0).astype(np.float32, copy=False)


def _with_margin(crop: Crop, size_wh: tuple[int, int]) -> Crop:
    """A crop grown to show what is around an object, inside the image."""
    margin_x = 8 + (crop[2] - crop[0]) // 3
    margin_y = 8 + (crop[3] - crop[1]) // 3
    grown = clip_crop(
        np.array([crop[0] - margin_x, crop[1] - margin_y]),
        np.array([crop[2] + margin_x, crop[3] + margin_y]),
        size_wh,
    )
    return crop if grown is None else grown
