"""pocket's tokenizer: byte-level BPE, so every text can be written, with whole words for what rooms need.

A small model pays for every token, so three things are one token each: the fixed parts of our prompts, the
fixed parts of replies, and numbers. The prompts are those of ``models/prompts.py``; if their wording
changes, their fixed parts fall back to many tokens and pocket must be trained again (a test says so).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from scene_r1_cli.models.families import FAMILIES
from scene_r1_cli.models.prompts import answer_prompt, box_prompt, span_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
"""Qwen's names; their numbers are small here."""

MAX_COORDINATE_PX = 448
MAX_TIME_S = 100.0
VOCABULARY_SIZE = 1024
"""Of the byte-level BPE alone."""

REPLY_PARTS = (
    "<think>", "</think>", "<answer>", "</answer>", '{"bbox_2d": [', '], "label": "', '"}',
    '{"bbox_2d": null}', "s to ", ", ", " seconds>", "user\n", "assistant\n",
)  # fmt: skip


def coordinate_texts() -> list[str]:
    """Whole numbers, one token each."""
    return [str(value) for value in range(MAX_COORDINATE_PX + 1)]


def time_texts() -> list[str]:
    """Tenths of seconds, one token each."""
    return [f"{tenths / 10:.1f}" for tenths in range(round(MAX_TIME_S * 10))]


def prompt_parts() -> list[str]:
    """The fixed parts of every prompt, longest first."""
    query, duration_s, size_wh = "\x00", 1234.5, (1111, 2222)
    texts = [
        span_prompt(query, duration_s),
        box_prompt(query, FAMILIES["qwen2.5-vl"], size_wh),
        answer_prompt(query, duration_s),
    ]
    parts: set[str] = set()
    for text in texts:
        for mark in (f"{duration_s:.1f}", *(str(side) for side in size_wh)):
            text = text.replace(mark, query)
        parts.update(part for part in text.split(query) if len(part) > 1)
    return sorted(parts, key=lambda part: (-len(part), part))


def build_tokenizer(corpus: Sequence[str]) -> PreTrainedTokenizerBase:
    """Train the tokenizer; the same corpus gives the same tokens.

    Args:
        corpus: Sentences and replies to learn words from.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    draft = Tokenizer(models.BPE())
    draft.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?[A-Za-z]+|[0-9]|\s+|[^\sA-Za-z0-9]"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    draft.train_from_iterator(_lines(corpus), trainer)
    state = json.loads(draft.to_str())["model"]
    merges: Any = [tuple(merge) for merge in state["merges"]]
    tokenizer: Any = Qwen2Tokenizer(vocab=state["vocab"], merges=merges)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    whole = [*prompt_parts(), *REPLY_PARTS, *coordinate_texts(), *time_texts()]
    known = set(tokenizer.get_vocab())
    tokenizer.add_tokens(
        [AddedToken(text, special=False, normalized=False) for text in whole if text not in known]
    )
    tokenizer.pad_token = "<|endoftext|>"
    tokenizer.eos_token = "<|im_end|>"
    return tokenizer


def _lines(corpus: Sequence[str]) -> Iterator[str]:
    """Each text, alone and inside a line, since a word at the start of a text is another token."""
    for text in corpus:
        yield text
        yield f" {text}"
