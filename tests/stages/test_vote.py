"""Key frames vote in 3D: a box of another object is left out, whoever it came from."""

from dataclasses import replace

import numpy as np
import pytest

from scene_r1_cli.stages.vote import agreeing_boxes
from scene_r1_cli.types import Box2D
from tests.box_world import Block, block_box, circle, make_scene

BLOCKS = [
    Block((-0.7, -0.2, 0.0), (-0.3, 0.2, 0.5), (200, 40, 40)),
    Block((0.4, -0.2, 0.0), (0.8, 0.2, 0.5), (40, 40, 200)),
]


@pytest.fixture(scope="module")
def scene():
    return make_scene(BLOCKS, circle((0, 0, 0.3), 2.2, 1.4, [60, 80, 100, 120]), baseline_m=0.02)


def boxes(scene, *blocks):
    return [Box2D(frame, block_box(scene, frame, block)) for frame, block in enumerate(blocks)]


@pytest.mark.parametrize(
    ("blocks", "kept"),
    [
        ((0, 0, 0), [0, 1, 2]),
        ((0, 0, 1), [0, 1]),
        ((1, 0, 0), [1, 2]),
        ((0, 1, 0), [0, 2]),
        ((0, 1, 1, 1), [1, 2, 3]),
        ((1,), [0]),
    ],
)
def test_the_majority_stays(scene, blocks, kept):
    assert [box.frame_index for box in agreeing_boxes(scene, boxes(scene, *blocks))] == kept


def test_a_box_weighs_its_score(scene):
    sure, *unsure = boxes(scene, 0, 1, 1)
    unsure = [replace(box, score=0.4) for box in unsure]
    assert agreeing_boxes(scene, [sure, *unsure]) == (sure,)
    assert agreeing_boxes(scene, [replace(sure, score=0.7), *unsure]) == tuple(unsure)


def test_of_two_that_disagree_the_larger_stays(scene):
    first, second = boxes(scene, 0, 1)
    sizes = [(box.xyxy_px[2] - box.xyxy_px[0]) * (box.xyxy_px[3] - box.xyxy_px[1]) for box in (first, second)]
    assert sizes[0] != sizes[1]
    assert agreeing_boxes(scene, [first, second]) == ((first, second)[int(np.argmax(sizes))],)


def test_frames_with_nothing_in_common_say_nothing():
    scene = make_scene(BLOCKS, [*circle((0, 0, 0.3), 2.2, 1.4, [90]), *circle((0, 0, 5.0), 2.2, 1.0, [270])])
    both = [Box2D(0, block_box(scene, 0)), Box2D(1, (20.0, 20.0, 80.0, 80.0))]
    assert agreeing_boxes(scene, both) == tuple(both)


def test_no_depth_under_a_box_is_no_vote(scene):
    empty = {0: np.zeros((120, 160), np.float32)}
    blind = make_scene(BLOCKS, circle((0, 0, 0.3), 2.2, 1.4, [60, 80, 100]), broken_depth=empty)
    given = boxes(scene, 0, 1, 1)
    assert len(agreeing_boxes(blind, given)) == 3
