"""Connected parts of a cloud, and its outliers."""

import numpy as np
import pytest

from scene_r1_cli.geometry.cluster import main_parts, statistical_inliers
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


def test_a_stray_point_is_an_outlier_and_a_tiny_cloud_is_left_alone():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 0.01, (200, 3)), [[1.0, 1.0, 1.0]]])
    assert not statistical_inliers(points, 12, 3.5)[-1]
    assert statistical_inliers(points, 12, 3.5)[:-1].mean() > 0.95
    assert statistical_inliers(points[-5:], 12, 3.5).all()
