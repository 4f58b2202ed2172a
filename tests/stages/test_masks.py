"""Stage ``masks``: which frames, which boxes, and the geometric tracker on exact captures."""

import numpy as np
import pytest

from scene_r1_cli.config import TrackerConfig
from scene_r1_cli.errors import InputError, StageFailure
from scene_r1_cli.models.trackers import load_tracker
from scene_r1_cli.stages.masks import choose_frames, clip_boxes, track_masks
from scene_r1_cli.stages.vote import anchor_points
from scene_r1_cli.types import Box2D, RleMask, TemporalSpan
from tests.box_world import Block, block_box, circle, make_scene

BLOCK = Block((-0.3, -0.2, 0.0), (0.3, 0.2, 0.5), (200, 60, 40))
CONFIG = TrackerConfig(max_views=6)


@pytest.fixture(scope="module")
def scene():
    around = circle((0, 0, 0.25), 1.6, 1.2, np.linspace(0, 330, 24))
    away = [camera @ np.diag([-1.0, 1, -1, 1]) for camera in around[:6]]
    return make_scene([BLOCK], [*around, *away])


def box_on(scene, frame_index: int) -> Box2D:
    return Box2D(frame_index, block_box(scene, frame_index))


def test_chosen_frames_see_the_object_and_hold_the_key_frame(scene):
    chosen = choose_frames(scene, [box_on(scene, 5)], None, 6)
    assert chosen == sorted(chosen)
    assert len(chosen) == 6
    assert 5 in chosen
    assert max(chosen) < 24


def test_chosen_views_are_spread(scene):
    chosen = choose_frames(scene, [box_on(scene, 0)], None, 4)
    steps = np.diff([*chosen, chosen[0] + 24])
    assert steps.min() >= 4


def test_half_of_the_views_are_in_the_span(scene):
    span = TemporalSpan(0.0, 0.8)
    chosen = choose_frames(scene, [box_on(scene, 5)], span, 8)
    assert sum(index < 8 for index in chosen) >= 4
    assert any(index >= 8 for index in chosen)


def test_few_frames_are_all_chosen_and_key_frames_always(scene):
    assert choose_frames(scene, [box_on(scene, 5)], None, 100) == list(range(24))
    boxes = [box_on(scene, index) for index in (1, 9, 17)]
    assert choose_frames(scene, boxes, None, 1) == [1, 9, 17]


def test_anchors_lie_on_the_object(scene):
    anchors = anchor_points(scene, box_on(scene, 0))
    assert len(anchors) >= 16
    assert (np.abs(anchors) <= [0.31, 0.21, 0.51]).all()


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((-20, -10, 50, 60), (-0.5, -0.5, 50, 60)),
        ((200, 100, 900, 900), (200, 100, 239.5, 179.5)),
        ((10, 10, 20, 20), (10, 10, 20, 20)),
    ],
)
def test_boxes_are_clipped_to_the_image(scene, box, clipped):
    assert clip_boxes(scene, [Box2D(0, box)])[0].xyxy_px == clipped


@pytest.mark.parametrize(
    ("boxes", "error", "message"),
    [
        ([], StageFailure, "no box to track"),
        ([Box2D(0, (500, 10, 600, 20))], StageFailure, "240 x 180"),
        ([Box2D(99, (10, 10, 20, 20))], InputError, "frame 99"),
    ],
)
def test_boxes_that_cannot_be_tracked(scene, boxes, error, message):
    with pytest.raises(error, match=message):
        track_masks(load_tracker(CONFIG), scene, boxes, None, CONFIG)


class NothingFound:
    """A tracker that sees nothing but empty masks."""

    def open(self, scene, frame_indices):
        return self

    def add(self, obj_id, frame_index, *, box_xyxy_px=None, mask=None):
        pass

    def __iter__(self):
        yield 0, {1: (RleMask.encode(np.zeros((180, 240), bool)), 0.0)}
        yield 1, {}


def test_no_mask_at_all_is_a_failure_of_this_stage(scene):
    with pytest.raises(StageFailure, match="no object") as failure:
        list(track_masks(NothingFound(), scene, [box_on(scene, 0)], None, CONFIG))
    assert failure.value.stage == "masks"
