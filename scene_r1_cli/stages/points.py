"""Stage ``points``: masks, depth and cameras of many views to one cloud of the object in the world frame."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from scene_r1_cli.config import LiftingConfig
from scene_r1_cli.data.scene_surface import SceneSurface
from scene_r1_cli.errors import InputError, StageFailure
from scene_r1_cli.geometry.cluster import main_parts, statistical_inliers
from scene_r1_cli.geometry.voxels import mean_per_voxel, voxelize
from scene_r1_cli.lifting.colors import color_points
from scene_r1_cli.lifting.contacts import support_under
from scene_r1_cli.lifting.superpoints import superpoint_shares
from scene_r1_cli.lifting.view import LiftedView, count_views, lift_view
from scene_r1_cli.types import FrameMask, PointSet, Scene

logger = logging.getLogger(__name__)

MIN_LEFT_BY_SUPERPOINTS = 0.1
"""Share of the readings that must lie on covered superpoints, or superpoints are not heeded."""


def lift_points(
    scene: Scene, masks: Iterable[FrameMask], config: LiftingConfig, surface: SceneSurface | None = None
) -> PointSet:
    """Fuse the object's points of all views that show it.

    Each mask is carried to the depth grid through both cameras and eroded at its rim and at depth jumps;
    points are fused on a grid; a voxel stays if the views that see it agree that it is the object, and if
    the masks cover enough of the superpoint it lies on; outliers and stray parts are dropped. Every step has
    its switch in ``LiftingConfig``.

    Args:
        scene: The capture.
        masks: Masks at the colour image's size; consumed once. Of each view the depth image is kept.
        config: Steps and limits.
        surface: The scene's superpoints; None lifts without.

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
    return fuse_views(scene, views, config, surface)


def fuse_views(
    scene: Scene, views: Sequence[LiftedView], config: LiftingConfig, surface: SceneSurface | None = None
) -> PointSet:
    """One cloud from many views; see ``lift_points``.

    Raises:
        StageFailure: Fewer than ``min_points`` points agree.
    """
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
    keep = np.ones(len(grid), dtype=bool)
    if config.vote and len(views) > 1:
        keep = vote(scene, views, means, config.min_view_share)
    if config.superpoints and surface is not None:
        covered = keep & (superpoint_shares(scene, views, surface, means) >= config.min_superpoint_share)
        # An object that shares its only superpoint with a wall would vanish.
        if count[covered].sum() >= max(config.min_points, MIN_LEFT_BY_SUPERPOINTS * count[keep].sum()):
            keep = covered
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
    support_m = support_under(scene, views, means[keep]) if config.contact else None
    inferred = np.zeros((0, 3), np.float32)
    if support_m is not None:
        # What lies below is the floor; where the object ends above it, a camera could not look underneath.
        keep &= means[:, 2] >= support_m
        inferred = np.append(np.median(means[keep, :2], axis=0), support_m)[None].astype(np.float32)
    kept_points = means[keep]
    return PointSet(
        np.concatenate([kept_points, inferred]),
        np.concatenate([color_points(scene, views, kept_points), np.full((len(inferred), 3), 128, np.uint8)]),
        np.concatenate([view_counts[keep], np.zeros(len(inferred), np.int32)]),
        len(views),
    )


def vote(
    scene: Scene, views: Sequence[LiftedView], points_world_m: np.ndarray, min_share: float
) -> np.ndarray:
    """Which points the views agree on.

    Args:
        scene: The capture.
        views: Lifted views.
        points_world_m: (N, 3).
        min_share: Least share of mask hits among the views that see a point.

    Returns:
        (N,) bool. A point that more views look through than see is dropped too.
    """
    seen, inside, empty = count_views(scene, views, points_world_m)
    return (inside > 0) & (inside >= min_share * seen) & (empty <= seen)
