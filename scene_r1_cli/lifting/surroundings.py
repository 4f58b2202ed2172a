"""The scene's surface around an object, and what the views and their masks say of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from scene_r1_cli.data.scene_surface import SceneSurface

ON_SURFACE_M = 0.05
"""A point belongs to the superpoint of the nearest vertex within this."""

NEARBY_M = 0.5
"""Superpoints are weighed by what lies this close to the points: of a floor, the part around a chair."""

MAX_WEIGHED_VERTICES = 5_000
"""Vertices looked up in every view; of a wide surface every n-th stands for its neighbours."""

COVERED_SHARE = 0.5
"""Share of the views that see a vertex whose masks must cover it, for it to be of the object."""


@dataclass(frozen=True)
class Surroundings:
    """Vertices near an object.

    Attributes:
        points_m: (M, 3) float32 in the world frame.
        normals: (M, 3) float32 unit.
        superpoints: (M,) int32.
        seen: (M,) number of views that see each vertex.
        inside: (M,) number of those whose masks cover it.
    """

    points_m: np.ndarray
    normals: np.ndarray
    superpoints: np.ndarray
    seen: np.ndarray
    inside: np.ndarray

    @property
    def uncovered(self) -> np.ndarray:
        """(M,) bool: seen, and outside most masks."""
        return (self.seen > 0) & (self.inside < COVERED_SHARE * self.seen)


def sample_around(surface: SceneSurface, points_world_m: np.ndarray) -> np.ndarray:
    """Indices of at most MAX_WEIGHED_VERTICES vertices around (N >= 1, 3) points."""
    near = vertices_around(surface, points_world_m, NEARBY_M)
    return near[:: max(1, -(-len(near) // MAX_WEIGHED_VERTICES))]


def surroundings(
    surface: SceneSurface, vertices: np.ndarray, seen: np.ndarray, inside: np.ndarray
) -> Surroundings:
    """What (M,) views see, and their masks cover, of (M,) vertices given by index."""
    return Surroundings(
        surface.vertices_world_m[vertices],
        surface.normals[vertices],
        surface.superpoints[vertices],
        seen,
        inside,
    )


def vertices_around(surface: SceneSurface, points_world_m: np.ndarray, margin_m: float) -> np.ndarray:
    """Indices of vertices in the points' bounds, grown by a margin."""
    chosen = np.arange(len(surface.vertices_world_m))
    for axis in range(3):
        along = points_world_m[:, axis]
        values = surface.vertices_world_m[chosen, axis]
        chosen = chosen[(values >= along.min() - margin_m) & (values <= along.max() + margin_m)]
    return chosen


def superpoint_shares(surface: SceneSurface, around: Surroundings, points_world_m: np.ndarray) -> np.ndarray:
    """How much of the superpoint under each point the masks cover, of what the views see of it near by.

    A mask that spills over a table's top covers little of the top, and one that misses a part of a chair's
    back most of the back: both are put right by weighing whole superpoints.

    Args:
        surface: The scene's superpoints.
        around: Its part near the object.
        points_world_m: (N >= 1, 3).

    Returns:
        (N,) in [0, 1]; 1 where the surface has nothing within ``ON_SURFACE_M``.
    """
    shares = np.ones(len(points_world_m))
    touching = vertices_around(surface, points_world_m, ON_SURFACE_M)
    if not len(touching):
        return shares
    size = int(surface.superpoints.max()) + 1
    seen = np.bincount(around.superpoints, around.seen, minlength=size)
    inside = np.bincount(around.superpoints, around.inside, minlength=size)
    tree = KDTree(surface.vertices_world_m[touching], balanced_tree=False, compact_nodes=False)
    distance, nearest = tree.query(points_world_m, distance_upper_bound=ON_SURFACE_M)
    on_surface = np.isfinite(distance)
    superpoint = surface.superpoints[touching[np.asarray(nearest)[on_surface]]]
    # A superpoint that no view saw says nothing against the point that lies on it.
    weighed = np.where(seen > 0, inside / np.maximum(seen, 1), 1.0)
    shares[on_surface] = weighed[superpoint]
    return shares
