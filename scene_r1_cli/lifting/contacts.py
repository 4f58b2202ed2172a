"""What carries the object: the floor it stands on, the wall it hangs on, as the scene's surface shows it."""

from __future__ import annotations

import numpy as np

from scene_r1_cli.geometry.contact import backing_offset, flat_normal, support_height
from scene_r1_cli.lifting.surroundings import Surroundings

UPWARD = 0.9
"""Least z of the unit normal of a surface that carries something."""


def contact_points(around: Surroundings, points_world_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends the object at what carries it.

    A camera seldom sees a bottom, and never the back of a picture; masks spill over the floor below.

    Args:
        around: The surface near the object.
        points_world_m: (N >= 1, 3) of the object.

    Returns:
        (N,) bool, the points that stay, and (0 or 1, 3) float32 a point where the object ends.
    """
    others = around.uncovered
    keep = np.ones(len(points_world_m), dtype=bool)
    middle = np.median(points_world_m, axis=0)
    normal = flat_normal(points_world_m)
    if normal is not None:
        alike = others & (np.abs(around.normals @ normal) > UPWARD)
        offset_m = backing_offset(points_world_m, normal, around.points_m[alike])
        if offset_m is not None:
            return keep, (middle + offset_m * normal)[None].astype(np.float32)
    level = others & (np.abs(around.normals[:, 2]) > UPWARD)
    support_m = support_height(points_world_m, around.points_m[level])
    if support_m is None:
        return keep, np.zeros((0, 3), np.float32)
    # What lies below is the floor; where the object ends above it, a camera could not look underneath.
    return points_world_m[:, 2] >= support_m, np.append(middle[:2], support_m)[None].astype(np.float32)
