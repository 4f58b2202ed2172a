"""Attention within one packed sequence: tokens that are shared, and branches that see them and themselves.

A mask over the whole sequence says the same, but then every pair of branches is computed to be thrown away,
and half of the shared part, too. Here the shared tokens are one causal call, and the branches are a batch
whose keys are the shared ones and their own: for a prompt of 1,100 tokens and eight completions of 128 less
than half of the products, for ten short questions about one frame a fifth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

NAME = "scener1_branches"


class Branches(NamedTuple):
    """Where the branches of a sequence lie; what follows the last one is padding.

    Attributes:
        shared: Tokens at the start that all see, each the ones before it.
        lengths: Tokens of each branch, in order, directly behind.
    """

    shared: int
    lengths: tuple[int, ...]


def use_branches(model: Any) -> None:
    """The model's text layers attend as ``attend`` does from now on.

    Not undone: gradient checkpointing computes the layers again, long after the call. Without ``branches=``
    it is transformers' own sdpa.
    """
    model.config.get_text_config()._attn_implementation = NAME


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    branches: Sequence[Branches] | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """An attention function as transformers calls it.

    Args:
        module: The layer, for how many heads share a key head.
        query: (B, heads, L, D).
        key: (B, key heads, L, D).
        value: As key.
        attention_mask: Not looked at where there are branches.
        scaling: Multiplies scores.
        branches: One a row; None for sdpa with the mask.
        others: For sdpa.

    Returns:
        (B, L, heads, D), zero in padding, and None for the weights.
    """
    if branches is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **others)  # pyright: ignore[reportReturnType]
    key, value = (repeat_kv(states, module.num_key_value_groups) for states in (key, value))
    # What projections make: under autocast half precision, though turned queries and keys are float32.
    dtype = value.dtype
    if query.device.type == "cpu":
        # A CPU's fused backward takes up to twice as long in bfloat16 as in float32.
        wide = torch.promote_types(query.dtype, torch.float32)
        query, key, value = (states.to(wide) for states in (query, key, value))
    rows = zip(query, key, value, branches, strict=True)
    with torch.autocast("cpu", enabled=False):
        attended = [_attend_row(q, k, v, layout, scaling) for q, k, v, layout in rows]
    return torch.stack(attended).to(dtype), None


def _attend_row(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Branches, scaling: float | None
) -> torch.Tensor:
    """(L, heads, D) of (heads, L, D) queries, keys and values."""
    shared, lengths = layout
    first = scaled_dot_product_attention(
        query[None, :, :shared],
        key[None, :, :shared],
        value[None, :, :shared],
        is_causal=True,
        scale=scaling,
    )
    pieces = [first[0].transpose(0, 1)]
    if lengths:
        places, is_own = _places(layout, query.device)
        own_query, own_key, own_value = (states[:, places].transpose(0, 1) for states in (query, key, value))
        before = (states[None, :, :shared].expand(len(lengths), -1, -1, -1) for states in (key, value))
        keys, values = (torch.cat(pair, dim=2) for pair in zip(before, (own_key, own_value), strict=True))
        longest = places.shape[1]
        visible = torch.ones(longest, shared + longest, dtype=torch.bool, device=query.device).tril(shared)
        later = scaled_dot_product_attention(own_query, keys, values, attn_mask=visible, scale=scaling)
        pieces.append(later.transpose(1, 2)[is_own])
    padding = query.shape[1] - shared - sum(lengths)
    pieces.append(query.new_zeros(padding, query.shape[0], query.shape[2]))
    return torch.cat(pieces)


def _places(layout: Branches, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(G, T) places of the branches' tokens, the last repeated up to the longest, and which are real."""
    lengths = torch.tensor(layout.lengths, device=device)
    ends = layout.shared + lengths.cumsum(0)
    step = torch.arange(max(layout.lengths), device=device)
    is_own = step < lengths[:, None]
    return torch.minimum((ends - lengths)[:, None] + step, ends[:, None] - 1), is_own


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
