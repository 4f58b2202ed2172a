"""Where an object stands: cameras seldom see a bottom, and the rim of a mask spills over the floor below."""

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
