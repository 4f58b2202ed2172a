"""Robust bounds and the turned box."""

import numpy as np
import pytest

from scene_r1_cli.geometry.boxes import box3d_corners
from scene_r1_cli.geometry.fit import (
    at_least,
    face_bounds,
    min_area_yaw,
    thin_bounds,
    trimmed_bounds,
    turned_box,
)


@pytest.mark.parametrize(
    ("trim", "low", "high"),
    [(0.0, 0, 100), (0.01, 1, 99), (0.05, 5, 95), (0.1, 10, 90)],
)
def test_trimmed_bounds_cut_points_from_both_ends(trim, low, high):
    points = np.arange(101.0)[:, None]
    found_low, found_high = trimmed_bounds(points, trim)
    assert found_low[0] == pytest.approx(low, abs=1)
    assert found_high[0] == pytest.approx(high, abs=1)


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_trimming_cuts_as_many_points_as_it_says(count):
    points = np.random.default_rng(count).permutation(count)[:, None] * [1.0, -1.0]
    low, high = trimmed_bounds(points, 0.1)
    assert low.tolist() == [count // 10, count // 10 + 1 - count]
    assert high.tolist() == [count - 1 - count // 10, -(count // 10)]


def test_a_face_is_bounded_in_the_middle_of_its_noise_and_a_tip_is_not():
    rng = np.random.default_rng(0)
    sides = rng.uniform(0, 1, 2000)
    face = rng.normal(1.0, 0.01, 2000)
    low, high = face_bounds(np.concatenate([sides, face])[:, None], 0.002, 0.04)
    assert high[0] == pytest.approx(1.0, abs=0.005)
    assert low[0] == pytest.approx(0.0, abs=0.01)
    flat = rng.normal(0.5, 0.01, 2000)[:, None]
    low, high = face_bounds(flat, 0.002, 0.04)
    assert (low[0], high[0]) == (pytest.approx(0.5, abs=0.01), pytest.approx(0.5, abs=0.01))
    assert low[0] <= high[0]


def test_one_point_has_bounds():
    low, high = trimmed_bounds(np.array([[1.0, 2, 3]]), 0.1)
    np.testing.assert_array_equal(low, [1, 2, 3])
    np.testing.assert_array_equal(high, [1, 2, 3])


def test_thin_sides_are_widened_about_their_middle():
    low, high = at_least(np.array([0.0, 0, 1]), np.array([2.0, 0.004, 1]), 0.01)
    np.testing.assert_allclose(low, [0, -0.003, 0.995])
    np.testing.assert_allclose(high, [2, 0.007, 1.005])


def rectangle(length: float, width: float, degrees: float) -> np.ndarray:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (400, 2)) * [length, width]
    points = np.concatenate(
        [points, np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * [length / 2, width / 2]]
    )
    a = np.radians(degrees)
    return points @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


@pytest.mark.parametrize(
    ("degrees", "expected"), [(0, 0), (30, 30), (75, 75), (120, 30), (-20, 70), (200, 20)]
)
def test_min_area_yaw_of_a_turned_rectangle(degrees, expected):
    yaw = np.degrees(min_area_yaw(rectangle(2.0, 0.5, degrees)))
    difference = (yaw - expected + 45) % 90 - 45
    assert abs(difference) < 0.1


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[0, 0]], 0),
        ([[1, 1], [1, 1], [1, 1]], 0),
        ([[0, 0], [1, 1], [2, 2], [3, 3]], 45),
        ([[0, 0], [0, 1]], 0),
    ],
)
def test_yaw_without_area(points, expected):
    yaw = np.degrees(min_area_yaw(np.array(points, float)))
    assert abs((yaw - expected + 45) % 90 - 45) < 1e-6


def test_turned_box_holds_its_points_with_full_lengths():
    points = np.column_stack([rectangle(2.0, 0.5, 30), np.linspace(0, 1.5, 404)])
    points += np.array([3, 4, 0])
    box = turned_box(
        points,
        np.ones(len(points)),
        np.zeros((0, 3)),
        np.radians(30),
        trim=0.0,
        layer_m=0.0,
        thin_m=0.0,
        min_size_m=0.01,
        score=0.7,
    )
    np.testing.assert_allclose(box.size_m, [2.0, 0.5, 1.5], atol=1e-9)
    np.testing.assert_allclose(box.center_m, [3, 4, 0.75], atol=1e-9)
    assert box.yaw_rad == pytest.approx(np.radians(30))
    np.testing.assert_allclose(box3d_corners(box).mean(axis=0), box.center_m)


CURTAIN_DEPTHS = np.concatenate([np.linspace(0, 0.08, 81), [-0.03, 0.12]])
CURTAIN = np.column_stack([np.linspace(0, 1, 83), CURTAIN_DEPTHS, np.tile([0, 1.0], 42)[:83]])
CURTAIN_VIEWS = np.array([20] * 81 + [1, 1])


def thin(points, views, thin_m=0.2, trim=0.002):
    return thin_bounds(points, views, points.min(axis=0), points.max(axis=0), trim, thin_m)


def test_across_a_thin_object_points_count_by_their_views():
    low, high = thin(CURTAIN, CURTAIN_VIEWS)
    np.testing.assert_allclose(low, [0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(high, [1, 0.08, 1], atol=1e-9)


@pytest.mark.parametrize(
    ("points", "views", "thin_m"),
    [
        (CURTAIN, np.ones(83), 0.2),  # all points alike
        (CURTAIN, CURTAIN_VIEWS, 0.1),  # thicker than that
        (CURTAIN * [0.3, 1, 0.3], CURTAIN_VIEWS, 0.2),  # a small thing, but no thin one
    ],
)
def test_other_sides_stay_as_they_are(points, views, thin_m):
    np.testing.assert_allclose(thin(points, views, thin_m), [points.min(axis=0), points.max(axis=0)])


def test_thin_bounds_are_never_wider_and_a_side_without_length_has_nothing_to_trim():
    low, high = np.array([0.0, 0.03, 0.0]), np.array([1.0, 0.05, 1.0])
    bounds = thin_bounds(CURTAIN, CURTAIN_VIEWS, low, high, 0.002, 0.2)
    np.testing.assert_allclose(bounds, [low, high])
    low[1] = high[1] = 0.04
    np.testing.assert_allclose(thin_bounds(CURTAIN, CURTAIN_VIEWS, low, high, 0.002, 0.2), [low, high])
