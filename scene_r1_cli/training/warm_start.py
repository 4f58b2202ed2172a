"""Where the language model begins: words lie where the tower puts what they name, and like attends to like.

Finding the frame's tokens that fit a word is most of pocket's work, and is learnt late from random weights.
Queries and keys that begin equal (Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers",
2023) and words that begin along the tower's own directions make it the first thing the model can do. Values
and outputs begin as each other's transpose, so that what is found can be copied: a time, a colour, a corner.
"""

from __future__ import annotations

from typing import Any

import torch

from scene_r1_cli.data.rooms.vocabulary import CLASSES, plural
from scene_r1_cli.models.pocket.build import MERGE
from scene_r1_cli.training.dense import CLASS_NAMES, COLOR_NAMES, DenseHead

QUERY_SCALE = 2.0
WORD_RMS = 0.05
COPY_GAIN = 0.5
"""What is attended to arrives multiplied by the square of this, in the place it came from."""


def warm_start(model: Any, head: DenseHead, tokenizer: Any) -> None:
    """Change the untrained language model in place.

    Args:
        model: Its tower and ``head`` have learnt the dense labels.
        head: Gives the direction of each class and colour.
        tokenizer: pocket's.
    """
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            attention = layer.self_attn
            attention.q_proj.weight.mul_(QUERY_SCALE)
            attention.k_proj.weight.copy_(attention.q_proj.weight)
            torch.nn.init.orthogonal_(attention.v_proj.weight, gain=COPY_GAIN)
            attention.o_proj.weight.copy_(attention.v_proj.weight.T)
        weight = head.linear.weight.view(MERGE**2, -1, head.linear.in_features).mean(dim=0)
        classes, colors = weight[: len(CLASS_NAMES)], weight[len(CLASS_NAMES) :][: len(COLOR_NAMES)]
        words = [(name, colors[index] - colors.mean(0)) for index, name in enumerate(COLOR_NAMES)]
        for index, name in enumerate(CLASS_NAMES):
            if name:
                direction = classes[index] - classes.mean(0)
                words += [(noun, direction) for noun in CLASSES[name].nouns]
                words += [(plural(noun), direction) for noun in CLASSES[name].nouns]
        _move(model.get_input_embeddings().weight, words, tokenizer)


def _move(embedding: torch.Tensor, words: list[tuple[str, torch.Tensor]], tokenizer: Any) -> None:
    """Add to the tokens of each word the mean direction of all words they are part of."""
    sums: dict[int, torch.Tensor] = {}
    for word, direction in words:
        for text in (word, f" {word}"):
            for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
                sums[token] = sums.get(token, torch.zeros_like(direction)) + direction
    for token, total in sums.items():
        embedding[token] += total / total.pow(2).mean().sqrt().clamp(min=1e-6) * WORD_RMS
