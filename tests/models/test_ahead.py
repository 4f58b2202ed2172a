"""Questions asked ahead get the replies of asking one by one."""

from typing import Any

import numpy as np

from scene_r1_cli.models.ahead import AskedAhead
from scene_r1_cli.models.vlm import Reply, VideoPrefix


class Echo:
    name = "echo"
    family = None

    def __init__(self):
        self.calls = []

    def model_size_wh(self, original_wh, max_side_px):
        return original_wh

    def generate(self, prefix, suffixes, *, max_new_tokens, sampling=None):
        self.calls.append(list(suffixes))
        return [Reply(f"{suffix} {prefix.frames_rgb.sum()}", "stop", 1, 1) for suffix in suffixes]


def prefix(value):
    return VideoPrefix(np.full((1, 2, 2, 3), value, np.uint8), np.zeros(1))


def ask(vlm, frames, suffix):
    return vlm.generate(frames, [suffix], max_new_tokens=4)[0].text


def test_expected_questions_are_asked_together_and_others_alone():
    echo: Any = Echo()
    vlm = AskedAhead(echo, batch=2)
    vlm.expect(["a", "b", "c", "a"])
    assert [ask(vlm, prefix(1), suffix) for suffix in "abca"] == ["a 12", "b 12", "c 12", "a 12"]
    assert echo.calls == [["a", "b"], ["c", "a"]]
    assert ask(vlm, prefix(1), "other") == "other 12"
    assert echo.calls[-1] == ["other"]


def test_other_frames_are_other_questions():
    echo: Any = Echo()
    vlm = AskedAhead(echo)
    vlm.expect(["a"])
    assert ask(vlm, prefix(1), "a") != ask(vlm, prefix(2), "a")
    vlm.expect(["a"])
    ask(vlm, prefix(1), "a")
    assert len(echo.calls) == 3
