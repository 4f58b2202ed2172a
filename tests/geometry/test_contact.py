"""Sides that no camera saw: which planes an object is said to reach."""

import numpy as np
import pytest

from scene_r1_cli.geometry.contact import MIN_SHARE, TOUCH_M, contact_points
from scene_r1_cli.geometry.planes import Plane

FLOOR = Plane(np.array([0.0, 0.0, 1.0]), 0.0)
WALL = Plane(np.array([1.0, 0.0, 0.0]), 0.0)


def sheet(axis, at, low=0.0, high=1.0, step=0.02):
    """Points of a square sheet across an axis."""
    along = np.arange(low, high, step)
    a, b = (grid.ravel() for grid in np.meshgrid(along, along))
    columns = [a, b]
    columns.insert(axis, np.full(len(a), at))
    return np.stack(columns, axis=1)


def nothing_is_empty(places_m):
    return np.zeros(len(places_m), dtype=bool)


def all_is_empty(places_m):
    return np.ones(len(places_m), dtype=bool)


def test_what_is_a_hand_above_the_floor_ends_on_it_even_if_air_was_seen():
    points = sheet(2, TOUCH_M - 0.01)
    added = contact_points(points, [(FLOOR, sheet(2, 0.0, -0.5, 1.5))], all_is_empty)
    assert len(added)
    assert np.abs(added[:, 2]).max() < 1e-6
    assert added[:, :2].min() >= 0
    assert added[:, :2].max() <= 1


def test_a_wall_two_inches_off_is_reached_only_through_what_is_hidden():
    points = sheet(0, 0.04)
    samples = sheet(0, 0.0, -0.5, 1.5)
    assert len(contact_points(points, [(WALL, samples)], nothing_is_empty)) == 0
    deep = sheet(0, 0.4)
    assert np.abs(contact_points(deep, [(WALL, samples)], nothing_is_empty)[:, 0]).max() < 1e-6
    assert len(contact_points(deep, [(WALL, samples)], all_is_empty)) == 0


@pytest.mark.parametrize(("share_empty", "bridged"), [(0.5 * (1 - MIN_SHARE), True), (0.3, False)])
def test_a_wide_gap_is_bridged_if_most_of_it_is_hidden(share_empty, bridged):
    points = sheet(2, 0.45)

    def empty_on_one_side(places_m):
        return places_m[:, 0] < share_empty

    added = contact_points(points, [(FLOOR, sheet(2, 0.0, -0.5, 1.5))], empty_on_one_side)
    assert bool(len(added)) is bridged


def test_planes_are_judged_one_by_one():
    """Air seen under a table says nothing about the wall behind it."""
    points = np.concatenate([sheet(2, 0.7, 0.3, 1.0), sheet(2, 0.72, 0.3, 1.0)])
    planes = [(FLOOR, sheet(2, 0.0, -0.5, 1.5)), (WALL, sheet(0, 0.0, -0.5, 1.5))]

    def empty_below(places_m):
        return places_m[:, 2] < 0.69

    added = contact_points(points, planes, empty_below)
    assert len(added)
    assert np.abs(added[:, 0]).max() < 1e-6
    assert added[:, 2].min() > 0.69


def test_a_plane_that_cuts_through_or_lies_far_or_was_not_seen_near_is_not_reached():
    across = sheet(0, 0.5, -0.5, 0.5)
    assert len(contact_points(across, [(FLOOR, sheet(2, 0.0, -0.5, 1.5))], nothing_is_empty)) == 0
    high = sheet(2, 1.5)
    assert len(contact_points(high, [(FLOOR, sheet(2, 0.0, -0.5, 1.5))], nothing_is_empty)) == 0
    elsewhere = sheet(2, 0.0, 5.0, 6.0)
    assert len(contact_points(sheet(2, 0.02), [(FLOOR, elsewhere)], nothing_is_empty)) == 0
