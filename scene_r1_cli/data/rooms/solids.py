"""Simple solids made of four-cornered faces: everything in a room is built from these.

A face is four corners ``a b c d``, counter-clockwise seen from outside. It is drawn as the triangles
``a b c`` and ``a c d``, and its surface coordinates (u, v) run from (0, 0) at ``a`` over (1, 0) at ``b``
and (1, 1) at ``c`` to (0, 1) at ``d``, affine in each triangle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Texture = Literal["plain", "wood", "fabric", "tiles", "planks", "stripes", "art", "text", "glass", "screen"]
TEXTURES: tuple[Texture, ...] = (
    "plain", "wood", "fabric", "tiles", "planks", "stripes", "art", "text", "glass", "screen",
)  # fmt: skip


@dataclass(frozen=True)
class Material:
    """What a face looks like.

    Attributes:
        rgb: Base colour, sRGB in [0, 1].
        texture: Pattern laid over the colour.
    """

    rgb: tuple[float, float, float]
    texture: Texture = "plain"


@dataclass(frozen=True)
class Faces:
    """Many faces.

    Attributes:
        corners_m: (F, 4, 3) float64.
        rgb: (F, 3) float32 base colours in [0, 1].
        texture: (F,) uint8 index into ``TEXTURES``.
        patch: (F,) int32; faces of one smooth surface (the side of a cylinder) share a number.
    """

    corners_m: np.ndarray
    rgb: np.ndarray
    texture: np.ndarray
    patch: np.ndarray

    def __len__(self) -> int:
        return len(self.corners_m)

    @property
    def bounds_m(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, each (3,)."""
        points = self.corners_m.reshape(-1, 3)
        return points.min(axis=0), points.max(axis=0)

    def moved(self, a_from_b: np.ndarray) -> Faces:
        """The same faces with corners taken from frame b to frame a."""
        corners = self.corners_m @ a_from_b[:3, :3].T + a_from_b[:3, 3]
        return Faces(corners, self.rgb, self.texture, self.patch)


def join_faces(parts: list[Faces]) -> Faces:
    """All faces of several sets, patches renumbered so that none is shared."""
    first_patch = np.cumsum([0] + [int(part.patch.max()) + 1 for part in parts[:-1]])
    return Faces(
        np.concatenate([part.corners_m for part in parts]),
        np.concatenate([part.rgb for part in parts]),
        np.concatenate([part.texture for part in parts]),
        np.concatenate([part.patch + first for part, first in zip(parts, first_patch, strict=True)]),
    )


def face_normals(corners_m: np.ndarray) -> np.ndarray:
    """(F, 3) outward unit normals of (F, 4, 3) faces."""
    normals = np.cross(corners_m[:, 2] - corners_m[:, 0], corners_m[:, 3] - corners_m[:, 1])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


# Corners of the unit box's six faces, each counter-clockwise from outside, the first edge horizontal.
_BOX_FACES = 0.5 * np.array(
    [
        [[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
        [[-1, 1, -1], [1, 1, -1], [1, -1, -1], [-1, -1, -1]],
        [[-1, -1, -1], [1, -1, -1], [1, -1, 1], [-1, -1, 1]],
        [[1, 1, -1], [-1, 1, -1], [-1, 1, 1], [1, 1, 1]],
        [[1, -1, -1], [1, 1, -1], [1, 1, 1], [1, -1, 1]],
        [[-1, 1, -1], [-1, -1, -1], [-1, -1, 1], [-1, 1, 1]],
    ]
)


def rotation(tilt_x_rad: float = 0.0, tilt_y_rad: float = 0.0, yaw_rad: float = 0.0) -> np.ndarray:
    """(3, 3) rotation: about x, then y, then z."""
    cx, sx, cy, sy = np.cos(tilt_x_rad), np.sin(tilt_x_rad), np.cos(tilt_y_rad), np.sin(tilt_y_rad)
    cz, sz = np.cos(yaw_rad), np.sin(yaw_rad)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@dataclass
class SolidBuilder:
    """Collects solids of one piece of furniture in its own frame (x right, y front, z up, floor at 0)."""

    _corners: list[np.ndarray] = field(default_factory=list)
    _rgb: list[np.ndarray] = field(default_factory=list)
    _texture: list[np.ndarray] = field(default_factory=list)
    _patch: list[np.ndarray] = field(default_factory=list)
    _patches: int = 0

    def add(self, corners_m: np.ndarray, material: Material, patch: np.ndarray) -> None:
        """Add (F, 4, 3) faces; ``patch`` (F,) counts from 0 within this solid."""
        count = len(corners_m)
        self._corners.append(np.asarray(corners_m, dtype=np.float64))
        self._rgb.append(np.tile(np.asarray(material.rgb, dtype=np.float32), (count, 1)))
        self._texture.append(np.full(count, TEXTURES.index(material.texture), dtype=np.uint8))
        self._patch.append(np.asarray(patch, dtype=np.int32) + self._patches)
        self._patches += int(np.max(patch)) + 1

    def box(
        self,
        center_m: tuple[float, float, float],
        size_m: tuple[float, float, float],
        material: Material,
        turn: np.ndarray | None = None,
    ) -> None:
        """A box around ``center_m``, turned by an optional (3, 3) rotation."""
        corners = _BOX_FACES * np.asarray(size_m)
        if turn is not None:
            corners = corners @ turn.T
        self.add(corners + np.asarray(center_m), material, np.arange(6))

    def block(
        self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], material: Material
    ) -> None:
        """An upright box between two bounds along each axis."""
        low, high = np.array([x[0], y[0], z[0]]), np.array([x[1], y[1], z[1]])
        self.add(_BOX_FACES * (high - low) + (low + high) / 2, material, np.arange(6))

    def panel(self, corners_m: np.ndarray, material: Material) -> None:
        """One face from (4, 3) corners."""
        self.add(np.asarray(corners_m)[None], material, np.zeros(1, dtype=np.int32))

    def cylinder(
        self,
        base_m: tuple[float, float, float],
        radius_m: float,
        height_m: float,
        material: Material,
        *,
        top_radius_m: float | None = None,
        sides: int = 12,
        open_ends: bool = False,
    ) -> None:
        """An upright cylinder or cone stump standing on ``base_m``; ``sides`` is even."""
        angles = np.arange(sides) * (2 * np.pi / sides)
        ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(sides)], axis=1)
        bottom = ring * radius_m + np.asarray(base_m)
        top = ring * (radius_m if top_radius_m is None else top_radius_m) + np.asarray(base_m)
        top[:, 2] += height_m
        side = np.stack([bottom, np.roll(bottom, -1, 0), np.roll(top, -1, 0), top], axis=1)
        self.add(side, material, np.zeros(sides, dtype=np.int32))
        if open_ends:
            # The inner wall keeps a gap, or both walls would fight for the same pixels.
            middle = np.array([base_m[0], base_m[1], 0.0])
            inner = (side[:, ::-1] - middle) * (1 - 0.004 / radius_m, 1 - 0.004 / radius_m, 1) + middle
            self.add(inner, material, np.zeros(sides, dtype=np.int32))
            return
        for circle, upward in ((top, True), (bottom, False)):
            self.add(_disc(circle, upward), material, np.zeros(sides // 2, dtype=np.int32))

    def ellipsoid(
        self,
        center_m: tuple[float, float, float],
        radii_m: tuple[float, float, float],
        material: Material,
        *,
        turn: np.ndarray | None = None,
        sides: int = 10,
        rings: int = 6,
        squareness: float = 2.0,
    ) -> None:
        """A rounded solid: a ball stretched along its axes; above 2 its outline nears a rectangle."""
        polar = np.linspace(0, np.pi, rings + 1)
        angles = np.arange(sides + 1) * (2 * np.pi / sides)
        cos, sin = np.cos(angles), np.sin(angles)
        outline = (np.abs(cos) ** squareness + np.abs(sin) ** squareness) ** (-1 / squareness)
        x = np.sin(polar)[:, None] * (cos * outline)
        y = np.sin(polar)[:, None] * (sin * outline)
        z = np.broadcast_to(-np.cos(polar)[:, None], x.shape)
        points = np.stack([x, y, z], axis=-1) * np.asarray(radii_m)
        if turn is not None:
            points = points @ turn.T
        points = points + np.asarray(center_m)
        quads = np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], axis=2)
        upper = np.repeat(np.arange(rings) >= rings // 2, sides)
        self.add(quads.reshape(-1, 4, 3), material, upper.astype(np.int32))

    def build(self) -> Faces:
        """All faces added so far."""
        return Faces(
            np.concatenate(self._corners),
            np.concatenate(self._rgb),
            np.concatenate(self._texture),
            np.concatenate(self._patch),
        )


def _disc(circle_m: np.ndarray, upward: bool) -> np.ndarray:
    """(N / 2, 4, 3) faces that fill a circle of N points, N even."""
    order = circle_m if upward else circle_m[::-1]
    center = np.broadcast_to(circle_m.mean(axis=0), circle_m[::2].shape)
    return np.stack([center, order[::2], order[1::2], np.roll(order, -2, 0)[::2]], axis=1)
