"""Pictures, rugs and boards: every reading lies on one face, and what is behind it shows beside it.

Noise spreads the readings of a face over several centimetres, more than such an object is thick, so bounds
around them say nothing of its thickness. Their median is where the face is, and the wall or floor that the
object hangs or lies on, seen around it, is where it ends.
"""

from __future__ import annotations

import numpy as np

from scene_r1_cli.geometry.planes import MIN_ALIGNMENT, Plane
from scene_r1_cli.lifting.surroundings import Surroundings

MAX_SPREAD_M = 0.009
"""Standard deviation of the readings across one face: a sensor's noise at three metres. A door with its
frame, or the folds of a curtain, spread wider."""

MIN_ASPECT = 3.0
"""Standard deviation along the face, in its narrow direction, relative to that across it."""

MAX_BEHIND_M = 0.1
"""Thickest flat object: what lies farther behind is something else."""

COPLANAR_M = 0.01
"""A wall may be measured this far in front of a face that lies on it."""

MIN_SAMPLES = 30


def find_flat_face(points_m: np.ndarray, readings: np.ndarray, cameras_m: np.ndarray) -> Plane | None:
    """The one face that all points lie on, but for the sensor's noise.

    Args:
        points_m: (N >= 1, 3) world.
        readings: (N,) > 0 depth readings that each point is the mean of.
        cameras_m: (V, 3) centres of the cameras that saw it.

    Returns:
        The face; None if the points are spread in depth, or along a line.
    """
    points = points_m.astype(np.float64)
    weights = readings / readings.sum()
    middle = weights @ points
    spread = points - middle
    variances, directions = np.linalg.eigh((spread * weights[:, None]).T @ spread)
    if variances[0] > MAX_SPREAD_M**2 or variances[1] <= MIN_ASPECT**2 * variances[0]:
        return None
    normal = directions[:, 0]
    if normal @ (cameras_m.mean(axis=0) - middle) < 0:
        normal = -normal
    across = points @ normal
    order = np.argsort(across)
    median = np.searchsorted(np.cumsum(weights[order]), 0.5)
    return Plane(normal, float(across[order[min(median, len(order) - 1)]]))


def on_face(face: Plane, points_m: np.ndarray) -> np.ndarray:
    """(N, 3) float32 points moved onto the face."""
    return (points_m - face.distance_m(points_m)[:, None] * face.normal).astype(np.float32)


def end_behind(face: Plane, face_points_m: np.ndarray, around: Surroundings) -> np.ndarray | None:
    """(3,) where the object ends behind the middle of its face; None if nothing is seen there."""
    beside = around.uncovered & (np.abs(around.normals @ face.normal) > MIN_ALIGNMENT)
    behind = -face.distance_m(around.points_m[beside])
    behind = behind[(behind > -COPLANAR_M) & (behind < MAX_BEHIND_M)]
    if len(behind) < MIN_SAMPLES:
        return None
    return np.median(face_points_m, axis=0) - max(float(np.median(behind)), 0.0) * face.normal
