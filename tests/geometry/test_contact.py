"""What an object is said to stand on."""

import numpy as np
import pytest

from scene_r1_cli.geometry.contact import MIN_HEIGHT_M, REACH_DOWN_M, REACH_UP_M, support_height


def block(bottom, top, low=0.0, high=0.5, step=0.02):
    """Points of an upright block's four sides and its top; its bottom was not seen."""
    x, y, z = np.meshgrid(
        np.arange(low, high, step), np.arange(low, high, step), np.arange(bottom, top, step)
    )
    points = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    outer = (np.abs(points[:, :2] - (low + high) / 2) > (high - low) / 2 - 1.5 * step).any(axis=1)
    return points[outer | (points[:, 2] > top - 1.5 * step)]


def ground(height=0.0, low=-0.4, high=0.9, step=0.04):
    x, y = np.meshgrid(np.arange(low, high, step), np.arange(low, high, step))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, height)], axis=1)


@pytest.mark.parametrize("bottom", [0.0, 0.7 * REACH_DOWN_M, -0.7 * REACH_UP_M])
def test_what_ends_near_the_floor_stands_on_it(bottom):
    assert support_height(block(bottom, 0.8), ground()) == pytest.approx(0.0, abs=1e-6)


def test_a_shelf_carries_as_a_floor_does():
    floor_and_shelf = np.concatenate([ground(0.0), ground(0.9)])
    assert support_height(block(0.93, 1.3), floor_and_shelf) == pytest.approx(0.9)


@pytest.mark.parametrize("bottom", [1.5 * REACH_DOWN_M, -1.5 * REACH_UP_M])
def test_what_hangs_or_reaches_through_stands_on_nothing(bottom):
    assert support_height(block(bottom, 0.8), ground()) is None


def test_a_floor_that_was_seen_only_elsewhere_says_nothing():
    assert support_height(block(0.02, 0.8), ground(low=2.0, high=3.0)) is None
    assert support_height(block(0.02, 0.8), np.zeros((0, 3))) is None


def test_a_table_of_four_feet_stands_on_the_floor_around_them_not_under_its_top_alone():
    """The floor below the middle of a wide table is far from any foot."""
    top = block(0.68, 0.72, 0.0, 2.0)
    feet = [block(0.03, 0.7, at, at + 0.06) for at in (0.0, 1.94)]
    points = np.concatenate([top, *feet])
    assert support_height(points, ground(0.0, -0.2, 2.2)) == pytest.approx(0.0)
    assert support_height(points, ground(0.0, 0.7, 1.3)) is None


def test_a_flat_thing_is_not_stood_on_the_floor_it_lies_on():
    flat = block(0.0, 0.7 * MIN_HEIGHT_M)
    assert support_height(flat, ground()) is None


def test_no_points_stand_nowhere():
    assert support_height(np.zeros((0, 3)), ground()) is None
