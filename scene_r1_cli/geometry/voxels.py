"""Points on a regular grid: fusing, neighbours, connected parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

MAX_CELLS = 1 << 24
"""Cells of the dense index; a wider cloud gets larger voxels (64 MB at most)."""

HALF_NEIGHBOURS = np.array(
    [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) > (0, 0, 0)],
    dtype=np.int64,
)
"""(13, 3): one of each pair of opposite neighbours among the 26."""


@dataclass(frozen=True)
class VoxelGrid:
    """Occupied cells of a regular grid.

    Attributes:
        origin_m: (3,) lowest corner.
        voxel_m: Edge length of a cell.
        shape: Cells along x, y, z.
        index: (prod(shape),) int32: number of the occupied voxel in each cell, -1 where empty.
        cells: (V,) int64 flat cell of each occupied voxel, rising.
    """

    origin_m: np.ndarray
    voxel_m: float
    shape: tuple[int, int, int]
    index: np.ndarray
    cells: np.ndarray

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def coordinates(self) -> np.ndarray:
        """(V, 3) int64 cell coordinates of the occupied voxels."""
        return np.stack(np.unravel_index(self.cells, self.shape), axis=1)

    def lookup(self, points_m: np.ndarray) -> np.ndarray:
        """(N,) int32 voxel of each (N, 3) point; -1 outside the grid or in an empty cell."""
        coordinates = np.floor((points_m - self.origin_m) / self.voxel_m).astype(np.int64)
        inside = ((coordinates >= 0) & (coordinates < self.shape)).all(axis=1)
        voxel = np.full(len(points_m), -1, dtype=np.int32)
        voxel[inside] = self.index[_flatten(coordinates[inside], self.shape)]
        return voxel

    def neighbour_pairs(self, reach: int = 1, among: np.ndarray | None = None) -> np.ndarray:
        """(E, 2) int32 pairs of occupied voxels, first < second, at most ``reach`` cells apart.

        ``among`` (V,) bool: pairs of these only.
        """
        chosen = np.arange(len(self)) if among is None else np.flatnonzero(among)
        index = self.index
        if among is not None:
            index = np.full_like(index, -1)
            index[self.cells[chosen]] = chosen
        coordinates = self.coordinates[chosen]
        steps = HALF_NEIGHBOURS if reach == 1 else _half_steps(reach)
        pairs = []
        for step in steps:
            other = coordinates + step
            inside = ((other >= 0) & (other < self.shape)).all(axis=1)
            neighbour = index[_flatten(other[inside], self.shape)]
            here = chosen[inside][neighbour >= 0]
            pairs.append(np.stack([here, neighbour[neighbour >= 0]], axis=1).astype(np.int32))
        return np.concatenate(pairs)


def voxelize(points_m: np.ndarray, voxel_m: float) -> tuple[VoxelGrid, np.ndarray]:
    """Put points on a grid.

    Args:
        points_m: (N >= 1, 3) finite.
        voxel_m: Wanted edge length; doubled until the grid fits ``MAX_CELLS``.

    Returns:
        The grid and the (N,) int32 voxel of each point.
    """
    low, high = points_m.min(axis=0).astype(np.float64), points_m.max(axis=0).astype(np.float64)
    while np.prod(np.floor((high - low) / voxel_m) + 1) > MAX_CELLS:
        voxel_m *= 2
    # Cells are fixed in space, so neighbouring clouds fall on the same grid.
    first = np.floor(low / voxel_m)
    shape = tuple(int(n) for n in np.floor(high / voxel_m) - first + 1)
    origin = first * voxel_m
    coordinates = np.floor((points_m - origin) / voxel_m).astype(np.int64)
    coordinates = np.clip(coordinates, 0, np.array(shape) - 1)
    flat = _flatten(coordinates, shape)
    occupied = np.zeros(int(np.prod(shape)), dtype=bool)
    occupied[flat] = True
    cells = np.flatnonzero(occupied)
    index = np.full(len(occupied), -1, dtype=np.int32)
    index[cells] = np.arange(len(cells), dtype=np.int32)
    grid = VoxelGrid(origin, voxel_m, (shape[0], shape[1], shape[2]), index, cells)
    return grid, index[flat]


def mean_per_voxel(values: np.ndarray, voxel: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(V, C) float64 means of (N, C) values by voxel; ``count`` is (V,) points per voxel, all > 0."""
    sums = [np.bincount(voxel, weights=values[:, c], minlength=len(count)) for c in range(values.shape[1])]
    return np.stack(sums, axis=1) / count[:, None]


def connected_parts(num_nodes: int, pairs: np.ndarray) -> np.ndarray:
    """(num_nodes,) int32 label of the connected part of each node of an undirected graph."""
    ones = np.ones(len(pairs), dtype=np.int8)
    graph = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(num_nodes, num_nodes))
    return connected_components(graph, directed=False)[1]


def _half_steps(reach: int) -> np.ndarray:
    span = range(-reach, reach + 1)
    steps = [(x, y, z) for x in span for y in span for z in span if (x, y, z) > (0, 0, 0)]
    return np.array(steps, dtype=np.int64)


def _flatten(coordinates: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return (coordinates[:, 0] * shape[1] + coordinates[:, 1]) * shape[2] + coordinates[:, 2]
