"""Patterns of surfaces: wood, cloth, planks, tiles, pictures, writing, glass and screens.

Each pattern is a function of where a point lies on its face, in metres, so that a plank is as wide on a
large floor as on a small one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from scene_r1_cli.data.rooms.solids import TEXTURES, Faces, Texture
from scene_r1_cli.data.rooms.surface import FaceGrid, edge_lengths

TILE = 512
"""Side of the noise tiles; they repeat."""


@dataclass(frozen=True)
class _Points:
    """Points on faces of one texture.

    Attributes:
        rgb: (N, 3) float32 base colour.
        meters: (N, 2) float32 distance along u and v from corner ``a``.
        height: (N,) float32 share of the way up the face.
        is_wide: (N,) bool, the face is longer along u than along v.
        offset: (N, 2) int64 piece of the tiles that the face uses.
        grain: (TILE, TILE) float32 noise, coarse and fine mixed.
        blobs: (TILE, TILE) float32 large soft shapes.
    """

    rgb: np.ndarray
    meters: np.ndarray
    height: np.ndarray
    is_wide: np.ndarray
    offset: np.ndarray
    grain: np.ndarray
    blobs: np.ndarray

    def noise(self, per_m_u: float, per_m_v: float, soft: bool = False) -> np.ndarray:
        """(N,) float32 noise of deviation about 1, stretched along each axis."""
        u = (self.meters[:, 0] * per_m_u).astype(np.int64) + self.offset[:, 0]
        v = (self.meters[:, 1] * per_m_v).astype(np.int64) + self.offset[:, 1]
        return (self.blobs if soft else self.grain)[v % TILE, u % TILE]


def paint_textures(faces: Faces, grid: FaceGrid, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colour every node of a grid, before light.

    Returns:
        (N, 3) float32 colours, and (N,) float32 how much each node shines by itself, 0 for most.
    """
    lengths = edge_lengths(faces.corners_m).astype(np.float32)
    grain, blobs = _grain_tile(rng), _blob_tile(rng)
    offset = rng.integers(0, TILE, (len(faces), 2))
    color = np.take(faces.rgb, grid.face, axis=0)
    glow = np.zeros(len(grid.face), dtype=np.float32)
    uv = grid.uv
    kind = np.take(faces.texture, grid.face)
    for name, paint in _PAINTERS.items():
        which = np.flatnonzero(kind == TEXTURES.index(name))
        if not len(which):
            continue
        face = grid.face[which]
        points = _Points(
            rgb=color[which],
            meters=uv[which] * lengths[face],
            height=uv[which, 1],
            is_wide=(lengths[:, 0] >= lengths[:, 1])[face],
            offset=offset[face],
            grain=grain,
            blobs=blobs,
        )
        color[which], glow[which] = paint(points)
    return color, glow


def _grain_tile(rng: np.random.Generator) -> np.ndarray:
    tile = np.zeros((TILE, TILE), dtype=np.float32)
    for cells, weight in ((16, 0.5), (64, 0.5), (256, 0.4), (512, 0.35)):
        part = rng.standard_normal((cells, cells), dtype=np.float32)
        tile += weight * cv2.resize(part, (TILE, TILE), interpolation=cv2.INTER_LINEAR)
    return tile


def _blob_tile(rng: np.random.Generator) -> np.ndarray:
    tile = gaussian_filter(rng.standard_normal((TILE, TILE), dtype=np.float32), 12, mode="wrap")
    return tile / tile.std()


Painted = tuple[np.ndarray, np.ndarray | float]
"""(N, 3) colours and how much the points shine."""


def _toned(points: _Points, tone: np.ndarray) -> Painted:
    return points.rgb * tone[:, None].astype(np.float32), 0.0


def _plain(points: _Points) -> Painted:
    return _toned(points, 1 + 0.025 * points.noise(60, 60))


def _fabric(points: _Points) -> Painted:
    return _toned(points, 1 + 0.06 * points.noise(220, 220))


def _wood(points: _Points) -> Painted:
    grain = np.where(points.is_wide, points.noise(12, 160), points.noise(160, 12))
    return _toned(points, 1 + 0.10 * grain)


def _stripes(points: _Points) -> Painted:
    line = np.sin(points.meters[:, 0] * 180) > 0.86
    return _toned(points, 1 - 0.4 * line + 0.05 * points.noise(80, 10))


def _tiles(points: _Points) -> Painted:
    joint = (np.mod(points.meters, 0.40) < 0.012).any(axis=1)
    return _toned(points, 1 - 0.22 * joint + 0.03 * points.noise(40, 40))


def _planks(points: _Points) -> Painted:
    row = np.floor(points.meters[:, 1] / 0.14)
    along = points.meters[:, 0] + np.mod(row * 0.37, 1.0) * 1.1
    board = (np.floor(along / 1.1).astype(np.int64) * 31 + row.astype(np.int64) * 17) % 13
    seam = (np.mod(points.meters[:, 1], 0.14) < 0.008) | (np.mod(along, 1.1) < 0.008)
    return _toned(points, 1 + 0.014 * (board - 6) - 0.25 * seam + 0.06 * points.noise(14, 170))


def _art(points: _Points) -> Painted:
    """Soft shapes in tones of the picture's colour, some of them pale."""
    shapes = np.sign(points.noise(130, 130, soft=True)) + 0.5 * np.sign(points.noise(110, 210, soft=True))
    color = np.clip(points.rgb * (1 + 0.2 * shapes)[:, None], 0, 1)
    pale = points.noise(170, 140, soft=True) > 0.9
    return np.where(pale[:, None], 0.45 * color + 0.5, color), 0.0


def _text(points: _Points) -> Painted:
    """Lines of something like handwriting, with gaps."""
    line = np.mod(points.meters[:, 1], 0.12)
    ink = (line > 0.04) & (line < 0.07) & (points.noise(130, 60) > 0.3) & (points.noise(6, 12) > -0.2)
    return np.where(ink[:, None], np.array([0.12, 0.15, 0.35], dtype=np.float32), points.rgb), 0.0


def _glass(points: _Points) -> Painted:
    """What is outside: green below, sky above."""
    sky = points.height[:, None]
    return (1 - sky) * np.array([0.62, 0.70, 0.60]) + sky * np.array([0.80, 0.90, 1.0]), 1.0


def _screen(points: _Points) -> Painted:
    """A dark screen with lines of text."""
    line = np.mod(points.meters[:, 1] * 9, 1) < 0.12
    return points.rgb, 0.9 + 0.5 * line


_PAINTERS: dict[Texture, Callable[[_Points], Painted]] = {
    "plain": _plain,
    "wood": _wood,
    "fabric": _fabric,
    "tiles": _tiles,
    "planks": _planks,
    "stripes": _stripes,
    "art": _art,
    "text": _text,
    "glass": _glass,
    "screen": _screen,
}
