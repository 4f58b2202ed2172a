"""The painted surface of a room: one picture that holds every face, texture and light included.

Because light is baked into it, a frame costs one ray per pixel and one look-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from scene_r1_cli.data.rooms.layout import Room
from scene_r1_cli.data.rooms.lighting import bake_light, lights_of
from scene_r1_cli.data.rooms.solids import TEXTURES, Faces
from scene_r1_cli.data.rooms.surface import FaceGrid, edge_lengths, grid_faces

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
    albedo, glow = _texture(faces, grid, rng)
    linear = albedo**GAMMA * node_light * np.float32(0.80)
    # A soft shoulder keeps surfaces next to a lamp from burning out.
    linear = np.where(linear > 0.7, 0.7 + 0.3 * np.tanh((linear - 0.7) / 0.3), linear)
    color = np.where(
        glow[:, None] > 0, albedo * glow[:, None], np.maximum(linear, 0) ** np.float32(1 / GAMMA)
    )
    return _pack(np.clip(color * 255 + 0.5, 0, 255).astype(np.uint8), grid)


def _interpolate(values: np.ndarray, coarse: FaceGrid, fine: FaceGrid) -> np.ndarray:
    """(N, C) values of the fine grid's nodes from (M, C) values of the coarse grid's, bilinear."""
    cells = coarse.cells_wh[fine.face]
    at = fine.uv * cells
    low = np.minimum(at.astype(np.int64), cells - 1)
    share = (at - low).astype(np.float32)
    stride = cells[:, 0] + 1
    node = coarse.first_node[fine.face] + low[:, 1] * stride + low[:, 0]
    x, y = share[:, :1], share[:, 1:]
    top = values[node] * (1 - x) + values[node + 1] * x
    bottom = values[node + stride] * (1 - x) + values[node + stride + 1] * x
    return top * (1 - y) + bottom * y


def _noise_tile(rng: np.random.Generator, size: int = 512) -> np.ndarray:
    """(size, size) float32 tile of mean 0 and deviation about 1, coarse and fine mixed; it repeats."""
    tile = np.zeros((size, size), dtype=np.float32)
    for cells, weight in ((16, 0.5), (64, 0.5), (256, 0.4), (512, 0.35)):
        part = rng.standard_normal((cells, cells)).astype(np.float32)
        tile += weight * cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)
    return tile


def _texture(faces: Faces, grid: FaceGrid, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) float32 colours of the nodes before light, and (N,) how much each shines by itself."""
    tile = _noise_tile(rng)
    lengths = edge_lengths(faces.corners_m).astype(np.float32)
    meters = grid.uv * lengths[grid.face]
    kind = faces.texture[grid.face]
    offset = rng.integers(0, 512, (len(faces), 2))[grid.face]
    color = faces.rgb[grid.face].copy()
    glow = np.zeros(len(kind), dtype=np.float32)

    def noise(which: np.ndarray, per_m_u: float, per_m_v: float) -> np.ndarray:
        u = (meters[which, 0] * per_m_u).astype(np.int64) + offset[which, 0]
        v = (meters[which, 1] * per_m_v).astype(np.int64) + offset[which, 1]
        return tile[v & 511, u & 511]

    def nodes(name: str) -> np.ndarray:
        return np.flatnonzero(kind == TEXTURES.index(name))

    plain = nodes("plain")
    color[plain] *= 1 + 0.025 * noise(plain, 60, 60)[:, None]
    fabric = nodes("fabric")
    color[fabric] *= 1 + 0.06 * noise(fabric, 220, 220)[:, None]
    wood = nodes("wood")
    long_u = lengths[grid.face[wood], 0] >= lengths[grid.face[wood], 1]
    grain = np.where(long_u, noise(wood, 12, 160), noise(wood, 160, 12))
    color[wood] *= 1 + 0.10 * grain[:, None]
    stripes = nodes("stripes")
    line = np.sin(meters[stripes, 0] * 180) > 0.86
    color[stripes] *= (1 - 0.4 * line + 0.05 * noise(stripes, 80, 10))[:, None]
    tiles = nodes("tiles")
    joint = (np.mod(meters[tiles], 0.40) < 0.012).any(axis=1)
    color[tiles] *= (1 - 0.22 * joint + 0.03 * noise(tiles, 40, 40))[:, None]
    planks = nodes("planks")
    row = np.floor(meters[planks, 1] / 0.14)
    along = meters[planks, 0] + np.mod(row * 0.37, 1.0) * 1.1
    board = (np.floor(along / 1.1).astype(np.int64) * 31 + row.astype(np.int64) * 17) % 13
    seam = (np.mod(meters[planks, 1], 0.14) < 0.008) | (np.mod(along, 1.1) < 0.008)
    tone = 1 + 0.014 * (board - 6) - 0.25 * seam + 0.06 * noise(planks, 14, 170)
    color[planks] *= tone[:, None].astype(np.float32)
    art = nodes("art")
    shapes = noise(art, 22, 22)
    color[art] = np.clip(color[art] * (1 + 0.25 * np.sign(shapes))[:, None], 0, 1)
    bright = art[noise(art, 45, 45) > 0.9]
    color[bright] = 0.55 * color[bright] + 0.42
    text = nodes("text")
    line_v = np.mod(meters[text, 1], 0.12)
    written = (line_v > 0.04) & (line_v < 0.07) & (noise(text, 130, 60) > 0.3) & (noise(text, 6, 12) > -0.2)
    color[text[written]] = (0.12, 0.15, 0.35)
    glass = nodes("glass")
    sky = np.clip(grid.uv[glass, 1], 0, 1)[:, None]
    color[glass] = (1 - sky) * np.array([0.62, 0.70, 0.60]) + sky * np.array([0.80, 0.90, 1.0])
    glow[glass] = 1.0
    screen = nodes("screen")
    glow[screen] = 0.9 + 0.5 * (np.mod(meters[screen, 1] * 9, 1) < 0.12)
    return color.astype(np.float32), glow


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
