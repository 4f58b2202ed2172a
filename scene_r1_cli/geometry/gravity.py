"""Finds which way is up, where the floor is and how walls run, from cameras and depth.

For captures without an axis alignment. The result is a ``world_from_scan`` with +z up, the floor near
z = 0 and the dominant walls along x and y, so that axis-aligned boxes are as tight as walls allow.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from scene_r1_cli.geometry.camera import pixel_rays, resize_camera
from scene_r1_cli.geometry.transforms import rotation_about_z
from scene_r1_cli.types import Camera

# People hold a camera upright within this angle on average; floors and tables lie inside it.
_MAX_TILT_DEG = 30.0
_NORMAL_GRID_PX = 8
_MIN_SUPPORT = 200


def surface_samples(
    camera: Camera, depth_m: np.ndarray, scan_from_camera: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sparse surface points and normals of one depth image.

    Args:
        camera: Depth camera.
        depth_m: (H, W) float32, 0 = no reading.
        scan_from_camera: (4, 4).

    Returns:
        (N, 3) points and (N, 3) unit normals facing the camera, in the scan frame; N may be 0.
    """
    step = _NORMAL_GRID_PX
    height, width = (depth_m.shape[0] // step * step, depth_m.shape[1] // step * step)
    if height == 0 or width == 0:
        return np.zeros((0, 3)), np.zeros((0, 3))
    blocks = depth_m[:height, :width].reshape(height // step, step, width // step, step)
    small_m = np.median(blocks, axis=(1, 3)).astype(np.float32)
    # The crop changes the principal point by less than a block; size is kept a multiple of the step.
    cropped = Camera(camera.fx, camera.fy, camera.cx, camera.cy, (width, height))
    rays = pixel_rays(resize_camera(cropped, (width // step, height // step)))
    points = rays * small_m[..., None]
    right = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normals = np.cross(down, right)
    center = points[1:-1, 1:-1]
    length = np.linalg.norm(normals, axis=-1)
    # Neighbours across an edge give a long vector that is no surface.
    jump = np.maximum(np.abs(right[..., 2]), np.abs(down[..., 2])) > 0.15 * center[..., 2]
    neighbours_m = np.minimum.reduce(
        [small_m[1:-1, 2:], small_m[1:-1, :-2], small_m[2:, 1:-1], small_m[:-2, 1:-1]]
    )
    keep = (length > 0) & ~jump & (neighbours_m > 0) & (center[..., 2] > 0)
    normals_camera = normals[keep] / length[keep][:, None]
    rotation, translation = scan_from_camera[:3, :3], scan_from_camera[:3, 3]
    return center[keep] @ rotation.T + translation, normals_camera @ rotation.T


def estimate_world_from_scan(
    camera: Camera,
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    up_scan: np.ndarray | None = None,
) -> np.ndarray:
    """Estimate ``world_from_scan`` from some frames spread over the capture.

    Args:
        camera: Depth camera.
        frames: Pairs of (H, W) depth in metres and (4, 4) ``scan_from_camera``; at least one.
        up_scan: (3,) measured up direction, when a sensor gave it; then only floor and walls are found.

    Returns:
        (4, 4) float64. Without any depth it is the mean camera's up, and the lowest camera 1.4 m high.
    """
    cameras, points, normals = [], [], []
    for depth_m, scan_from_camera in frames:
        frame_points, frame_normals = surface_samples(camera, depth_m, scan_from_camera)
        cameras.append(scan_from_camera)
        points.append(frame_points)
        normals.append(frame_normals)
    camera_stack, point_stack, normal_stack = (
        np.stack(cameras),
        np.concatenate(points),
        np.concatenate(normals),
    )
    if up_scan is None:
        up_scan = _refine_up(-camera_stack[:, :3, 1].mean(axis=0), normal_stack)
    up = np.asarray(up_scan, dtype=np.float64) / np.linalg.norm(up_scan)
    z_up_from_scan = np.eye(4)
    z_up_from_scan[:3, :3] = _rotation_to_z(up, camera_stack[0, :3, 0])
    world_from_scan = rotation_about_z(-_wall_yaw(normal_stack @ z_up_from_scan[:3, :3].T)) @ z_up_from_scan
    heights = point_stack @ world_from_scan[2, :3]
    faces_up = normal_stack @ up > 0.9
    if faces_up.sum() >= _MIN_SUPPORT:
        floor_m = np.percentile(heights[faces_up], 2)
    else:
        floor_m = (camera_stack[:, :3, 3] @ world_from_scan[2, :3]).min() - 1.4
    world_from_scan[2, 3] -= floor_m
    return world_from_scan


def _refine_up(start: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Mean shift from ``start`` to the direction that most normals near it share (floors, tables)."""
    up = start / np.linalg.norm(start)
    for radius_deg in (_MAX_TILT_DEG, 20.0, 12.0, 8.0, 5.0, 5.0, 5.0):
        near = normals[normals @ up > np.cos(np.radians(radius_deg))]
        if len(near) < _MIN_SUPPORT:
            break
        up = near.mean(axis=0)
        up /= np.linalg.norm(up)
    return up


def _rotation_to_z(up: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that takes ``up`` to +z and ``right``, made level, to +x."""
    x_axis = right - (right @ up) * up
    if np.linalg.norm(x_axis) < 1e-6:
        x_axis = np.eye(3)[np.abs(up).argmin()]
        x_axis = x_axis - (x_axis @ up) * up
    x_axis = x_axis / np.linalg.norm(x_axis)
    return np.stack([x_axis, np.cross(up, x_axis), up])


def _wall_yaw(normals_z_up: np.ndarray) -> float:
    """Yaw of the walls in [-45°, 45°): mean of horizontal normals modulo 90°; 0 with too few of them."""
    walls = normals_z_up[np.abs(normals_z_up[:, 2]) < 0.17]
    if len(walls) < _MIN_SUPPORT:
        return 0.0
    angles = np.arctan2(walls[:, 1], walls[:, 0])
    yaw = np.angle(np.exp(4j * angles).mean()) / 4
    for _ in range(5):
        offset = (angles - yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4
        near = np.abs(offset) < np.radians(10)
        if near.sum() < _MIN_SUPPORT:
            break
        yaw += offset[near].mean()
    return float(yaw)
