"""Colours of the object's points, from the images that see them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import project
from scene_r1_cli.geometry.masks import colors_at
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.geometry.visibility import SEEN, classify_points
from scene_r1_cli.lifting.view import LiftedView
from scene_r1_cli.types import Scene

logger = logging.getLogger(__name__)

COLOR_VIEWS = 8
"""Colour images decoded for the cloud's colours; the few voxels none of them sees take a neighbour's."""


def color_points(scene: Scene, views: Sequence[LiftedView], points_world_m: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 colours of points, from the views that see most of them.

    A point that no chosen view sees takes the colour of the nearest one that has some; if no colour image
    can be read, all are mid-grey.
    """
    colors = np.full((len(points_world_m), 3), 128, dtype=np.uint8)
    colored = np.zeros(len(points_world_m), dtype=bool)
    by_size = sorted(views, key=lambda view: -len(view.points_world_m))
    # The largest view first, then evenly through the rest: neighbours in time show the same side.
    step = max(1, len(views) // COLOR_VIEWS)
    for view in [by_size[0], *views[::step]][:COLOR_VIEWS]:
        missing = np.flatnonzero(~colored)
        if not len(missing):
            break
        visible = missing[seen_by(scene, view, points_world_m[missing])]
        if not len(visible):
            continue
        try:
            image = scene.read_color(view.frame_index)
        except InputError as error:
            logger.warning("frame %d gives no colours: %s", view.frame_index, error.message)
            continue
        _paint(scene, view.frame_index, image, points_world_m, visible, colors, colored)
    if colored.any() and not colored.all():
        nearest = KDTree(points_world_m[colored]).query(points_world_m[~colored])[1]
        colors[~colored] = colors[colored][nearest]
    return colors


def seen_by(scene: Scene, view: LiftedView, points_world_m: np.ndarray) -> np.ndarray:
    """(N,) bool: which of (N, 3) points one view sees."""
    world_from_camera = scene.world_from_depth_camera(view.frame_index)
    return classify_points(points_world_m, world_from_camera, scene.depth_camera, view.depth_m)[0] == SEEN


def _paint(
    scene: Scene,
    frame_index: int,
    image: np.ndarray,
    points_world_m: np.ndarray,
    visible: np.ndarray,
    colors: np.ndarray,
    colored: np.ndarray,
) -> None:
    """Write the colours of the visible points (indices) into ``colors``, and mark them."""
    camera_from_world = invert(scene.world_from_color_camera(frame_index))
    pixels_xy, _ = project(scene.color_camera, transform_points(camera_from_world, points_world_m[visible]))
    inside, seen_rgb = colors_at(image, pixels_xy)
    colors[visible[inside]] = seen_rgb
    colored[visible[inside]] = True
