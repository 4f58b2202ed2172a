"""Points on a grid, their neighbours and their connected parts."""

import numpy as np

from scene_r1_cli.geometry.cluster import main_parts
from scene_r1_cli.geometry.voxels import MAX_CELLS, connected_parts, mean_per_voxel, voxelize


def test_points_of_a_cell_share_a_voxel():
    points = np.array([[0.01, 0.01, 0.01], [0.09, 0.09, 0.09], [0.11, 0.01, 0.01], [-0.01, 0, 0]])
    grid, voxel = voxelize(points, 0.1)
    assert len(grid) == 3
    assert voxel[0] == voxel[1]
    assert len(set(voxel.tolist())) == 3
    counts = np.bincount(voxel)
    means = mean_per_voxel(points, voxel, counts)
    np.testing.assert_allclose(means[voxel[0]], [0.05, 0.05, 0.05])


def test_the_grid_is_fixed_in_space():
    points = np.random.default_rng(0).uniform(-1, 1, (200, 3))
    grid, voxel = voxelize(points, 0.1)
    other, other_voxel = voxelize(np.concatenate([points, [[-3.0, -3, -3]]]), 0.1)
    first = grid.coordinates[voxel] + np.rint(grid.origin_m / 0.1)
    second = other.coordinates[other_voxel[:-1]] + np.rint(other.origin_m / 0.1)
    np.testing.assert_array_equal(first, second)


def test_lookup_finds_occupied_cells_only():
    points = np.array([[0.05, 0.05, 0.05], [0.35, 0.05, 0.05]])
    grid, voxel = voxelize(points, 0.1)
    asked = np.array([[0.01, 0.09, 0.02], [0.36, 0.02, 0.02], [0.15, 0.05, 0.05], [9, 9, 9], [-1, 0, 0]])
    assert grid.lookup(asked).tolist() == [voxel[0], voxel[1], -1, -1, -1]


def test_neighbours_touch_by_face_edge_or_corner():
    cells = np.array([[0, 0, 0], [1, 0, 0], [2, 1, 1], [4, 4, 4]]) + 0.5
    grid, voxel = voxelize(cells, 1.0)
    pairs = {frozenset(pair) for pair in grid.neighbour_pairs().tolist()}
    assert pairs == {frozenset({voxel[0], voxel[1]}), frozenset({voxel[1], voxel[2]})}
    everything = np.ones(len(grid), dtype=bool)
    assert len(set(grid.parts(everything, 2).tolist())) == 2
    assert len(set(grid.parts(everything, 3).tolist())) == 1


def test_a_wide_cloud_gets_larger_voxels():
    grid, _ = voxelize(np.array([[0.0, 0, 0], [100, 100, 100]]), 0.01)
    assert np.prod(grid.shape) <= MAX_CELLS
    assert grid.voxel_m > 0.01
    assert len(grid) == 2


def test_connected_parts():
    parts = connected_parts(5, np.array([[0, 1], [3, 4]]))
    assert parts[0] == parts[1]
    assert parts[3] == parts[4]
    assert len(set(parts.tolist())) == 3
    assert len(set(connected_parts(3, np.zeros((0, 2), np.int32)).tolist())) == 3


def block(low: tuple[float, float, float], cells: int) -> np.ndarray:
    return np.stack(np.meshgrid(*[np.arange(cells)] * 3), axis=-1).reshape(-1, 3) + np.array(low) + 0.5


def test_the_main_part_and_parts_like_it_stay():
    points = np.concatenate([block((0, 0, 0), 4), block((10, 0, 0), 3), block((20, 0, 0), 1)])
    grid, voxel = voxelize(points, 1.0)
    weights = np.ones(len(grid))
    everything = np.ones(len(grid), bool)
    largest = main_parts(grid, everything, weights, 1, 1.0)
    assert largest[voxel].tolist() == [True] * 64 + [False] * 28
    fair = main_parts(grid, everything, weights, 1, 0.3)
    assert fair[voxel].tolist() == [True] * 91 + [False]
    # A gap of six cells is bridged by a reach of seven.
    assert main_parts(grid, everything, weights, 7, 1.0).sum() == 91
    assert not main_parts(grid, np.zeros(len(grid), bool), weights, 1, 1.0).any()
