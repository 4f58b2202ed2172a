"""Questions asked ahead get the replies of asking one by one."""

import numpy as np

from scene_r1_cli.config import SamplingConfig
from scene_r1_cli.models import ahead
from scene_r1_cli.models.ahead import AskedAhead
from scene_r1_cli.models.ask import Frames, ask_each
from scene_r1_cli.models.families import FAMILIES
from scene_r1_cli.models.parse import ParseFailure, parse_answer
from scene_r1_cli.models.vlm import AsksOne, Reply, VideoPrefix


class Echo(AsksOne):
    name = "echo"
    family = FAMILIES["qwen2.5-vl"]

    def __init__(self):
        self.calls = []

    def model_size_wh(self, original_wh, max_side_px):
        return original_wh

    def generate_each(self, asked, *, max_new_tokens, sampling=None):
        self.calls += [list(suffixes) for _, suffixes in asked]
        return [
            [Reply(f"<answer>{text} {prefix.frames_rgb.sum()}</answer>", "stop", 1, 1) for text in suffixes]
            for prefix, suffixes in asked
        ]


def prefix(value):
    return VideoPrefix(np.full((1, 2, 2, 3), value, np.uint8), np.zeros(1))


def ask(vlm, frames, suffix, **settings):
    """As the stages ask."""
    options = {"stage": "answer", "max_new_tokens": 4, "retries": 0, "record": None} | settings
    (replies,) = ask_each(vlm, [Frames(frames, [0])], suffix, parse_answer, **options)
    assert not isinstance(replies, ParseFailure)
    return replies[0].value.text


def test_expected_questions_are_asked_together_and_others_alone():
    echo = Echo()
    vlm = AskedAhead(echo, batch=2)
    vlm.expect(["a", "b", "c", "a"])
    assert [ask(vlm, prefix(1), suffix) for suffix in "abca"] == ["a 12", "b 12", "c 12", "a 12"]
    assert echo.calls == [["a", "b"], ["c", "a"]]
    assert ask(vlm, prefix(1), "other") == "other 12"
    assert echo.calls[-1] == ["other"]


def test_other_frames_are_other_questions():
    echo = Echo()
    vlm = AskedAhead(echo)
    vlm.expect(["a"])
    assert ask(vlm, prefix(1), "a") != ask(vlm, prefix(2), "a")
    vlm.expect(["a"])
    ask(vlm, prefix(1), "a")
    assert len(echo.calls) == 3


def test_drawn_replies_are_asked_ahead_for_as_many_questions_as_rows_allow(monkeypatch):
    monkeypatch.setattr(ahead, "MAX_ROWS", 7)
    echo = Echo()
    vlm = AskedAhead(echo)
    vlm.expect(["a", "b", "c", "d"])
    drawn = {"replies": 3, "sampling": SamplingConfig(temperature=0.7)}
    assert [ask(vlm, prefix(1), suffix, **drawn) for suffix in "abcd"] == ["a 12", "b 12", "c 12", "d 12"]
    assert echo.calls == [list("aaabbb"), list("cccddd")]
    # Other settings are other questions.
    ask(vlm, prefix(1), "a", replies=3, sampling=SamplingConfig(temperature=0.8))
    ask(vlm, prefix(1), "a", replies=8, sampling=SamplingConfig(temperature=0.8))
    assert echo.calls[2:] == [list("aaabbb"), list("aaaaaaaa")]
