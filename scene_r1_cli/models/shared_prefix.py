"""Many questions about the same frames: the frames are encoded and prefilled once.

The tokens all questions share (frames, times, the start of the wording) run through the model once. Their
keys and values are held once, and all questions, whose own tokens are padded on the left, attend to them
(``prefix_attention``). Positions are given explicitly and skip the padding, so a greedy reply is token for
token that of ``model.generate`` on the question alone (float32; tested for Qwen2.5-VL and Qwen3-VL).
A reply that is finished leaves the batch, and replies to one prompt are one row of it until they differ.
Several such groups, each with frames of its own, are written in one batch: a small model spends most of its
time on the calls, not on the numbers.

For models whose positions come from ``get_rope_index`` (Qwen2-VL, Qwen2.5-VL, Qwen3-VL): after the last
image, a token's position is its index plus one constant on all three axes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch

from scene_r1_cli.config import SamplingConfig
from scene_r1_cli.models.prefix_attention import PrefixedCache, prefix_attention

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel

Key = TypeVar("Key", bound=Hashable)

MAX_PREFIX_TOKENS = 8192
"""Prefixes whose keys and values are held at a time: half a gigabyte for Qwen2.5-VL-7B."""


class Group(NamedTuple):
    """Prompts that begin with the same images.

    Attributes:
        rows: Tokens of each prompt; all images lie in the part the prompts share.
        vision: The processor's ``pixel_values``, ``image_grid_thw`` and (1, L) ``mm_token_type_ids`` of the
            first prompt.
        seeds: Of the random numbers of each row's reply.
    """

    rows: Sequence[Sequence[int]]
    vision: Mapping[str, torch.Tensor]
    seeds: Sequence[int]


class Sampler:
    """Chooses the next token of each row; every row has its own random numbers.

    Args:
        config: Temperature 0 is greedy; its seed is not used.
        seeds: One a row; a row's draws do not depend on the others.
    """

    def __init__(self, config: SamplingConfig, seeds: Sequence[int]) -> None:
        self._config = config
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """(K,) int64 tokens from (K, vocabulary) logits of some of the rows."""
        logits = logits.float()
        if self._config.temperature == 0:
            return logits.argmax(dim=-1)
        shares = torch.softmax(logits / self._config.temperature, dim=-1).cpu()
        drawn = torch.stack([torch.rand(1, generator=self._generators[row]) for row in rows])
        if self._config.top_p == 1:
            return _draw(shares, drawn).to(logits.device)
        # One of the smallest set of likeliest tokens whose shares reach top_p.
        ordered, tokens = shares.sort(dim=-1, descending=True)
        before = ordered.cumsum(dim=-1) - ordered
        kept = torch.where(before < self._config.top_p, ordered, 0.0)
        return tokens.gather(1, _draw(kept, drawn)[:, None])[:, 0].to(logits.device)


def _draw(shares: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """(K,) places of (K, V) shares, of any sum, at which (K, 1) numbers of [0, 1) fall."""
    reached = shares.double().cumsum(dim=-1)
    places = torch.searchsorted(reached, drawn.double() * reached[:, -1:], right=True)[:, 0]
    # Rounding may put a number at the very end, behind the last token that has a share.
    last = (shares > 0).double().cumsum(dim=-1).argmax(dim=-1)
    return torch.minimum(places, last)


def generate_groups(
    model: PreTrainedModel,
    groups: Sequence[Group],
    *,
    eos_ids: Sequence[int],
    max_new_tokens: int,
    sampling: SamplingConfig,
    never: Sequence[int] = (),
) -> list[list[list[int]]]:
    """Continue the prompts of several groups, as many in one batch as MAX_PREFIX_TOKENS of prefixes.

    Args:
        model: The model, in evaluation mode.
        groups: The prompts, by the images they share.
        eos_ids: Tokens that end a reply.
        max_new_tokens: Longest reply.
        sampling: How to choose tokens; seeds are those of the groups.
        never: Tokens that are not chosen.

    Returns:
        For each group the new tokens of each prompt, the ending one included if it was written.
    """
    ends, lengths = list(eos_ids), [shared_length(group.rows) for group in groups]
    replies = []
    for part in _together(lengths):
        replies += _generate_batch(
            model, groups[part], lengths[part], ends, max_new_tokens, sampling, list(never)
        )
    return replies


def _together(lengths: Sequence[int]) -> Iterator[slice]:
    """Groups of one batch: as many as MAX_PREFIX_TOKENS of prefixes, at least one."""
    start, tokens = 0, 0
    for number, length in enumerate(lengths):
        if number > start and tokens + length > MAX_PREFIX_TOKENS:
            yield slice(start, number)
            start, tokens = number, 0
        tokens += length
    if lengths:
        yield slice(start, len(lengths))


@torch.inference_mode()
def _generate_batch(
    model: Any,
    groups: Sequence[Group],
    lengths: Sequence[int],
    eos_ids: list[int],
    max_new_tokens: int,
    sampling: SamplingConfig,
    never: list[int],
) -> list[list[list[int]]]:
    """``generate_groups`` in one batch; rows of a group share as many first tokens as ``lengths`` say."""
    prefilled = [
        _prefill(model, group.rows[0][:length], group.vision)
        for group, length in zip(groups, lengths, strict=True)
    ]
    # Replies that are the same so far are one row of the batch, by group and own tokens of the prompt.
    asked = [
        (number, tuple(row[length:]))
        for number, (group, length) in enumerate(zip(groups, lengths, strict=True))
        for row in group.rows
    ]
    same = _alike(asked)
    own = [row for _, row in same]
    counts = [sum(number == of for of, _ in same) for number in range(len(groups))]
    cache = PrefixedCache([cached for cached, _ in prefilled], counts)
    tokens, is_own = _left_padded(own, eos_ids[0], model.device)
    starts = [length + offset.reshape(1) for length, (_, offset) in zip(lengths, prefilled, strict=True)]
    repeats = torch.tensor(counts, device=model.device)
    start = torch.cat(starts).repeat_interleave(repeats)
    positions = start[:, None] + (is_own.cumsum(dim=1) - 1).clamp(min=0)
    is_before = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=model.device).tril()
    visible = is_own[:, None, None, :].bool() & is_before
    sampler = Sampler(sampling, [seed for group in groups for seed in group.seeds])
    ends = set(eos_ids)
    members = list(same.values())
    replies: list[list[int]] = [[] for _ in asked]
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
                logits = logits.index_fill(1, torch.tensor(never, device=logits.device), -torch.inf)
            at = [row for row, of_row in enumerate(members) for _ in of_row]
            active = [reply for of_row in members for reply in of_row]
            chosen = sampler(logits[at], active).tolist()
            for reply, token in zip(active, chosen, strict=True):
                replies[reply].append(token)
            going_on = [place for place, token in enumerate(chosen) if token not in ends]
            if not going_on:
                break
            branches = _alike([(at[place], chosen[place]) for place in going_on])
            members = [[active[going_on[k]] for k in of_branch] for of_branch in branches.values()]
            rows, following = torch.tensor(list(branches), device=tokens.device).unbind(dim=1)
            visible = torch.cat([visible[:, :, -1:], visible.new_ones(len(visible), 1, 1, 1)], dim=3)[rows]
            tokens, positions = following[:, None], positions[rows, -1:] + 1
            if rows.tolist() != list(range(sum(cache.counts))):
                cache.select(rows)
    rest = iter(replies)
    return [list(islice(rest, len(group.rows))) for group in groups]


def _alike(items: Sequence[Key]) -> dict[Key, list[int]]:
    """Places of the items that are equal, by item, in the order in which items come first."""
    places: dict[Key, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(item, []).append(place)
    return places


def shared_length(rows: Sequence[Sequence[int]]) -> int:
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
