"""Which frames of a capture the model sees, and how large."""

import numpy as np
import pytest

from scene_r1_cli.config import VideoConfig
from scene_r1_cli.errors import InputError
from scene_r1_cli.models.families import FAMILIES, size_on_grid
from scene_r1_cli.stages.video import resize_rgb, sample_positions, sample_video
from tests.fake_vlm import plain_scene


def size_fn(original_wh, max_side_px):
    return size_on_grid(original_wh, max_side_px, FAMILIES["qwen2.5-vl"].grid)


TEN_HZ = np.arange(0, 10.05, 0.1)

POSITIONS = [
    # times, fps, most frames, expected times of the samples
    (TEN_HZ, 1.0, 32, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    (TEN_HZ, 0.3, 32, [0, 3.3, 6.7, 10]),
    (TEN_HZ, 1.0, 5, [0, 2.5, 5, 7.5, 10]),
    (TEN_HZ, 1.0, 2, [0, 10]),
    (TEN_HZ, 1.0, 1, [5]),
    (TEN_HZ, 100.0, 1000, TEN_HZ.tolist()),  # faster than the capture: every frame once
    ([0.0], 2.0, 32, [0]),
    ([3.0, 3.1, 3.2], 2.0, 32, [3.0]),
    ([0, 1, 2, 8, 9, 10], 1.0, 32, [0, 1, 2, 8, 9, 10]),  # a gap gives no duplicates
    ([0, 0.1, 0.2, 9.9, 10.0], 0.5, 32, [0, 0.2, 9.9, 10.0]),
]


@pytest.mark.parametrize(("timestamps_s", "fps", "max_frames", "expected_s"), POSITIONS)
def test_sample_positions(timestamps_s, fps, max_frames, expected_s):
    timestamps_s = np.asarray(timestamps_s, dtype=np.float64)
    sampled = timestamps_s[sample_positions(timestamps_s, fps, max_frames)]
    np.testing.assert_allclose(sampled, expected_s, atol=1e-9)


def test_a_sampled_video():
    scene = plain_scene(np.arange(50) / 10, first_index=100)
    video = sample_video(scene, VideoConfig(fps=1.0, max_frames=32, max_side_px=448), size_fn)
    assert video.frame_indices.tolist() == [100, 110, 120, 130, 140]
    np.testing.assert_allclose(video.timestamps_s, [0, 1, 2, 3, 4])
    assert video.frames_rgb.shape == (5, 336, 448, 3)
    assert video.frames_rgb.dtype == np.uint8
    assert video.frames_rgb[:, 0, 0, 0].tolist() == [100, 110, 120, 130, 140]
    assert video.original_size_wh == (640, 480)
    assert video.duration_s == pytest.approx(5.0)
    assert video.num_unreadable == 0
    assert video.prefix.size_wh == (448, 336)


def test_frames_that_cannot_be_decoded_are_left_out_and_counted():
    scene = plain_scene(np.arange(50) / 10, broken=[10, 30])
    video = sample_video(scene, VideoConfig(fps=1.0), size_fn)
    assert video.frame_indices.tolist() == [0, 20, 40]
    assert video.timestamps_s.tolist() == [0, 2, 4]
    assert video.num_unreadable == 2


def test_nothing_left_is_an_error():
    scene = plain_scene(np.arange(5) / 10, broken=range(5))
    with pytest.raises(InputError, match="None of the 1 frames sampled from plain"):
        sample_video(scene, VideoConfig(), size_fn)


def test_resize_averages_when_smaller_and_keeps_when_equal():
    stripes = np.zeros((8, 8, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert np.unique(resize_rgb(stripes, (4, 4))).tolist() == [100]
    assert resize_rgb(stripes, (8, 8)) is stripes
    assert resize_rgb(stripes, (16, 24)).shape == (24, 16, 3)
