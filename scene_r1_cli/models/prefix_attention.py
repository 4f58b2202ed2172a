"""Attention of many rows to a prefix whose keys and values are held once, not once a row.

Repeating a video's keys and values over a batch of questions costs memory, and every new token then reads all
copies. Here the queries of all rows with the same prefix go against it in one product, each row's own tokens
are attended to beside it, and one softmax joins the two parts. Rows of several prefixes may share a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer
from transformers.modeling_utils import AttentionInterface

NAME = "scener1_prefix"
MAX_SCORES = 2**25
"""Scores computed at once: 128 MB of float32."""


class PrefixedLayer(DynamicLayer):
    """One layer's keys and values: of each prefix (heads, P, D), of the rows' own tokens (N, heads, S, D).

    ``update`` and the lengths are those of the own tokens alone.
    """

    def __init__(self, prefixes: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__()
        self.prefixes = list(prefixes)


class PrefixedCache(Cache):
    """A cache of ``PrefixedLayer``.

    Args:
        prefilled: For each prefix a cache that holds it as one prefilled row.
        counts: How many rows of the batch follow each prefix; rows are in the order of their prefixes.
    """

    def __init__(self, prefilled: Sequence[Any], counts: Sequence[int]) -> None:
        layers = zip(*(cache.layers for cache in prefilled), strict=True)
        super().__init__(
            layers=[PrefixedLayer([(one.keys[0], one.values[0]) for one in layer]) for layer in layers]
        )
        self.counts = list(counts)

    def select(self, rows: torch.Tensor) -> None:
        """Go on with some rows, (K,) int64 that do not fall; one that stands there twice becomes two."""
        for layer in self.layers:
            own: Any = layer
            own.keys, own.values = own.keys[rows], own.values[rows]
        prefix_of = torch.arange(len(self.counts)).repeat_interleave(torch.tensor(self.counts))
        self.counts = torch.bincount(prefix_of[rows.cpu()], minlength=len(self.counts)).tolist()


@contextmanager
def prefix_attention(model: Any) -> Iterator[None]:
    """Within it, the model's text layers attend as ``attend`` does; give them ``prefixed_cache=``."""
    config = model.config.get_text_config()
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    *,
    scaling: float,
    prefixed_cache: PrefixedCache,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """An attention function as transformers calls it.

    Args:
        module: The layer, for its index.
        query: (N, heads, Q, D).
        key: (N, key heads, S, D), the rows' own tokens.
        value: As key.
        attention_mask: (N, 1, Q, S) bool, which own tokens a query may see; it sees its whole prefix.
        scaling: Multiplies scores.
        prefixed_cache: Holds the prefixes.

    Returns:
        (N, Q, heads, D), and None for the weights.
    """
    layer: Any = prefixed_cache.layers[module.layer_idx]
    pieces = []
    of_prefix = (whole.split(prefixed_cache.counts) for whole in (query, key, value, attention_mask))
    for (keys, values), *rows in zip(layer.prefixes, *of_prefix, strict=True):
        if not len(rows[0]):
            continue  # all its replies are finished
        rows_at_once = max(1, MAX_SCORES // (query.shape[1] * query.shape[2] * keys.shape[1]))
        parts = zip(*(whole.split(rows_at_once) for whole in rows), strict=True)
        pieces += [_attend_some(q, k, v, visible, keys, values, scaling) for q, k, v, visible in parts]
    return torch.cat(pieces).transpose(1, 2), None


def _attend_some(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    visible: torch.Tensor,
    prefix_keys: torch.Tensor,
    prefix_values: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    """(N, heads, Q, D). Heads that share a key head are rows of one product, and so are the questions."""
    num_rows, num_heads, num_queries, size = query.shape
    key_heads, length = prefix_keys.shape[:2]
    per_head = num_heads // key_heads * num_queries
    grouped = query.reshape(num_rows, key_heads, per_head, size)
    across = grouped.transpose(0, 1).reshape(key_heads, num_rows * per_head, size)
    to_prefix = (across @ prefix_keys.transpose(1, 2)).view(key_heads, num_rows, per_head, length)
    to_own = (grouped @ key.transpose(2, 3)).transpose(0, 1)
    hidden = ~visible.repeat(1, num_heads // key_heads, 1, 1).reshape(num_rows, per_head, -1)
    to_own = to_own.masked_fill(hidden, torch.finfo(to_own.dtype).min)
    scores = torch.cat([to_prefix, to_own], dim=-1).float() * scaling
    weights = torch.softmax(scores, dim=-1).to(query.dtype)
    of_prefix, of_own = weights.split([length, weights.shape[-1] - length], dim=-1)
    result = (of_prefix.reshape(key_heads, -1, length) @ prefix_values).view(
        key_heads, num_rows, per_head, size
    )
    result = result.transpose(0, 1) + of_own.transpose(0, 1) @ value
    return result.reshape(num_rows, num_heads, num_queries, size)


AttentionInterface.register(NAME, attend)
