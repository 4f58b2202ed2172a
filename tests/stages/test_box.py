"""Image grounding with a model that says what it is told to."""

import numpy as np
import pytest

from scene_r1_cli.config import BoxConfig, SamplingConfig
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.stages.box import ground_boxes
from scene_r1_cli.types import Box2D, Query, TemporalSpan
from tests.fake_vlm import ScriptedVLM, plain_scene

QUERY = Query("plain", "q", "the red chair")
SPAN = TemporalSpan(10, 40)
HERE = '<think>There.</think><answer>{"bbox_2d": [56, 42, 112, 84], "label": "chair"}</answer>'
NOT_HERE = '<think>No.</think><answer>{"bbox_2d": null}</answer>'
JUNK = "I cannot say"


def ground(*replies, family="qwen2.5-vl", config=BoxConfig(max_side_px=448), scene=None, span=SPAN):  # noqa: B008
    vlm = ScriptedVLM(*replies, family=family)
    rows = []
    scene = scene or plain_scene(np.arange(60), size_wh=(896, 672))
    try:
        boxes = ground_boxes(vlm, scene, span, QUERY, config, rows.append)
    except StageFailure as failure:
        return failure, vlm, rows
    return boxes, vlm, rows


def test_a_box_per_key_frame_in_original_pixels():
    boxes, vlm, rows = ground(HERE, HERE, HERE)
    corners = (111.5, 83.5, 223.5, 167.5)  # the model saw half the size
    assert boxes == tuple(Box2D(index, corners, "chair", "There.") for index in (11, 21, 31))
    assert [prefix.timestamps_s.tolist() for prefix, _ in vlm.asked] == [[11], [21], [31]]
    assert all(prefix.size_wh == (448, 336) for prefix, _ in vlm.asked)
    assert [row["frame_indices"] for row in rows] == [(11,), (21,), (31,)]


def test_the_convention_is_that_of_the_family():
    reply = '<answer>{"bbox_2d": [250, 500, 750, 1000]}</answer>'
    boxes, vlm, _ = ground(reply, family="qwen3-vl", config=BoxConfig(num_keyframes=1))
    assert isinstance(boxes, tuple)
    assert boxes[0].xyxy_px == (223.5, 335.5, 671.5, 671.5)
    assert "from 0 to 1000" in vlm.asked[0][1]


def test_frames_without_the_object_are_left_out():
    boxes, _, _ = ground(NOT_HERE, HERE, NOT_HERE)
    assert isinstance(boxes, tuple)
    assert [box.frame_index for box in boxes] == [21]


def test_of_several_boxes_the_first_counts_and_all_are_recorded():
    reply = '<answer>[{"bbox_2d": [0, 0, 28, 28]}, {"bbox_2d": [56, 56, 84, 84]}]</answer>'
    boxes, _, rows = ground(reply, config=BoxConfig(num_keyframes=1, max_side_px=448))
    assert isinstance(boxes, tuple)
    assert boxes[0].xyxy_px == (-0.5, -0.5, 55.5, 55.5)
    assert len(rows[0]["parsed"]["boxes"]) == 2


def test_an_unreadable_reply_is_asked_once_more():
    boxes, vlm, rows = ground(JUNK, HERE, config=BoxConfig(num_keyframes=1, max_side_px=448))
    assert isinstance(boxes, tuple)
    assert len(vlm.asked) == len(rows) == 2
    assert "had no <answer> block" in vlm.asked[1][1]


def reply_of(*corners):
    return f'<think>There.</think><answer>{{"bbox_2d": {list(corners)}, "label": "chair"}}</answer>'


def test_of_several_replies_the_box_that_others_are_most_like_is_taken():
    config = BoxConfig(num_keyframes=1, max_side_px=448, replies=4)
    boxes, vlm, rows = ground(
        reply_of(300, 300, 400, 330),
        reply_of(56, 42, 112, 84),
        reply_of(56, 42, 112, 70),
        JUNK,
        config=config,
    )
    assert isinstance(boxes, tuple)
    assert boxes[0].xyxy_px == (111.5, 83.5, 223.5, 167.5)
    # Of the three others one is like it, by two thirds; the square of the mean.
    assert boxes[0].score == pytest.approx((2 / 9) ** 2)
    assert vlm.samplings == [SamplingConfig(temperature=0.7)]
    assert len(vlm.asked) == len(rows) == 4
    assert [row["attempt"] for row in rows] == [0] * 4


def test_if_half_of_the_replies_say_it_is_not_there_it_is_not():
    config = BoxConfig(num_keyframes=1, max_side_px=448, replies=2, search_frames=0)
    failure, _, _ = ground(HERE, NOT_HERE, config=config)
    assert isinstance(failure, StageFailure)
    assert "object not in the frame" in failure.reason


def test_a_box_counts_as_often_as_spans_hold_its_frame():
    span = TemporalSpan(10, 20, drawn_s=((10.0, 20.0), (40.0, 40.0), (40.0, 40.0)))
    config = BoxConfig(num_keyframes=4, max_side_px=448, sharpest_of=1)
    boxes, vlm, _ = ground(HERE, HERE, HERE, HERE, config=config, span=span)
    assert isinstance(boxes, tuple)
    # One of three spans holds the first frames, two are the moment of the last; one more holds all.
    assert [(box.frame_index, box.score) for box in boxes] == [(11, 0.5), (14, 0.5), (17, 0.5), (40, 0.75)]
    assert vlm.samplings == [None]


def test_a_box_elsewhere_counts_as_if_one_span_more_held_it():
    span = TemporalSpan(10, 20, drawn_s=((10.0, 20.0), (15.0, 20.0), (40.0, 42.0)))
    config = BoxConfig(num_keyframes=1, search_frames=1, max_side_px=448)
    boxes, _, _ = ground(NOT_HERE, HERE, config=config, span=span)
    assert isinstance(boxes, tuple)
    assert [box.score for box in boxes] == [0.25]


FAILURES = [
    ((NOT_HERE, NOT_HERE, NOT_HERE), "none of 3 key frames gave a box (3 × object not in the frame)"),
    (
        (NOT_HERE, JUNK, '<answer>{"bbox_2d": [9000, 0, 9100, 50]}</answer>', JUNK),
        "none of 3 key frames gave a box (1 × object not in the frame, 1 × reply cannot be read, "
        "1 × box without area in the frame)",
    ),
]


@pytest.mark.parametrize(("replies", "reason"), FAILURES)
def test_no_box_in_any_frame_is_a_failure_that_counts_why(replies, reason):
    failure, _, rows = ground(*replies, config=BoxConfig(max_side_px=448, search_frames=0))
    assert isinstance(failure, StageFailure)
    assert (failure.stage, failure.reason) == ("box", reason)
    assert len(rows) == len(replies)


def test_a_span_without_the_object_sends_the_search_elsewhere():
    config = BoxConfig(max_side_px=448, search_frames=2)
    boxes, vlm, _ = ground(NOT_HERE, NOT_HERE, NOT_HERE, NOT_HERE, HERE, config=config)
    assert isinstance(boxes, tuple)
    times = [float(prefix.timestamps_s[0]) for prefix, _ in vlm.asked]
    assert [box.frame_index for box in boxes] == [times[-1]]
    assert [10 <= time_s < 40 for time_s in times] == [True, True, True, False, False]
    failure, _, _ = ground(*[NOT_HERE] * 5, config=config)
    assert isinstance(failure, StageFailure)
    assert failure.reason == "none of 5 key frames gave a box (5 × object not in the frame)"


def test_a_span_of_frames_that_cannot_be_decoded_is_a_failure():
    failure, _, _ = ground(scene=plain_scene(np.arange(60), broken=range(60)))
    assert isinstance(failure, StageFailure)
    assert failure.reason == "no frame between 10 s and 40 s can be decoded"
