"""Stage ``points``: masks, depth and cameras of many views to one cloud of the object in the world frame."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from scene_r1_cli.config import LiftingConfig
from scene_r1_cli.data.scene_surface import SceneSurface
from scene_r1_cli.errors import InputError, StageFailure
from scene_r1_cli.geometry.cluster import crowded, main_parts
from scene_r1_cli.geometry.voxels import VoxelGrid, mean_per_voxel, voxelize
from scene_r1_cli.lifting.colors import color_points
from scene_r1_cli.lifting.contacts import support_under
from scene_r1_cli.lifting.flat import end_behind, find_flat_face, on_face
from scene_r1_cli.lifting.surroundings import (
    Surroundings,
    sample_around,
    superpoint_shares,
    surroundings,
)
from scene_r1_cli.lifting.view import LiftedView, count_views, lift_view
from scene_r1_cli.types import FrameMask, PointSet, Scene

logger = logging.getLogger(__name__)

MIN_LEFT_BY_SUPERPOINTS = 0.1
"""Share of the readings that must lie on covered superpoints, or superpoints are not heeded."""

OUTLIER_REACH = 2
"""Cells on each side of a voxel in which its neighbours are counted."""

NO_VERTICES = np.zeros(0, dtype=np.int64)


def lift_points(
    scene: Scene,
    masks: Iterable[FrameMask],
    config: LiftingConfig,
    surface: SceneSurface | None = None,
    *,
    colors: bool = True,
) -> PointSet:
    """Fuse the object's points of all views that show it.

    Each mask is carried to the depth grid through both cameras and eroded at its rim and at depth jumps;
    points are fused on a grid; a voxel stays if the views that see it agree that it is the object, and if
    the masks cover enough of the superpoint it lies on; outliers and stray parts are dropped; a flat object
    is its face and ends at what it hangs on, any other ends at what it stands on. Every step has its switch
    in ``LiftingConfig``.

    Args:
        scene: The capture.
        masks: Masks at the colour image's size; consumed once. Of each view the depth image is kept.
        config: Steps and limits.
        surface: The scene's superpoints; None lifts without them, and without contact.
        colors: False leaves all points grey, and decodes no colour image.

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
    points_m, view_counts = fuse_views(scene, views, config, surface)
    colors_rgb = np.full((len(points_m), 3), 128, np.uint8)
    if colors:
        measured = view_counts > 0
        colors_rgb[measured] = color_points(scene, views, points_m[measured])
    return PointSet(points_m, colors_rgb, view_counts, len(views))


def fuse_views(
    scene: Scene, views: Sequence[LiftedView], config: LiftingConfig, surface: SceneSurface | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One cloud from many views; see ``lift_points``.

    Returns:
        (N, 3) float32 points in the world frame, and (N,) int32 views that gave readings of each: 0 for a
        point that nothing measured, where the object must end.

    Raises:
        StageFailure: Fewer than ``min_points`` readings agree.
    """
    grid, means, count, view_counts = _fuse(views, config)
    around = None
    use_surface = surface is not None and (config.superpoints or config.contact or config.flat_objects)
    vertices = sample_around(surface, means) if surface is not None and use_surface else NO_VERTICES
    # Voxels and vertices are looked up in one pass over the views.
    places = means if surface is None else np.concatenate([means, surface.vertices_world_m[vertices]])
    seen, inside, empty = count_views(scene, views, places)
    keep = np.ones(len(grid), dtype=bool)
    if config.vote and len(views) > 1:
        own = slice(len(grid))
        keep = agreed(seen[own], inside[own], empty[own], config.min_view_share)
    if surface is not None and use_surface:
        around = surroundings(surface, vertices, seen[len(grid) :], inside[len(grid) :])
        if config.superpoints:
            keep = _on_covered_superpoints(surface, around, means, count, keep, config)
    if config.remove_outliers:
        inliers = keep & (crowded(grid, keep, OUTLIER_REACH) >= config.outlier_neighbours)
        # A small thing far away may have few voxels in all.
        keep = inliers if count[inliers].sum() >= config.min_points else keep
    if config.largest_cluster:
        keep = main_parts(grid, keep, count, config.cluster_reach, config.cluster_min_share)
    if count[keep].sum() < config.min_points:
        raise StageFailure(
            "points", f"{int(count[keep].sum())} depth readings of {len(views)} views agree on the object"
        )
    points_m, counts = means[keep], view_counts[keep]
    face = None
    if config.flat_objects:
        cameras_m = np.stack([scene.world_from_depth_camera(view.frame_index)[:3, 3] for view in views])
        face = find_flat_face(points_m, count[keep], cameras_m)
    end_m = None
    if face is not None:
        points_m = on_face(face, points_m)
        end_m = None if around is None else end_behind(face, points_m, around)
    elif config.contact and around is not None:
        support_m = support_under(around, points_m)
        if support_m is not None:
            # What lies below is the floor; an object that ends above it could not be seen from underneath.
            end_m = np.append(np.median(points_m[:, :2], axis=0), support_m)
            stays = points_m[:, 2] >= support_m
            points_m, counts = points_m[stays], counts[stays]
    if end_m is None:
        return points_m, counts
    return np.concatenate([points_m, end_m[None].astype(np.float32)]), np.append(counts, np.int32(0))


def agreed(seen: np.ndarray, inside: np.ndarray, empty: np.ndarray, min_share: float) -> np.ndarray:
    """Which points the views agree on.

    Args:
        seen: (N,) views that see each point.
        inside: (N,) views whose masks cover it.
        empty: (N,) views that look through it.
        min_share: Least share of mask hits among the views that see a point.

    Returns:
        (N,) bool. A point that more views look through than see is dropped too.
    """
    return (inside > 0) & (inside >= min_share * seen) & (empty <= seen)


def _fuse(
    views: Sequence[LiftedView], config: LiftingConfig
) -> tuple[VoxelGrid, np.ndarray, np.ndarray, np.ndarray]:
    """Voxels of all views' points; of each its mean (V, 3) float32, readings (V,), and views (V,) int32."""
    points = np.concatenate([view.points_world_m for view in views])
    if len(points) < config.min_points:
        raise StageFailure(
            "points", f"{len(points)} depth readings lie on the object, {config.min_points} are needed"
        )
    grid, voxel = voxelize(points, config.voxel_m)
    count = np.bincount(voxel, minlength=len(grid))
    means = mean_per_voxel(points, voxel, count).astype(np.float32)
    view_counts = np.zeros(len(grid), dtype=np.int32)
    first = 0
    for view in views:
        reached = np.zeros(len(grid), dtype=bool)
        reached[voxel[first : first + len(view.points_world_m)]] = True
        view_counts += reached
        first += len(view.points_world_m)
    return grid, means, count, view_counts


def _on_covered_superpoints(
    surface: SceneSurface,
    around: Surroundings,
    means: np.ndarray,
    count: np.ndarray,
    keep: np.ndarray,
    config: LiftingConfig,
) -> np.ndarray:
    """(V,) bool: the kept voxels on superpoints that the masks cover; all kept ones if hardly any is left."""
    kept = np.flatnonzero(keep)
    if not len(kept):
        return keep
    share = superpoint_shares(surface, around, means[kept])
    covered = kept[share >= config.min_superpoint_share]
    # An object that shares its only superpoint with a wall would vanish.
    if count[covered].sum() < max(config.min_points, MIN_LEFT_BY_SUPERPOINTS * count[kept].sum()):
        return keep
    only = np.zeros_like(keep)
    only[covered] = True
    return only
