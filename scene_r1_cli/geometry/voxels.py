"""Points on a regular grid: fusing, neighbours, connected parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
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
        coordinates = [
            np.floor((points_m[:, axis] - self.origin_m[axis]) / self.voxel_m).astype(np.int64)
            for axis in range(3)
        ]
        inside = np.ones(len(points_m), dtype=bool)
        for along, length in zip(coordinates, self.shape, strict=True):
            inside &= (along >= 0) & (along < length)
        voxel = np.full(len(points_m), -1, dtype=np.int32)
        voxel[inside] = self.index[_flatten([along[inside] for along in coordinates], self.shape)]
        return voxel

    def neighbour_pairs(self) -> np.ndarray:
        """(E, 2) int32 pairs of occupied voxels that touch (26 neighbours), first < second."""
        coordinates = self.coordinates
        pairs = []
        for step in HALF_NEIGHBOURS:
            other = coordinates + step
            inside = ((other >= 0) & (other < self.shape)).all(axis=1)
            neighbour = self.index[_flatten(other[inside].T, self.shape)]
            here = np.flatnonzero(inside)[neighbour >= 0]
            pairs.append(np.stack([here, neighbour[neighbour >= 0]], axis=1).astype(np.int32))
        return np.concatenate(pairs)

    def parts(self, among: np.ndarray, reach: int) -> np.ndarray:
        """Connected parts of some voxels.

        Args:
            among: (V,) bool, at least one True.
            reach: Cells apart, along each axis, at which two voxels are still connected.

        Returns:
            (V,) int32 label of the part from 1 on; 0 for voxels that are not ``among`` them.
        """
        chosen = np.unravel_index(self.cells[among], self.shape)
        low = [along.min() for along in chosen]
        size = [int(along.max() - start) + reach for along, start in zip(chosen, low, strict=True)]
        at = tuple(along - start for along, start in zip(chosen, low, strict=True))
        filled = np.zeros(size, dtype=bool)
        filled[at] = True
        # Cubes of side ``reach`` touch exactly where their corners are at most that far apart.
        for axis in range(3):
            for _ in range(reach - 1):
                before = np.take(filled, range(size[axis] - 1), axis)
                filled[tuple(slice(1, None) if a == axis else slice(None) for a in range(3))] |= before
        label = np.zeros(len(self), dtype=np.int32)
        labels: Any = ndimage.label(filled, np.ones((3, 3, 3)))
        label[among] = labels[0][at]
        return label


def voxelize(points_m: np.ndarray, voxel_m: float) -> tuple[VoxelGrid, np.ndarray]:
    """Put points on a grid.

    Args:
        points_m: (N >= 1, 3) finite.
        voxel_m: Wanted edge length; doubled until the grid fits ``MAX_CELLS``.

    Returns:
        The grid and the (N,) int32 voxel of each point.
    """
    # Column by column: numpy reduces rows of three at a tenth of the speed.
    columns = [points_m[:, axis] for axis in range(3)]
    low = np.array([column.min() for column in columns], dtype=np.float64)
    high = np.array([column.max() for column in columns], dtype=np.float64)
    while np.prod(np.floor((high - low) / voxel_m) + 1) > MAX_CELLS:
        voxel_m *= 2
    # Cells are fixed in space, so neighbouring clouds fall on the same grid.
    first = np.floor(low / voxel_m)
    shape = tuple(int(n) for n in np.floor(high / voxel_m) - first + 1)
    origin = first * voxel_m
    coordinates = [
        np.clip(np.floor((column - start) / voxel_m).astype(np.int64), 0, length - 1)
        for column, start, length in zip(columns, origin, shape, strict=True)
    ]
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


def _flatten(coordinates: Sequence[np.ndarray] | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Flat cells of coordinates along x, along y, along z."""
    return (coordinates[0] * shape[1] + coordinates[1]) * shape[2] + coordinates[2]
