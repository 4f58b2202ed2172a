"""The painted surface of a room: one picture that holds every face, texture and light included.

Because light is baked into it, a frame costs one ray per pixel and one look-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scene_r1_cli.data.rooms.layout import Room
from scene_r1_cli.data.rooms.lighting import bake_light, lights_of
from scene_r1_cli.data.rooms.solids import Faces
from scene_r1_cli.data.rooms.surface import FaceGrid, grid_faces
from scene_r1_cli.data.rooms.textures import paint_textures

if TYPE_CHECKING:
    import open3d as o3d

ATLAS_WIDTH = 4096
LIGHT_CELL_M = 0.10
GAMMA = 2.2


@dataclass(frozen=True)
class Atlas:
    """All faces painted side by side.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        origin_xy: (F, 2) float32 pixel of each face's corner ``a``.
        extent_wh: (F, 2) float32 pixels from ``a`` to ``b`` and from ``a`` to ``d``.
    """

    image: np.ndarray
    origin_xy: np.ndarray
    extent_wh: np.ndarray

    def triangle_maps(self) -> np.ndarray:
        """(2 F, 6) float32: per triangle of the ray scene, pixel origin and the two barycentric axes."""
        width, height = self.extent_wh[:, 0], self.extent_wh[:, 1]
        zero = np.zeros_like(width)
        first = np.stack([self.origin_xy[:, 0], self.origin_xy[:, 1], width, zero, width, height], axis=1)
        second = np.stack([self.origin_xy[:, 0], self.origin_xy[:, 1], width, height, zero, height], axis=1)
        return np.stack([first, second], axis=1).reshape(-1, 6)


def paint_room(
    room: Room,
    faces: Faces,
    scene: o3d.t.geometry.RaycastingScene,
    texel_m: float,
    rng: np.random.Generator,
) -> Atlas:
    """Paint all faces of a room.

    Args:
        room: The room, for its lights.
        faces: Faces of all its objects.
        scene: Ray caster over ``faces``, for shadows.
        texel_m: Size of a painted pixel on the surface.
        rng: Source of lamps and patterns.
    """
    light_grid = grid_faces(faces.corners_m, LIGHT_CELL_M)
    light = bake_light(faces, light_grid, scene, lights_of(room, rng), rng)
    grid = grid_faces(faces.corners_m, texel_m)
    node_light = _interpolate(light, light_grid, grid)
    albedo, glow = paint_textures(faces, grid, rng)
    linear = albedo**GAMMA * node_light * np.float32(0.80)
    # A soft shoulder keeps surfaces next to a lamp from burning out.
    linear = np.where(linear > 0.7, 0.7 + 0.3 * np.tanh((linear - 0.7) / 0.3), linear)
    color = np.where(
        glow[:, None] > 0, albedo * glow[:, None], np.maximum(linear, 0) ** np.float32(1 / GAMMA)
    )
    return _pack(np.clip(color * 255 + 0.5, 0, 255).astype(np.uint8), grid)


def _interpolate(values: np.ndarray, coarse: FaceGrid, fine: FaceGrid) -> np.ndarray:
    """(N, C) values of the fine grid's nodes from (M, C) values of the coarse grid's, bilinear."""
    cells = np.take(coarse.cells_wh.astype(np.float32), fine.face, axis=0)
    at = fine.uv * cells
    low = np.minimum(np.floor(at), cells - 1)
    x, y = (at - low)[:, :1], (at - low)[:, 1:]
    stride = np.take(coarse.nodes_wh[:, 0].astype(np.int32), fine.face)
    low = low.astype(np.int32)
    node = np.take(coarse.first_node.astype(np.int32), fine.face) + low[:, 1] * stride + low[:, 0]
    top = np.take(values, node, axis=0)
    top += x * (np.take(values, node + 1, axis=0) - top)
    bottom = np.take(values, node + stride, axis=0)
    bottom += x * (np.take(values, node + stride + 1, axis=0) - bottom)
    return top + y * (bottom - top)


def _pack(colors: np.ndarray, grid: FaceGrid) -> Atlas:
    """Lay the faces' nodes side by side in rows of falling height."""
    sizes = grid.nodes_wh
    wide = max(ATLAS_WIDTH, int(sizes[:, 0].max()))
    origin = np.zeros((len(sizes), 2), dtype=np.int64)
    x = y = row_height = 0
    for face in np.argsort(-sizes[:, 1], kind="stable"):
        width, height = sizes[face]
        if x + width > wide:
            x, y, row_height = 0, y + row_height, 0
        origin[face] = x, y
        x += width
        row_height = max(row_height, int(height))
    image = np.zeros((y + row_height, wide, 3), dtype=np.uint8)
    image[origin[grid.face, 1] + grid.row, origin[grid.face, 0] + grid.column] = colors
    return Atlas(image, origin.astype(np.float32), grid.cells_wh.astype(np.float32))
