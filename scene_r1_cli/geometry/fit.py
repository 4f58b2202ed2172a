"""Boxes around points: robust bounds, and the smallest turned box about the vertical."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from scene_r1_cli.geometry.boxes import aabb_from_bounds
from scene_r1_cli.geometry.transforms import rotation_about_z
from scene_r1_cli.types import Box3D

FACE_RATIO = 2.0
"""Points of the outermost layer, relative to the next one, from which a side is a flat face."""

THIN_SHARE = 1 / 3
"""Of a curtain, door or window, the depth relative to the middle side; a monitor with its foot has more."""


def trimmed_bounds(points_m: np.ndarray, trim: float) -> tuple[np.ndarray, np.ndarray]:
    """Per-axis bounds that leave ``trim`` of the points outside on each side.

    Args:
        points_m: (N >= 1, D).
        trim: Share of the points cut from each end, below a half; 0 gives the plain minimum and maximum.

    Returns:
        (D,) low and (D,) high float64.
    """
    # Axis by axis: numpy orders a column that lies in one piece several times faster.
    columns = np.ascontiguousarray(points_m.T, dtype=np.float64)
    count = columns.shape[1]
    cut = min(int(trim * count), (count - 1) // 2)
    ordered = np.partition(columns, (cut, count - 1 - cut), axis=1)
    return ordered[:, cut].copy(), ordered[:, count - 1 - cut].copy()


def face_bounds(points_m: np.ndarray, trim: float, layer_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Per-axis bounds at the middle of a flat face's noise, where a side has one.

    The points of a face spread about it by the sensor's noise; the lowest of them lie outside the object.
    If the outermost layer holds many more points than the next one, the surplus is a face, and the
    bound is its median. At a tip or a slanted side the bound is that of ``trimmed_bounds``.

    Args:
        points_m: (N >= 1, D).
        trim: See ``trimmed_bounds``.
        layer_m: Depth of a layer; 0 gives the trimmed bounds.

    Returns:
        (D,) low and (D,) high float64, low <= high.
    """
    low, high = trimmed_bounds(points_m, trim)
    if layer_m <= 0:
        return low, high
    for axis in range(points_m.shape[1]):
        values = points_m[:, axis].astype(np.float64)
        inner_low = low[axis] + _face_depth(values - low[axis], layer_m)
        inner_high = high[axis] - _face_depth(high[axis] - values, layer_m)
        if inner_low > inner_high:
            # Both ends see the one face of a flat object.
            inner_low = inner_high = (inner_low + inner_high) / 2
        low[axis], high[axis] = inner_low, inner_high
    return low, high


def _face_depth(depths_m: np.ndarray, layer_m: float) -> float:
    """How deep inside the trimmed bound the face lies; 0 if there is none."""
    first = depths_m[np.abs(depths_m) <= layer_m]
    second = np.count_nonzero((depths_m > layer_m) & (depths_m <= 2 * layer_m))
    if len(first) < FACE_RATIO * second:
        return 0.0
    return max(0.0, float(np.median(first)))


def thin_bounds(
    points_m: np.ndarray,
    weights: np.ndarray,
    low_m: np.ndarray,
    high_m: np.ndarray,
    trim: float,
    thin_m: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of which that of a thin side leaves ``trim`` of the weight outside, instead of the points.

    Noise puts many points that few views measured far in front of a curtain and behind it: on a side that is
    not much longer than the noise they are as many as the others.

    Args:
        points_m: (N >= 1, D).
        weights: (N,) > 0 views that measured each point.
        low_m: (D,) bounds so far; the result is never wider.
        high_m: Likewise.
        trim: See ``trimmed_bounds``.
        thin_m: A side is thin if it is shorter than this and than ``THIN_SHARE`` of the middle one; one of
            length 0 has nothing to trim.

    Returns:
        (D,) low and (D,) high float64.
    """
    low, high = low_m.copy(), high_m.copy()
    length = high - low
    thin = (length > 0) & (length < min(thin_m, THIN_SHARE * float(np.median(length))))
    for axis in np.flatnonzero(thin).tolist():
        order = np.argsort(points_m[:, axis])
        reached = np.cumsum(weights[order], dtype=np.float64)
        at = np.searchsorted(reached, np.array([trim, 1 - trim]) * reached[-1])
        first, last = points_m[order[np.minimum(at, len(order) - 1)], axis]
        low[axis], high[axis] = max(low[axis], first), min(high[axis], last)
    return low, high


def at_least(low_m: np.ndarray, high_m: np.ndarray, min_size_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds widened about their middle so that no side is shorter than ``min_size_m``."""
    missing = np.clip(min_size_m - (high_m - low_m), 0, None) / 2
    return low_m - missing, high_m + missing


def min_area_yaw(points_xy: np.ndarray) -> float:
    """Yaw of the rectangle of least area around points (one side lies on the convex hull).

    Args:
        points_xy: (N >= 1, 2).

    Returns:
        Radians in [0, pi / 2); 0 where the points span no area (and for one point).
    """
    points = points_xy.astype(np.float64)
    try:
        hull = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):
        return _line_yaw(points)
    edges = np.roll(hull, -1, axis=0) - hull
    yaws = np.unique(np.mod(np.arctan2(edges[:, 1], edges[:, 0]), np.pi / 2))
    cos, sin = np.cos(yaws), np.sin(yaws)
    along = hull @ np.stack([cos, sin])
    across = hull @ np.stack([-sin, cos])
    area = np.ptp(along, axis=0) * np.ptp(across, axis=0)
    return float(yaws[np.argmin(area)])


def turned_box(
    points_m: np.ndarray,
    weights: np.ndarray,
    inferred_m: np.ndarray,
    yaw_rad: float,
    *,
    trim: float,
    layer_m: float,
    thin_m: float,
    min_size_m: float,
    score: float,
) -> Box3D:
    """The box about +z turned by ``yaw_rad`` around points, with robust bounds.

    Args:
        points_m: (N >= 1, 3) measured.
        weights: (N,) views that measured each point.
        inferred_m: (M, 3) that the box must hold as they are: where the object meets what carries it.
        yaw_rad: Rotation about +z from world x to the box's x.
        trim: See ``trimmed_bounds``.
        layer_m: See ``face_bounds``.
        thin_m: See ``thin_bounds``.
        min_size_m: Least length of a side.
        score: Stored in the box.

    Returns:
        A box with full lengths; its x axis points along ``yaw_rad``.
    """
    world_from_box = rotation_about_z(yaw_rad)
    rotation = world_from_box[:3, :3]
    turned = points_m @ rotation
    low, high = thin_bounds(turned, weights, *face_bounds(turned, trim, layer_m), trim, thin_m)
    if len(inferred_m):
        low = np.minimum(low, (inferred_m @ rotation).min(axis=0))
        high = np.maximum(high, (inferred_m @ rotation).max(axis=0))
    low, high = at_least(low, high, min_size_m)
    if yaw_rad == 0:
        return aabb_from_bounds(low, high, score)
    center = rotation @ ((low + high) / 2)
    world_from_box[:3, 3] = center
    return Box3D(center_m=center, size_m=high - low, world_from_box=world_from_box, score=score)


def _line_yaw(points_xy: np.ndarray) -> float:
    """Yaw of points on a line: their direction of greatest spread."""
    spread = points_xy - points_xy.mean(axis=0)
    if not np.abs(spread).max() > 0:
        return 0.0
    direction = np.linalg.svd(spread, full_matrices=False)[2][0]
    return float(np.mod(np.arctan2(direction[1], direction[0]), np.pi / 2))
