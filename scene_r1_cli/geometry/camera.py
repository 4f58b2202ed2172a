"""Pinhole projection. The one place that fixes the pixel convention.

An integer pixel coordinate is a pixel *centre*: pixel (u, v) covers [u - 0.5, u + 0.5) and a
point projects into it when ``round(x) == u``. A resize from ``w`` to ``w'`` therefore maps
``x' = (x + 0.5) * w' / w - 0.5``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from scene_r1_cli.types import Camera


def project(camera: Camera, points_camera_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project points in the camera frame to pixels.

    Args:
        camera: The camera.
        points_camera_m: (..., 3).

    Returns:
        (..., 2) pixel coordinates (not rounded) and (...) depth z in metres. Points with z <= 0
        get pixel coordinates of NaN.
    """
    z = points_camera_m[..., 2]
    safe_z = np.where(z > 0, z, np.nan)
    x = camera.fx * points_camera_m[..., 0] / safe_z + camera.cx
    y = camera.fy * points_camera_m[..., 1] / safe_z + camera.cy
    return np.stack([x, y], axis=-1), z


def unproject(camera: Camera, pixels_xy: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    """Lift pixels with depth (z, not ray length) to the camera frame.

    Args:
        camera: The camera.
        pixels_xy: (..., 2).
        depth_m: (...) metres along +z.

    Returns:
        (..., 3) points, same float dtype as ``depth_m``.
    """
    x = (pixels_xy[..., 0] - camera.cx) / camera.fx * depth_m
    y = (pixels_xy[..., 1] - camera.cy) / camera.fy * depth_m
    return np.stack([x, y, depth_m], axis=-1).astype(depth_m.dtype, copy=False)


@lru_cache(maxsize=8)
def pixel_rays(camera: Camera) -> np.ndarray:
    """(H, W, 3) float32 points at z = 1 m for every pixel; multiply by depth to unproject. Read-only."""
    width, height = camera.size_wh
    x = (np.arange(width, dtype=np.float32) - np.float32(camera.cx)) / np.float32(camera.fx)
    y = (np.arange(height, dtype=np.float32) - np.float32(camera.cy)) / np.float32(camera.fy)
    rays = np.ones((height, width, 3), dtype=np.float32)
    rays[..., 0] = x[None, :]
    rays[..., 1] = y[:, None]
    rays.flags.writeable = False
    return rays


def resize_camera(camera: Camera, size_wh: tuple[int, int]) -> Camera:
    """The same camera after its image is resized to ``size_wh``."""
    scale_x = size_wh[0] / camera.size_wh[0]
    scale_y = size_wh[1] / camera.size_wh[1]
    return Camera(
        fx=camera.fx * scale_x,
        fy=camera.fy * scale_y,
        cx=(camera.cx + 0.5) * scale_x - 0.5,
        cy=(camera.cy + 0.5) * scale_y - 0.5,
        size_wh=size_wh,
    )


def resize_pixels(pixels_xy: np.ndarray, from_wh: tuple[int, int], to_wh: tuple[int, int]) -> np.ndarray:
    """Map (..., 2) pixel coordinates from one image size to another."""
    scale = np.array(to_wh, dtype=np.float64) / np.array(from_wh, dtype=np.float64)
    return (np.asarray(pixels_xy, dtype=np.float64) + 0.5) * scale - 0.5
