"""What the object stands on, as the scene's surface around it shows."""

from __future__ import annotations

import numpy as np

from scene_r1_cli.geometry.contact import support_height
from scene_r1_cli.lifting.surroundings import Surroundings

UPWARD = 0.9
"""Least |z| of the unit normal of a surface that carries something."""


def support_under(around: Surroundings, points_world_m: np.ndarray) -> float | None:
    """Height in ``world`` of what the object stands on; None if it hangs or that was not seen."""
    level = around.uncovered & (np.abs(around.normals[:, 2]) > UPWARD)
    return support_height(points_world_m, around.points_m[level])
