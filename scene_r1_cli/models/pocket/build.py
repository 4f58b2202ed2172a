"""pocket's architecture: transformers' own Qwen2.5-VL with small numbers, and the files of a checkpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from scene_r1_cli.models.pocket.tokens import coordinate_texts, time_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

PATCH_PX = 14
MERGE = 2
HIDDEN = 256
HEADS = 8
VISION_HIDDEN = 192
VISION_DEPTH = 5
LAYERS = 8

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] in ['image', 'image_url'] %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def pocket_config(tokenizer: Any) -> Qwen2_5_VLConfig:
    """About nine million parameters; every vision layer attends to the whole frame, which is small."""
    from transformers import Qwen2_5_VLConfig

    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("im_end", "endoftext")}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": HIDDEN,
            "intermediate_size": 512,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS,
            "max_position_embeddings": 4096,
            # Time, row and column take turns, so each has quick and slow turning pairs. In Qwen's own blocks
            # columns get the slowest, and over pocket's eight columns those would not turn at all.
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1000.0,
                "mrope_section": [1] * (HIDDEN // HEADS // 2),
            },
            "bos_token_id": None,
            "eos_token_id": ids["im_end"],
            "pad_token_id": ids["endoftext"],
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": VISION_DEPTH,
            "hidden_size": VISION_HIDDEN,
            "intermediate_size": 384,
            "num_heads": 6,
            "out_hidden_size": HIDDEN,
            "patch_size": PATCH_PX,
            "spatial_merge_size": MERGE,
            "fullatt_block_indexes": list(range(VISION_DEPTH)),
        },
        tie_word_embeddings=True,
        **{
            f"{name}_token_id": tokenizer.convert_tokens_to_ids(token)
            for name, token in (
                ("image", "<|image_pad|>"),
                ("video", "<|video_pad|>"),
                ("vision_start", "<|vision_start|>"),
                ("vision_end", "<|vision_end|>"),
            )
        },
    )


def build_model(tokenizer: Any, seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """A new model with random weights, except that tokens of near numbers begin alike."""
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

    config: Any = pocket_config(tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = Qwen2_5_VLForConditionalGeneration(config)
    embedding = model.get_input_embeddings().weight
    with torch.no_grad():
        for texts, step in ((coordinate_texts(), 1.0), (time_texts(), 0.1)):
            ids = torch.tensor(tokenizer.convert_tokens_to_ids(texts))
            values = torch.arange(len(texts)) * step
            kind = embedding[ids[0]].clone()
            embedding[ids] = _waves(values, embedding.shape[1]) * 0.04 + kind
    end, pad = config.text_config.eos_token_id, config.text_config.pad_token_id
    model.generation_config = GenerationConfig(eos_token_id=[end, pad], pad_token_id=pad)
    return model


def _waves(values: torch.Tensor, width: int) -> torch.Tensor:
    """(N, width) sines and cosines of values, of wavelengths from 6 to 1000."""
    lengths = torch.logspace(math.log10(6.0), 3.0, width // 2)
    angles = values[:, None] * (2 * math.pi / lengths)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def save_checkpoint(
    folder: Path, model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Write weights (float16), configuration, processor, tokenizer and chat template into a folder."""
    from copy import deepcopy

    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    folder.mkdir(parents=True, exist_ok=True)
    deepcopy(model).half().save_pretrained(folder)
    cell_px = PATCH_PX * MERGE
    images = Qwen2VLImageProcessor(
        size={"shortest_edge": cell_px**2, "longest_edge": 448 * 448}, patch_size=PATCH_PX, merge_size=MERGE
    )
    processor = Qwen2_5_VLProcessor(images, tokenizer, Qwen2VLVideoProcessor(), chat_template=CHAT_TEMPLATE)
    processor.save_pretrained(folder)
