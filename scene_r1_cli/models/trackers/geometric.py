"""A tracker without weights: depth, colour and camera motion carry a box's object through the frames.

The surface around the prompt is fused from all frames of the session, split into object and surroundings
by a minimum cut whose seams are concave creases, gaps and colour edges, and looked up in every frame.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from scene_r1_cli.config import TrackerConfig
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.masks import color_pixels_of_depth, encode_crop, splat_to_color
from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.geometry.visibility import EMPTY, SEEN, classify_points
from scene_r1_cli.models.trackers import TrackedFrame, check_prompt
from scene_r1_cli.models.trackers.object_model import ObjectModel, find_object
from scene_r1_cli.models.trackers.region import (
    DepthView,
    Prompt,
    Region,
    fuse_region,
    region_of_prompt,
    view_of_region,
)
from scene_r1_cli.types import RleMask, Scene

logger = logging.getLogger(__name__)

MIN_MASK_PX = 12
"""Depth pixels a mask needs; fewer are noise."""


class GeometricTracker:
    """Needs nothing but the capture."""

    def __init__(self, config: TrackerConfig) -> None:
        self.config = config

    def open(self, scene: Scene, frame_indices: Sequence[int]) -> GeometricSession:
        """Start a session; see ``Tracker.open``."""
        return GeometricSession(scene, frame_indices)


class GeometricSession:
    """See ``TrackerSession``. Holds one depth crop per frame while an object is worked on."""

    def __init__(self, scene: Scene, frame_indices: Sequence[int]) -> None:
        self.scene = scene
        self.frame_indices = sorted({int(index) for index in frame_indices})
        self._prompts: dict[int, list[Prompt]] = {}

    def add(
        self,
        obj_id: int,
        frame_index: int,
        *,
        box_xyxy_px: Sequence[float] | None = None,
        mask: np.ndarray | None = None,
    ) -> None:
        """See ``TrackerSession.add``; an empty mask says nothing and is refused."""
        check_prompt(self.frame_indices, frame_index, box_xyxy_px, mask)
        if mask is not None:
            rows, columns = np.nonzero(mask)
            if not len(rows):
                raise ValueError("the mask is empty")
            box_xyxy_px = (columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5)
        box = np.asarray(box_xyxy_px, dtype=np.float64)
        self._prompts.setdefault(obj_id, []).append(Prompt(frame_index, box, mask))

    def __iter__(self) -> Iterator[TrackedFrame]:
        """See ``TrackerSession.__iter__``."""
        masks_by_frame: dict[int, dict[int, tuple[RleMask, float]]] = {}
        for obj_id, prompts in self._prompts.items():
            for frame_index, mask, score in self._track(prompts):
                masks_by_frame.setdefault(frame_index, {})[obj_id] = (mask, score)
        for frame_index in sorted(masks_by_frame):
            yield frame_index, masks_by_frame[frame_index]

    def _track(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, RleMask, float]]:
        region = self._region(prompts)
        if region is None:
            return
        views = self._views(region)
        prompts = [prompt for prompt in prompts if prompt.frame_index in views]
        surface = fuse_region(self.scene, list(views.values()), region) if prompts else None
        model = find_object(self.scene, surface, region, prompts, views) if surface is not None else None
        if model is None:
            return
        for view in views.values():
            found = render_mask(self.scene, model, view)
            if found is not None:
                yield view.frame_index, *found

    def _region(self, prompts: Sequence[Prompt]) -> Region | None:
        """Region of the largest prompt that has depth: it shows the object best."""
        by_area = sorted(
            prompts, key=lambda prompt: -np.prod(prompt.box_xyxy_px[2:] - prompt.box_xyxy_px[:2])
        )
        for prompt in by_area:
            depth_m = self._read_depth(prompt.frame_index)
            region = None if depth_m is None else region_of_prompt(self.scene, prompt, depth_m)
            if region is not None:
                return region
        return None

    def _views(self, region: Region) -> dict[int, DepthView]:
        views = {}
        for frame_index in self.frame_indices:
            depth_m = self._read_depth(frame_index)
            view = None if depth_m is None else view_of_region(self.scene, frame_index, region, depth_m)
            if view is not None:
                views[frame_index] = view
        return views

    def _read_depth(self, frame_index: int) -> np.ndarray | None:
        """(H, W) float32 metres without NaN; None if the frame cannot be read."""
        try:
            depth_m = self.scene.read_depth(frame_index)
        except InputError as error:
            logger.warning("frame %d is not tracked: %s", frame_index, error.message)
            return None
        return np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, 0).astype(np.float32, copy=False)


def render_mask(scene: Scene, model: ObjectModel, view: DepthView) -> tuple[RleMask, float] | None:
    """Where a frame shows the object.

    Args:
        scene: The capture.
        model: The object.
        view: The frame.

    Returns:
        Its mask at the colour image's size and the share of the object's voxels seen; None if it is not
        seen, or if this frame's depth contradicts it (a wrong camera transform).
    """
    surface = model.surface
    state, _ = classify_points(
        surface.points_m[model.is_object],
        view.world_from_camera,
        scene.depth_camera,
        view.depth_m,
        offset_xy=view.crop[:2],
    )
    seen, empty = int((state == SEEN).sum()), int((state == EMPTY).sum())
    if seen == 0 or empty > seen:
        return None
    x0, y0, x1, y1 = view.crop
    rows, columns = np.nonzero(view.depth_m > 0)
    points = pixel_rays(scene.depth_camera)[y0:y1, x0:x1][rows, columns] * view.depth_m[rows, columns, None]
    voxel = surface.grid.lookup(transform_points(view.world_from_camera, points))
    on_object = (voxel >= 0) & model.is_object[voxel]
    if on_object.sum() < MIN_MASK_PX:
        return None
    pixels = color_pixels_of_depth(points[on_object], scene.color_camera, scene.depth_from_color)
    painted = splat_to_color(
        pixels, scene.color_camera.size_wh, scene.color_camera.fx / scene.depth_camera.fx
    )
    if painted is None:
        return None
    mask = encode_crop(*painted, scene.color_camera.size_wh)
    return mask, seen / len(state)
