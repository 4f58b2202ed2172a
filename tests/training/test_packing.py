"""Packed rows give each question what it would get alone, and soft targets favour near numbers."""

import numpy as np
import pytest
import torch

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.models.pocket.build import build_model, save_checkpoint
from scene_r1_cli.models.pocket.tokens import build_tokenizer
from scene_r1_cli.models.prompts import span_prompt
from scene_r1_cli.models.transformers_vlm import TransformersVLM
from scene_r1_cli.models.vlm import VideoPrefix
from scene_r1_cli.training.language import frame_features, packed_states
from scene_r1_cli.training.packing import Packer, SoftNumbers, collate
from scene_r1_cli.training.pocket_data import TrainingRoom, video_row
from scene_r1_cli.training.step_data import batch_rows
from tests.training.views import block_views


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["the chair", "the lamp by the chair"])


@pytest.mark.parametrize("think", [True, False])
def test_a_packed_question_gets_the_logits_it_gets_alone(tokenizer, tmp_path, think):
    torch.set_num_threads(1)
    views = block_views()
    save_checkpoint(tmp_path, build_model(tokenizer, seed=3), tokenizer)
    vlm = TransformersVLM.load(ModelConfig(name=str(tmp_path), device="cpu"))
    model = vlm._model
    room = TrainingRoom.of(views)
    packed = video_row(room, Packer(tokenizer, think=think), 2, np.random.default_rng(0))
    assert packed is not None
    with torch.no_grad():
        numbers = SoftNumbers(tokenizer, 2.0, 0.3)
        rows = batch_rows([packed], numbers, 0, look=False, with_frames=True)
        features = frame_features(model.model.visual, rows, live=True)
        states, _ = packed_states(model, rows.batch, features)
        logits = model.lm_head(states)[0]
    assert len(packed.questions) == 2
    for number, question in enumerate(packed.questions, start=1):
        prefix = VideoPrefix(views.video.rgb, views.video.times_s)
        prompt = span_prompt(question.text, views.duration_s, think=think)
        reply = question.said(think)
        assert reply.startswith("<think>" if think else "<answer>")
        text = f"{vlm.render(prefix, prompt)}{reply}<|im_end|>"
        inputs = vlm._encode([text], [prefix])
        with torch.no_grad():
            alone = model(**inputs).logits[0]
        own = np.flatnonzero(packed.row.branch == number)
        assert inputs["input_ids"][0][-len(own) :].tolist() == packed.row.ids[own].tolist()
        torch.testing.assert_close(logits[own], alone[-len(own) :], atol=2e-5, rtol=1e-4)


def test_one_masked_call_gives_what_a_call_for_every_row_gives(tokenizer):
    torch.set_num_threads(1)
    model, packer = build_model(tokenizer, seed=3), Packer(tokenizer)
    rooms = [TrainingRoom.of(block_views(seed)) for seed in (1, 2)]
    rng = np.random.default_rng(0)
    drawn = [video_row(room, packer, count, rng) for room, count in zip(rooms, (1, 2), strict=True)]
    rows = batch_rows(
        [row for row in drawn if row], SoftNumbers(tokenizer, 2.0, 0.3), 0, look=False, with_frames=True
    )
    with torch.no_grad():
        features = frame_features(model.model.visual, rows, live=False)
        by_row, _ = packed_states(model, rows.batch, features, masked=False)
        at_once, _ = packed_states(model, rows.batch, features, masked=True)
    real = rows.batch.branch >= 0
    assert not real.all()
    torch.testing.assert_close(at_once[real], by_row[real], atol=2e-5, rtol=1e-4)


def test_rows_of_a_batch_do_not_see_their_padding(tokenizer):
    packer = Packer(tokenizer)
    short = packer.row([0.0], (1, 1), [("a", "<answer>b</answer>", True)])
    long = packer.row(
        [0.0, 1.0], (1, 1), [("a", "<answer>b</answer>", True), ("c", "<answer>d</answer>", False)]
    )
    batch = collate([short, long], pad_id=0)
    length = len(short.ids)
    assert not batch.mask[0, 0, :length, length:].any()
    branch = torch.from_numpy(long.branch)
    seen = batch.mask[1, 0][branch == 2][:, branch == 1]
    assert not seen.any()
    assert batch.mask[1, 0][branch == 2][:, branch == 0].all()


def test_near_numbers_cost_less_than_far_ones_and_words_are_all_or_nothing(tokenizer):
    numbers = SoftNumbers(tokenizer, sigma_px=2.0, sigma_s=0.3)
    ids = tokenizer.convert_tokens_to_ids(["100", "102", "140", "the"])

    def cost(written, target):
        logits = torch.zeros(1, len(tokenizer))
        logits[0, ids[written]] = 12.0
        return float(numbers.loss(logits, torch.tensor([ids[target]]), torch.tensor([True])))

    assert cost(0, 0) < cost(1, 0) < cost(2, 0)
    assert cost(3, 3) < 0.05
    assert numbers.weights[ids[0]].sum() == pytest.approx(1.0)
