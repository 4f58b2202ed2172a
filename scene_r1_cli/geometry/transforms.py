"""Rigid transforms ``a_from_b`` as (4, 4) float64 matrices."""

from __future__ import annotations

import numpy as np


def transform_points(a_from_b: np.ndarray, points_b: np.ndarray) -> np.ndarray:
    """Move points from frame b to frame a.

    Args:
        a_from_b: (4, 4).
        points_b: (..., 3), any float dtype, which is kept.

    Returns:
        (..., 3) points in frame a.
    """
    rotation = a_from_b[:3, :3].astype(points_b.dtype, copy=False)
    translation = a_from_b[:3, 3].astype(points_b.dtype, copy=False)
    return points_b @ rotation.T + translation


def invert(a_from_b: np.ndarray) -> np.ndarray:
    """``b_from_a`` of a rigid transform, exact for a rotation with translation (no general inverse)."""
    b_from_a = np.eye(4)
    b_from_a[:3, :3] = a_from_b[:3, :3].T
    b_from_a[:3, 3] = -a_from_b[:3, :3].T @ a_from_b[:3, 3]
    return b_from_a


def is_rigid(a_from_b: np.ndarray, tolerance: float = 1e-2) -> bool:
    """True if finite, right-handed, orthonormal within ``tolerance`` and within 10 km of the origin."""
    if a_from_b.shape != (4, 4) or not np.isfinite(a_from_b).all():
        return False
    rotation = a_from_b[:3, :3]
    if np.abs(rotation).max() > 2 or np.abs(a_from_b[:3, 3]).max() > 1e4:
        return False
    orthonormal = np.abs(rotation @ rotation.T - np.eye(3)).max() < tolerance
    return bool(orthonormal and np.linalg.det(rotation) > 0)


def rotation_about_z(yaw_rad: float) -> np.ndarray:
    """(4, 4) rotation by ``yaw_rad`` about +z."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    matrix = np.eye(4)
    matrix[:2, :2] = [[cos, -sin], [sin, cos]]
    return matrix
