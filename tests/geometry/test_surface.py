"""Surface samples of depth images, their fusion, and the planes in them."""

import numpy as np

from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.planes import find_planes, on_plane
from scene_r1_cli.geometry.surface import fuse_surface, surfels_of_depth
from tests.box_world import DEPTH_CAMERA, Block, circle, make_scene

BLOCK = Block((-0.3, -0.2, 0.0), (0.3, 0.2, 0.5), (200, 60, 40))


def samples(scene, frame_index, step=1):
    return surfels_of_depth(
        scene.read_depth(frame_index),
        pixel_rays(DEPTH_CAMERA),
        scene.world_from_depth_camera(frame_index),
        step,
    )


def test_normals_point_out_of_what_was_seen():
    scene = make_scene([BLOCK], circle((0, 0, 0.25), 1.6, 1.2, [0]))
    surfels = samples(scene, 0)
    known = surfels.normals.any(axis=1)
    assert known.mean() > 0.7
    np.testing.assert_allclose(np.linalg.norm(surfels.normals[known], axis=1), 1, atol=1e-4)
    top = known & (np.abs(surfels.points_m[:, 2] - 0.5) < 0.005) & (np.abs(surfels.points_m[:, 0]) < 0.2)
    front = (
        known & (np.abs(surfels.points_m[:, 0] - 0.3) < 0.005) & (np.abs(surfels.points_m[:, 2] - 0.25) < 0.1)
    )
    assert (surfels.normals[top] @ [0, 0, 1] > 0.98).all()
    assert (surfels.normals[front] @ [1, 0, 0] > 0.98).all()


def test_an_empty_depth_image_gives_no_samples():
    surfels = surfels_of_depth(np.zeros((120, 160), np.float32), pixel_rays(DEPTH_CAMERA), np.eye(4))
    assert surfels.points_m.shape == (0, 3)


def test_fusing_averages_views_on_one_surface():
    scene = make_scene([BLOCK], circle((0, 0, 0.25), 1.6, 1.2, [0, 90, 180, 270]))
    views = [samples(scene, index, step=2) for index in range(4)]
    surface = fuse_surface(views, [np.full((len(view.points_m), 3), 80.0) for view in views], 0.04)
    assert surface.counts.sum() == sum(len(view.points_m) for view in views)
    np.testing.assert_allclose(surface.colors_rgb, 80)
    over = (np.abs(surface.points_m[:, :2]) < [0.25, 0.15]).all(axis=1) & (surface.points_m[:, 2] > 0.45)
    top = surface.points_m[over]
    assert len(top) > 50
    assert np.abs(top[:, 2] - 0.5).max() < 0.01


def test_planes_are_found_by_size_and_leave_the_object():
    scene = make_scene([BLOCK], circle((0, 0, 0.25), 1.6, 1.2, [0, 90, 180, 270]))
    views = [samples(scene, index, step=2) for index in range(4)]
    surface = fuse_surface(views, [np.zeros((len(view.points_m), 3)) for view in views], 0.04)
    planes = find_planes(surface.points_m, surface.normals, 0.02, min_samples=500, max_planes=3)
    floor = planes[0]
    np.testing.assert_allclose(floor.normal, [0, 0, 1], atol=0.02)
    assert abs(floor.offset_m) < 0.01
    members = on_plane(floor, surface.points_m, surface.normals, 0.02)
    assert surface.points_m[members][:, 2].max() < 0.03
    assert floor.distance_m(np.array([[0, 0, 0.7]]))[0] > 0.65


def test_no_plane_in_nothing():
    assert find_planes(np.zeros((0, 3)), np.zeros((0, 3)), 0.01, 10, 3) == []
    scattered = np.random.default_rng(0).uniform(-1, 1, (300, 3))
    directions = scattered / np.linalg.norm(scattered, axis=1, keepdims=True)
    assert find_planes(scattered, directions, 0.005, 100, 3) == []
