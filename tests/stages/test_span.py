"""Temporal grounding with a model that says what it is told to."""

import json

import numpy as np
import pytest

from scene_r1_cli.config import SamplingConfig, SpanConfig, VideoConfig
from scene_r1_cli.errors import InputError, StageFailure
from scene_r1_cli.models.prompts import prompt_hash
from scene_r1_cli.stages.span import ground_span
from scene_r1_cli.stages.video import sample_video
from scene_r1_cli.types import Query, TemporalSpan
from tests.fake_vlm import ScriptedVLM, plain_scene

QUERY = Query("plain", "q", "the red chair")


def ground(*replies, config=SpanConfig(), query=QUERY):  # noqa: B008 - frozen
    vlm = ScriptedVLM(*replies)
    rows = []
    video = sample_video(plain_scene(np.arange(60)), VideoConfig(fps=0.1), vlm.model_size_wh)
    try:
        span = ground_span(vlm, video, query, config, rows.append)
    except StageFailure as failure:
        return failure, vlm, rows
    return span, vlm, rows


SPANS = [
    ("<think>It is red.</think><answer>5.0s to 10.0s</answer>", TemporalSpan(5, 10, "It is red.")),
    ("<answer>-3 to 10</answer>", TemporalSpan(0, 10)),
    ("<answer>50 to 900</answer>", TemporalSpan(50, 60)),
    ("<answer>10 to 5</answer>", TemporalSpan(5, 10)),
    ("<answer>7 to 7</answer>", TemporalSpan(7, 7)),
]


@pytest.mark.parametrize(("reply", "expected"), SPANS)
def test_spans_are_clipped_to_the_video(reply, expected):
    span, _, rows = ground(reply)
    assert span == expected
    assert len(rows) == 1


def test_of_several_replies_the_span_that_others_are_most_like_is_taken_and_all_are_kept():
    replies = [
        "<think>a</think><answer>40 to 50</answer>",
        "<think>b</think><answer>10 to 20</answer>",
        "I cannot say",
        "<think>c</think><answer>12 to 20</answer>",
        "<answer>500 to 600</answer>",
    ]
    span, vlm, rows = ground(*replies, config=SpanConfig(replies=5))
    drawn_s = ((40.0, 50.0), (10.0, 20.0), (12.0, 20.0))
    assert span == TemporalSpan(10, 20, "b", drawn_s)
    assert len(vlm.asked) == len(rows) == 5
    assert vlm.samplings == [SamplingConfig(temperature=0.7)]


def test_the_prompt_holds_query_and_duration_behind_the_frames():
    _, vlm, _ = ground("<answer>5 to 10</answer>")
    prefix, suffix = vlm.asked[0]
    assert vlm.samplings == [None]
    assert prefix.timestamps_s.tolist() == [0, 10, 20, 30, 40, 50]
    assert "the red chair" in suffix
    assert "60.0 seconds" in suffix


def test_the_exchange_is_recorded_as_plain_json():
    _, vlm, rows = ground("<think>so</think><answer>10s to 5s</answer>")
    row = json.loads(json.dumps(rows[0]))
    assert row == {
        "stage": "span",
        "model": "scripted",
        "prompt": vlm.asked[0][1],
        "prompt_hash": prompt_hash("span"),
        "attempt": 0,
        "frame_indices": [0, 10, 20, 30, 40, 50],
        "model_size_wh": [448, 336],
        "reply": "<think>so</think><answer>10s to 5s</answer>",
        "finish_reason": "stop",
        "num_prompt_tokens": 100,
        "num_new_tokens": 10,
        "parsed": {"start_s": 5.0, "end_s": 10.0, "was_reversed": True},
        "error": None,
    }


def test_an_unreadable_reply_is_asked_once_more_with_the_reason():
    span, vlm, rows = ground("<answer>never</answer>", "<answer>5 to 10</answer>")
    assert span == TemporalSpan(5, 10)
    first, second = (suffix for _, suffix in vlm.asked)
    assert second.startswith(first)
    assert "was not one time span" in second[len(first) :]
    assert [(row["attempt"], row["error"] is None) for row in rows] == [(0, False), (1, True)]
    assert rows[0]["error"].startswith("not_a_span: ")
    assert rows[0]["parsed"] is None


def test_two_unreadable_replies_are_a_failure_and_both_are_recorded():
    failure, vlm, rows = ground("It is there from 5 to 10.", "<answer>soon</answer>")
    assert isinstance(failure, StageFailure)
    assert (failure.stage, failure.exit_code) == ("span", 5)
    assert failure.reason == "the model's reply cannot be read: 'soon' is not a time span"
    assert "had no <answer> block" in vlm.asked[1][1]
    assert len(vlm.asked) == len(rows) == 2


def test_retries_can_be_switched_off():
    failure, vlm, _ = ground("what?", config=SpanConfig(retries=0))
    assert isinstance(failure, StageFailure)
    assert len(vlm.asked) == 1


@pytest.mark.parametrize("answer", ["60 to 70", "900 to 950", "-9 to -3"])
def test_a_span_outside_the_video_is_a_failure(answer):
    failure, _, rows = ground(f"<answer>{answer}</answer>")
    assert isinstance(failure, StageFailure)
    assert "outside the video of 60.0 s" in failure.reason
    assert len(rows) == 1


def test_an_empty_query_is_refused():
    with pytest.raises(InputError, match="empty"):
        ground("<answer>5 to 10</answer>", query=Query("plain", "q", " "))
