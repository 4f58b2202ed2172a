"""Light in a room: ceiling lamps and windows with soft shadows, and ambient light that corners lack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scene_r1_cli.data.rooms.layout import Room
from scene_r1_cli.data.rooms.solids import Faces, face_normals
from scene_r1_cli.data.rooms.surface import FaceGrid, is_lit_from, surface_points

if TYPE_CHECKING:
    import open3d as o3d

SHADOW_SAMPLES = 5
AMBIENT_RAYS = 14
AMBIENT_REACH_M = 0.9


@dataclass(frozen=True)
class AreaLight:
    """A rectangle that shines into the room.

    Attributes:
        center_m: (3,).
        half_u_m: (3,) half its extent along one side.
        half_v_m: (3,) half its extent along the other.
        normal: (3,) direction it shines to.
        power: Irradiance at 1 m before it, as a factor on white, per colour channel.
    """

    center_m: np.ndarray
    half_u_m: np.ndarray
    half_v_m: np.ndarray
    normal: np.ndarray
    power: np.ndarray


def lights_of(room: Room, rng: np.random.Generator) -> list[AreaLight]:
    """Ceiling lamps over each part of the floor, and the room's windows."""
    warm = np.array([1.0, 0.95, 0.86]) if rng.random() < 0.6 else np.array([0.96, 0.98, 1.0])
    lights = []
    for x0, y0, x1, y1 in room.plan.rectangles_m:
        along_x = x1 - x0 > y1 - y0
        count = 2 if max(x1 - x0, y1 - y0) > 4.8 else 1
        for share in (np.arange(count) + 0.5) / count:
            x = x0 + (x1 - x0) * (share if along_x else 0.5) + rng.normal(0, 0.2)
            y = y0 + (y1 - y0) * (0.5 if along_x else share) + rng.normal(0, 0.2)
            center = np.array([x, y, room.plan.height_m - 0.06])
            size = np.array([0.3, 0, 0]), np.array([0, 0.3, 0])
            lights.append(
                AreaLight(center, *size, np.array([0, 0, -1.0]), warm * rng.uniform(1.0, 1.6) / count)
            )
    daylight = np.array([0.92, 0.97, 1.05]) * rng.uniform(0.2, 1.1)
    for item in room.furniture:
        if item.label == "window":
            right, inward = item.world_from_object[:3, 0], item.world_from_object[:3, 1]
            center = item.world_from_object[:3, 3] + inward * 0.05 + [0, 0, item.size_m[2] / 2]
            half_v = np.array([0, 0, item.size_m[2] / 2 - 0.1])
            lights.append(AreaLight(center, right * (item.size_m[0] / 2 - 0.1), half_v, inward, daylight))
    return lights


def bake_light(
    faces: Faces,
    grid: FaceGrid,
    scene: o3d.t.geometry.RaycastingScene,
    lights: list[AreaLight],
    rng: np.random.Generator,
) -> np.ndarray:
    """Light that falls on each node of a grid.

    Returns:
        (N, 3) float32, linear; 1 makes a white surface white.
    """
    # Nodes on an edge move a little inwards and off the surface, or neighbouring faces would hide them.
    uv = np.clip(grid.uv, 0.02, 0.98)
    normals = face_normals(faces.corners_m).astype(np.float32)
    points = surface_points(faces.corners_m, grid.face, uv) + 0.004 * normals[grid.face]
    node_normals = normals[grid.face]
    light = 0.62 * _openness(scene, points, normals, grid.face)[:, None] * np.ones(3, dtype=np.float32)
    for lamp in lights:
        light += _light_from(lamp, scene, points, node_normals, rng)[:, None] * lamp.power.astype(np.float32)
    return light


def _light_from(
    lamp: AreaLight,
    scene: o3d.t.geometry.RaycastingScene,
    points_m: np.ndarray,
    normals: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """(N,) light of one lamp; the same points of the lamp for all nodes, so that shadows are smooth."""
    total = np.zeros(len(points_m), dtype=np.float32)
    for across in rng.uniform(-1, 1, (SHADOW_SAMPLES, 2)):
        source = (lamp.center_m + across[0] * lamp.half_u_m + across[1] * lamp.half_v_m).astype(np.float32)
        toward = source - points_m
        square = np.einsum("ij,ij->i", toward, toward)
        falls = np.einsum("ij,ij->i", toward, normals)
        leaves = -toward @ lamp.normal.astype(np.float32)
        lit = np.flatnonzero((falls > 0) & (leaves > 0))
        sees = lit[is_lit_from(scene, points_m[lit], np.broadcast_to(source, (len(lit), 3)))]
        # Falling off slower than the square of distance stands in for light that bounces off walls.
        total[sees] += falls[sees] * leaves[sees] / (square[sees] * (0.6 + square[sees]) ** 0.6)
    return total / SHADOW_SAMPLES


def _openness(
    scene: o3d.t.geometry.RaycastingScene, points_m: np.ndarray, normals: np.ndarray, face: np.ndarray
) -> np.ndarray:
    """(N,) share of the half space before each node that is open for some way."""
    import open3d as o3d

    helper = np.where(np.abs(normals[:, 2:]) < 0.9, [[0, 0, 1.0]], [[1.0, 0, 0]]).astype(np.float32)
    tangent = np.cross(helper, normals)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    other = np.cross(normals, tangent)
    open_share = np.zeros(len(points_m), dtype=np.float32)
    for ray in range(AMBIENT_RAYS):
        # A spiral over the hemisphere, denser near the normal as a cosine asks.
        radius = np.sqrt((ray + 0.5) / AMBIENT_RAYS)
        angle = ray * 2.39996
        x, y, z = radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)
        directions = (x * tangent + y * other + z * normals)[face]
        rays = np.concatenate([points_m, directions], axis=1).astype(np.float32)
        hit = scene.test_occlusions(o3d.core.Tensor.from_numpy(rays), tnear=0.0, tfar=AMBIENT_REACH_M).numpy()
        open_share += ~hit
    return 0.25 + 0.75 * open_share / AMBIENT_RAYS
