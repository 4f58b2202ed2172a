"""The mesh a room would be reconstructed to: what the depth camera saw, in small triangles.

As in ScanNet, surfaces that no frame shows are missing, the mesh is over-segmented, and an object is a set
of segments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scene_r1_cli.data.rooms.render import DepthView, RoomRenderer
from scene_r1_cli.data.rooms.sensor import FAR_M, NEAR_M
from scene_r1_cli.data.rooms.surface import edge_lengths, grid_faces, surface_points

CELL_M = 0.03
SEGMENT_M = 0.9
"""Large flat faces are cut into segments of about this size."""

MIN_SEGMENT_VERTICES = 20


@dataclass(frozen=True)
class RoomMesh:
    """A triangle mesh in the world frame.

    Attributes:
        vertices_m: (V, 3) float32.
        colors_rgb: (V, 3) uint8.
        triangles: (T, 3) int32.
        objects: (V,) int32 ``object_id`` of each vertex.
        segments: (V,) int32 segment of each vertex; a segment lies in one object.
    """

    vertices_m: np.ndarray
    colors_rgb: np.ndarray
    triangles: np.ndarray
    objects: np.ndarray
    segments: np.ndarray


class MeshBuilder:
    """Collects what depth frames show, then makes the mesh."""

    def __init__(self, renderer: RoomRenderer) -> None:
        self._renderer = renderer
        self._grid = grid_faces(renderer.faces.corners_m, CELL_M)
        cells = self._grid.cells_wh
        self._first_cell = np.concatenate([[0], np.cumsum(cells.prod(axis=1))])
        self._seen = np.zeros(self._first_cell[-1], dtype=bool)

    def add(self, view: DepthView) -> None:
        """Mark what one frame shows within the sensor's range."""
        # Pixels of a large image lie closer together than the mesh's cells.
        step = max(1, view.face.shape[1] // 320)
        some = np.s_[::step, ::step]
        depth = view.depth_m[some]
        shown = (depth > NEAR_M) & (depth < FAR_M) & (view.cos_incidence[some] > 0.1)
        face, uv = view.face[some][shown], view.uv[some][shown]
        cells = np.take(self._grid.cells_wh, face, axis=0)
        at = np.minimum((uv * cells).astype(np.int64), cells - 1)
        self._seen[self._first_cell[face] + at[:, 1] * cells[:, 0] + at[:, 0]] = True

    def build(self) -> RoomMesh:
        """The mesh of all that was marked, with gaps of one cell closed."""
        renderer, grid = self._renderer, self._grid
        face, column, row = self._cells()
        stride = grid.cells_wh[face, 0] + 1
        node = grid.first_node[face] + row * stride + column
        lower = np.stack([node, node + 1, node + stride + 1], axis=1)
        upper = np.stack([node, node + stride + 1, node + stride], axis=1)
        triangles = np.concatenate([lower, upper])
        used, triangles = np.unique(triangles, return_inverse=True)
        triangles = triangles.reshape(-1, 3)
        node_face = grid.face[used]
        uv = grid.uv[used]
        vertices = surface_points(renderer.faces.corners_m, node_face, uv)
        objects = renderer.face_object[node_face]
        atlas = renderer.atlas
        pixel = np.rint(atlas.origin_xy[node_face] + uv * atlas.extent_wh[node_face]).astype(np.int64)
        colors = atlas.image[pixel[:, 1], pixel[:, 0]]
        segments = self._segments(used, objects)
        return _weld(RoomMesh(vertices, colors, triangles.astype(np.int32), objects, segments))

    def _cells(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Face, column and row of every seen cell and its neighbours on the same face, each (C,) int64."""
        cells = self._grid.cells_wh
        flat = np.flatnonzero(self._seen)
        face = np.searchsorted(self._first_cell, flat, side="right") - 1
        within = flat - self._first_cell[face]
        column, row = within % cells[face, 0], within // cells[face, 0]
        marked = self._seen.copy()
        for step_x in (-1, 0, 1):
            for step_y in (-1, 0, 1):
                x = np.clip(column + step_x, 0, cells[face, 0] - 1)
                y = np.clip(row + step_y, 0, cells[face, 1] - 1)
                marked[self._first_cell[face] + y * cells[face, 0] + x] = True
        flat = np.flatnonzero(marked)
        face = np.searchsorted(self._first_cell, flat, side="right") - 1
        within = flat - self._first_cell[face]
        return face, within % cells[face, 0], within // cells[face, 0]

    def _segments(self, nodes: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """(V,) int32: one per smooth surface of an object, large ones cut up, tiny ones joined."""
        grid, faces = self._grid, self._renderer.faces
        face = grid.face[nodes]
        pieces = np.maximum(np.rint(edge_lengths(faces.corners_m) / SEGMENT_M), 1).astype(np.int64)
        uv = np.minimum((grid.uv[nodes] * pieces[face]).astype(np.int64), pieces[face] - 1)
        # Patches with a single piece per face stay whole; faces cut up get one segment per piece.
        piece = uv[:, 1] * pieces[face, 0] + uv[:, 0]
        key = faces.patch[face].astype(np.int64) * 1_000_000 + piece * (
            1 + np.where(pieces[face].prod(1) > 1, face, 0)
        )
        _, segments, sizes = np.unique(key, return_inverse=True, return_counts=True)
        # A tiny segment joins the segment before it in the same object, which is its neighbour in building.
        owner = np.zeros(len(sizes), dtype=np.int64)
        owner[segments] = objects
        joined = np.arange(len(sizes))
        for number in range(1, len(sizes)):
            if sizes[number] < MIN_SEGMENT_VERTICES and owner[number] == owner[number - 1]:
                joined[number] = joined[number - 1]
        return joined[segments].astype(np.int32)


def _weld(mesh: RoomMesh) -> RoomMesh:
    """Join vertices of one object that lie in the same place."""
    key = np.concatenate([np.rint(mesh.vertices_m * 2000), mesh.objects[:, None]], axis=1).astype(np.int32)
    packed = np.ascontiguousarray(key).view(np.dtype((np.void, key.dtype.itemsize * 4))).ravel()
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    triangles = inverse[mesh.triangles]
    proper = (
        (triangles[:, 0] != triangles[:, 1])
        & (triangles[:, 1] != triangles[:, 2])
        & (triangles[:, 2] != triangles[:, 0])
    )
    return RoomMesh(
        mesh.vertices_m[first], mesh.colors_rgb[first], triangles[proper].astype(np.int32),
        mesh.objects[first], mesh.segments[first],
    )  # fmt: skip
