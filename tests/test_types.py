"""Run-length masks and the scene's own arithmetic."""

import numpy as np
import pytest

from scene_r1_cli.types import Camera, Frame, RleMask, Scene
from tests.box_world import circle, make_scene


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        # Column-major, zeros first, as COCO has it.
        ([[0, 0], [0, 0]], [4]),
        ([[1, 1], [1, 1]], [0, 4]),
        ([[0, 1], [0, 0]], [2, 1, 1]),
        ([[1, 0], [0, 1]], [0, 1, 2, 1]),
        ([[0, 1, 1], [1, 0, 1]], [1, 2, 1, 2]),
    ],
)
def test_rle_by_hand(mask, counts):
    encoded = RleMask.encode(np.array(mask, bool))
    assert encoded.counts.tolist() == counts
    assert encoded.area == int(np.sum(mask))
    np.testing.assert_array_equal(encoded.decode(), np.array(mask, bool))


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (48, 64), (1, 30), (30, 1)])
def test_rle_round_trip(shape):
    generator = np.random.default_rng(0)
    for density in (0.0, 0.1, 0.5, 1.0):
        mask = generator.random(shape) < density
        encoded = RleMask.encode(mask)
        assert encoded.size_hw == shape
        assert encoded.counts.sum() == mask.size
        np.testing.assert_array_equal(encoded.decode(), mask)


def test_rle_of_nothing():
    assert RleMask.encode(np.zeros((0, 4), bool)).decode().shape == (0, 4)


def test_scene_composes_its_transforms():
    turned = np.eye(4)
    turned[:3, 3] = [0, 0, 5]
    cameras = circle((0, 0, 0), 2.0, 1.0, [0, 90])
    scene = make_scene([], cameras, baseline_m=0.03, world_from_scan=turned)
    np.testing.assert_allclose(scene.world_from_depth_camera(1), cameras[1], atol=1e-12)
    # The colour camera stands 3 cm to the right of the depth camera.
    moved = scene.world_from_color_camera(1)[:3, 3] - cameras[1][:3, 3]
    np.testing.assert_allclose(moved, 0.03 * cameras[1][:3, 0], atol=1e-12)


def test_duration_adds_one_sample_period():
    scene = make_scene([], circle((0, 0, 0), 2.0, 1.0, [0, 10, 20, 30]))
    assert scene.duration_s == pytest.approx(0.4)
    assert scene.frame_indices.tolist() == [0, 1, 2, 3]
    with pytest.raises(KeyError):
        scene.frame(4)


def test_a_scene_of_one_frame_has_a_duration():
    scene = make_scene([], circle((0, 0, 0), 2.0, 1.0, [0]))
    assert isinstance(scene, Scene)
    assert isinstance(scene.frame(0), Frame)
    assert isinstance(scene.color_camera, Camera)
    assert scene.duration_s == pytest.approx(1 / 30)
