"""Stage ``box3d``: an axis-aligned and a gravity-aligned oriented box around the object's points."""

from __future__ import annotations

import numpy as np

from scene_r1_cli.config import LiftingConfig
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.geometry.fit import min_area_yaw, trimmed_bounds, turned_box
from scene_r1_cli.types import Box3D, PointSet

SCORE_VIEWS = 5
"""Views that agree on the median point for a score near 1 - 1/e."""


def fit_boxes(points: PointSet, config: LiftingConfig) -> tuple[Box3D, Box3D]:
    """Fit both boxes, each with full lengths.

    The axis-aligned box is the one the benchmarks score (ScanRefer's). The oriented box turns about the
    vertical so that its footprint has the least area; its yaw is in [0, pi / 2).

    Args:
        points: The object's points; non-finite ones are ignored.
        config: ``trim`` cuts stray points from each side, ``min_size_m`` is the least length of a side
            (a picture or a rug seen from one side is given that thickness), ``min_points`` the least cloud.

    Returns:
        ``(aabb, obb)`` in the world frame; sizes are finite and > 0.

    Raises:
        StageFailure: There are no finite points.
    """
    finite = np.isfinite(points.points_world_m).all(axis=1)
    measured = finite & (points.view_counts > 0)
    cloud = points.points_world_m[measured].astype(np.float64)
    inferred = points.points_world_m[finite & ~measured].astype(np.float64)
    if not len(cloud):
        raise StageFailure("box3d", "there is no finite point to fit a box to")
    views = points.view_counts[measured]
    score = confidence(views)
    # Points that the trimmed box leaves out must not turn it either.
    low, high = trimmed_bounds(cloud, config.trim)
    core = cloud[((cloud >= low) & (cloud <= high)).all(axis=1)]
    yaw_rad = min_area_yaw((core if len(core) else cloud)[:, :2])
    aabb, obb = (
        turned_box(
            cloud,
            views,
            inferred,
            yaw,
            trim=config.trim,
            layer_m=config.flatten_m,
            thin_m=config.thin_m,
            min_size_m=config.min_size_m,
            score=score,
        )
        for yaw in (0.0, yaw_rad)
    )
    return aabb, obb


def confidence(view_counts: np.ndarray) -> float:
    """Score in (0, 1): how many views agree on the median point."""
    return float(1 - np.exp(-np.median(view_counts) / SCORE_VIEWS)) if len(view_counts) else 0.0
