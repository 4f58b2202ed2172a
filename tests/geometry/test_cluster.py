"""Connected parts of a cloud, and its outliers."""

import numpy as np
import pytest

from scene_r1_cli.geometry.cluster import crowded, main_parts
from scene_r1_cli.geometry.voxels import connected_parts, voxelize


@pytest.mark.parametrize("reach", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_parts_are_those_of_all_pairs_within_reach(reach, seed):
    rng = np.random.default_rng(seed)
    grid, _ = voxelize(rng.uniform(0, 1, (150, 3)), 0.05)
    among = rng.random(len(grid)) < 0.8
    found = grid.parts(among, reach)
    near = np.abs(grid.coordinates[:, None] - grid.coordinates).max(axis=2) <= reach
    near &= among[:, None] & among
    expected = connected_parts(len(grid), np.argwhere(near))
    assert (found[~among] == 0).all()
    assert (found[among] > 0).all()
    same = expected[among][:, None] == expected[among]
    assert ((found[among][:, None] == found[among]) == same).all()


def test_the_heaviest_part_stays_with_those_of_a_fair_share():
    points = np.concatenate(
        [np.arange(n)[:, None] * [0.01, 0, 0] + [x, 0, 0] for n, x in ((20, 0), (8, 1), (2, 2))]
    )
    grid, voxel = voxelize(points, 0.01)
    weights = np.bincount(voxel, minlength=len(grid))
    everything = np.ones(len(grid), dtype=bool)
    assert main_parts(grid, everything, weights, 1, 0.3)[voxel].sum() == 28
    assert main_parts(grid, everything, weights, 1, 1.0)[voxel].sum() == 20
    assert not main_parts(grid, ~everything, weights, 1, 0.3).any()


@pytest.mark.parametrize("reach", [1, 2])
def test_neighbours_are_counted_in_a_cube_around_each_voxel(reach):
    rng = np.random.default_rng(reach)
    grid, _ = voxelize(rng.uniform(0, 1, (300, 3)) * (1.0, 0.6, 0.8), 0.1)
    among = rng.random(len(grid)) < 0.6
    near = np.abs(grid.coordinates[:, None] - grid.coordinates[among]).max(axis=2) <= reach
    np.testing.assert_array_equal(crowded(grid, among, reach), near.sum(axis=1))


def test_a_grid_of_one_voxel_has_one():
    grid, _ = voxelize(np.zeros((5, 3)), 0.1)
    assert crowded(grid, np.array([True]), 2).tolist() == [1]
