"""Choosing among splits of a surface, on voxels a reader can place."""

import numpy as np
import pytest

from scene_r1_cli.geometry.surface import FusedSurface
from scene_r1_cli.geometry.voxels import voxelize
from scene_r1_cli.models.trackers.evidence import Evidence, union_bounds
from scene_r1_cli.models.trackers.hypotheses import Split, color_ratio, link_voxels
from scene_r1_cli.models.trackers.object_model import needed_parts, score_splits

VOXEL_M = 0.02


def patch(x_m: float, z_m: float, width: int, height: int, y_m: float = 1.0) -> np.ndarray:
    """(width * height, 3) points of an upright patch whose lowest corner is at x, z and distance y."""
    across, up = np.meshgrid(np.arange(width), np.arange(height), indexing="ij")
    distance = np.full(across.size, y_m)
    return np.stack([x_m + VOXEL_M * across.ravel(), distance, z_m + VOXEL_M * up.ravel()], axis=1) + 0.001


def surface_of(points: np.ndarray, colors_rgb: float | np.ndarray = 128.0) -> FusedSurface:
    """A surface facing the camera; one voxel per point, in the points' order of voxels."""
    grid, voxel = voxelize(points, VOXEL_M)
    assert len(grid) == len(points)
    order = np.argsort(voxel)
    normals = np.tile([0.0, -1.0, 0.0], (len(points), 1))
    colors = np.broadcast_to(colors_rgb, (len(points), 3))[order]
    return FusedSurface(grid, points[order], normals, colors, np.ones(len(points), int))


def evidence_of(surface: FusedSurface, box: tuple[float, float, float, float]) -> Evidence:
    """Of a camera that looks along y, 100 px to the metre: x to the right, z upwards in its image."""
    pixels = surface.points_m[:, [0, 2]] * 100
    inside = ((pixels >= box[:2]) & (pixels <= box[2:])).all(axis=1)
    seen = np.ones((1, len(pixels)), bool)
    return Evidence(
        inside.astype(float),
        (~inside).astype(float),
        np.zeros(len(pixels)),
        seen,
        pixels[None],
        surface.points_m[None, :, 1],
        np.array([box], float),
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # A patch that fills the box needs nothing else, be it behind or beside it.
        ([(0, 0, 50, 50, 1.0), (0.4, 0.4, 10, 10, 2.0)], [True, False]),
        # Two halves of one box, at one distance.
        ([(0, 0, 50, 20, 1.0), (0, 0.5, 50, 25, 1.0)], [True, True]),
        # The second half lies far behind, and is of something else.
        ([(0, 0, 50, 42, 1.0), (0, 0.9, 50, 5, 3.0)], [True, False]),
    ],
)
def test_only_parts_that_fill_the_box_stay(parts, expected):
    clouds = [patch(*part) for part in parts]
    surface = surface_of(np.concatenate(clouds))
    graph = link_voxels(surface, 1.0)
    found = needed_parts(graph, evidence_of(surface, (0, 0, 99, 99)), np.ones(len(surface.counts), bool))
    for cloud, kept in zip(clouds, expected, strict=True):
        voxels = surface.grid.lookup(cloud)
        assert found[voxels].mean() == kept


def test_nothing_under_the_prompt_is_no_part():
    surface = surface_of(patch(0, 0, 20, 20))
    graph = link_voxels(surface, 1.0)
    evidence = evidence_of(surface, (200, 200, 300, 300))
    assert not needed_parts(graph, evidence, np.ones(len(surface.counts), bool)).any()


def splits_of(*shares: float, heeds_planes: bool = True) -> list[Split]:
    """Splits that take the first so many of 100 voxels."""
    return [Split(np.arange(100) < 100 * share, heeds_planes) for share in shares]


@pytest.mark.parametrize(
    ("splits", "fits", "depths", "best"),
    [
        (splits_of(0.5, 0.5), (0.6, 0.9), (1, 1), 1),  # fills the box better
        (splits_of(0.5, 0.5, 1.0), (0.8, 0.8, 0.9), (1, 1, 1), 0),  # is confirmed
        (splits_of(0.5, 1.0), (0.8, 0.8), (1, 1), 0),  # does it with less
        (splits_of(0.5, 0.5), (0.8, 0.8), (3, 1), 1),  # does not reach behind the object
        ([*splits_of(0.5, heeds_planes=False), *splits_of(0.5)], (0.8, 0.8), (1, 1), 1),  # heeds planes
    ],
)
def test_a_split_is_better_if_it(splits, fits, depths, best):
    assert np.argmax(score_splits(splits, np.array(fits), np.array(depths))) == best


def test_colours_of_the_box_alone_and_of_its_surroundings():
    inner, outer = patch(0, 0, 30, 30), patch(0.8, 0, 30, 30)
    red, grey = (200.0, 30.0, 30.0), (128.0, 128.0, 128.0)
    mixed = np.array([red] * 450 + [grey] * 450 + [grey] * 900)
    surface = surface_of(np.concatenate([inner, outer]), mixed)
    evidence = evidence_of(surface, (0, 0, 60, 60))
    ratio = color_ratio(surface.colors_rgb, evidence)
    is_red = surface.colors_rgb[:, 1] < 100
    assert ratio[is_red].min() > 1.5
    assert ratio[~is_red].max() < 0


def test_bounds_around_what_is_seen_and_what_is_not():
    nothing, some = np.full((1, 4), np.nan), np.array([[1.0, 2, 3, 4]])
    assert union_bounds(nothing, some).tolist() == some.tolist()
    assert union_bounds(some, np.array([[0.0, 3, 2, 9]])).tolist() == [[0, 2, 3, 9]]
