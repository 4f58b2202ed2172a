"""Projection and the pixel convention: an integer pixel is a pixel centre."""

import numpy as np
import pytest

from scene_r1_cli.geometry.camera import pixel_rays, project, resize_camera, resize_pixels, unproject
from scene_r1_cli.types import Camera

CAMERA = Camera(fx=500.0, fy=400.0, cx=319.5, cy=239.5, size_wh=(640, 480))


@pytest.mark.parametrize(
    ("point", "pixel"),
    [
        ((0, 0, 2), (319.5, 239.5)),
        ((1, 0, 2), (569.5, 239.5)),
        ((0, 1, 2), (319.5, 439.5)),
        ((-1, -1, 4), (194.5, 139.5)),
    ],
)
def test_project(point, pixel):
    pixels, z = project(CAMERA, np.array([point], dtype=np.float64))
    np.testing.assert_allclose(pixels, [pixel])
    assert z[0] == point[2]


@pytest.mark.parametrize("z", [0.0, -1.0])
def test_points_behind_the_camera_have_no_pixel(z):
    pixels, depth = project(CAMERA, np.array([[0.1, 0.1, z]]))
    assert np.isnan(pixels).all()
    assert depth[0] == z


def test_unproject_inverts_project():
    points = np.random.default_rng(0).uniform([-2, -2, 0.5], [2, 2, 5], (50, 3))
    np.testing.assert_allclose(unproject(CAMERA, *project(CAMERA, points)), points, atol=1e-12)


def test_depth_is_along_z_and_not_along_the_ray():
    corner = unproject(CAMERA, np.array([0.0, 0.0]), np.array(3.0))
    assert corner[2] == 3.0


def test_pixel_rays_are_points_at_one_metre():
    rays = pixel_rays(CAMERA)
    assert rays.shape == (480, 640, 3)
    assert rays.dtype == np.float32
    np.testing.assert_allclose(rays[100, 30], [(30 - 319.5) / 500, (100 - 239.5) / 400, 1], rtol=1e-6)
    assert not rays.flags.writeable


@pytest.mark.parametrize(
    ("pixel", "from_wh", "to_wh", "expected"),
    [
        # The image covers [-0.5, w - 0.5]: its corners stay corners, its centre stays the centre.
        ((-0.5, -0.5), (640, 480), (1296, 968), (-0.5, -0.5)),
        ((639.5, 479.5), (640, 480), (1296, 968), (1295.5, 967.5)),
        ((319.5, 239.5), (640, 480), (320, 240), (159.5, 119.5)),
        ((0, 0), (640, 480), (320, 240), (-0.25, -0.25)),
        ((0, 0), (4, 4), (8, 8), (0.5, 0.5)),
    ],
)
def test_resize_pixels(pixel, from_wh, to_wh, expected):
    np.testing.assert_allclose(resize_pixels(np.array(pixel), from_wh, to_wh), expected)


def test_a_resized_camera_sees_points_at_the_resized_pixels():
    points = np.random.default_rng(1).uniform([-1, -1, 1], [1, 1, 4], (20, 3))
    small = resize_camera(CAMERA, (213, 99))
    expected = resize_pixels(project(CAMERA, points)[0], CAMERA.size_wh, (213, 99))
    np.testing.assert_allclose(project(small, points)[0], expected)


def test_the_intrinsic_matrix_projects_alike():
    point = np.array([0.3, -0.2, 1.7])
    homogeneous = CAMERA.matrix @ point
    np.testing.assert_allclose(project(CAMERA, point)[0], homogeneous[:2] / homogeneous[2])
