"""Which points belong together, and which to none."""

from __future__ import annotations

import cv2
import numpy as np

from scene_r1_cli.geometry.voxels import VoxelGrid


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


def crowded(grid: VoxelGrid, among: np.ndarray, reach: int) -> np.ndarray:
    """How many of some voxels lie around each, itself included.

    Args:
        grid: The voxels.
        among: (V,) bool, those that count.
        reach: Cells along each axis that are looked at on both sides.

    Returns:
        (V,) int64, also for voxels that are not ``among`` them.
    """
    filled = np.zeros(grid.shape, dtype=np.float32)
    filled.ravel()[grid.cells[among]] = 1
    side = 2 * reach + 1
    # Sums over a cube, one axis after another: along y and z at once, then along x.
    planes = np.stack([_sums(plane, (side, side)) for plane in filled])
    total = _sums(planes.reshape(grid.shape[0], -1), (1, side))
    return np.rint(total.ravel()[grid.cells]).astype(np.int64)


def _sums(image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 sums over a window of odd sides around each pixel; nothing lies beyond the image."""
    return cv2.boxFilter(image, -1, size_wh, normalize=False, borderType=cv2.BORDER_CONSTANT)
