import numpy as np
import pytest

# To pyright, which looks in tests/ first, `benchmarks` is this folder.
from benchmarks.peer_recipes import (  # pyright: ignore[reportMissingImports]
    RECIPES,
    largest_parts,
    mask_points,
)
from scene_r1_cli.geometry.boxes import aabb_from_bounds, aabb_iou
from scene_r1_cli.types import FrameMask, RleMask
from tests.box_world import Block, block_mask, circle, make_scene

LOW, HIGH = (-0.4, -0.3, 0.0), (0.4, 0.3, 0.8)


@pytest.fixture(scope="module")
def scene():
    return make_scene([Block(LOW, HIGH, (200, 30, 30))], circle((0, 0, 0.4), 2.2, 1.4, range(0, 360, 45)))


def frame_mask(scene, index):
    return FrameMask(index, RleMask.encode(block_mask(scene, index)), 1.0)


@pytest.mark.parametrize("name", RECIPES)
def test_exact_masks_without_noise_give_the_box(scene, name):
    masks = [frame_mask(scene, index) for index in range(0, 8, 2)]
    box = RECIPES[name](scene, masks, [frame_mask(scene, index) for index in range(1, 8, 2)])
    assert box is not None
    truth = aabb_from_bounds(np.array(LOW), np.array(HIGH))
    assert aabb_iou(box.center_m, box.size_m, truth.center_m, truth.size_m) > 0.8


@pytest.mark.parametrize("name", RECIPES)
def test_no_masks_give_no_box(scene, name):
    assert RECIPES[name](scene, [], []) is None


def test_second_pass_adds_sides_that_the_first_did_not_see(scene):
    front = [frame_mask(scene, 0)]
    first = RECIPES["TAB"](scene, front, [])
    second = RECIPES["TAB"](scene, front, [frame_mask(scene, 2)])
    assert first is not None
    assert second is not None
    assert second.size_m[0] > first.size_m[0] + 0.02


def test_mask_points_lie_on_the_block(scene):
    points = mask_points(scene, 1, block_mask(scene, 1))
    assert len(points) > 100
    on_face = (np.abs(points - np.array(HIGH)) < 0.02) | (np.abs(points - np.array(LOW)) < 0.02)
    assert on_face.any(axis=1).mean() > 0.95


def test_largest_parts_keeps_the_two_largest():
    mask = np.zeros((4, 12), bool)
    mask[:, 0:3] = mask[:2, 5:7] = mask[0, 10] = True
    assert largest_parts(mask, 2).sum() == 12 + 4
