"""What pocket is taught to write is what the parsers read."""

import re
from dataclasses import replace

import numpy as np
import pytest

from scene_r1_cli.models.parse import (
    AnswerReply,
    BoxesReply,
    BoxReply,
    SpanReply,
    parse_answer,
    parse_boxes,
    parse_span,
    parse_think,
)
from scene_r1_cli.training.replies import (
    box_questions,
    box_reply,
    frame_boxes,
    room_questions,
    span_questions,
    span_reply,
)
from scene_r1_cli.training.room_views import RoomQuestion
from tests.training.views import block_views


def test_a_span_reply_names_the_times_and_parses_to_the_run():
    reply = span_reply("red chair", [2.0, 4.0], (1.96, 5.04))
    assert parse_think(reply) == "I see the red chair at 2.0, 4.0 seconds."
    assert parse_span(reply) == SpanReply(2.0, 5.0)


@pytest.mark.parametrize(
    ("box", "parsed"),
    [
        ((28.0, 14.0, 56.0, 42.0), BoxesReply((BoxReply((28.0, 14.0, 56.0, 42.0), "chair"),))),
        (None, BoxesReply(())),
    ],
)
def test_a_box_reply_parses_to_the_box_or_to_nothing(box, parsed):
    assert parse_boxes(box_reply("red chair", "chair", 3.0, box)) == parsed


def test_span_questions_name_a_frame_and_then_the_others_of_its_run():
    firsts = set()
    for seed in range(20):
        chair, lamp = span_questions(block_views(), np.random.default_rng(seed))
        assert chair.reply.split("</think>")[0] in {
            "<think>I see the red chair at 2.0, 4.0 seconds.",
            "<think>I see the red chair at 4.0, 2.0 seconds.",
        }
        first, *others = (float(text) for text in re.findall(r"\d\.\d", lamp.reply)[:4])
        assert others == [time_s for time_s in (0.0, 2.0, 4.0, 6.0) if time_s != first]
        firsts.add(first)
    assert firsts == {0.0, 2.0, 4.0, 6.0}


def test_every_run_is_asked_for_by_how_large_it_shows_the_object():
    views = block_views()
    lamp = replace(views.sentences[1], runs_s=((0.0, 1.0), (3.0, 5.0)), run_s=(3.0, 5.0))
    views.video.instances[2][views.video.instances[2] == 2] = 0
    views.video.instances[2, 0, :3] = 2
    views = replace(views, sentences=(lamp,))
    runs = [span_questions(views, np.random.default_rng(seed))[0].truth for seed in range(200)]
    large = (views.video.instances[0] == 2).sum()
    assert runs.count((0.0, 1.0)) / 200 == pytest.approx(large / (large + 3), abs=0.05)
    assert runs.count((3.0, 5.0)) == 200 - runs.count((0.0, 1.0))


def test_box_questions_ask_what_is_there_and_what_is_not():
    rng = np.random.default_rng(0)
    missing_chair = {question.text: question.truth for question in box_questions(block_views(), 0, rng)}
    assert missing_chair == {"the lamp by the chair": (0.0, 0.0, 28.0, 14.0), "the chair": ()}
    both = {question.text: question.truth for question in box_questions(block_views(), 1, rng)}
    assert both["the chair"] == (28.0, 14.0, 56.0, 42.0)


def test_boxes_are_edges_and_specks_are_left_out():
    instances = np.zeros((40, 40), np.uint8)
    instances[10:30, 5:25] = 3
    instances[0, 39] = 3
    assert frame_boxes(instances) == {2: ((5.0, 10.0, 25.0, 30.0), 400)}


def test_questions_about_the_room_name_when_their_objects_are_seen():
    views = replace(
        block_views(),
        questions=(
            RoomQuestion("What color is the chair?", "red", "color", (0,)),
            RoomQuestion("How many things are there?", "2", "number", (1, 0)),
            RoomQuestion("What size is the room?", "12.5", "room_size_estimation", ()),
            RoomQuestion("What color is the wall?", "white", "color", (2,)),  # no frame shows it
        ),
    )
    color, number, size = room_questions(views, np.random.default_rng(0))
    assert color.reply in {
        f"<think>I see the red chair at {time_s} seconds.</think><answer>red</answer>"
        for time_s in ("2.0", "4.0")
    }
    assert (color.named, color.is_find, color.truth) == ((0,), False, ())
    thought = "I see the lamp and the chair at 0.0, 2.0 seconds."
    assert number.reply == f"<think>{thought}</think><answer>2</answer>"
    assert number.named == (1, 0)
    assert parse_answer(size.reply) == AnswerReply("12.5")
    assert size.named == ()


def test_an_absent_object_of_a_class_that_is_shown_is_asked_about():
    views = replace(block_views(), labels=("chair", "chair", "wall"))
    asked = box_questions(views, 0, np.random.default_rng(0), absent=1)
    assert [question.named for question in asked] == [(1,), (0,)]
    assert asked[1].truth == ()
