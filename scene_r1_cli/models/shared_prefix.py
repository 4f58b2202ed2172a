"""Many questions about the same frames: the frames are encoded and prefilled once.

The tokens all questions share (frames, times, the start of the wording) run through the model once. Their
keys and values are held once, and all questions, whose own tokens are padded on the left, attend to them
(``prefix_attention``). Positions are given explicitly and skip the padding, so a greedy reply is token for
token that of ``model.generate`` on the question alone (float32; tested for Qwen2.5-VL and Qwen3-VL).
A reply that is finished leaves the batch.

For models whose positions come from ``get_rope_index`` (Qwen2-VL, Qwen2.5-VL, Qwen3-VL): after the last
image, a token's position is its index plus one constant on all three axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from scene_r1_cli.config import SamplingConfig
from scene_r1_cli.models.prefix_attention import PrefixedCache, prefix_attention

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

    def __call__(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """(K,) int64 tokens from (K, vocabulary) logits of some of the rows."""
        logits = logits.float()
        if self._config.temperature == 0:
            return logits.argmax(dim=-1)
        shares = torch.softmax(logits / self._config.temperature, dim=-1).cpu()
        tokens = [self._draw(share, self._generators[row]) for share, row in zip(shares, rows, strict=True)]
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
    never: Sequence[int] = (),
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
        never: Tokens that are not chosen.

    Returns:
        New tokens of each prompt, the ending one included if it was written.
    """
    shared_length = _shared_length(rows)
    prefilled, offset = _prefill(model, rows[0][:shared_length], vision)
    cache = PrefixedCache(prefilled)

    tokens, is_own = _left_padded([row[shared_length:] for row in rows], eos_ids[0], model.device)
    positions = shared_length + offset + (is_own.cumsum(dim=1) - 1).clamp(min=0)
    is_before = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=model.device).tril()
    visible = is_own[:, None, None, :].bool() & is_before
    sampler = Sampler(sampling, len(rows))
    ends = torch.tensor(list(eos_ids), device=model.device)
    active = list(range(len(rows)))
    replies: list[list[int]] = [[] for _ in rows]
    with prefix_attention(model):
        for _ in range(max_new_tokens):
            output = model(
                input_ids=tokens,
                attention_mask=visible,
                position_ids=positions.expand(3, -1, -1),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
                prefixed_cache=cache,
            )
            logits = output.logits[:, -1]
            if never:
                logits = logits.index_fill(1, torch.tensor(list(never), device=logits.device), -torch.inf)
            chosen = sampler(logits, active)
            for row, token in zip(active, chosen.tolist(), strict=True):
                replies[row].append(token)
            going_on = (~torch.isin(chosen, ends)).nonzero()[:, 0]
            if not len(going_on):
                break
            visible = torch.cat([visible[:, :, -1:], visible.new_ones(len(visible), 1, 1, 1)], dim=3)
            tokens, positions = chosen[:, None], positions[:, -1:] + 1
            if len(going_on) < len(active):
                active = [active[place] for place in going_on.tolist()]
                tokens, positions, visible = tokens[going_on], positions[going_on], visible[going_on]
                cache.select(going_on)
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
