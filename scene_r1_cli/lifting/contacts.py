"""Where the object meets the floors and walls around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.contact import contact_points
from scene_r1_cli.geometry.masks import dilate
from scene_r1_cli.geometry.planes import find_planes, on_plane
from scene_r1_cli.geometry.surface import fuse_surface, surfels_of_depth
from scene_r1_cli.geometry.visibility import EMPTY, SEEN
from scene_r1_cli.lifting.view import LiftedView, classify_in_view, clean_depth, cut
from scene_r1_cli.types import Scene

CONTEXT_VIEWS = 8
"""Views whose surroundings of the mask are searched for floors and walls."""

CONTEXT_VOXEL_M = 0.04

PLANE_TOLERANCE_M = 0.02

MIN_PLANE_VOXELS = 40

MAX_PLANES = 8


def contacts(scene: Scene, views: Sequence[LiftedView], points_world_m: np.ndarray) -> np.ndarray:
    """(K, 3) float32 points where the object stands on a floor or against a wall; see ``contact_points``.

    The planes come from a few views' surroundings of the mask; whether a place is empty, from all.
    """
    chosen = sorted(views, key=lambda view: -len(view.points_world_m))[: 4 * CONTEXT_VIEWS]
    surfels = []
    for view in chosen[:: max(1, len(chosen) // CONTEXT_VIEWS)]:
        around = np.where(dilate(view.mask, 2), 0, clean_depth(cut(view.depth_m, view.crop)))
        rays = cut(pixel_rays(scene.depth_camera), view.crop)
        world_from_camera = scene.world_from_depth_camera(view.frame_index)
        surfels.append(surfels_of_depth(around[::2, ::2], rays[::2, ::2], world_from_camera))
    grey = [np.zeros((len(view.points_m), 3), np.float32) for view in surfels]
    if not sum(map(len, grey)):
        return np.zeros((0, 3), np.float32)
    surface = fuse_surface(surfels, grey, CONTEXT_VOXEL_M)
    found = find_planes(surface.points_m, surface.normals, PLANE_TOLERANCE_M, MIN_PLANE_VOXELS, MAX_PLANES)
    planes = []
    for plane in found:
        members = on_plane(plane, surface.points_m, surface.normals, PLANE_TOLERANCE_M)
        planes.append((plane, surface.points_m[members]))

    def is_empty(places_world_m: np.ndarray) -> np.ndarray:
        empty = np.zeros(len(places_world_m), dtype=np.int32)
        for view in views:
            state, _ = classify_in_view(scene, view, places_world_m)
            empty += (state == EMPTY) | (state == SEEN)
        return empty > 0

    return contact_points(points_world_m, planes, is_empty)
