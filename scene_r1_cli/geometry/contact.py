"""Where an object ends that something carries: at the floor it stands on, at the wall a picture hangs on."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

NEARBY_M = 0.15
"""A support must have been seen this close to the object's foot, measured along the floor."""

REACH_DOWN_M = 0.08
"""The object may end this far above what carries it: a mask's eroded rim, a low foot, a hidden plinth."""

REACH_UP_M = 0.08
"""Or this far below, where a mask took some of the floor along."""

FOOT_M = 0.1
"""Points this far above the lowest are the foot."""

MIN_SAMPLES = 40

MAX_CHANGE = 0.5
"""Share of the object's height that a support may add or take."""

MIN_HEIGHT_M = 0.1
"""What is flatter lies in the floor's own noise: a rug, a mat."""

LOWEST_SHARE = 0.002
"""Share of the points that may lie below the object's bottom."""


def support_height(points_m: np.ndarray, upward_m: np.ndarray) -> float | None:
    """Height of the floor, table or shelf that an object stands on.

    Args:
        points_m: (N, 3) of the object in ``world``, +z up.
        upward_m: (M, 3) samples around the object whose surface faces up.

    Returns:
        z in metres; None if the object hangs, or nothing below it was seen.
    """
    if not len(points_m):
        return None
    bottom = float(np.quantile(points_m[:, 2], LOWEST_SHARE))
    height = float(np.quantile(points_m[:, 2], 1 - LOWEST_SHARE)) - bottom
    if height < MIN_HEIGHT_M:
        return None
    foot = points_m[points_m[:, 2] <= bottom + FOOT_M, :2]
    level = (upward_m[:, 2] > bottom - REACH_DOWN_M) & (upward_m[:, 2] < bottom + REACH_UP_M)
    level &= (
        np.abs(upward_m[:, :2] - (foot.max(axis=0) + foot.min(axis=0)) / 2)
        <= np.ptp(foot, axis=0) / 2 + NEARBY_M
    ).all(axis=1)
    samples = upward_m[level]
    if len(samples) < MIN_SAMPLES:
        return None
    away_m = KDTree(foot).query(samples[:, :2], distance_upper_bound=NEARBY_M)[0]
    samples = samples[np.isfinite(away_m)]
    if len(samples) < MIN_SAMPLES:
        return None
    support = float(np.median(samples[:, 2]))
    return support if abs(support - bottom) < MAX_CHANGE * height else None


FLAT_M = 0.1
"""A flat object's points lie in a slab of at most this thickness: noise, and drift. Its sides are longer."""

FLAT_RATIO = 4.0
"""A flat object is this many times as wide as thick, along both of its other directions."""

BACKING_NEARBY_M = 0.15
"""What a flat object lies on must have been seen this close beside it."""

BACKING_REACH_M = 0.08
"""The thickest flat object."""


def flat_normal(points_m: np.ndarray) -> np.ndarray | None:
    """(3,) unit normal of a flat object; None if (N >= 1, 3) points are not flat."""
    center = np.median(points_m, axis=0)
    spread = points_m - center
    _, directions = np.linalg.eigh(spread.T @ spread)
    extent = np.ptp(np.quantile(spread @ directions, [0.05, 0.95], axis=0), axis=0)
    width = min(extent[1], extent[2])
    if extent[0] > FLAT_M or width < max(FLAT_M, extent[0] * FLAT_RATIO):
        return None
    return directions[:, 0]


def backing_offset(points_m: np.ndarray, normal: np.ndarray, parallel_m: np.ndarray) -> float | None:
    """How far from a flat object's points the wall, table or floor lies that it is on.

    Args:
        points_m: (N >= 1, 3) of the object's face.
        normal: (3,) unit.
        parallel_m: (M, 3) samples around the object whose surface faces along the normal.

    Returns:
        Metres from the median point along ``normal``; None if nothing was seen close by.
    """
    if not len(parallel_m):
        return None
    center = np.median(points_m, axis=0)
    along = (parallel_m - center) @ normal
    sideways = np.linalg.svd(normal[None])[2][1:]
    low, high = np.quantile((points_m - center) @ sideways.T, [0.01, 0.99], axis=0)
    beside = (parallel_m - center) @ sideways.T
    near = ((beside > low - BACKING_NEARBY_M) & (beside < high + BACKING_NEARBY_M)).all(axis=1)
    offsets = along[near & (np.abs(along) < BACKING_REACH_M)]
    return float(np.median(offsets)) if len(offsets) >= MIN_SAMPLES else None
