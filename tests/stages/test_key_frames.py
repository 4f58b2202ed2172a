"""Which frames are asked for a box."""

import numpy as np
import pytest

from scene_r1_cli.config import BoxConfig
from scene_r1_cli.stages.key_frames import choose_key_frames, sharpness
from scene_r1_cli.types import TemporalSpan
from tests.fake_vlm import PlainReader, plain_scene

SPAN = TemporalSpan(10, 40)

KEY_FRAMES = [
    # span, key frames, frames looked at, sharp frames, expected
    ((10, 40), 3, 1, (), [15, 25, 35]),
    ((10, 40), 1, 1, (), [25]),
    ((10, 40), 2, 5, (20, 35), [20, 35]),
    ((10, 12), 3, 5, (), [10, 11]),  # fewer frames than asked for
    ((10.2, 10.6), 3, 5, (), [10]),  # between two frames: the nearest
    ((20, 20), 3, 5, (), [20]),  # a moment
    ((58, 60), 1, 1, (), [59]),
]


@pytest.mark.parametrize(("span_s", "num_keyframes", "sharpest_of", "sharp", "expected"), KEY_FRAMES)
def test_choice_of_key_frames(span_s, num_keyframes, sharpest_of, sharp, expected):
    scene = plain_scene(np.arange(60), sharp=sharp)
    config = BoxConfig(num_keyframes=num_keyframes, sharpest_of=sharpest_of)
    chosen = choose_key_frames(scene, TemporalSpan(*span_s), config)
    assert [frame.frame_index for frame, _ in chosen] == expected
    assert isinstance(scene.reader, PlainReader)
    assert scene.reader.num_reads <= num_keyframes * sharpest_of


def test_frames_that_cannot_be_decoded_are_passed_over():
    scene = plain_scene(np.arange(60), broken=range(10, 30))
    chosen = choose_key_frames(scene, SPAN, BoxConfig(num_keyframes=3, sharpest_of=4))
    assert [frame.frame_index for frame, _ in chosen] == [31]


def test_blur_lowers_sharpness():
    import cv2

    image_rgb = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(image_rgb, (9, 9), 0))
    assert sharpness(np.zeros_like(image_rgb)) == 0
    assert 0 < sharpness(blurred) < sharpness(image_rgb) / 2
