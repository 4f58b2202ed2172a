"""What the 3D view of a report shows: coloured points of the scene, the object, boxes, the camera's path."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from scene_r1_cli.data.scene_surface import registered_images
from scene_r1_cli.geometry.boxes import BOX_EDGES, box3d_corners
from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.types import Box3D, Scene

MAX_FRAMES = 24
MAX_SCENE_POINTS = 60_000
MAX_OBJECT_POINTS = 8_000
MAX_PATH_POINTS = 400
VOXEL_M = 0.03
FAR_M = 6.0


def view_3d(
    scene: Scene, object_points_m: np.ndarray | None, box: Box3D | None, truth: Box3D | None
) -> dict[str, Any]:
    """Data of ``static/scene3d.js``; points are base64 of little-endian float32, in world, metres.

    Args:
        scene: The capture.
        object_points_m: (N, 3) points of the object in world, or None.
        box: The predicted box.
        truth: The label's box.
    """
    points, colors = scene_points(scene)
    spread = np.linspace(0, len(scene.frames) - 1, min(len(scene.frames), MAX_PATH_POINTS)).astype(int)
    path = [scene.world_from_color_camera(scene.frames[place].frame_index)[:3, 3] for place in spread]
    data: dict[str, Any] = {"path": np.round(path, 3).tolist()}
    if len(points):
        data["scene"] = {"points": _floats(points), "colors": base64.b64encode(colors.tobytes()).decode()}
    if object_points_m is not None and len(object_points_m):
        data["object"] = {"points": _floats(_thinned(object_points_m, MAX_OBJECT_POINTS))}
    for name, one in (("predicted", box), ("truth", truth)):
        if one is not None:
            data[name] = _edges(one)
    return data


def scene_points(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) float32 points in world, metres, and their (N, 3) uint8 colours, one a voxel."""
    points, colors = [], []
    spread = np.linspace(0, len(scene.frames) - 1, min(len(scene.frames), MAX_FRAMES)).astype(int)
    rays = pixel_rays(scene.depth_camera)
    for place in np.unique(spread):
        frame = scene.frames[place]
        images = registered_images(scene, frame, FAR_M)
        if images is None:
            continue
        depth_m, seen = images
        valid = depth_m > 0
        world_from_depth = scene.world_from_scan @ frame.scan_from_camera
        points.append(
            transform_points(world_from_depth, rays[valid] * depth_m[valid, None]).astype(np.float32)
        )
        colors.append((seen[valid] * 255).round().astype(np.uint8))
    if not points:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8)
    all_points, all_colors = np.concatenate(points), np.concatenate(colors)
    voxels = np.floor(all_points / VOXEL_M).astype(np.int64)
    voxels -= voxels.min(axis=0)
    sizes = voxels.max(axis=0) + 1
    _, first = np.unique(
        (voxels[:, 0] * sizes[1] + voxels[:, 1]) * sizes[2] + voxels[:, 2], return_index=True
    )
    first = _thinned(first, MAX_SCENE_POINTS)
    return all_points[first], all_colors[first]


def _thinned(rows: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` rows, drawn with a fixed seed."""
    if len(rows) <= count:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), count, replace=False))]


def _floats(points_m: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(points_m, dtype="<f4").tobytes()).decode()


def _edges(box: Box3D) -> list[list[list[float]]]:
    """The two ends of each edge."""
    corners = np.round(box3d_corners(box), 4).tolist()
    return [[corners[start], corners[end]] for start, end in BOX_EDGES]
