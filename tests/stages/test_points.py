"""Lifting masks: the box of a block, and what bad input gives: a box, or a failure that names its stage."""

from dataclasses import replace

import numpy as np
import pytest

from scene_r1_cli.config import LiftingConfig, SurfaceConfig
from scene_r1_cli.data.scene_surface import fuse_scene
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.geometry.boxes import aabb_iou
from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.masks import color_pixels_of_depth, look_up
from scene_r1_cli.lifting.view import count_views, lift_view
from scene_r1_cli.stages.box3d import fit_boxes
from scene_r1_cli.stages.points import lift_points
from scene_r1_cli.types import FrameMask, RleMask
from tests.box_world import DEPTH_CAMERA, Block, block_mask, circle, make_scene

BLOCK = Block((-0.3, -0.2, 0.0), (0.3, 0.2, 0.5), (200, 60, 40))
RUG = Block((-0.6, -0.4, 0.0), (0.6, 0.4, 0.012), (90, 30, 120))
PICTURE = Block((-3.0, -0.5, 1.0), (-2.97, 0.5, 1.7), (30, 90, 160))
CONFIG = LiftingConfig()
ALL_OFF = LiftingConfig(
    vote=False, superpoints=False, remove_outliers=False, largest_cluster=False, contact=False, trim=0.0
)


def scene_of(block, target, degrees, **options):
    return make_scene([block], circle(target, 1.6, target[2] + 0.9, degrees), **options)


def masks_of(scene, grow_px=0):
    masks = []
    for frame in scene.frames:
        mask = block_mask(scene, frame.frame_index)
        if grow_px:
            rows, columns = np.nonzero(mask)
            mask = np.zeros_like(mask)
            for shift in range(-grow_px, grow_px + 1):
                mask[np.clip(rows + shift, 0, len(mask) - 1), columns] = True
                mask[rows, np.clip(columns + shift, 0, mask.shape[1] - 1)] = True
        masks.append(FrameMask(frame.frame_index, RleMask.encode(mask), 1.0))
    return masks


def boxes_of(scene, masks, config=CONFIG, surface=None):
    boxes = fit_boxes(lift_points(scene, masks, config, surface), config)
    for box in boxes:
        assert np.isfinite(box.center_m).all()
        assert np.isfinite(box.size_m).all()
        assert (box.size_m >= config.min_size_m - 1e-9).all()
    return boxes


def iou(box, block):
    low, high = np.array(block.low_m), np.array(block.high_m)
    return float(aabb_iou(box.center_m, box.size_m, (low + high) / 2, high - low))


@pytest.fixture(scope="module")
def scene():
    return scene_of(BLOCK, (0, 0, 0.25), np.arange(0, 360, 30))


@pytest.fixture(scope="module")
def surface(scene):
    return fuse_scene(scene, SurfaceConfig(min_vertices=10))


@pytest.mark.parametrize("baseline_m", [0.0, 0.05], ids=["one place", "two sensors apart"])
def test_masks_of_all_sides_give_the_block(baseline_m):
    scene = scene_of(BLOCK, (0, 0, 0.25), np.arange(0, 360, 30), baseline_m=baseline_m)
    aabb, obb = boxes_of(scene, masks_of(scene))
    assert iou(aabb, BLOCK) > 0.85
    assert obb.size_m.prod() == pytest.approx(aabb.size_m.prod(), rel=0.1)


def test_a_mask_on_the_depth_grid_is_the_colour_mask_where_each_depth_pixel_looks(scene):
    frame_mask = masks_of(scene)[3]
    view = lift_view(scene, frame_mask, CONFIG)
    points = pixel_rays(DEPTH_CAMERA) * scene.read_depth(3)[..., None]
    pixels = color_pixels_of_depth(points, scene.color_camera, scene.depth_from_color)
    expected = look_up(frame_mask.mask.decode(), (0, 0, 240, 180), pixels)
    found = np.zeros_like(expected)
    x0, y0, x1, y1 = view.crop
    found[y0:y1, x0:x1] = view.mask
    np.testing.assert_array_equal(found, expected)


def test_views_are_counted_as_one_by_one(scene):
    lifted = [lift_view(scene, mask, CONFIG) for mask in masks_of(scene)]
    views = [view for view in lifted if view is not None]
    assert len(views) == 12
    top = np.array([[0.0, 0.0, 0.5]])
    inside_block, on_floor = np.array([[0.0, 0.0, 0.25]]), np.array([[0.9, 0.0, 0.0]])
    seen, inside, empty = count_views(scene, views, np.concatenate([top, inside_block, on_floor]))
    assert (seen[0], inside[0], empty[0]) == (12, 12, 0)
    assert (seen[1], empty[1]) == (0, 0), "hidden is neither seen nor empty"
    assert seen[2] > 0
    assert inside[2] == 0
    above = np.array([[0.0, 0.0, 0.8]])
    assert count_views(scene, views, above)[2][0] > 0, "looked through"


def test_spilled_masks_are_held_by_superpoints(scene, surface):
    """Masks that reach over the rim take the floor along; its superpoint is mostly outside them."""
    spilled = masks_of(scene, grow_px=6)
    without = boxes_of(scene, spilled, LiftingConfig(superpoints=False, contact=False), surface)[0]
    with_them = boxes_of(scene, spilled, CONFIG, surface)[0]
    assert iou(with_them, BLOCK) > max(0.85, iou(without, BLOCK) + 0.05)


def test_a_block_whose_foot_no_mask_shows_ends_at_the_floor(scene, surface):
    masks = []
    for frame_mask in masks_of(scene):
        mask = frame_mask.mask.decode()
        rows = np.flatnonzero(mask.any(axis=1))
        mask[rows[-1] - 6 :] = False
        masks.append(FrameMask(frame_mask.frame_index, RleMask.encode(mask), 1.0))
    ends = [
        box.center_m[2] - box.size_m[2] / 2
        for contact in (False, True)
        for box in boxes_of(scene, masks, LiftingConfig(contact=contact), surface)[:1]
    ]
    assert ends[0] > 0.02
    assert abs(ends[1]) < 0.01


@pytest.mark.parametrize(
    ("block", "target", "degrees"),
    [
        (RUG, (0, 0, 0.0), np.arange(0, 360, 40)),
        (PICTURE, (-3.0, 0, 1.35), np.linspace(-40, 40, 7)),
    ],
    ids=["rug", "picture"],
)
def test_a_flat_object_has_a_box_with_a_volume(block, target, degrees):
    scene = make_scene([block], circle(target, 1.6, target[2] + 0.7, degrees))
    surface = fuse_scene(scene, SurfaceConfig(min_vertices=10))
    aabb, _ = boxes_of(scene, masks_of(scene), CONFIG, surface)
    size = np.subtract(block.high_m, block.low_m)
    thin = int(size.argmin())
    low, high = aabb.center_m - aabb.size_m / 2, aabb.center_m + aabb.size_m / 2
    np.testing.assert_allclose(np.delete(aabb.size_m, thin), np.delete(size, thin), atol=0.05)
    assert aabb.size_m[thin] < 0.04
    assert low[thin] < block.high_m[thin]
    assert high[thin] > block.low_m[thin]


def test_one_view_gives_a_box_of_what_it_saw(scene):
    (frame_mask,) = masks_of(scene)[1:2]
    aabb, obb = boxes_of(scene, [frame_mask])
    assert 0.3 < iou(aabb, BLOCK) <= 1
    assert 0 < aabb.score < 0.5
    assert obb.size_m.min() > 0.1


def test_an_object_cut_by_the_image_edge_gives_the_part_in_the_image():
    near = make_scene([BLOCK], circle((0.45, 0, 0.4), 0.7, 0.7, [60, 90, 120]))
    masks = masks_of(near)
    for frame_mask in masks:
        mask = frame_mask.mask.decode()
        assert mask[:, [0, -1]].any() or mask[[0, -1]].any(), "the picture does not cut the block"
    aabb, _ = boxes_of(near, masks)
    low, high = aabb.center_m - aabb.size_m / 2, aabb.center_m + aabb.size_m / 2
    assert (low >= np.array(BLOCK.low_m) - 0.03).all()
    assert (high <= np.array(BLOCK.high_m) + 0.03).all()


@pytest.mark.parametrize("config", [CONFIG, ALL_OFF], ids=["all steps", "none"])
def test_a_mask_over_the_whole_wall_gives_a_box_of_the_wall(config):
    scene = scene_of(PICTURE, (-3.0, 0, 1.35), [-20, 0, 20])
    surface = fuse_scene(scene, SurfaceConfig(min_vertices=10))
    everything = [
        FrameMask(i, RleMask.encode(np.ones((180, 240), bool)), 1.0) for i in range(len(scene.frames))
    ]
    aabb, _ = boxes_of(scene, everything, config, surface)
    assert aabb.size_m[1] > 1.0


def test_a_picture_is_its_face_and_ends_at_the_wall_and_the_switch_takes_that_away():
    degrees = np.linspace(-40, 40, 9)
    clean = scene_of(PICTURE, (-3.0, 0, 1.35), degrees)
    rng = np.random.default_rng(0)
    noisy = {
        frame.frame_index: clean.read_depth(frame.frame_index) + rng.normal(0, 0.006, (120, 160)).astype("f4")
        for frame in clean.frames
    }
    scene = scene_of(PICTURE, (-3.0, 0, 1.35), degrees, broken_depth=noisy)
    surface = fuse_scene(scene, SurfaceConfig(min_vertices=10))
    flat, _ = boxes_of(scene, masks_of(clean), CONFIG, surface)
    loose, _ = boxes_of(scene, masks_of(clean), LiftingConfig(flat_objects=False), surface)
    assert flat.size_m[0] == pytest.approx(0.03, abs=0.01)
    assert iou(flat, PICTURE) > iou(loose, PICTURE) + 0.1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0], ids=str)
def test_readings_that_are_no_depth_are_left_out(bad):
    clean = scene_of(BLOCK, (0, 0, 0.25), np.arange(0, 360, 45))
    broken = {}
    for frame in clean.frames:
        depth = clean.read_depth(frame.frame_index).copy()
        depth[::3, ::4] = bad
        broken[frame.frame_index] = depth
    scene = scene_of(BLOCK, (0, 0, 0.25), np.arange(0, 360, 45), broken_depth=broken)
    points = lift_points(scene, masks_of(clean), CONFIG)
    assert np.isfinite(points.points_world_m).all()
    assert iou(boxes_of(scene, masks_of(clean))[0], BLOCK) > 0.8


def test_no_depth_under_any_mask_is_a_failure_that_says_so():
    clean = scene_of(BLOCK, (0, 0, 0.25), [0, 40])
    broken = {}
    for frame in clean.frames:
        depth = clean.read_depth(frame.frame_index).copy()
        depth[20:110, 20:140] = 0
        broken[frame.frame_index] = depth
    scene = scene_of(BLOCK, (0, 0, 0.25), [0, 40], broken_depth=broken)
    with pytest.raises(StageFailure, match="none of the 2 masks has a depth reading") as caught:
        lift_points(scene, masks_of(clean), CONFIG)
    assert caught.value.stage == "points"


def test_an_unreadable_frame_is_passed_over(caplog):
    scene = scene_of(BLOCK, (0, 0, 0.25), np.arange(0, 360, 45), broken_depth={2: None})
    masks = masks_of(scene_of(BLOCK, (0, 0, 0.25), np.arange(0, 360, 45)))
    points = lift_points(scene, masks, CONFIG)
    assert points.num_views == 7
    assert "frame 2 gives no points" in caplog.text


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ([], "no mask"),
        ([FrameMask(0, RleMask.encode(np.zeros((180, 240), bool)), 1.0)], "none of the 1 masks"),
    ],
)
def test_nothing_to_lift_is_said(scene, masks, words):
    with pytest.raises(StageFailure, match=words):
        lift_points(scene, masks, CONFIG)


def test_too_few_readings_are_a_failure_not_a_box(scene):
    mask = np.zeros((180, 240), bool)
    mask[88:92, 118:122] = True
    with pytest.raises(StageFailure, match="are needed"):
        lift_points(scene, [FrameMask(0, RleMask.encode(mask), 1.0)], CONFIG)


def test_colours_are_read_only_when_asked_for(scene):
    reader = scene.reader

    class NoColor:
        read_depth = staticmethod(reader.read_depth)

        @staticmethod
        def read_color(frame_index):
            raise AssertionError("a colour image was decoded")

    masks = masks_of(scene)
    grey = lift_points(replace(scene, reader=NoColor()), masks, CONFIG, colors=False)
    assert (grey.colors_rgb == 128).all()
    painted = lift_points(scene, masks, CONFIG)
    np.testing.assert_array_equal(painted.points_world_m, grey.points_world_m)
    red, green, blue = np.median(painted.colors_rgb.astype(int), axis=0)
    assert red > 2 * green > 0
    assert red > 2 * blue > 0
