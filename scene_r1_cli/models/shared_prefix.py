"""Many questions about the same frames: the frames are encoded and prefilled once.

The tokens all questions share (frames, times, the start of the wording) run through the model once; their
keys and values are then repeated over the questions, whose own tokens are padded on the left, behind the
shared ones. Positions are given explicitly and skip the padding, so a greedy reply is token for token that
of ``model.generate`` on the question alone (float32; tested for Qwen2.5-VL and Qwen3-VL).

For models whose positions come from ``get_rope_index`` (Qwen2-VL, Qwen2.5-VL, Qwen3-VL): after the last
image, a token's position is its index plus one constant on all three axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from scene_r1_cli.config import SamplingConfig

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel


class Sampler:
    """Chooses the next token of each row; every row has its own random numbers.

    Args:
        config: Temperature 0 is greedy.
        num_rows: Rows of the batch; a row's draws do not depend on the others.
    """

    def __init__(self, config: SamplingConfig, num_rows: int) -> None:
        self._config = config
        seeds = range(config.seed, config.seed + num_rows)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """(N,) int64 tokens from (N, vocabulary) logits."""
        logits = logits.float()
        if self._config.temperature == 0:
            return logits.argmax(dim=-1)
        shares = torch.softmax(logits / self._config.temperature, dim=-1).cpu()
        tokens = [self._draw(row, generator) for row, generator in zip(shares, self._generators, strict=True)]
        return torch.stack(tokens).to(logits.device)

    def _draw(self, shares: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """One token from the smallest set of likeliest tokens whose shares reach ``top_p``."""
        ordered, tokens = shares.sort(descending=True)
        before = ordered.cumsum(0) - ordered
        kept = torch.where(before < self._config.top_p, ordered, 0.0)
        return tokens[torch.multinomial(kept, 1, generator=generator)].squeeze(0)


@torch.inference_mode()
def generate_shared(
    model: PreTrainedModel,
    rows: Sequence[Sequence[int]],
    vision: Mapping[str, torch.Tensor],
    *,
    eos_ids: Sequence[int],
    max_new_tokens: int,
    sampling: SamplingConfig,
) -> list[list[int]]:
    """Continue prompts that begin with the same images.

    Args:
        model: The model, in evaluation mode.
        rows: Tokens of each prompt; all images lie in the part the prompts share.
        vision: The processor's ``pixel_values``, ``image_grid_thw`` and (1, L) ``mm_token_type_ids`` of the
            first prompt.
        eos_ids: Tokens that end a reply.
        max_new_tokens: Longest reply.
        sampling: How to choose tokens.

    Returns:
        New tokens of each prompt, the ending one included if it was written.
    """
    shared_length = _shared_length(rows)
    cache, offset = _prefill(model, rows[0][:shared_length], vision)
    cache.batch_repeat_interleave(len(rows))

    tokens, is_own = _left_padded([row[shared_length:] for row in rows], eos_ids[0], model.device)
    attention = torch.cat([is_own.new_ones(len(rows), shared_length), is_own], dim=1)
    positions = shared_length + offset + (is_own.cumsum(dim=1) - 1).clamp(min=0)
    sampler = Sampler(sampling, len(rows))
    ends = torch.tensor(list(eos_ids), device=model.device)
    is_done = torch.zeros(len(rows), dtype=torch.bool, device=model.device)
    replies: list[list[int]] = [[] for _ in rows]
    for _ in range(max_new_tokens):
        output = model(
            input_ids=tokens,
            attention_mask=attention,
            position_ids=positions.expand(3, -1, -1),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        chosen = sampler(output.logits[:, -1])
        for reply, token, done in zip(replies, chosen.tolist(), is_done.tolist(), strict=True):
            if not done:
                reply.append(token)
        is_done |= torch.isin(chosen, ends)
        if bool(is_done.all()):
            break
        tokens = chosen[:, None]
        attention = torch.cat([attention, attention.new_ones(len(rows), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return replies


def _shared_length(rows: Sequence[Sequence[int]]) -> int:
    """How many first tokens all rows share, leaving each row at least one of its own."""
    longest = min(len(row) for row in rows) - 1
    for index in range(longest):
        if any(row[index] != rows[0][index] for row in rows[1:]):
            return index
    return longest


def _prefill(
    model: Any, shared: Sequence[int], vision: Mapping[str, torch.Tensor]
) -> tuple[Cache, torch.Tensor]:
    """Keys and values of the shared tokens, and what to add to a later token's index for its position."""
    input_ids = torch.tensor([list(shared)], device=model.device)
    token_types = vision["mm_token_type_ids"][:, : len(shared)]
    grids = vision["image_grid_thw"]
    positions, offset = model.model.get_rope_index(
        input_ids, mm_token_type_ids=token_types, image_grid_thw=grids
    )
    output = model(
        input_ids=input_ids,
        position_ids=positions,
        pixel_values=vision["pixel_values"],
        image_grid_thw=grids,
        mm_token_type_ids=token_types,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.past_key_values, offset[0]


def _left_padded(
    rows: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, L) tokens and (N, L) int64 mask of real tokens, padding first."""
    length = max(len(row) for row in rows)
    tokens = torch.full((len(rows), length), pad_id, dtype=torch.int64)
    is_own = torch.zeros((len(rows), length), dtype=torch.int64)
    for index, row in enumerate(rows):
        tokens[index, length - len(row) :] = torch.tensor(row)
        is_own[index, length - len(row) :] = 1
    return tokens.to(device), is_own.to(device)
