"""The geometric tracker on exact captures: its masks against the truth, and what must not break it."""

import numpy as np
import pytest

from scene_r1_cli.config import TrackerConfig
from scene_r1_cli.geometry.transforms import rotation_about_z
from scene_r1_cli.models.trackers import load_tracker
from scene_r1_cli.types import Camera
from tests.box_world import Block, block_box, block_mask, circle, make_scene

BLOCK = Block((-0.3, -0.2, 0.0), (0.3, 0.2, 0.5), (200, 60, 40))
NEIGHBOUR = Block((0.3, -0.2, 0.0), (0.8, 0.2, 0.3), (60, 90, 200))
PICTURE = Block((-0.4, 2.98, 1.0), (0.4, 3.0, 1.6), (40, 60, 160))
RUG = Block((-0.6, -0.4, 0.0), (0.6, 0.4, 0.008), (160, 30, 60))
AROUND = circle((0, 0, 0.25), 1.8, 1.3, np.linspace(0, 330, 12))
TRACKER = load_tracker(TrackerConfig())


def mask_ious(scene, prompt_frame: int, block: int = 0, **prompt) -> dict[int, float]:
    """IoU of the tracked mask with the truth in every frame given."""
    session = TRACKER.open(scene, scene.frame_indices.tolist())
    session.add(1, prompt_frame, **(prompt or {"box_xyxy_px": block_box(scene, prompt_frame, block)}))
    ious = {}
    for frame_index, objects in session:
        found, truth = objects[1][0].decode(), block_mask(scene, frame_index, block)
        assert found.shape == truth.shape
        ious[frame_index] = (found & truth).sum() / (found | truth).sum()
    return ious


@pytest.mark.parametrize("prompt_frame", [0, 5])
def test_one_box_gives_masks_all_around(prompt_frame):
    ious = mask_ious(make_scene([BLOCK], AROUND), prompt_frame)
    assert sorted(ious) == list(range(12))
    assert min(ious.values()) > 0.8


def test_two_sensors_with_their_own_optics():
    color = Camera(210.0, 210.0, 119.5, 88.0, (240, 180))
    depth = Camera(120.0, 120.0, 79.5, 59.5, (160, 120))
    scene = make_scene([BLOCK], AROUND, color_camera=color, depth_camera=depth, baseline_m=0.03)
    ious = mask_ious(scene, 0)
    assert len(ious) == 12
    assert min(ious.values()) > 0.75


def test_a_turned_scan_changes_nothing():
    turned = rotation_about_z(0.7)
    turned[:3, 3] = [1, -2, 0.5]
    plain = mask_ious(make_scene([BLOCK], AROUND), 0)
    moved = mask_ious(make_scene([BLOCK], AROUND, world_from_scan=turned), 0)
    assert moved == pytest.approx(plain, abs=1e-3)


@pytest.mark.parametrize(
    ("block", "cameras"),
    [
        (PICTURE, circle((0, 3, 1.3), 1.8, 1.4, np.linspace(-120, -60, 6))),
        (RUG, circle((0, 0, 0), 1.8, 1.4, np.linspace(0, 300, 6))),
    ],
)
def test_flat_objects_are_told_by_colour(block, cameras):
    ious = mask_ious(make_scene([block], cameras), 0)
    assert len(ious) == 6
    assert np.median(list(ious.values())) > 0.7


def test_hidden_objects_are_not_drawn_on_what_hides_them():
    wall = Block((0.9, -1.0, 0.0), (1.0, 1.0, 2.0), (90, 90, 90))
    scene = make_scene([BLOCK, wall], AROUND)
    assert not block_mask(scene, 0).any()
    ious = mask_ious(scene, 6)
    assert 0 not in ious
    assert min(ious.values()) > 0.7


@pytest.mark.parametrize(
    "depth", [None, np.zeros((120, 160), np.float32), np.full((120, 160), np.nan, np.float32)]
)
def test_frames_without_depth_are_left_out(depth):
    scene = make_scene([BLOCK], AROUND, broken_depth={3: depth, 7: depth})
    ious = mask_ious(scene, 0)
    assert sorted(ious) == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    assert min(ious.values()) > 0.8


@pytest.mark.parametrize("depth", [None, np.zeros((120, 160), np.float32)])
def test_no_depth_on_the_only_key_frame_gives_nothing(depth):
    scene = make_scene([BLOCK], AROUND, broken_depth={0: depth})
    assert mask_ious(scene, 0, box_xyxy_px=(80, 60, 160, 120)) == {}


def test_a_frame_whose_camera_is_wrong_is_left_out():
    cameras = list(AROUND)
    good = make_scene([BLOCK], cameras)
    shifted = cameras[3].copy()
    shifted[:3, 3] += [0.5, 0.5, 0]
    scene = make_scene([BLOCK], [*cameras[:3], shifted, *cameras[4:]], broken_depth={3: good.read_depth(3)})
    ious = mask_ious(scene, 0)
    assert 3 not in ious
    assert min(ious.values()) > 0.7


def test_an_empty_mask_is_refused():
    scene = make_scene([BLOCK], AROUND)
    with pytest.raises(ValueError, match="empty"):
        TRACKER.open(scene, [0]).add(1, 0, mask=np.zeros((180, 240), bool))
    assert list(TRACKER.open(scene, [0])) == []
