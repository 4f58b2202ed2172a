"""Tiny, randomly initialised checkpoints of real architectures, saved to a folder as a hub would.

They load through ``AutoProcessor`` and ``AutoModelForImageTextToText`` like any other checkpoint, so
tests run the code a real model runs. Weights are larger than usual, so that replies depend on the
frames and the question instead of being one token repeated.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Literal

TinyFamily = Literal["qwen2.5-vl", "qwen3-vl"]

SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] in ['image', 'image_url'] %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

CORPUS = [
    "These frames are from a video of an indoor scene. <12.5 seconds> <0.0 seconds>",
    '<think>the chair by the window</think><answer>{"bbox_2d": [104, 96, 20, 80], "label": "chair"}</answer>',
    "<answer>5.0s to 10.0s</answer> When is this object in view? Reply in exactly this form:",
]


def tiny_tokenizer():
    """A byte-level BPE with Qwen's splitting rule and special tokens: every text can be encoded."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    draft = Tokenizer(models.BPE())
    draft.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=384, initial_alphabet=sorted(alphabet), show_progress=False)
    draft.train_from_iterator(CORPUS, trainer)
    state = json.loads(draft.to_str())["model"]
    merges = [tuple(merge) for merge in state["merges"]]
    return _with_special_tokens(_qwen2(state["vocab"], merges))


def qwen_tokenizer(vocabulary: Path):
    """The real Qwen2 tokenizer from Alibaba's published ``qwen.tiktoken`` (package ``dashscope``)."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    ranks = {}
    for line in vocabulary.read_bytes().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    letters = bytes_to_unicode()

    def written(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    merges = [
        (written(left), written(right))
        for token, rank in ranks.items()
        if len(token) > 1
        for left, right in [_last_merge(token, rank, ranks)]
    ]
    vocab = {written(token): rank for token, rank in ranks.items()}
    return _with_special_tokens(_qwen2(vocab, merges))


def _last_merge(token: bytes, rank: int, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two parts whose merge makes a token: what is left when only earlier merges are applied."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(parts[i] + parts[i + 1], rank) for i in range(len(parts) - 1)]
        best = min(range(len(pairs)), key=pairs.__getitem__)
        assert pairs[best] < rank
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]


def _qwen2(vocab: dict[str, int], merges: list[Any]):
    """Qwen2's tokenizer; its merges are pairs, although its signature says strings."""
    from transformers import Qwen2Tokenizer

    return Qwen2Tokenizer(vocab=vocab, merges=merges)


def _with_special_tokens(tokenizer):
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    tokenizer.pad_token = "<|endoftext|>"
    tokenizer.eos_token = "<|im_end|>"
    return tokenizer


def save_tiny_vlm(folder: Path, family: TinyFamily, *, tokenizer=None, seed: int = 0) -> Path:
    """Write a complete checkpoint: weights, config, processor, tokenizer, chat template.

    Args:
        folder: Where to write it; made if missing.
        family: Architecture.
        tokenizer: Another tokenizer than ``tiny_tokenizer()``.
        seed: Of the weights.

    Returns:
        ``folder``.
    """
    import torch
    from transformers import AutoModelForImageTextToText, GenerationConfig

    tokenizer = tokenizer or tiny_tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    config = _config(family, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    pad = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    model.generation_config = GenerationConfig(eos_token_id=[end, pad], pad_token_id=pad)
    model.save_pretrained(folder)
    _processor(family, tokenizer).save_pretrained(folder)
    return folder


def _config(family: TinyFamily, tokenizer):
    from transformers import Qwen2_5_VLConfig, Qwen3VLConfig

    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "pad_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    }
    vision: dict[str, Any] = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
    }
    vision["initializer_range"] = 0.2
    tokens = {
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }
    if family == "qwen2.5-vl":
        text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
        vision |= {"fullatt_block_indexes": [1], "patch_size": 14}
        return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **tokens)
    text["head_dim"] = 16
    text["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": 5e6,
        "mrope_section": [4, 2, 2],
        "mrope_interleaved": True,
    }
    vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 64, "patch_size": 16}
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **tokens)


def _processor(family: TinyFamily, tokenizer):
    """The family's own processor with the sizes of its published checkpoints."""
    from transformers import (
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    if family == "qwen2.5-vl":
        images = Qwen2VLImageProcessor(size={"shortest_edge": 3136, "longest_edge": 12845056}, patch_size=14)
        videos = Qwen2VLVideoProcessor()
        return Qwen2_5_VLProcessor(images, tokenizer, videos, chat_template=CHAT_TEMPLATE)
    images = Qwen2VLImageProcessor(
        size={"shortest_edge": 65536, "longest_edge": 16777216},
        patch_size=16,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    videos = Qwen3VLVideoProcessor()
    return Qwen3VLProcessor(images, tokenizer, videos, chat_template=CHAT_TEMPLATE)
