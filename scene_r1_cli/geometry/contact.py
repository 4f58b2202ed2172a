"""Sides that no camera saw: where an object stands on a floor or against a wall, its box ends there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial import KDTree

from scene_r1_cli.geometry.planes import Plane

TOUCH_M = 0.05
"""A gap this small is contact: depth noise and a mask's eroded rim make one where there is none."""

UPWARD = 0.9
"""Least z of a floor's unit normal."""

REACH_M = 1.0
"""A wider gap is not bridged."""

NEARBY_M = 0.3
"""A plane must have been seen this close to the object's footprint on it."""

MIN_SHARE = 0.9
"""Share of a wide gap's columns that no camera looked through for the object to reach the plane."""

SAMPLES = 6
"""Points tested along a column."""

MAX_COLUMNS = 300
"""Columns tested for a plane; of more, every n-th."""

MAX_PIERCING = 0.05
"""Share of the object's points that may lie beyond a plane that it is said to touch."""

Emptiness = Callable[[np.ndarray], np.ndarray]
"""Of (N, 3) world points, (N,) bool: a camera saw that nothing is there."""


def contact_points(
    points_m: np.ndarray,
    planes: Sequence[tuple[Plane, np.ndarray]],
    is_empty: Emptiness,
    cell_m: float = 0.04,
) -> np.ndarray:
    """Points where an object meets the planes it stands on or against.

    The object is cut into columns across a plane. A column near a floor touches it. The columns of a wide
    gap are bridged if the cameras could not look through most of them: the back of a cupboard at a wall, not
    the air under a table.

    Args:
        points_m: (N, 3) of the object.
        planes: Planes near it, normals on the side that was seen, each with (M, 3) samples seen on it.
        is_empty: What the cameras say of a place.
        cell_m: Width of a column.

    Returns:
        (K, 3) float32 points on the planes; none if the object touches nothing.
    """
    added = [np.zeros((0, 3))]
    wide_gaps = []
    for plane, samples in planes:
        distance = plane.distance_m(points_m)
        if (distance < -TOUCH_M / 2).mean() > MAX_PIERCING or distance.min() > REACH_M:
            continue
        bases, gaps = _columns(points_m, distance, plane, cell_m)
        feet = bases - gaps[:, None] * plane.normal
        seen_nearby = KDTree(samples).query(feet, distance_upper_bound=NEARBY_M)[0] < NEARBY_M
        if not seen_nearby.any():
            continue
        close = gaps <= TOUCH_M
        # What is that near a floor stands on it; a cupboard may well stand two inches off a wall.
        if plane.normal[2] > UPWARD and close.sum() >= 3:
            added.append(feet[close])
        wide = ~close & (gaps <= REACH_M)
        if wide.sum() >= 3:
            wide_gaps.append((_inside_gaps(bases[wide], gaps[wide], plane), feet[wide]))
    if wide_gaps:
        places = np.concatenate([columns.reshape(-1, 3) for columns, _ in wide_gaps])
        empty = np.any(is_empty(places).reshape(-1, SAMPLES), axis=1)
        first = 0
        for columns, feet in wide_gaps:
            if 1 - np.mean(empty[first : first + len(columns)]) >= MIN_SHARE:
                added.append(feet)
            first += len(columns)
    return np.concatenate(added).astype(np.float32)


def _columns(
    points_m: np.ndarray, distance_m: np.ndarray, plane: Plane, cell_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of each column across a plane, its (C, 3) point nearest to the plane and (C,) that distance."""
    first = np.cross(plane.normal, np.eye(3)[np.argmin(np.abs(plane.normal))])
    first /= np.linalg.norm(first)
    basis = np.stack([first, np.cross(plane.normal, first)], axis=1)
    cells = np.floor(points_m @ basis / cell_m).astype(np.int64)
    cells -= cells.min(axis=0)
    column = cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1]
    order = np.lexsort((distance_m, column))
    lowest = order[np.unique(column[order], return_index=True)[1]]
    return points_m[lowest].astype(np.float64), distance_m[lowest].astype(np.float64)


def _inside_gaps(bases_m: np.ndarray, gaps_m: np.ndarray, plane: Plane) -> np.ndarray:
    """(C, SAMPLES, 3) places along some of the columns between the object and the plane."""
    step = max(1, len(bases_m) // MAX_COLUMNS)
    bases, gaps = bases_m[::step], gaps_m[::step]
    # Not at the ends, where noise lets a camera look through the surfaces themselves.
    along = np.linspace(0.15, 0.85, SAMPLES)
    return bases[:, None] - (gaps[:, None] * along)[..., None] * plane.normal
