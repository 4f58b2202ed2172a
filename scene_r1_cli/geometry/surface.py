"""The surface near an object, fused from many depth images on a grid: positions, normals, colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.geometry.visibility import depth_edges
from scene_r1_cli.geometry.voxels import VoxelGrid, mean_per_voxel, voxelize


@dataclass(frozen=True)
class Surfels:
    """Surface samples of one depth image.

    Attributes:
        points_m: (N, 3) float32.
        normals: (N, 3) float32 unit, towards the camera; zero where the surface is too rough to say.
        rows: (N,) row in the crop.
        columns: (N,) column in the crop.
    """

    points_m: np.ndarray
    normals: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True)
class FusedSurface:
    """Voxels with what was seen in them.

    Attributes:
        grid: Occupied voxels.
        points_m: (V, 3) float32 mean position.
        normals: (V, 3) float32 unit, zero where unknown.
        colors_rgb: (V, 3) float32 mean colour, 0 to 255.
        counts: (V,) int64 readings.
    """

    grid: VoxelGrid
    points_m: np.ndarray
    normals: np.ndarray
    colors_rgb: np.ndarray
    counts: np.ndarray


def surfels_of_depth(
    depth_m: np.ndarray, rays: np.ndarray, world_from_camera: np.ndarray, step: int = 1
) -> Surfels:
    """Samples of a depth image away from its jumps.

    Args:
        depth_m: (h, w) float32 crop, 0 = no reading.
        rays: (h, w, 3) float32, ``pixel_rays`` of the same crop.
        world_from_camera: (4, 4) of the depth camera.
        step: Keep every ``step``-th row and column.

    Returns:
        Samples in the world frame, possibly none.
    """
    solid = ~depth_edges(depth_m, 2)
    rows, columns = np.nonzero(solid[::step, ::step])
    rows, columns = rows * step, columns * step
    points = rays[rows, columns] * depth_m[rows, columns, None]
    normals = _normals(depth_m, solid, rays)[rows, columns]
    rotation = world_from_camera[:3, :3].astype(np.float32)
    return Surfels(transform_points(world_from_camera, points), normals @ rotation.T, rows, columns)


def fuse_surface(
    surfels: Sequence[Surfels], colors_rgb: Sequence[np.ndarray], voxel_m: float
) -> FusedSurface:
    """Average the samples of many views on a grid.

    Args:
        surfels: At least one sample in all.
        colors_rgb: (N, 3) of each view.
        voxel_m: Edge length of a cell.

    Returns:
        The fused surface.
    """
    points = np.concatenate([view.points_m for view in surfels])
    grid, voxel = voxelize(points, voxel_m)
    counts = np.bincount(voxel, minlength=len(grid))
    normals = mean_per_voxel(np.concatenate([view.normals for view in surfels]), voxel, counts)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    # Opposite sides of a thin sheet in one cell cancel out: then the direction means nothing.
    normals = np.where(length > 0.3, normals / np.maximum(length, 1e-6), 0)
    return FusedSurface(
        grid,
        mean_per_voxel(points, voxel, counts).astype(np.float32),
        normals.astype(np.float32),
        mean_per_voxel(np.concatenate(colors_rgb), voxel, counts).astype(np.float32),
        counts,
    )


def _normals(depth_m: np.ndarray, solid: np.ndarray, rays: np.ndarray, reach_px: int = 2) -> np.ndarray:
    """(h, w, 3) float32 unit normals in the camera frame, zero where a neighbour is missing."""
    weight = cv2.blur(solid.astype(np.float32), (5, 5), borderType=cv2.BORDER_CONSTANT)
    smooth = cv2.blur(np.where(solid, depth_m, 0).astype(np.float32), (5, 5), borderType=cv2.BORDER_CONSTANT)
    usable = weight > 0.3
    points = rays * np.where(usable, smooth / np.maximum(weight, 1e-6), 0)[..., None]
    r = reach_px
    normals = np.zeros_like(points)
    if min(depth_m.shape) <= 2 * r:
        return normals
    along_x = points[r:-r, 2 * r :] - points[r:-r, : -2 * r]
    along_y = points[2 * r :, r:-r] - points[: -2 * r, r:-r]
    normal = np.cross(along_y, along_x)
    known = usable[r:-r, 2 * r :] & usable[r:-r, : -2 * r] & usable[2 * r :, r:-r] & usable[: -2 * r, r:-r]
    length = np.linalg.norm(normal, axis=2, keepdims=True)
    normal = np.where(known[..., None] & (length > 0), normal / np.maximum(length, 1e-12), 0)
    # Towards the camera: against the ray.
    flip = np.einsum("hwc,hwc->hw", normal, rays[r:-r, r:-r]) > 0
    normals[r:-r, r:-r] = np.where(flip[..., None], -normal, normal)
    return normals
