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
    return a_from_b.shape == (4, 4) and bool(are_rigid(a_from_b[None], tolerance)[0])


def are_rigid(a_from_b: np.ndarray, tolerance: float = 1e-2) -> np.ndarray:
    """(N,) bool of (N, 4, 4); see ``is_rigid``."""
    rotation, translation = a_from_b[:, :3, :3], a_from_b[:, :3, 3]
    # Limits first, so that no product of wild numbers overflows.
    usable = np.asarray(np.isfinite(a_from_b).all(axis=(1, 2)))
    usable[usable] = (np.abs(rotation[usable]).max(axis=(1, 2)) <= 2) & (
        np.abs(translation[usable]).max(axis=1) <= 1e4
    )
    kept = rotation[usable]
    apart = np.abs(kept @ kept.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    usable[usable] = (apart < tolerance) & (np.linalg.det(kept) > 0)
    return usable


def rotation_about_z(yaw_rad: float) -> np.ndarray:
    """(4, 4) rotation by ``yaw_rad`` about +z."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    matrix = np.eye(4)
    matrix[:2, :2] = [[cos, -sin], [sin, cos]]
    return matrix
