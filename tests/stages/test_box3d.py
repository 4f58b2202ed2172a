"""Fitting: finite boxes with full lengths, whatever the points."""

import numpy as np
import pytest

from scene_r1_cli.config import LiftingConfig
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.stages.box3d import fit_boxes
from scene_r1_cli.types import PointSet

CONFIG = LiftingConfig()


def point_set(points, views: int | list[int] = 3):
    points = np.asarray(points, np.float32).reshape(-1, 3)
    counts = np.broadcast_to(np.asarray(views, np.int32), len(points)).copy()
    return PointSet(points, np.zeros((len(points), 3), np.uint8), counts, 3)


def plate(size_x, size_y, z=1.0):
    x, y = np.meshgrid(np.linspace(0, size_x, 40), np.linspace(0, size_y, 40))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], axis=1)


@pytest.mark.parametrize(
    "points",
    [plate(0.8, 0.5), plate(0.8, 0.0), plate(0.0, 0.0), [[1.0, 2.0, 3.0]]],
    ids=["a picture", "a line", "one place", "one point"],
)
def test_no_side_is_shorter_than_the_least_length(points):
    for box in fit_boxes(point_set(points), CONFIG):
        assert np.isfinite([*box.center_m, *box.size_m, box.score]).all()
        assert (box.size_m >= CONFIG.min_size_m - 1e-9).all()


def test_points_that_are_no_numbers_are_left_out():
    good = plate(0.8, 0.5)
    bad = np.array([[np.nan, 0, 0], [0, np.inf, 0], [0, 0, -np.inf]])
    clean, dirty = (fit_boxes(point_set(points), CONFIG)[0] for points in (good, np.concatenate([good, bad])))
    np.testing.assert_allclose(clean.center_m, dirty.center_m)
    np.testing.assert_allclose(clean.size_m, dirty.size_m)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((4, 3), np.nan)], ids=["none", "no numbers"])
def test_nothing_to_fit_is_a_failure_of_this_stage(points):
    with pytest.raises(StageFailure, match="no finite point") as caught:
        fit_boxes(point_set(points), CONFIG)
    assert caught.value.stage == "box3d"


def test_a_place_that_only_ends_the_object_stretches_the_box_but_is_no_measurement():
    points = np.concatenate([plate(0.8, 0.5, z=0.3), [[0.4, 0.25, 0.0]]])
    box = fit_boxes(point_set(points, views=[3] * 1600 + [0]), CONFIG)[0]
    assert box.center_m[2] - box.size_m[2] / 2 == pytest.approx(0.0)
    assert box.center_m[2] + box.size_m[2] / 2 == pytest.approx(0.3, abs=1e-6)
    with pytest.raises(StageFailure):
        fit_boxes(point_set([[0.4, 0.25, 0.0]], views=0), CONFIG)
