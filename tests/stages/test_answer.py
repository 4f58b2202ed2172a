"""Free-form answers with a model that says what it is told to."""

import numpy as np
import pytest

from scene_r1_cli.config import AnswerConfig, VideoConfig
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.stages.answer import answer_question
from scene_r1_cli.stages.video import sample_video
from scene_r1_cli.types import Answer, Query
from tests.fake_vlm import ScriptedVLM, plain_scene


def ask(*replies):
    vlm = ScriptedVLM(*replies)
    rows = []
    video = sample_video(plain_scene(np.arange(20)), VideoConfig(fps=0.2), vlm.model_size_wh)
    question = Query("plain", "q", "How many chairs are there?")
    return answer_question(vlm, video, question, AnswerConfig(), rows.append), vlm, rows


def test_answer_and_reasoning():
    answer, vlm, rows = ask("<think>One, two.</think><answer> two </answer>")
    assert answer == Answer("two", "One, two.")
    assert "Question: How many chairs are there?" in vlm.asked[0][1]
    assert rows[0]["stage"] == "answer"


def test_a_reply_without_the_form_is_asked_again():
    answer, _, rows = ask("two", "<answer>two</answer>")
    assert answer.text == "two"
    assert len(rows) == 2


def test_no_answer_is_a_failure():
    with pytest.raises(StageFailure, match="no <answer> block") as failure:
        ask("two", "two")
    assert failure.value.stage == "answer"
