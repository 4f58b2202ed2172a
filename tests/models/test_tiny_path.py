"""The VLM stages through tiny random models of both families: random replies end as typed failures."""

import pytest

from scene_r1_cli.config_load import load_config
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.models.provider import Models
from scene_r1_cli.pipeline import Given, ground_query
from scene_r1_cli.query_dir import QueryDir
from scene_r1_cli.stages.answer import answer_question
from scene_r1_cli.stages.video import sample_video
from scene_r1_cli.types import Query, TemporalSpan
from tests.box_world import Block, circle, make_scene

QUERY = Query("blocks", "q", "the red block between the walls")


@pytest.fixture(scope="module")
def scene():
    block = Block((-0.4, -0.3, 0.0), (0.4, 0.3, 0.7), (200, 40, 40))
    return make_scene([block], circle((0, 0, 0.35), 2.0, 1.4, range(0, 300, 50)))


@pytest.fixture(scope="module", params=["qwen2.5-vl", "qwen3-vl"])
def config(request, tiny_vlm_folder):
    sets = ["span.max_new_tokens=12", "box.max_new_tokens=12", "box.num_keyframes=2", "model.device=cpu"]
    return load_config(sets=sets, flags={"model.name": str(tiny_vlm_folder(request.param))})


def test_the_span_stage_fails_by_name_and_keeps_the_replies_of_both_attempts(scene, config, tmp_path):
    artifacts = QueryDir(tmp_path)
    result = ground_query(scene, QUERY, config, Models(config), artifacts=artifacts)
    assert result.failure is not None
    assert result.failure.stage == "span"
    assert result.failure.reason.startswith("the model's reply cannot be read: ")
    rows = artifacts.read_exchanges()
    replies = config.span.replies
    assert [(row["stage"], row["attempt"], row["parsed"]) for row in rows] == [
        *[("span", 0, None)] * replies,
        *[("span", 1, None)] * replies,
    ]
    assert all(row["num_prompt_tokens"] > 50 and row["num_new_tokens"] > 0 for row in rows)
    assert QUERY.text in rows[0]["prompt"]


def test_the_box_stage_fails_by_name_and_keeps_the_replies_of_each_key_frame(scene, config, tmp_path):
    artifacts = QueryDir(tmp_path)
    given = Given(span=TemporalSpan(0.0, 0.4))
    result = ground_query(scene, QUERY, config, Models(config), given=given, artifacts=artifacts)
    assert result.failure is not None
    assert result.failure.stage == "box"
    assert result.failure.reason == "none of 2 key frames gave a box (2 × reply cannot be read)"
    rows = artifacts.read_exchanges()
    # Both frames are asked together, and again.
    asked = config.box.replies
    assert [row["attempt"] for row in rows] == [0] * 2 * asked + [1] * 2 * asked
    assert rows[0]["frame_indices"] == rows[2 * asked]["frame_indices"] != rows[asked]["frame_indices"]


def test_the_answer_stage_fails_by_name(scene, config):
    from scene_r1_cli.config import AnswerConfig

    vlm = Models(config).vlm
    video = sample_video(scene, config.video, vlm.model_size_wh)
    with pytest.raises(StageFailure, match="answer: the model's reply cannot be read"):
        answer_question(vlm, video, QUERY, AnswerConfig(max_new_tokens=8))
