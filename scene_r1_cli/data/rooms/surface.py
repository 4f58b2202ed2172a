"""Regular grids over faces, and the ray-casting scene of a room.

A grid gives every face ``columns x rows`` cells of about one size; its nodes are the cells' corners.
Light is computed on one grid, texture painted on another, and the mesh is a third.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scene_r1_cli.data.rooms.solids import Faces, face_normals

if TYPE_CHECKING:
    import open3d as o3d


@dataclass(frozen=True)
class FaceGrid:
    """Nodes of a regular grid over each of F faces.

    Attributes:
        cells_wh: (F, 2) int64 cells along u and along v.
        first_node: (F,) int64 index of each face's node (0, 0); its nodes follow row by row.
        face: (N,) int32 face of each node.
        column: (N,) int32 node column, 0 ... cells along u.
        row: (N,) int32 node row, 0 ... cells along v.
    """

    cells_wh: np.ndarray
    first_node: np.ndarray
    face: np.ndarray
    column: np.ndarray
    row: np.ndarray

    @property
    def uv(self) -> np.ndarray:
        """(N, 2) float32 surface coordinates of the nodes, 0 ... 1."""
        scale = np.take((1 / self.cells_wh).astype(np.float32), self.face, axis=0)
        scale[:, 0] *= self.column
        scale[:, 1] *= self.row
        return scale

    @property
    def nodes_wh(self) -> np.ndarray:
        """(F, 2) int64 nodes along u and along v."""
        return self.cells_wh + 1


def edge_lengths(corners_m: np.ndarray) -> np.ndarray:
    """(F, 2) longest edge along u and along v of (F, 4, 3) faces."""
    a, b, c, d = (corners_m[:, i] for i in range(4))
    u = np.maximum(np.linalg.norm(b - a, axis=1), np.linalg.norm(c - d, axis=1))
    v = np.maximum(np.linalg.norm(d - a, axis=1), np.linalg.norm(c - b, axis=1))
    return np.stack([u, v], axis=1)


def grid_faces(corners_m: np.ndarray, cell_m: float) -> FaceGrid:
    """A grid with cells of at most ``cell_m`` over each of (F, 4, 3) faces."""
    cells = np.maximum(np.ceil(edge_lengths(corners_m) / cell_m - 1e-6), 1).astype(np.int64)
    counts = (cells + 1).prod(axis=1)
    ends = np.cumsum(counts)
    face = np.repeat(np.arange(len(cells)), counts)
    within = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
    columns = (cells[:, 0] + 1)[face]
    return FaceGrid(
        cells, ends - counts, face.astype(np.int32), (within % columns).astype(np.int32),
        (within // columns).astype(np.int32),
    )  # fmt: skip


def surface_points(corners_m: np.ndarray, face: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N, 3) points at surface coordinates ``uv`` (N, 2) of faces ``face`` (N,), on the drawn triangles."""
    u, v = uv[:, :1], uv[:, 1:]
    a, b, c, d = (corners_m[:, i].astype(np.float32) for i in range(4))
    lower = a[face] + (u - v) * (b - a)[face] + v * (c - a)[face]
    upper = a[face] + u * (c - a)[face] + (v - u) * (d - a)[face]
    return np.where(u >= v, lower, upper)


def ray_scene(faces: Faces) -> o3d.t.geometry.RaycastingScene:
    """Open3D's ray caster over all faces; triangles 2 f and 2 f + 1 are face f."""
    import open3d as o3d

    first = np.arange(len(faces), dtype=np.uint32)[:, None, None] * 4
    triangles = (first + np.array([[0, 1, 2], [0, 2, 3]], dtype=np.uint32)).reshape(-1, 3)
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor.from_numpy(faces.corners_m.reshape(-1, 3).astype(np.float32)),
        o3d.core.Tensor.from_numpy(triangles),
    )
    return scene


def is_lit_from(scene: o3d.t.geometry.RaycastingScene, from_m: np.ndarray, to_m: np.ndarray) -> np.ndarray:
    """(N,) bool: nothing lies between points ``from_m`` and ``to_m``, both (N, 3)."""
    import open3d as o3d

    rays = np.concatenate([from_m, to_m - from_m], axis=1).astype(np.float32)
    return ~scene.test_occlusions(o3d.core.Tensor.from_numpy(rays), tnear=0.0, tfar=0.999).numpy()


def triangle_normals(faces: Faces) -> np.ndarray:
    """(2 F, 3) float32 outward normals of the triangles of ``ray_scene``."""
    return np.repeat(face_normals(faces.corners_m), 2, axis=0).astype(np.float32)
