"""A flat object is its face, and ends at the wall or floor that shows around it."""

import numpy as np
import pytest

from scene_r1_cli.lifting.flat import MAX_SPREAD_M, end_behind, find_flat_face, on_face
from scene_r1_cli.lifting.surroundings import Surroundings

CAMERAS = np.array([[2.0, -0.5, 1.5], [2.5, 0.6, 1.4]])
SIDE = np.linspace(-0.4, 0.4, 41)


def face_points(noise_m, seed=0):
    """A picture of 0.8 x 0.6 m whose face is x = 0.03, as a sensor with noise across it measures it."""
    y, z = np.meshgrid(SIDE, np.linspace(1.2, 1.8, 31))
    x = 0.03 + np.random.default_rng(seed).normal(0, noise_m, y.size)
    return np.column_stack([x, y.ravel(), z.ravel()]).astype(np.float32)


def wall(x, covered=False, count=400):
    rng = np.random.default_rng(1)
    points = np.column_stack([np.full(count, x), rng.uniform(-0.8, 0.8, count), rng.uniform(1, 2, count)])
    inside = np.full(count, 5 if covered else 0)
    normals = np.tile([1.0, 0.0, 0.0], (count, 1))
    return Surroundings(points, normals, np.zeros(count, int), np.full(count, 5), inside)


def test_the_face_is_the_median_and_looks_at_the_cameras():
    points = face_points(0.006)
    face = find_flat_face(points, np.ones(len(points)), CAMERAS)
    assert face is not None
    assert face.normal[0] > 0.99
    assert face.offset_m == pytest.approx(0.03, abs=0.002)
    flat = on_face(face, points)
    assert np.ptp(flat @ face.normal) < 1e-6
    np.testing.assert_allclose(flat[:, 1:], points[:, 1:], atol=0.002)


def test_readings_weigh_more_than_the_points_that_noise_adds():
    points = face_points(0.004)
    far = points.copy()
    far[:, 0] += 0.03
    both = np.concatenate([points, far])
    readings = np.concatenate([np.full(len(points), 50), np.ones(len(far))])
    face = find_flat_face(both, readings, CAMERAS)
    assert face is not None
    assert face.offset_m == pytest.approx(0.03, abs=0.002)
    assert find_flat_face(both, np.ones(len(both)), CAMERAS) is None


@pytest.mark.parametrize("noise_m", [2 * MAX_SPREAD_M, 0.1])
def test_what_is_spread_in_depth_is_not_flat(noise_m):
    points = face_points(noise_m)
    assert find_flat_face(points, np.ones(len(points)), CAMERAS) is None


def test_a_rod_is_not_flat():
    rod = np.column_stack([np.zeros(50), np.zeros(50), np.linspace(0, 1, 50)])
    assert find_flat_face(rod, np.ones(50), CAMERAS) is None


def test_it_ends_at_the_wall_beside_it():
    points = face_points(0.005)
    face = find_flat_face(points, np.ones(len(points)), CAMERAS)
    assert face is not None
    end = end_behind(face, on_face(face, points), wall(0.0))
    assert end is not None
    np.testing.assert_allclose(end, [0.0, 0.0, 1.5], atol=0.01)
    # A wall that is measured a little before the face carries it all the same.
    level = end_behind(face, on_face(face, points), wall(0.036))
    assert level is not None
    assert level[0] == pytest.approx(0.03, abs=0.002)


@pytest.mark.parametrize("around", [wall(-0.3), wall(0.2), wall(0.0, covered=True), wall(0.0, count=10)])
def test_without_a_wall_just_behind_its_end_is_not_known(around):
    points = face_points(0.005)
    face = find_flat_face(points, np.ones(len(points)), CAMERAS)
    assert face is not None
    assert end_behind(face, on_face(face, points), around) is None
