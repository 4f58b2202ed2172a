"""Stage ``points``: masks, depth and cameras of many views to one cloud of the object in the world frame."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from scene_r1_cli.config import LiftingConfig
from scene_r1_cli.errors import InputError, StageFailure
from scene_r1_cli.geometry.camera import pixel_rays, project
from scene_r1_cli.geometry.cluster import main_parts, statistical_inliers
from scene_r1_cli.geometry.contact import contact_points
from scene_r1_cli.geometry.masks import (
    Crop,
    clip_crop,
    color_pixels_of_depth,
    decode_crop,
    depth_crop_of_color,
    dilate,
    erode,
    look_up,
    mask_bounds,
    rle_bounds,
)
from scene_r1_cli.geometry.planes import find_planes, on_plane
from scene_r1_cli.geometry.surface import fuse_surface, surfels_of_depth
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.geometry.visibility import EMPTY, SEEN, classify_points, depth_edges
from scene_r1_cli.geometry.voxels import mean_per_voxel, voxelize
from scene_r1_cli.types import FrameMask, PointSet, Scene

logger = logging.getLogger(__name__)

NEAR_M = 0.25
"""Nearest depth a sensor reads: bounds the parallax between the colour and the depth image."""

CONTEXT_VIEWS = 8
"""Views whose surroundings of the mask are searched for floors and walls."""

CONTEXT_VOXEL_M = 0.04

PLANE_TOLERANCE_M = 0.02

MIN_PLANE_VOXELS = 40

MAX_PLANES = 8

COLOR_VIEWS = 8
"""Colour images decoded for the cloud's colours; the few voxels none of them sees take a neighbour's."""


@dataclass(frozen=True)
class LiftedView:
    """What one frame's mask gives.

    Attributes:
        frame_index: Source frame.
        crop: Where the arrays below lie in the depth image: around the mask, with a margin.
        depth_m: (h, w) float32 crop, 0 = no reading.
        mask: (h, w) bool on the depth grid, False where there is no reading.
        points_world_m: (N, 3) float32 of the mask after erosion.
    """

    frame_index: int
    crop: Crop
    depth_m: np.ndarray
    mask: np.ndarray
    points_world_m: np.ndarray


def lift_points(scene: Scene, masks: Iterable[FrameMask], config: LiftingConfig) -> PointSet:
    """Fuse the object's points of all views that show it.

    Each mask is carried to the depth grid through both cameras and eroded at its rim and at depth jumps;
    points are fused on a grid; a voxel stays if the views that see it agree that it is the object;
    outliers and stray parts are dropped. Every step has its switch in ``LiftingConfig``.

    Args:
        scene: The capture.
        masks: Masks at the colour image's size; consumed once, one view in memory at a time but for its crop.
        config: Steps and limits.

    Returns:
        One point per voxel, the mean of its readings.

    Raises:
        StageFailure: No mask, no depth under any mask, or too few points agree.
    """
    views: list[LiftedView] = []
    num_masks = 0
    for frame_mask in masks:
        num_masks += 1
        try:
            view = lift_view(scene, frame_mask, config)
        except InputError as error:
            logger.warning("frame %d gives no points: %s", frame_mask.frame_index, error.message)
            continue
        if view is not None:
            views.append(view)
    if num_masks == 0:
        raise StageFailure("points", "there is no mask to lift")
    if not views:
        raise StageFailure("points", f"none of the {num_masks} masks has a depth reading under it")
    return fuse_views(scene, views, config)


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
    crop = depth_crop_of_color(
        color_crop, scene.color_camera, scene.depth_camera, scene.depth_from_color, NEAR_M
    )
    if crop is None:
        return None
    crop = _with_margin(crop, scene.depth_camera.size_wh)
    depth_m = _clean(scene.read_depth(frame_mask.frame_index)[crop[1] : crop[3], crop[0] : crop[2]])
    rays = pixel_rays(scene.depth_camera)[crop[1] : crop[3], crop[0] : crop[2]]
    pixels_xy = color_pixels_of_depth(rays * depth_m[..., None], scene.color_camera, scene.depth_from_color)
    mask = look_up(decode_crop(frame_mask.mask, color_crop), color_crop, pixels_xy) & (depth_m > 0)
    bounds = mask_bounds(mask)
    if bounds is None:
        return None
    # Parallax made the crop wider than the mask needs: shrink to it before the costly steps.
    tight = _with_margin(bounds, (mask.shape[1], mask.shape[0]))
    window = np.s_[tight[1] : tight[3], tight[0] : tight[2]]
    crop = (crop[0] + tight[0], crop[1] + tight[1], crop[0] + tight[2], crop[1] + tight[3])
    depth_m, mask, rays = depth_m[window], mask[window], rays[window]
    solid = erode_mask(mask, depth_m, config)
    world_from_camera = scene.world_from_depth_camera(frame_mask.frame_index)
    points = transform_points(world_from_camera, rays[solid] * depth_m[solid, None])
    return LiftedView(frame_mask.frame_index, crop, depth_m, mask, points)


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


def fuse_views(scene: Scene, views: Sequence[LiftedView], config: LiftingConfig) -> PointSet:
    """One cloud from many views; see ``lift_points``.

    Raises:
        StageFailure: Fewer than ``min_points`` points agree.
    """
    points = np.concatenate([view.points_world_m for view in views])
    view_of_point = np.repeat(np.arange(len(views)), [len(view.points_world_m) for view in views])
    if len(points) < config.min_points:
        raise StageFailure(
            "points", f"{len(points)} depth readings lie on the object, {config.min_points} are needed"
        )
    grid, voxel = voxelize(points, config.voxel_m)
    count = np.bincount(voxel, minlength=len(grid))
    means = mean_per_voxel(points, voxel, count).astype(np.float32)
    pairs = np.unique(voxel.astype(np.int64) * len(views) + view_of_point)
    view_counts = np.bincount(pairs // len(views), minlength=len(grid)).astype(np.int32)
    keep = np.ones(len(grid), dtype=bool)
    if config.vote and len(views) > 1:
        keep = vote(scene, views, means, config.min_view_share)
    if config.remove_outliers:
        kept = np.flatnonzero(keep)
        inliers = statistical_inliers(means[kept], config.outlier_neighbours, config.outlier_std_ratio)
        keep[kept[~inliers]] = False
    if config.largest_cluster:
        keep = main_parts(grid, keep, count, config.cluster_reach, config.cluster_min_share)
    if count[keep].sum() < config.min_points:
        raise StageFailure(
            "points", f"{int(count[keep].sum())} depth readings of {len(views)} views agree on the object"
        )
    kept_points = means[keep]
    inferred = contacts(scene, views, kept_points) if config.contact else np.zeros((0, 3), np.float32)
    return PointSet(
        np.concatenate([kept_points, inferred]),
        np.concatenate([color_points(scene, views, kept_points), np.full((len(inferred), 3), 128, np.uint8)]),
        np.concatenate([view_counts[keep], np.zeros(len(inferred), np.int32)]),
        len(views),
    )


def contacts(scene: Scene, views: Sequence[LiftedView], points_world_m: np.ndarray) -> np.ndarray:
    """(K, 3) float32 points where the object stands on a floor or against a wall; see ``contact_points``.

    The planes come from a few views' surroundings of the mask; whether a place is empty, from all.
    """
    chosen = sorted(views, key=lambda view: -len(view.points_world_m))[: 4 * CONTEXT_VIEWS]
    surfels = []
    for view in chosen[:: max(1, len(chosen) // CONTEXT_VIEWS)]:
        window = (slice(None, None, 2), slice(None, None, 2))
        around = np.where(dilate(view.mask, 2), 0, view.depth_m)[window]
        rays = pixel_rays(scene.depth_camera)[view.crop[1] : view.crop[3], view.crop[0] : view.crop[2]][
            window
        ]
        world_from_camera = scene.world_from_depth_camera(view.frame_index)
        surfels.append(surfels_of_depth(around, rays, world_from_camera))
    grey = [np.zeros((len(view.points_m), 3), np.float32) for view in surfels]
    if not sum(map(len, grey)):
        return np.zeros((0, 3), np.float32)
    surface = fuse_surface(surfels, grey, CONTEXT_VOXEL_M)
    found = find_planes(surface.points_m, surface.normals, PLANE_TOLERANCE_M, MIN_PLANE_VOXELS, MAX_PLANES)
    planes = []
    for plane in found:
        members = on_plane(plane, surface.points_m, surface.normals, PLANE_TOLERANCE_M)
        planes.append((plane, surface.points_m[members]))

    def is_empty(places_world_m: np.ndarray) -> np.ndarray:
        empty = np.zeros(len(places_world_m), dtype=np.int32)
        for view in views:
            world_from_camera = scene.world_from_depth_camera(view.frame_index)
            state, _ = classify_points(
                places_world_m, world_from_camera, scene.depth_camera, view.depth_m, offset_xy=view.crop[:2]
            )
            empty += (state == EMPTY) | (state == SEEN)
        return empty > 0

    return contact_points(points_world_m, planes, is_empty)


def vote(
    scene: Scene, views: Sequence[LiftedView], points_world_m: np.ndarray, min_share: float
) -> np.ndarray:
    """Which points the views agree on.

    Args:
        scene: The capture.
        views: Lifted views; only inside their crops can they speak.
        points_world_m: (N, 3).
        min_share: Least share of mask hits among the views that see a point.

    Returns:
        (N,) bool. A point that more views look through than see is dropped too.
    """
    seen = np.zeros(len(points_world_m), dtype=np.int32)
    inside = np.zeros_like(seen)
    empty = np.zeros_like(seen)
    for view in views:
        state, pixels_xy = classify_points(
            points_world_m,
            scene.world_from_depth_camera(view.frame_index),
            scene.depth_camera,
            view.depth_m,
            offset_xy=view.crop[:2],
        )
        in_mask = look_up(view.mask, view.crop, pixels_xy)
        seen += state == SEEN
        inside += (state == SEEN) & in_mask
        empty += state == EMPTY
    return (inside > 0) & (inside >= min_share * seen) & (empty <= seen)


def color_points(scene: Scene, views: Sequence[LiftedView], points_world_m: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 colours of points, from the views that see most of them.

    A point that no chosen view sees takes the colour of the nearest one that has some; if no colour image
    can be read, all are mid-grey.
    """
    colors = np.full((len(points_world_m), 3), 128, dtype=np.uint8)
    colored = np.zeros(len(points_world_m), dtype=bool)
    by_size = sorted(views, key=lambda view: -len(view.points_world_m))
    # The largest view first, then evenly through the rest: neighbours in time show the same side.
    step = max(1, len(views) // COLOR_VIEWS)
    for view in [by_size[0], *views[::step]][:COLOR_VIEWS]:
        missing = np.flatnonzero(~colored)
        if not len(missing):
            break
        world_from_camera = scene.world_from_depth_camera(view.frame_index)
        state, _ = classify_points(
            points_world_m[missing],
            world_from_camera,
            scene.depth_camera,
            view.depth_m,
            offset_xy=view.crop[:2],
        )
        visible = missing[state == SEEN]
        if not len(visible):
            continue
        try:
            image = scene.read_color(view.frame_index)
        except InputError as error:
            logger.warning("frame %d gives no colours: %s", view.frame_index, error.message)
            continue
        _paint(scene, view.frame_index, image, points_world_m, visible, colors, colored)
    if colored.any() and not colored.all():
        nearest = KDTree(points_world_m[colored]).query(points_world_m[~colored])[1]
        colors[~colored] = colors[colored][nearest]
    return colors


def _paint(
    scene: Scene,
    frame_index: int,
    image: np.ndarray,
    points_world_m: np.ndarray,
    visible: np.ndarray,
    colors: np.ndarray,
    colored: np.ndarray,
) -> None:
    """Write the colours of the visible points (indices) into ``colors``, and mark them."""
    camera_from_world = invert(scene.world_from_color_camera(frame_index))
    pixels_xy, _ = project(scene.color_camera, transform_points(camera_from_world, points_world_m[visible]))
    inside = np.isfinite(pixels_xy).all(axis=1)
    rounded = np.rint(pixels_xy[inside]).astype(np.int64)
    width, height = scene.color_camera.size_wh
    in_image = (rounded >= 0).all(axis=1) & (rounded[:, 0] < width) & (rounded[:, 1] < height)
    chosen = visible[inside][in_image]
    colors[chosen] = image[rounded[in_image, 1], rounded[in_image, 0]]
    colored[chosen] = True


def _clean(depth_m: np.ndarray) -> np.ndarray:
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
