"""What the object stands on, as the depth around its masks shows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.contact import support_height
from scene_r1_cli.geometry.masks import dilate
from scene_r1_cli.geometry.surface import surfels_of_depth
from scene_r1_cli.lifting.view import LiftedView, clean_depth, cut
from scene_r1_cli.types import Scene

CONTEXT_VIEWS = 8
"""Views whose surroundings of the mask are searched for what carries the object."""

UPWARD = 0.9
"""Least z of the unit normal of a surface that carries something."""


def support_under(scene: Scene, views: Sequence[LiftedView], points_world_m: np.ndarray) -> float | None:
    """Height in ``world`` of what the object stands on; None if it hangs or that was not seen."""
    chosen = sorted(views, key=lambda view: -len(view.points_world_m))[: 4 * CONTEXT_VIEWS]
    upward = [np.zeros((0, 3), np.float32)]
    for view in chosen[:: max(1, len(chosen) // CONTEXT_VIEWS)]:
        around = np.where(dilate(view.mask, 2), 0, clean_depth(cut(view.depth_m, view.crop)))
        rays = cut(pixel_rays(scene.depth_camera), view.crop)
        world_from_camera = scene.world_from_depth_camera(view.frame_index)
        surfels = surfels_of_depth(around, rays, world_from_camera)
        upward.append(surfels.points_m[surfels.normals[:, 2] > UPWARD])
    return support_height(points_world_m, np.concatenate(upward))
