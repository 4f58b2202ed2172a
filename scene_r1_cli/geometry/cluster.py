"""Which points belong together, and which to none."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from scene_r1_cli.geometry.voxels import VoxelGrid


def statistical_inliers(points_m: np.ndarray, neighbours: int, std_ratio: float) -> np.ndarray:
    """Points whose mean distance to their neighbours is usual for the cloud.

    Args:
        points_m: (N, 3).
        neighbours: How many nearest neighbours count; a cloud with no more points than this is kept whole.
        std_ratio: Standard deviations above the mean that are still usual.

    Returns:
        (N,) bool.
    """
    if len(points_m) <= neighbours:
        return np.ones(len(points_m), dtype=bool)
    distance = KDTree(points_m).query(points_m, k=neighbours + 1)[0][:, 1:].mean(axis=1)
    return distance <= distance.mean() + std_ratio * distance.std()


def main_parts(
    grid: VoxelGrid, keep: np.ndarray, weights: np.ndarray, reach: int, min_share: float
) -> np.ndarray:
    """The heaviest connected part of the kept voxels, and every other part of a fair share of its weight.

    A table whose thin legs the sensor missed comes in two parts: taking only the largest would lose one.

    Args:
        grid: The voxels.
        keep: (V,) bool, voxels considered.
        weights: (V,) >= 0.
        reach: Cells a gap may bridge.
        min_share: Weight of a part relative to the heaviest that is still kept; 1 keeps the heaviest alone.

    Returns:
        (V,) bool; all False if nothing was kept.
    """
    if not keep.any():
        return keep
    part = grid.parts(keep, reach)
    weight = np.bincount(part, weights=np.where(keep, weights, 0))
    good = (weight >= min_share * weight.max()) & (weight > 0)
    return keep & good[part]
