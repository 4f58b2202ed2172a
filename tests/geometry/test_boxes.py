"""IoU of boxes and their corners, by hand."""

import numpy as np
import pytest

from scene_r1_cli.geometry.boxes import (
    BOX_EDGES,
    aabb_from_bounds,
    aabb_from_points,
    aabb_iou,
    box2d_iou,
    box3d_corners,
)
from scene_r1_cli.geometry.transforms import rotation_about_z
from scene_r1_cli.types import Box3D


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (5, 5, 15, 15), 25 / 175),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (20, 20, 30, 30), 0.0),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04),
        # No area, no overlap: a box with its ends swapped is not a box.
        ((0, 0, 0, 10), (0, 0, 0, 10), 0.0),
        ((10, 10, 0, 0), (0, 0, 10, 10), 0.0),
    ],
)
def test_box2d_iou(a, b, expected):
    assert box2d_iou(np.array(a), np.array(b)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("a_center", "a_size", "b_center", "b_size", "expected"),
    [
        ((0, 0, 0), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1.0),
        ((0, 0, 0), (1, 1, 1), (0.5, 0, 0), (1, 1, 1), 1 / 3),
        ((0, 0, 0), (2, 2, 2), (0, 0, 0), (1, 1, 1), 1 / 8),
        ((0, 0, 0), (1, 1, 1), (1, 0, 0), (1, 1, 1), 0.0),
        ((0, 0, 0), (1, 1, 1), (3, 3, 3), (1, 1, 1), 0.0),
        # Identical flat boxes: 0 / 0 elsewhere.
        ((0, 0, 0), (1, 1, 0), (0, 0, 0), (1, 1, 0), 1.0),
        ((0, 0, 0), (1, 1, 0), (0, 0, 0), (1, 2, 0), 0.0),
        ((0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 0, 0), 0.0),
    ],
)
def test_aabb_iou(a_center, a_size, b_center, b_size, expected):
    forward = aabb_iou(np.array(a_center), np.array(a_size), np.array(b_center), np.array(b_size))
    backward = aabb_iou(np.array(b_center), np.array(b_size), np.array(a_center), np.array(a_size))
    assert forward == pytest.approx(expected)
    assert backward == forward


def test_aabb_iou_broadcasts():
    centers = np.array([[0, 0, 0], [0.5, 0, 0], [5, 0, 0]])
    found = aabb_iou(centers, np.ones(3), np.zeros(3), np.ones(3))
    np.testing.assert_allclose(found, [1, 1 / 3, 0])


def test_aabb_from_points_has_full_lengths():
    box = aabb_from_points(np.array([[0, 0, 0], [2, 4, 6], [1, 1, 1]], dtype=np.float32), score=0.5)
    np.testing.assert_allclose(box.center_m, [1, 2, 3])
    np.testing.assert_allclose(box.size_m, [2, 4, 6])
    assert box.score == 0.5
    assert box.yaw_rad == 0


def test_corners_of_an_aligned_box_are_its_bounds():
    corners = box3d_corners(aabb_from_bounds(np.array([0, 1, 2]), np.array([3, 5, 7])))
    np.testing.assert_allclose(corners.min(axis=0), [0, 1, 2])
    np.testing.assert_allclose(corners.max(axis=0), [3, 5, 7])
    np.testing.assert_allclose(corners[:4, 2], 2)
    lengths = [np.linalg.norm(corners[a] - corners[b]) for a, b in BOX_EDGES]
    assert sorted(np.round(lengths).tolist()) == [3] * 4 + [4] * 4 + [5] * 4


def test_corners_turn_with_the_box():
    world_from_box = rotation_about_z(np.pi / 2)
    world_from_box[:3, 3] = [10, 0, 0]
    box = Box3D(np.array([10.0, 0, 0]), np.array([4.0, 2, 1]), world_from_box)
    assert box.yaw_rad == pytest.approx(np.pi / 2)
    np.testing.assert_allclose(np.ptp(box3d_corners(box), axis=0), [2, 4, 1])
