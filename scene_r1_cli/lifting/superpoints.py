"""Weighing whole superpoints instead of single points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

from scene_r1_cli.data.scene_surface import SceneSurface
from scene_r1_cli.lifting.view import LiftedView, count_views
from scene_r1_cli.types import Scene

ON_SURFACE_M = 0.05
"""A point belongs to the superpoint of the nearest vertex within this."""

NEARBY_M = 0.5
"""Superpoints are weighed by what lies this close to the points: of a floor, the part around a chair."""

MAX_WEIGHED_VERTICES = 10_000
"""Vertices looked up in every view; of a wide surface every n-th stands for its neighbours."""


def superpoint_shares(
    scene: Scene, views: Sequence[LiftedView], surface: SceneSurface, points_world_m: np.ndarray
) -> np.ndarray:
    """How much of the superpoint under each point the masks cover, of what the views see of it near by.

    A mask that spills over a table's top covers little of the top, and one that misses a part of a chair's
    back most of the back: both are put right by weighing whole superpoints.

    Args:
        scene: The capture.
        views: Lifted views.
        surface: Its superpoints.
        points_world_m: (N >= 1, 3).

    Returns:
        (N,) in [0, 1]; 1 where the surface has nothing within ``ON_SURFACE_M``.
    """
    near = _vertices_around(surface, points_world_m, NEARBY_M)
    touching = _vertices_around(surface, points_world_m, ON_SURFACE_M)
    shares = np.ones(len(points_world_m))
    if not len(touching):
        return shares
    sample = near[:: -(-len(near) // MAX_WEIGHED_VERTICES)]
    seen, inside, _ = count_views(scene, views, surface.vertices_world_m[sample])
    size = int(surface.superpoints.max()) + 1
    seen_of = np.bincount(surface.superpoints[sample], seen, minlength=size)
    inside_of = np.bincount(surface.superpoints[sample], inside, minlength=size)
    distance, nearest = KDTree(surface.vertices_world_m[touching]).query(
        points_world_m, distance_upper_bound=ON_SURFACE_M
    )
    on_surface = np.isfinite(distance)
    superpoint = surface.superpoints[touching[np.asarray(nearest)[on_surface]]]
    # A superpoint that no view saw says nothing against the point that lies on it.
    weighed = np.where(seen_of > 0, inside_of / np.maximum(seen_of, 1), 1.0)
    shares[on_surface] = weighed[superpoint]
    return shares


def _vertices_around(surface: SceneSurface, points_world_m: np.ndarray, margin_m: float) -> np.ndarray:
    """Indices of vertices in the points' bounds, grown by a margin."""
    chosen = np.arange(len(surface.vertices_world_m))
    for axis in range(3):
        along = points_world_m[:, axis]
        values = surface.vertices_world_m[chosen, axis]
        chosen = chosen[(values >= along.min() - margin_m) & (values <= along.max() + margin_m)]
    return chosen
