"""Boxes in 2D and 3D: intersection over union, corners, conversions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scene_r1_cli.types import Box3D

# Corner signs in the order of a box's bottom ring, then its top ring.
_CORNER_SIGNS = np.array(
    [[-1, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1], [-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
    dtype=np.float64,
)

BOX_EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))
"""Pairs of corner indices that a drawing of a box joins."""


def box2d_iou(a_xyxy: ArrayLike, b_xyxy: ArrayLike) -> float:
    """IoU of two boxes (x1, y1, x2, y2); 0 when either has no area."""
    a = np.asarray(a_xyxy, dtype=np.float64)
    b = np.asarray(b_xyxy, dtype=np.float64)
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    area_a = np.clip(a[2:] - a[:2], 0, None).prod()
    area_b = np.clip(b[2:] - b[:2], 0, None).prod()
    if area_a == 0 or area_b == 0:
        return 0.0
    return float(overlap / (area_a + area_b - overlap))


def aabb_iou(
    a_center_m: ArrayLike, a_size_m: ArrayLike, b_center_m: ArrayLike, b_size_m: ArrayLike
) -> np.ndarray:
    """IoU of axis-aligned 3D boxes, broadcast over leading axes.

    Two identical flat boxes (zero volume) score 1: a public routine returns 0 / 0 there.

    Args:
        a_center_m: (..., 3).
        a_size_m: (..., 3) full lengths.
        b_center_m: (..., 3).
        b_size_m: (..., 3) full lengths.

    Returns:
        (...) float64 in [0, 1].
    """
    a_center, a_size = np.asarray(a_center_m, np.float64), np.asarray(a_size_m, np.float64)
    b_center, b_size = np.asarray(b_center_m, np.float64), np.asarray(b_size_m, np.float64)
    low = np.maximum(a_center - a_size / 2, b_center - b_size / 2)
    high = np.minimum(a_center + a_size / 2, b_center + b_size / 2)
    intersection = np.clip(high - low, 0, None).prod(-1)
    union = a_size.prod(-1) + b_size.prod(-1) - intersection
    same = ((a_center == b_center) & (a_size == b_size)).all(-1)
    return np.where(same, 1.0, intersection / np.where(union > 0, union, np.inf))


def aabb_from_points(points_world_m: np.ndarray, score: float = 1.0) -> Box3D:
    """The smallest axis-aligned box around (N >= 1, 3) points."""
    low = points_world_m.min(axis=0).astype(np.float64)
    high = points_world_m.max(axis=0).astype(np.float64)
    return aabb_from_bounds(low, high, score)


def aabb_from_bounds(low_m: np.ndarray, high_m: np.ndarray, score: float = 1.0) -> Box3D:
    """An axis-aligned box from its lowest and highest corner, each (3,)."""
    low, high = np.asarray(low_m, np.float64), np.asarray(high_m, np.float64)
    center = (low + high) / 2
    world_from_box = np.eye(4)
    world_from_box[:3, 3] = center
    return Box3D(center_m=center, size_m=high - low, world_from_box=world_from_box, score=score)


def box3d_corners(box: Box3D) -> np.ndarray:
    """(8, 3) float64 corners in the world frame: bottom ring counter-clockwise, then top ring."""
    corners_box = _CORNER_SIGNS * (box.size_m / 2)
    return corners_box @ box.world_from_box[:3, :3].T + box.world_from_box[:3, 3]
