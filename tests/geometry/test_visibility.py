"""Seen, hidden or empty: points against a depth image."""

import numpy as np
import pytest

from scene_r1_cli.geometry.camera import pixel_rays, project
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.geometry.visibility import (
    EMPTY,
    HIDDEN,
    SEEN,
    UNKNOWN,
    classify_points,
    depth_edges,
    depth_noise_m,
    pixels_in_image,
)
from scene_r1_cli.types import Camera
from tests.box_world import look_at

CAMERA = Camera(100.0, 100.0, 49.5, 39.5, (100, 80))


def wall_with_hole() -> np.ndarray:
    depth = np.full((80, 100), 2.0, dtype=np.float32)
    depth[:, :10] = 0
    return depth


@pytest.mark.parametrize(
    ("point", "state"),
    [
        ((0, 0, 2.0), SEEN),
        ((0, 0, 2.03), SEEN),
        ((0, 0, 2.2), HIDDEN),
        ((0, 0, 1.8), EMPTY),
        # No reading, outside the image, behind the camera.
        ((-0.9, 0, 2.0), UNKNOWN),
        ((5, 0, 2.0), UNKNOWN),
        ((0, 0, -2.0), UNKNOWN),
    ],
)
def test_states(point, state):
    found, _ = classify_points(np.array([point], np.float64), np.eye(4), CAMERA, wall_with_hole())
    assert found[0] == state


def test_a_crop_gives_the_same_states_inside_it():
    points = pixel_rays(CAMERA)[::7, ::7].reshape(-1, 3) * np.float32(2.0)
    depth = wall_with_hole()
    whole, pixels = classify_points(points, np.eye(4), CAMERA, depth)
    part, _ = classify_points(points, np.eye(4), CAMERA, depth[20:60, 30:90], offset_xy=(30, 20))
    inside = (pixels[:, 0] >= 29.5) & (pixels[:, 0] < 89.5) & (pixels[:, 1] >= 19.5) & (pixels[:, 1] < 59.5)
    np.testing.assert_array_equal(part[inside], whole[inside])
    assert (part[~inside] == UNKNOWN).all()


def test_tolerance_grows_with_depth():
    assert depth_noise_m(np.array(4.0)) > 5 * depth_noise_m(np.array(1.0))
    far = np.full((80, 100), 5.0, dtype=np.float32)
    state, _ = classify_points(np.array([[0, 0, 5.1]]), np.eye(4), CAMERA, far)
    assert state[0] == SEEN


def test_a_slanted_plane_has_no_edges():
    normal, offset = np.array([0.6, 0.3, -1.0]), -2.0
    depth = (offset / (pixel_rays(CAMERA) @ normal)).astype(np.float32)
    assert depth.min() > 0
    assert not depth_edges(depth).any()


def test_a_jump_is_an_edge_on_both_sides_and_a_hole_is_not():
    depth = np.full((20, 30), 1.0, dtype=np.float32)
    depth[:, 15:] = 2.0
    depth[5:10, 3:6] = 0
    edges = depth_edges(depth)
    assert edges[:, 14:16].all()
    assert edges[5:10, 3:6].all()
    edges[:, 14:16] = False
    edges[5:10, 3:6] = False
    assert not edges.any()
    assert depth_edges(depth, radius_px=3)[:, 12:18].all()


def test_pixels_of_many_points_are_those_of_a_projection_in_double_precision():
    rng = np.random.default_rng(1)
    world_from_camera = look_at((2.0, 1.0, 1.5), (0, 0, 0.5))
    points = rng.uniform(-3, 3, (500, 3))
    at, column, row, z = pixels_in_image(CAMERA, invert(world_from_camera), points.T.astype(np.float32))
    pixels, depth = project(CAMERA, transform_points(invert(world_from_camera), points))
    inside = (np.rint(pixels) >= 0).all(axis=1) & (np.rint(pixels) < CAMERA.size_wh).all(axis=1)
    assert 0 < inside.sum() < 500
    np.testing.assert_array_equal(at, np.flatnonzero(inside))
    np.testing.assert_allclose(z, depth[inside], rtol=1e-5)
    # A pixel's border may fall on either side in single precision.
    assert np.abs(np.stack([column, row], axis=1) - pixels[inside]).max() < 0.501
