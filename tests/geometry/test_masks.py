"""Masks on pixels: growing, crops of run lengths, colour grid to depth grid."""

import numpy as np
import pytest

from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.masks import (
    clip_crop,
    close,
    color_pixels_of_depth,
    decode_crop,
    depth_crop_of_color,
    dilate,
    encode_crop,
    erode,
    look_up,
    mask_bounds,
    rle_bounds,
    splat_to_color,
)
from scene_r1_cli.types import Camera, RleMask


def rows(*lines: str) -> np.ndarray:
    return np.array([[character == "#" for character in line] for line in lines])


@pytest.mark.parametrize(
    ("function", "radius", "before", "after"),
    [
        (dilate, 1, rows(".....", "..#..", "....."), rows(".###.", ".###.", ".###.")),
        (dilate, 0, rows(".#."), rows(".#.")),
        (dilate, 2, rows("#......"), rows("###....")),
        (
            erode,
            1,
            rows(".....", ".###.", ".###.", ".###.", "....."),
            rows(*["....."] * 2, "..#..", *["....."] * 2),
        ),
        # An object cut by the image edge keeps its cut side.
        (erode, 1, rows("##.", "##.", "##."), rows("#..", "#..", "#..")),
        (erode, 0, rows("##."), rows("##.")),
        (close, 1, rows("......", ".#.#..", "......"), rows("......", ".###..", "......")),
        (close, 1, rows(".....", ".#...", "....."), rows(".....", ".#...", ".....")),
    ],
)
def test_morphology(function, radius, before, after):
    kept = before.copy()
    np.testing.assert_array_equal(function(before, radius), after)
    np.testing.assert_array_equal(before, kept)


@pytest.mark.parametrize(
    ("mask", "bounds"),
    [
        (rows("...", "..."), None),
        (rows("#..", "..."), (0, 0, 1, 1)),
        (rows("...", ".##"), (1, 1, 3, 2)),
        (rows("###", "###"), (0, 0, 3, 2)),
        (rows(".#.", ".#."), (1, 0, 2, 2)),
    ],
)
def test_bounds_with_and_without_decoding(mask, bounds):
    assert mask_bounds(mask) == bounds
    assert rle_bounds(RleMask.encode(mask)) == bounds


def test_bounds_of_run_lengths_match_on_random_masks():
    generator = np.random.default_rng(0)
    for _ in range(50):
        mask = generator.random((13, 17)) < 0.02
        bounds = rle_bounds(RleMask.encode(mask))
        assert bounds == mask_bounds(mask)
        if bounds is not None:
            crop = mask[bounds[1] : bounds[3], bounds[0] : bounds[2]]
            np.testing.assert_array_equal(decode_crop(RleMask.encode(mask), bounds), crop)
            np.testing.assert_array_equal(encode_crop(crop, bounds, (17, 13)).decode(), mask)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ((1.2, 2.7), (4.1, 5.0), (1, 2, 6, 6)),
        ((-5, -5), (100, 100), (0, 0, 10, 8)),
        ((20, 0), (30, 5), None),
        ((0, -9), (5, -3), None),
    ],
)
def test_clip_crop(low, high, expected):
    assert clip_crop(np.array(low), np.array(high), (10, 8)) == expected


def test_look_up_rounds_to_pixel_centres_and_is_false_outside():
    crop = rows("#.", ".#")
    pixels = np.array([[3.4, 4.4], [3.6, 4.0], [4.4, 5.4], [2, 4], [np.nan, 4], [5, 6]])
    assert look_up(crop, (3, 4, 5, 6), pixels).tolist() == [True, False, True, False, False, False]


COLOR = Camera(525.0, 525.0, 319.5, 238.0, (640, 480))
DEPTH = Camera(292.5, 292.5, 159.5, 119.5, (320, 240))


@pytest.mark.parametrize("baseline_m", [0.0, 0.03])
def test_a_crop_of_the_colour_image_is_found_in_the_depth_image(baseline_m):
    depth_from_color = np.eye(4)
    depth_from_color[0, 3] = baseline_m
    crop = (200, 100, 300, 250)
    bounds = depth_crop_of_color(crop, COLOR, DEPTH, depth_from_color, near_m=0.4)
    assert bounds is not None
    for z in (0.4, 1.0, 5.0):
        rays = pixel_rays(DEPTH) * np.float32(z)
        pixels = color_pixels_of_depth(rays, COLOR, depth_from_color)
        ys, xs = np.nonzero(look_up(np.ones((150, 100), bool), crop, pixels))
        assert bounds[0] <= xs.min()
        assert bounds[1] <= ys.min()
        assert bounds[2] > xs.max()
        assert bounds[3] > ys.max()


def test_colour_pixels_shift_with_parallax():
    depth_from_color = np.eye(4)
    depth_from_color[0, 3] = 0.03
    point = np.array([[0.0, 0.0, 1.0]])
    # The colour camera is 3 cm to the right, so it sees the point to the left: 525 x 0.03 pixels.
    np.testing.assert_allclose(
        color_pixels_of_depth(point, COLOR, depth_from_color), [[319.5 - 15.75, 238.0]]
    )


def test_sparse_points_make_a_solid_mask():
    xs, ys = np.meshgrid(np.arange(40.0, 60.0, 2), np.arange(20.0, 40.0, 2))
    pixels = np.concatenate([np.stack([xs.ravel(), ys.ravel()], axis=1), [[np.nan, 3], [-50, 10]]])
    painted = splat_to_color(pixels, (100, 80), footprint_px=2.0)
    assert painted is not None
    mask = encode_crop(*painted, (100, 80)).decode()
    assert mask[20:39, 40:59].all()
    assert mask.sum() == 19 * 19


def test_points_outside_the_image_paint_nothing():
    assert splat_to_color(np.array([[-5.0, 3.0], [np.nan, np.nan]]), (100, 80), 1.0) is None
