"""Image sizes and box coordinates of each model family."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_r1_cli.errors import ConfigError
from scene_r1_cli.models.families import (
    FAMILIES,
    ImageGrid,
    box_to_model,
    box_to_original,
    family_in_name,
    family_named,
    family_of,
    size_on_grid,
)

QWEN25, QWEN3 = FAMILIES["qwen2.5-vl"], FAMILIES["qwen3-vl"]


@pytest.mark.parametrize(
    ("family", "factor_px", "convention"),
    [
        ("qwen2-vl", 28, "norm1000"),
        ("qwen2.5-vl", 28, "resized_px"),
        ("qwen3-vl", 32, "norm1000"),
        ("qwen3.5", 32, "norm1000"),
    ],
)
def test_table(family, factor_px, convention):
    assert FAMILIES[family].grid.factor_px == factor_px
    assert FAMILIES[family].box_convention == convention


@pytest.mark.parametrize(
    ("model_type", "family"),
    [
        ("qwen2_5_vl", "qwen2.5-vl"),
        ("qwen2_vl", "qwen2-vl"),
        ("qwen3_vl", "qwen3-vl"),
        ("qwen3_vl_moe", "qwen3-vl"),
        ("qwen3_5", "qwen3.5"),
        ("llava", None),
        ("qwen2", None),
    ],
)
def test_family_of_model_type(model_type, family):
    assert family_of(model_type) == (FAMILIES[family] if family else None)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl"),
        ("qwen2_vl_7b", "qwen2-vl"),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", "qwen3-vl"),
        ("Qwen/Qwen3.5-9B", "qwen3.5"),
        ("my-model", None),
    ],
)
def test_family_in_a_name(name, family):
    assert family_in_name(name) == (FAMILIES[family] if family else None)


def test_unknown_family_says_which_are_known():
    with pytest.raises(ConfigError, match=r"known are qwen2-vl, qwen2\.5-vl") as error:
        family_named("qwen2.5vl")
    assert error.value.hint == "Did you mean qwen2.5-vl?"


SIZES = [
    # family, original, longest side, size at the model
    (QWEN25, (640, 480), 448, (448, 336)),
    (QWEN25, (1296, 968), 448, (448, 336)),
    (QWEN25, (1296, 968), 1008, (1008, 756)),
    (QWEN25, (480, 640), 448, (336, 448)),
    (QWEN25, (640, 480), 460, (448, 336)),  # rounded down to the grid
    (QWEN25, (320, 240), 1024, (308, 224)),  # never enlarged for its own sake
    (QWEN25, (1000, 20), 448, (448, 28)),
    (QWEN25, (30, 30), 448, (56, 56)),  # the least area the processor takes
    (QWEN3, (640, 480), 448, (448, 320)),
    (QWEN3, (640, 480), 224, (320, 224)),  # enlarged to the least area
    (QWEN3, (1296, 968), 1024, (1024, 768)),
]


@pytest.mark.parametrize(("family", "original_wh", "max_side_px", "expected"), SIZES)
def test_size_on_grid(family, original_wh, max_side_px, expected):
    assert size_on_grid(original_wh, max_side_px, family.grid) == expected


def test_an_image_above_the_largest_area_is_reduced():
    assert size_on_grid((4000, 3000), 4000, ImageGrid(28, 3136, 28 * 28 * 1280)) == (1148, 840)


@given(
    width=st.integers(20, 4000),
    height=st.integers(20, 4000),
    max_side_px=st.integers(28, 2048),
    name=st.sampled_from(sorted(FAMILIES)),
)
def test_the_processor_would_not_resize_again(width, height, max_side_px, name):
    grid = FAMILIES[name].grid
    size = size_on_grid((width, height), max_side_px, grid)
    assert all(side % grid.factor_px == 0 and side > 0 for side in size)
    assert grid.min_pixels <= size[0] * size[1] <= grid.max_pixels


BOXES = [
    # family, as the model writes it, size at the model, original size, original pixels
    (QWEN25, (0, 0, 448, 336), (448, 336), (1296, 968), (-0.5, -0.5, 1295.5, 967.5)),
    (QWEN25, (112, 84, 336, 252), (448, 336), (896, 672), (223.5, 167.5, 671.5, 503.5)),
    (QWEN25, (112, 84, 336, 252), (448, 336), (448, 336), (111.5, 83.5, 335.5, 251.5)),
    (QWEN25, (-20, -20, 500, 100), (448, 336), (448, 336), (-0.5, -0.5, 447.5, 99.5)),
    (QWEN3, (0, 0, 1000, 1000), (448, 352), (640, 480), (-0.5, -0.5, 639.5, 479.5)),
    (QWEN3, (250, 500, 750, 1000), (448, 352), (640, 480), (159.5, 239.5, 479.5, 479.5)),
    (QWEN3, (250, 500, 750, 2000), (448, 352), (640, 480), (159.5, 239.5, 479.5, 479.5)),
]


@pytest.mark.parametrize(("family", "xyxy_model", "model_wh", "original_wh", "xyxy_px"), BOXES)
def test_box_to_original(family, xyxy_model, model_wh, original_wh, xyxy_px):
    assert box_to_original(xyxy_model, family, model_wh, original_wh) == pytest.approx(xyxy_px)


@pytest.mark.parametrize(
    "xyxy_model",
    [
        (500, 10, 600, 20),  # right of the image
        (-20, 10, -10, 20),  # left of it
        (10, 400, 20, 500),  # below it
        (10, 10, 10, 20),  # no width
        (10, 20, 30, 20),  # no height
        (math.nan, 10, 20, 30),
        (10, 10, math.inf, 30),
    ],
)
def test_a_box_without_area_in_the_image_is_none(xyxy_model):
    assert box_to_original(xyxy_model, QWEN25, (448, 336), (1296, 968)) is None


@given(
    corners=st.tuples(*[st.floats(0, 0.49), st.floats(0, 0.49), st.floats(0.51, 1), st.floats(0.51, 1)]),
    original_wh=st.tuples(st.integers(28, 4000), st.integers(28, 4000)),
    max_side_px=st.integers(28, 2048),
    name=st.sampled_from(sorted(FAMILIES)),
)
def test_boxes_come_back_from_a_round_trip(corners, original_wh, max_side_px, name):
    family = FAMILIES[name]
    model_wh = size_on_grid(original_wh, max_side_px, family.grid)
    xyxy_px = [corner * original_wh[i % 2] - 0.5 for i, corner in enumerate(corners)]
    back = box_to_original(
        box_to_model(xyxy_px, family, model_wh, original_wh), family, model_wh, original_wh
    )
    assert back == pytest.approx(xyxy_px, abs=1e-6)


def test_a_box_follows_the_pixels_of_a_real_resize():
    """A white block drawn at the model's size lies where its box says in the original."""
    import cv2
    import numpy as np

    model = np.zeros((336, 448, 3), dtype=np.uint8)
    model[84:252, 112:336] = 255
    original = cv2.resize(model, (896, 672), interpolation=cv2.INTER_NEAREST)
    rows, columns = np.nonzero(original[..., 0])
    tight = (columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5)
    assert box_to_original((112, 84, 336, 252), QWEN25, (448, 336), (896, 672)) == tight
