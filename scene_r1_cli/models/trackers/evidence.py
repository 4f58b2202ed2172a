"""What the prompts say about each voxel of the surface, and how well a part of it fills their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.geometry.boxes import box2d_iou
from scene_r1_cli.geometry.camera import project
from scene_r1_cli.geometry.surface import FusedSurface
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.geometry.visibility import EMPTY, HIDDEN, SEEN, classify_points
from scene_r1_cli.models.trackers.region import DepthView, Prompt, in_prompt
from scene_r1_cli.types import Scene

STRAY_PERCENT = 0.5
"""Of a part's visible voxels, left out at each side of its 2D bounds."""

MIN_SEEN = 3
"""Voxels that a part must show for 2D bounds."""


@dataclass(frozen=True)
class Evidence:
    """What the prompts see of V voxels.

    Attributes:
        inside: (V,) how many prompts see the voxel inside their box or mask.
        outside: (V,) how many see it outside, or look through it.
        unseen: (V,) how many have it outside, hidden behind something.
        seen: (P, V) bool, whether the prompt's frame sees the voxel.
        pixels_xy: (P, V, 2) where it lies in the colour image; NaN behind the camera.
        depth_m: (P, V) its distance from the colour camera along z.
        boxes_xyxy_px: (P, 4) the prompts' boxes.
    """

    inside: np.ndarray
    outside: np.ndarray
    unseen: np.ndarray
    seen: np.ndarray
    pixels_xy: np.ndarray
    depth_m: np.ndarray
    boxes_xyxy_px: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """(V,) the prompts' pull: how many see the voxel inside, 0 where as many see it outside."""
        return np.where(self.inside > self.outside, self.inside, 0.0)

    def bounds(self, among: np.ndarray) -> np.ndarray:
        """(P, 4) bounds ``xyxy`` of some (V,) voxels in each prompt's image; NaN where too few are seen."""
        bounds = np.full((len(self.seen), 4), np.nan)
        for row, seen, pixels_xy in zip(bounds, self.seen, self.pixels_xy, strict=True):
            visible = pixels_xy[seen & among]
            if len(visible) >= MIN_SEEN:
                row[:] = np.percentile(visible, [STRAY_PERCENT, 100 - STRAY_PERCENT], axis=0).ravel()
        return bounds

    def depth_extent_m(self, among: np.ndarray) -> float:
        """Mean extent of some (V,) voxels, at least one, along the prompts' lines of sight."""
        low, high = np.percentile(self.depth_m[:, among], [1, 99], axis=1)
        return float((high - low).mean())

    def fit(self, bounds_xyxy_px: np.ndarray) -> float:
        """Mean IoU of the prompts' boxes with (P, 4) bounds; bounds of NaN count as 0."""
        pairs = zip(bounds_xyxy_px, self.boxes_xyxy_px, strict=True)
        return float(np.mean([0.0 if np.isnan(a).any() else box2d_iou(a, b) for a, b in pairs]))


def union_bounds(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P, 4) bounds around two (P, 4) bounds; NaN is nothing."""
    low, high = np.fmin(first[:, :2], second[:, :2]), np.fmax(first[:, 2:], second[:, 2:])
    return np.concatenate([low, high], axis=1)


def gather_evidence(
    scene: Scene, surface: FusedSurface, prompts: Sequence[Prompt], views: dict[int, DepthView]
) -> Evidence:
    """Look every voxel up in every prompt's frame."""
    num = len(surface.counts)
    inside, outside, unseen = np.zeros(num), np.zeros(num), np.zeros(num)
    seen_by, pixels_by, depth_by = [], [], []
    for prompt in prompts:
        state, pixels_xy, depth_m = _classify(scene, surface.points_m, views[prompt.frame_index])
        x1, y1, x2, y2 = prompt.box_xyxy_px
        margin = np.clip(0.015 * np.array([x2 - x1, y2 - y1]), 1.5, 6)
        under = in_prompt(prompt, pixels_xy)
        with np.errstate(invalid="ignore"):
            near_box = (
                (pixels_xy >= np.array([x1, y1]) - margin) & (pixels_xy <= np.array([x2, y2]) + margin)
            ).all(axis=1)
        # Just outside the box is neither: a box of a person or a model is a few pixels off.
        beyond = ~near_box if prompt.mask is None else ~under
        seen = state == SEEN
        inside += seen & under
        outside += (seen & beyond) | (state == EMPTY)
        unseen += (state == HIDDEN) & beyond
        seen_by.append(seen & np.isfinite(pixels_xy[:, 0]))
        pixels_by.append(pixels_xy)
        depth_by.append(depth_m)
    boxes = np.stack([prompt.box_xyxy_px for prompt in prompts])
    return Evidence(
        inside, outside, unseen, np.stack(seen_by), np.stack(pixels_by), np.stack(depth_by), boxes
    )


def _classify(
    scene: Scene, points_m: np.ndarray, view: DepthView
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """State in a view's depth; pixel in its colour image, and distance from that camera."""
    state, _ = classify_points(
        points_m, view.world_from_camera, scene.depth_camera, view.depth_m, offset_xy=view.crop[:2]
    )
    camera_from_world = invert(scene.world_from_color_camera(view.frame_index))
    return state, *project(scene.color_camera, transform_points(camera_from_world, points_m))
