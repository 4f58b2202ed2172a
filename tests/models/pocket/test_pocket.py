"""pocket's tokenizer, its quick tower, and its checkpoint through the ordinary loader."""

import numpy as np
import pytest
import torch
from PIL import Image

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.models.families import FAMILIES
from scene_r1_cli.models.pocket.build import build_model, save_checkpoint
from scene_r1_cli.models.pocket.encode import encode_frames
from scene_r1_cli.models.pocket.tokens import build_tokenizer, coordinate_texts, time_texts
from scene_r1_cli.models.prompts import answer_prompt, box_prompt, span_prompt
from scene_r1_cli.models.transformers_vlm import TransformersVLM
from scene_r1_cli.models.vlm import VideoPrefix

CORPUS = ["the brown chair next to the desk", "<think>I see the brown chair at 3.5 seconds.</think>"]
QUERY = "the brown chair"


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(CORPUS)


@pytest.fixture(scope="module")
def vlm(tokenizer, tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("pocket")
    save_checkpoint(folder, build_model(tokenizer, seed=0), tokenizer)
    return TransformersVLM.load(ModelConfig(name=str(folder), device="cpu"))


@pytest.mark.parametrize(
    "text",
    [
        "the brown chair",
        '<think>I see it at 3.5, 4.0.</think><answer>{"bbox_2d": [12, 30, 184], "label": "x"}</answer>',
        "Zoë's naïve 12345.678 km/h 机器",
        span_prompt(QUERY, 59.7),
    ],
)
def test_every_text_is_written_and_read_back(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_numbers_are_one_token_each(tokenizer):
    for text in [*coordinate_texts(), *time_texts()]:
        assert len(tokenizer(text)["input_ids"]) == 1


@pytest.mark.parametrize(
    ("prompt", "fixed_tokens"),
    [
        (span_prompt(QUERY, 59.7), 4),
        (box_prompt(QUERY, FAMILIES["qwen2.5-vl"], (224, 168)), 6),
        (answer_prompt(QUERY, 59.7), 4),
    ],
)
def test_the_fixed_part_of_a_prompt_costs_a_few_tokens(tokenizer, prompt, fixed_tokens):
    own = len(tokenizer(QUERY)["input_ids"])
    assert len(tokenizer(prompt)["input_ids"]) == fixed_tokens + own


def test_the_quick_tower_gives_what_the_stock_tower_gives(vlm):
    frames = np.random.default_rng(0).integers(0, 256, (3, 112, 140, 3), dtype=np.uint8)
    inputs = vlm._processor(
        text=["<|image_pad|>" * 3], images=[[Image.fromarray(frame) for frame in frames]], return_tensors="pt"
    )
    visual = vlm._model.model.visual
    with torch.no_grad():
        stock = visual(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output
        quick = encode_frames(visual, torch.from_numpy(frames)).flatten(0, 1)
    torch.testing.assert_close(quick, stock, atol=2e-5, rtol=1e-4)


def test_the_tower_learns_in_bfloat16_what_it_learns_in_float32(vlm):
    frames = torch.randint(
        0, 256, (2, 56, 84, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    visual = vlm._model.model.visual.requires_grad_(True)
    learnt = []
    for bfloat16 in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            tokens = encode_frames(visual, frames)
        wanted = visual.blocks[0].attn.qkv.weight
        (gradient,) = torch.autograd.grad(tokens.float().square().sum(), wanted)
        learnt.append(gradient.flatten())
    assert torch.cosine_similarity(*learnt, dim=0) > 0.99


def test_the_checkpoint_is_small_and_answers_through_the_ordinary_loader(vlm, tmp_path):
    from pathlib import Path

    files = [path.stat().st_size for path in Path(vlm.name).iterdir()]
    assert sum(files) < 20e6
    prefix = VideoPrefix(np.zeros((2, 112, 140, 3), np.uint8), np.array([0.0, 1.5]))
    replies = vlm.generate(prefix, [span_prompt(QUERY, 3.0)], max_new_tokens=4)
    assert replies[0].num_new_tokens == 4 or replies[0].finish_reason == "stop"
