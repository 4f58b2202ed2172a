"""Where the object of a prompt can be, and the surface that all views show there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.geometry.camera import pixel_rays, project
from scene_r1_cli.geometry.masks import Crop, clip_crop, color_pixels_of_depth, colors_at, look_up
from scene_r1_cli.geometry.surface import FusedSurface, fuse_surface, surfels_of_depth
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.geometry.visibility import depth_noise_m
from scene_r1_cli.types import Scene

RING = 0.4
"""How far around the box, relative to its size, the surroundings are modelled."""


MAX_VOXELS = 14_000
"""Voxels of a region; more mean that noise spreads the surface over several layers, or that the region is
wide, and coarser cells show the object as well and in less time."""


@dataclass(frozen=True)
class Prompt:
    """A box or a mask on one frame, in the colour image."""

    frame_index: int
    box_xyxy_px: np.ndarray
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class DepthView:
    """One frame's depth and colour around the object.

    Attributes:
        frame_index: Source frame.
        crop: Where the arrays lie in the depth image.
        depth_m: (h, w) float32, 0 = no reading.
        world_from_camera: (4, 4) of the depth camera.
    """

    frame_index: int
    crop: Crop
    depth_m: np.ndarray
    world_from_camera: np.ndarray


@dataclass(frozen=True)
class Region:
    """The part of space modelled: a slab of the prompt camera's viewing cone.

    Attributes:
        frame_index: Frame of the prompt.
        low_xy: (2,) lowest colour pixel of the enlarged box.
        high_xy: (2,) highest.
        near_m: Nearest distance from the colour camera along z.
        far_m: Farthest.
        size_m: Longer side of the box at the object's distance.
        depth_m: The object's likely distance.
    """

    frame_index: int
    low_xy: np.ndarray
    high_xy: np.ndarray
    near_m: float
    far_m: float
    size_m: float
    depth_m: float

    def contains(self, scene: Scene, points_world_m: np.ndarray) -> np.ndarray:
        """(N,) bool of (N, 3) points."""
        camera_from_world = invert(scene.world_from_color_camera(self.frame_index))
        pixels, z = project(scene.color_camera, transform_points(camera_from_world, points_world_m))
        with np.errstate(invalid="ignore"):
            inside = ((pixels >= self.low_xy) & (pixels <= self.high_xy)).all(axis=1)
        return inside & (z >= self.near_m) & (z <= self.far_m)

    def corners_world(self, scene: Scene) -> np.ndarray:
        """(8, 3) corners of the region."""
        camera = scene.color_camera
        xs = (np.array([self.low_xy[0], self.high_xy[0]]) - camera.cx) / camera.fx
        ys = (np.array([self.low_xy[1], self.high_xy[1]]) - camera.cy) / camera.fy
        points = np.array([[x * z, y * z, z] for z in (self.near_m, self.far_m) for x in xs for y in ys])
        return transform_points(scene.world_from_color_camera(self.frame_index), points)

    @property
    def voxel_m(self) -> float:
        """Cells fine enough for the object, and no finer than the sensor at its distance."""
        noise = 1.5 * float(depth_noise_m(np.array(self.depth_m)))
        return float(np.clip(max(self.size_m / 40, noise), 0.01, 0.05))


def region_of_prompt(scene: Scene, prompt: Prompt, depth_m: np.ndarray) -> Region | None:
    """Where the object of a prompt can be.

    Args:
        scene: The capture.
        prompt: The box.
        depth_m: (H, W) depth of the prompt's frame.

    Returns:
        The region, or None if there is no reading inside the box.
    """
    z = depth_in_box(scene, prompt, depth_m)
    if len(z) < 10:
        return None
    x1, y1, x2, y2 = prompt.box_xyxy_px
    size_px = np.array([x2 - x1, y2 - y1])
    near, median = np.percentile(z, [2, 40])
    size_m = float((size_px / [scene.color_camera.fx, scene.color_camera.fy]).max() * median)
    far = min(float(np.percentile(z, 98)), near + 2.5 * size_m) + 0.4 * size_m + 0.1
    ring = np.maximum(RING * size_px, 15.0)
    # A box cut by the image edge says nothing about where the object ends on that side.
    width, height = scene.color_camera.size_wh
    low = np.array([x1, y1]) - np.where(np.array([x1, y1]) <= 0.01 * width, 2.5 * size_px, ring)
    high_cut = np.array([x2 >= 0.99 * (width - 1), y2 >= 0.99 * (height - 1)])
    high = np.array([x2, y2]) + np.where(high_cut, 2.5 * size_px, ring)
    near = max(0.1, float(near) - 0.3 * size_m - 0.1)
    return Region(prompt.frame_index, low, high, near, far, size_m, float(median))


def depth_in_box(scene: Scene, prompt: Prompt, depth_m: np.ndarray) -> np.ndarray:
    """(N,) readings (along the depth camera's z) inside a prompt's box or mask."""
    valid = depth_m > 0
    points = pixel_rays(scene.depth_camera)[valid] * depth_m[valid, None]
    pixels = color_pixels_of_depth(points, scene.color_camera, scene.depth_from_color)
    return points[in_prompt(prompt, pixels), 2]


def view_of_region(scene: Scene, frame_index: int, region: Region, depth_m: np.ndarray) -> DepthView | None:
    """The crop of a frame that can show the region; None if it cannot."""
    world_from_camera = scene.world_from_depth_camera(frame_index)
    corners = transform_points(invert(world_from_camera), region.corners_world(scene))
    if (corners[:, 2] < 0.05).all():
        return None
    if (corners[:, 2] < 0.05).any():
        crop: Crop | None = (0, 0, *scene.depth_camera.size_wh)
    else:
        pixels, _ = project(scene.depth_camera, corners)
        crop = clip_crop(pixels.min(axis=0), pixels.max(axis=0), scene.depth_camera.size_wh)
    if crop is None or crop[2] - crop[0] < 8 or crop[3] - crop[1] < 8:
        return None
    cropped = depth_m[crop[1] : crop[3], crop[0] : crop[2]]
    cropped = np.where(np.isfinite(cropped) & (cropped > 0), cropped, 0).astype(np.float32, copy=False)
    return DepthView(frame_index, crop, cropped, world_from_camera)


def fuse_region(scene: Scene, views: Sequence[DepthView], region: Region) -> FusedSurface | None:
    """The surface inside a region, from every view; None if nothing was measured there."""
    surfels, colors = [], []
    voxel_m = region.voxel_m
    for view in views:
        readings = view.depth_m[view.depth_m > 0]
        if not len(readings):
            continue
        footprint = float(np.median(readings)) / scene.depth_camera.fx
        step = int(np.clip(0.6 * voxel_m / footprint, 1, 6))
        x0, y0, x1, y1 = view.crop
        rays = pixel_rays(scene.depth_camera)[y0:y1, x0:x1]
        found = surfels_of_depth(view.depth_m, rays, view.world_from_camera, step)
        inside = region.contains(scene, found.points_m)
        if not inside.any():
            continue
        kept = type(found)(
            found.points_m[inside], found.normals[inside], found.rows[inside], found.columns[inside]
        )
        surfels.append(kept)
        colors.append(_colors_at(scene, view.frame_index, kept.points_m))
    if not surfels:
        return None
    surface = fuse_surface(surfels, colors, voxel_m)
    if len(surface.counts) <= MAX_VOXELS:
        return surface
    return fuse_surface(surfels, colors, voxel_m * min(2.0, (len(surface.counts) / MAX_VOXELS) ** 0.5))


def in_prompt(prompt: Prompt, pixels_xy: np.ndarray) -> np.ndarray:
    """(N,) bool: pixels of the colour image under the prompt's box or mask."""
    if prompt.mask is not None:
        height, width = prompt.mask.shape
        return look_up(prompt.mask, (0, 0, width, height), pixels_xy)
    x1, y1, x2, y2 = prompt.box_xyxy_px
    with np.errstate(invalid="ignore"):
        return np.all((pixels_xy >= [x1, y1]) & (pixels_xy <= [x2, y2]), axis=1)


def _colors_at(scene: Scene, frame_index: int, points_world_m: np.ndarray) -> np.ndarray:
    """(N, 3) float32 colours of visible points in one frame; mid-grey outside the colour image."""
    image = scene.read_color(frame_index)
    camera_from_world = invert(scene.world_from_color_camera(frame_index))
    pixels, _ = project(scene.color_camera, transform_points(camera_from_world, points_world_m))
    inside, seen_rgb = colors_at(image, pixels)
    colors = np.full((len(points_world_m), 3), 128, dtype=np.float32)
    colors[inside] = seen_rgb
    return colors
