"""One frame's mask as points in the world, and what the views together say of a place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scene_r1_cli.config import LiftingConfig
from scene_r1_cli.geometry.camera import pixel_rays, project
from scene_r1_cli.geometry.masks import (
    Crop,
    color_pixels_of_depth,
    decode_crop,
    depth_crop_of_color,
    erode,
    look_up,
    mask_bounds,
    rle_bounds,
)
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.geometry.visibility import agreement_tolerance_m, depth_edges, pixels_in_image
from scene_r1_cli.types import Camera, FrameMask, Scene

NEAR_M = 0.25
"""Nearest depth a sensor reads: bounds the parallax between the colour and the depth image."""


MAX_VIEW_POINTS = 6_000
"""Points of one view, about: fewer than four times as many."""


EDGE_MARGIN_PX = 3
"""Depth pixels around a mask that are cut out with it: a jump beside the rim is found there."""


@dataclass(frozen=True)
class LiftedView:
    """What one frame's mask gives.

    Attributes:
        frame_index: Source frame.
        depth_m: (H, W) float32 of the whole depth image as it was read: a place far from the mask may be
            another view's mistake.
        crop: Where the mask lies in it, with a small margin.
        mask: (h, w) bool on the depth grid, whether there is a reading or not.
        points_world_m: (N, 3) float32 of the mask after erosion, evenly spread.
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
    whole_depth_m = scene.read_depth(frame_mask.frame_index)
    color_mask = decode_crop(frame_mask.mask, color_crop)
    if np.array_equal(scene.depth_from_color, np.eye(4)):
        found, search = _registered_mask(scene, color_mask, color_crop)
    else:
        found, search = _unregistered_mask(scene, color_mask, color_crop, whole_depth_m)
    if search is None:
        return None
    # Of an object that fills the image every n-th row and column says as much.
    step = max(1, math.isqrt(int(np.count_nonzero(found)) // MAX_VIEW_POINTS))
    crop = _with_margin(search, step * EDGE_MARGIN_PX, scene.depth_camera.size_wh)
    mask = np.zeros((crop[3] - crop[1], crop[2] - crop[0]), dtype=bool)
    inner = (search[0] - crop[0], search[1] - crop[1], search[2] - crop[0], search[3] - crop[1])
    cut(mask, inner)[:] = found
    depth_m = clean_depth(cut(whole_depth_m, crop)[::step, ::step])
    at = np.flatnonzero(erode_mask(mask[::step, ::step] & (depth_m > 0), depth_m, config, step))
    if not len(at):
        return None
    rows, columns = np.divmod(at, depth_m.shape[1])
    rays = cut(pixel_rays(scene.depth_camera), crop)[::step, ::step][rows, columns]
    world_from_camera = scene.world_from_depth_camera(frame_mask.frame_index)
    points = transform_points(world_from_camera, rays * depth_m[rows, columns, None])
    return LiftedView(frame_mask.frame_index, whole_depth_m, crop, mask, points)


def _registered_mask(
    scene: Scene, color_mask: np.ndarray, color_crop: Crop
) -> tuple[np.ndarray, Crop | None]:
    """A colour mask on the depth grid, and where it lies, if both cameras share one place."""
    columns, rows = _color_of_depth_pixels(scene.color_camera, scene.depth_camera)
    x0, x1 = np.searchsorted(columns, color_crop[::2]).tolist()
    y0, y1 = np.searchsorted(rows, color_crop[1::2]).tolist()
    found = color_mask[np.ix_(rows[y0:y1] - color_crop[1], columns[x0:x1] - color_crop[0])]
    bounds = mask_bounds(found)
    if bounds is None:
        return found, None
    return cut(found, bounds), (x0 + bounds[0], y0 + bounds[1], x0 + bounds[2], y0 + bounds[3])


def _unregistered_mask(
    scene: Scene, color_mask: np.ndarray, color_crop: Crop, depth_m: np.ndarray
) -> tuple[np.ndarray, Crop | None]:
    """The same for cameras that are apart: what a depth pixel shows lies where its depth says."""
    # Parallax makes this crop wider than the mask needs.
    search = depth_crop_of_color(
        color_crop, scene.color_camera, scene.depth_camera, scene.depth_from_color, NEAR_M
    )
    if search is None:
        return color_mask, None
    readings = clean_depth(cut(depth_m, search))
    points = cut(pixel_rays(scene.depth_camera), search) * readings[..., None]
    pixels_xy = color_pixels_of_depth(points, scene.color_camera, scene.depth_from_color)
    found = look_up(color_mask, color_crop, pixels_xy) & (readings > 0)
    bounds = mask_bounds(found)
    if bounds is None:
        return found, None
    x0, y0 = search[:2]
    return cut(found, bounds), (x0 + bounds[0], y0 + bounds[1], x0 + bounds[2], y0 + bounds[3])


@lru_cache(maxsize=8)
def _color_of_depth_pixels(color_camera: Camera, depth_camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Colour column of each depth column and colour row of each depth row: (W,) and (H,) int64, rising."""
    rays = pixel_rays(depth_camera)
    pixels_xy, _ = project(color_camera, rays.astype(np.float64))
    return np.rint(pixels_xy[0, :, 0]).astype(np.int64), np.rint(pixels_xy[:, 0, 1]).astype(np.int64)


def erode_mask(mask: np.ndarray, depth_m: np.ndarray, config: LiftingConfig, step: int = 1) -> np.ndarray:
    """Shrink a mask at its rim and beside depth jumps.

    A thin object may vanish under erosion; then the step that removes it is left out.

    Args:
        mask: (h, w) bool.
        depth_m: (h, w) float32.
        config: ``erode_mask_px`` and ``erode_edges_px``.
        step: Pixels of the depth image from one row or column to the next.

    Returns:
        (h, w) bool, never empty unless ``mask`` is.
    """
    solid = mask
    if config.erode_edges_px:
        without_edges = solid & ~depth_edges(depth_m, -(-config.erode_edges_px // step))
        solid = without_edges if without_edges.any() else solid
    if config.erode_mask_px:
        # A hole in depth is no rim of the object.
        inner = solid & erode(mask | (depth_m <= 0), -(-config.erode_mask_px // step))
        solid = inner if inner.any() else solid
    return solid


def count_views(
    scene: Scene, views: Sequence[LiftedView], points_world_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In how many views each of (N, 3) points is seen, seen inside the mask, and looked through: 3 x (N,)."""
    along_axes = np.ascontiguousarray(points_world_m.T, dtype=np.float32)
    seen, inside, empty = (np.zeros(len(points_world_m), dtype=np.int32) for _ in range(3))
    for view in views:
        camera_from_world = invert(scene.world_from_depth_camera(view.frame_index))
        at, column, row, z = pixels_in_image(scene.depth_camera, camera_from_world, along_axes)
        # One index is looked up at half the time of two.
        behind = view.depth_m.ravel()[row * view.depth_m.shape[1] + column] - z
        tolerance = agreement_tolerance_m(z)
        # A reading that is not a number agrees with nothing; one of zero lies at the camera.
        with np.errstate(invalid="ignore"):
            agrees = (np.abs(behind) <= tolerance) & (behind > -z)
            empty[at] += (behind > tolerance) & (behind < np.inf)
        seen[at] += agrees
        at, column, row = at[agrees], column[agrees] - view.crop[0], row[agrees] - view.crop[1]
        height, width = view.mask.shape
        within = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        inside[at[within]] += view.mask[row[within], column[within]]
    return seen, inside, empty


def cut(image: np.ndarray, crop: Crop) -> np.ndarray:
    """The crop of an image, as a view."""
    return image[crop[1] : crop[3], crop[0] : crop[2]]


def clean_depth(depth_m: np.ndarray) -> np.ndarray:
    """Depth with NaN, infinite and negative readings set to 0, the value of "no reading"."""
    return np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, 0).astype(np.float32, copy=False)


def _with_margin(crop: Crop, margin_px: int, size_wh: tuple[int, int]) -> Crop:
    """A grown crop, inside the image."""
    return (
        max(0, crop[0] - margin_px),
        max(0, crop[1] - margin_px),
        min(size_wh[0], crop[2] + margin_px),
        min(size_wh[1], crop[3] + margin_px),
    )
