"""The whole method on exact blocks with a scripted model: sentence in, right 3D box out."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from scene_r1_cli.config import BoxConfig, GroundConfig, VideoConfig
from scene_r1_cli.geometry.boxes import aabb_from_bounds, aabb_iou
from scene_r1_cli.models.families import FAMILIES, box_to_model
from scene_r1_cli.models.provider import Models
from scene_r1_cli.models.trackers.geometric import GeometricTracker
from scene_r1_cli.models.vlm import Reply
from scene_r1_cli.pipeline import Given, ground_query
from scene_r1_cli.query_dir import QueryDir
from scene_r1_cli.types import Query, TemporalSpan
from tests.box_world import Block, block_box, circle, make_scene

BLOCK = Block((-0.4, -0.3, 0.0), (0.4, 0.3, 0.7), (200, 40, 40))
CONFIG = GroundConfig(video=VideoConfig(max_frames=6), box=BoxConfig(num_keyframes=2))
QUERY = Query("blocks", "q", "the red block")
FAMILY = FAMILIES["qwen2.5-vl"]


@pytest.fixture(scope="module")
def scene():
    return make_scene([BLOCK], circle((0, 0, 0.35), 2.0, 1.4, np.arange(0, 300, 25)))


class ScriptedVLM:
    """Knows the truth; ``astray`` frames are answered with a box on the floor in a corner."""

    name, family = "scripted", FAMILY

    def __init__(
        self, scene, span_reply="<think>red</think><answer>0.2s to 1.0s</answer>", null=False, astray=()
    ):
        self.scene, self.span_reply, self.null, self.astray = scene, span_reply, null, astray
        self.num_asked = 0

    def model_size_wh(self, original_wh, max_side_px):
        return 224, 168

    def generate(self, prefix, suffixes, *, max_new_tokens, sampling=None):
        self.num_asked += 1
        assert prefix.size_wh == (224, 168)
        (suffix,) = suffixes
        assert "the red block" in suffix
        if "bbox_2d" not in suffix:
            return [Reply(self.span_reply, "stop", None, None)]
        frame_index = round(float(prefix.timestamps_s[0]) * 10)
        box = block_box(self.scene, frame_index)
        if frame_index in self.astray:
            width, height = self.scene.color_camera.size_wh
            box = (0.0, 0.9 * height, 0.1 * width, height - 1.0)
        corners = box_to_model(box, FAMILY, (224, 168), self.scene.color_camera.size_wh)
        numbers = "null" if self.null else [round(value) for value in corners]
        text = f'<think>seen</think><answer>{{"bbox_2d": {numbers}, "label": "block"}}</answer>'
        return [Reply(text, "stop", None, None)]

    def generate_each(self, asked, *, max_new_tokens, sampling=None):
        return [self.generate(*each, max_new_tokens=max_new_tokens, sampling=sampling) for each in asked]


def models_of(vlm):
    return cast(Models, SimpleNamespace(vlm=vlm, tracker=GeometricTracker(CONFIG.tracker)))


def iou_with_truth(result):
    truth = aabb_from_bounds(np.array(BLOCK.low_m), np.array(BLOCK.high_m))
    return aabb_iou(result.box3d.center_m, result.box3d.size_m, truth.center_m, truth.size_m)


def test_sentence_to_box(scene, tmp_path):
    vlm = ScriptedVLM(scene)
    artifacts = QueryDir(tmp_path)
    result = ground_query(scene, QUERY, CONFIG, models_of(vlm), artifacts=artifacts)
    assert result.failure is None
    assert (result.span.start_s, result.span.end_s) == (0.2, 1.0)
    assert [box.label for box in result.boxes_2d] == ["block", "block"]
    assert all(2 <= box.frame_index < 10 for box in result.boxes_2d)
    assert iou_with_truth(result) > 0.8
    assert set(result.timings_s) == {"span", "box", "masks", "surface", "points", "box3d", "total"}
    assert [row["stage"] for row in artifacts.read_exchanges()] == ["span", "box", "box"]
    assert vlm.num_asked == 3

    again = ground_query(scene, QUERY, CONFIG, models_of(vlm), artifacts=artifacts)
    assert vlm.num_asked == 3, "every stage is loaded"
    np.testing.assert_array_equal(again.box3d.size_m, result.box3d.size_m)
    assert again.span == result.span


def test_another_sentence_is_not_answered_from_the_cache(scene, tmp_path):
    vlm = ScriptedVLM(scene)
    for text in ("the red block", "please: the red block"):
        query = Query("blocks", "q", text)
        ground_query(scene, query, CONFIG, models_of(vlm), artifacts=QueryDir(tmp_path))
    assert vlm.num_asked == 6


@pytest.mark.parametrize(("votes", "num_boxes"), [(True, 2), (False, 3)])
def test_a_box_that_most_others_disagree_with_is_left_out(scene, votes, num_boxes):
    config = CONFIG.model_copy(update={"box": BoxConfig(num_keyframes=3, vote=votes)})
    asked = ground_query(scene, QUERY, config, models_of(ScriptedVLM(scene))).boxes_2d
    assert len(asked) == 3
    vlm = ScriptedVLM(scene, astray=[asked[0].frame_index])
    assert len(ground_query(scene, QUERY, config, models_of(vlm)).boxes_2d) == num_boxes


def test_given_span_skips_the_first_question_only(scene):
    vlm = ScriptedVLM(scene)
    result = ground_query(scene, QUERY, CONFIG, models_of(vlm), given=Given(span=TemporalSpan(0.0, 0.5)))
    assert vlm.num_asked == 2
    assert all(box.frame_index < 5 for box in result.boxes_2d)
    assert iou_with_truth(result) > 0.8


@pytest.mark.parametrize(
    ("vlm_options", "stage", "words"),
    [
        ({"span_reply": "I cannot tell."}, "span", ""),
        ({"null": True}, "box", "object not in the frame"),
    ],
)
def test_failures_name_their_stage_and_keep_the_replies(scene, tmp_path, vlm_options, stage, words):
    artifacts = QueryDir(tmp_path)
    vlm = ScriptedVLM(scene, **vlm_options)
    result = ground_query(scene, QUERY, CONFIG, models_of(vlm), artifacts=artifacts)
    assert result.failure.stage == stage
    assert words in result.failure.reason
    assert result.box3d is None
    assert artifacts.read_exchanges()[-1]["stage"] == stage
    assert not (tmp_path / "masks.json").exists()
