"""The second pass: frames that see the first estimate, and masks that agree with it."""

import numpy as np
import pytest

from scene_r1_cli.config import LiftingConfig, TrackerConfig
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.models.trackers import load_tracker
from scene_r1_cli.stages.masks import track_masks
from scene_r1_cli.stages.points import lift_points
from scene_r1_cli.stages.second_pass import find_sightings, sight, track_again
from scene_r1_cli.types import Box2D, FrameMask, RleMask
from tests.box_world import Block, block_box, circle, make_scene

BLOCK = Block((-0.3, -0.2, 0.0), (0.3, 0.2, 0.5), (200, 60, 40))
# Stands between the block and the cameras at about 0 degrees.
SCREEN = Block((0.7, -1.0, 0.0), (0.8, 1.0, 1.6), (40, 90, 160))
CONFIG = TrackerConfig(max_views=8, second_pass=True)


@pytest.fixture(scope="module")
def scene():
    around = circle((0, 0, 0.25), 1.6, 1.2, np.linspace(0, 330, 24))
    away = [camera @ np.diag([-1.0, 1, -1, 1]) for camera in around[:6]]
    return make_scene([BLOCK, SCREEN], [*around, *away])


@pytest.fixture(scope="module")
def box(scene):
    return Box2D(12, block_box(scene, 12))


def lift(scene):
    return lambda masks: lift_points(scene, masks, LiftingConfig(contact=False))


def sides(points):
    return np.stack([points.points_world_m.min(axis=0), points.points_world_m.max(axis=0)])


def test_frames_that_see_the_points_are_found_and_hidden_or_turned_ones_are_not(scene, box):
    rng = np.random.default_rng(0)
    points = np.stack([rng.uniform(-0.3, 0.3, 300), rng.uniform(-0.2, 0.2, 300), np.full(300, 0.5)], axis=1)
    found = {sighting.frame_index for sighting in find_sightings(scene, points, [box], 24)}
    assert 12 in found
    assert 0 not in found
    assert max(found) < 24
    assert sight(scene, 0, points).share < 0.15
    pixels_xy = sight(scene, 12, points).pixels_xy
    x1, y1, x2, y2 = box.xyxy_px
    assert ((pixels_xy >= [x1 - 1, y1 - 1]) & (pixels_xy <= [x2 + 1, y2 + 1])).all()


def test_it_gives_the_block_again(scene, box):
    tracker = load_tracker(TrackerConfig())
    first = tuple(track_masks(tracker, scene, [box], None, CONFIG))
    again = track_again(tracker, scene, [box], first, lift(scene), CONFIG)
    indices = [mask.frame_index for mask in again]
    assert indices == sorted(set(indices))
    assert 1 < len(again) <= 9
    np.testing.assert_allclose(sides(lift(scene)(again)), [[-0.3, -0.2, 0], [0.3, 0.2, 0.5]], atol=0.06)


class WrongInOneFrame:
    """Gives the first pass's masks, but on one frame that of a corner of the image."""

    def __init__(self, masks, wrong):
        self.masks, self.wrong = masks, wrong

    def open(self, scene, frame_indices):
        return self

    def add(self, *args, **kwargs):
        pass

    def __iter__(self):
        for mask in self.masks:
            elsewhere = np.zeros(mask.mask.size_hw, bool)
            elsewhere[:10, :10] = True
            rle = RleMask.encode(elsewhere) if mask.frame_index == self.wrong else mask.mask
            yield mask.frame_index, {1: (rle, 1.0)}


def test_a_mask_of_something_else_is_left_out(scene, box):
    first = tuple(track_masks(load_tracker(TrackerConfig()), scene, [box], None, CONFIG))
    wrong = next(mask.frame_index for mask in first if mask.frame_index != 12)
    # Room for all frames of the first pass, so that each has its sighting.
    config = TrackerConfig(max_views=24)
    again = track_again(WrongInOneFrame(first, wrong), scene, [box], first, lift(scene), config)
    assert {mask.frame_index for mask in first} - {mask.frame_index for mask in again} == {wrong}


def test_what_cannot_be_lifted_or_confirmed_stays_as_it_was(scene, box):
    mask = np.zeros((180, 240), bool)
    mask[:3, :3] = True
    first = (FrameMask(12, RleMask.encode(mask), 1.0),)

    def nothing(masks):
        raise StageFailure("points", "nothing")

    tracker = load_tracker(TrackerConfig())
    assert track_again(tracker, scene, [box], first, nothing, CONFIG) is first
    good = tuple(track_masks(tracker, scene, [box], None, CONFIG))
    assert track_again(WrongInOneFrame(good[:0], 0), scene, [box], good, lift(scene), CONFIG) is good
