"""What completions earn."""

import math

import pytest

from scene_r1_cli.models.families import FAMILIES
from scene_r1_cli.training.rewards import answer_reward, box_reward, format_reward, temporal_reward

RUNS = ((2.0, 4.0), (10.0, 20.0))
QWEN = FAMILIES["qwen2.5-vl"]


def said(answer, think="I see it."):
    return f"<think>{think}</think><answer>{answer}</answer>"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (said("5s"), 1),
        ("<think>a</think>\n<answer>b</answer>\n", 1),
        ("<answer>b</answer>", 0),
        ("<answer>b</answer><think>a</think>", 0),
        (said("5s") + said("6s"), 0),
        ("<think></think><answer>b</answer>", 0),
        ("<think>a</think><answer></answer>", 0),
        ("<think>a</think> and so <answer>b</answer>", 0),
        ("<think>a <answer>x</answer></think><answer>b</answer>", 0),
        ("<think>a</think><answer>b", 0),
        ("", 0),
    ],
)
def test_the_form_is_one_think_and_one_answer(text, value):
    assert format_reward(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<answer>b</answer>", 1),
        (" <answer>b</answer>\n", 1),
        (said("5s"), 0),
        ("<answer></answer>", 0),
        ("b", 0),
        ("so <answer>b</answer>", 0),
        ("<answer>a</answer><answer>b</answer>", 0),
        ("<answer>b", 0),
    ],
)
def test_without_thinking_the_form_is_one_answer(text, value):
    assert format_reward(text, think=False) == value


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("10.0s to 20.0s", 1.0),
        ("2s to 4s", 1.0),
        ("10s to 15s", 0.5),
        ("15s to 10s", 0.5),
        ("[10, 15]", 0.5),
        ("00:10 to 00:15", 0.5),
        ("4s to 10s", 0.0),
        ("10s to 10s", 0.0),
        ("20s to 40s", 0.0),
        ("soon", 0.0),
    ],
)
def test_a_span_earns_its_iou_with_the_nearest_run(answer, value):
    assert temporal_reward(said(answer), RUNS, 30.0) == pytest.approx(value, abs=1e-6)


def test_a_span_is_clipped_to_the_video():
    assert temporal_reward(said("10s to 90s"), RUNS, 20.0) == pytest.approx(1.0)


def test_runs_together_and_nearness_are_options():
    assert temporal_reward(said("10s to 20s"), RUNS, 30.0, rule="union") == pytest.approx(10 / 12)
    near, far = (
        temporal_reward(said(text), RUNS, 30.0, soft_weight=0.5) for text in ("21s to 22s", "28s to 29s")
    )
    assert 0 < far < near < 0.5
    assert temporal_reward(said("10s to 20s"), RUNS, 30.0, soft_weight=0.5) == pytest.approx(1.0)
    assert near == pytest.approx(0.5 * math.exp(-1.5 / 7.5))


def test_a_query_that_is_never_seen_has_no_reward():
    with pytest.raises(ValueError, match="visible run"):
        temporal_reward(said("1s to 2s"), (), 30.0)
    with pytest.raises(ValueError, match="accepted answer"):
        answer_reward(said("x"), ())


def test_boxes_are_compared_in_pixels_of_the_original():
    """The model saw a quarter of the size."""
    reply = said('{"bbox_2d": [10, 10, 20, 30], "label": "chair"}')
    truth = (40.0, 40.0, 80.0, 120.0)
    earned = box_reward(reply, truth, QWEN, (112, 84), (448, 336))
    assert earned > 0.9
    assert box_reward(reply, (300.0, 200.0, 340.0, 280.0), QWEN, (112, 84), (448, 336)) == 0


@pytest.mark.parametrize(
    ("answer", "there", "value"),
    [
        ('{"bbox_2d": null}', False, 1),
        ('{"bbox_2d": null}', True, 0),
        ('{"bbox_2d": [1, 1, 9, 9]}', False, 0),
        ("?", False, 0),
    ],
)
def test_not_here_is_right_only_where_it_is_not(answer, there, value):
    truth = (4.0, 4.0, 36.0, 36.0) if there else None
    assert box_reward(said(answer), truth, QWEN, (112, 84), (448, 336)) == value


@pytest.mark.parametrize(
    ("answer", "answers", "kind", "value"),
    [
        ("The desk", ("desk",), "", 1),
        ("chair", ("desk",), "", 0),
        ("B", ("B",), "object_rel_distance", 1),
        ("C", ("B",), "object_rel_distance", 0),
        ("about 2.9 meters", ("3",), "object_abs_distance", 1),
        ("1.5", ("3",), "object_abs_distance", 0.1),
        ("two", ("2",), "", 1),
        ("3", ("4",), "", 0.6),
    ],
)
def test_answers_earn_matches_or_relative_accuracy(answer, answers, kind, value):
    assert answer_reward(said(answer), answers, kind) == pytest.approx(value)


@pytest.mark.parametrize("reward", [temporal_reward, answer_reward])
def test_an_answer_that_is_only_thought_of_earns_nothing(reward):
    """A model that repeats the form asked for while it thinks has not answered."""
    text = "<think>Reply in exactly this form: <answer>10s to 20s</answer></think>"
    truth = (RUNS, 30.0) if reward is temporal_reward else (("10s to 20s",),)
    assert reward(text, *truth) == 0
