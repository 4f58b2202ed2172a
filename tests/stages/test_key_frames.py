"""Which frames are asked for a box."""

import numpy as np
import pytest

from scene_r1_cli.config import BoxConfig
from scene_r1_cli.stages.key_frames import choose_key_frames, frames_elsewhere, sharpness
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


DRAWN = [
    # spans, key frames, expected
    (((0, 30), (10, 20)), 1, [15]),  # what most hold
    # Seconds 10 to 20 count twice: a third of all is 0 to 11.7, 11.7 to 18.3 and the rest.
    (((0, 30), (10, 20)), 3, [11, 15, 19]),
    (((3, 3), (50, 51)), 2, [3, 50]),
    # Of seven, frame 3 counts five: it is the middle third and most of the first.
    ((*((3, 3),) * 5, (50, 52)), 3, [3, 51]),
]


@pytest.mark.parametrize(("drawn_s", "num_keyframes", "expected"), DRAWN)
def test_key_frames_are_spread_over_all_drawn_spans(drawn_s, num_keyframes, expected):
    span = TemporalSpan(*drawn_s[0], drawn_s=drawn_s)
    config = BoxConfig(num_keyframes=num_keyframes, sharpest_of=1)
    chosen = choose_key_frames(plain_scene(np.arange(60)), span, config)
    assert [frame.frame_index for frame, _ in chosen] == expected


def test_frames_elsewhere_are_those_that_no_span_holds():
    span = TemporalSpan(0, 10, drawn_s=((0, 10), (30, 60)))
    config = BoxConfig(search_frames=2, sharpest_of=1)
    found = frames_elsewhere(plain_scene(np.arange(60)), span, config)
    assert [frame.frame_index for frame, _ in found] == [15, 25]


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
