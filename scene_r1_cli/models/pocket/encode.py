"""pocket's vision tower over a batch of equal frames: one attention call per layer instead of one per frame.

The same numbers as the stock tower (a test says so), several times quicker in training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from scene_r1_cli.models.pocket.build import MERGE, PATCH_PX

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


def to_patches(rgb: torch.Tensor) -> torch.Tensor:
    """(B, H, W, 3) uint8 frames to (B, N, 3 * 14 * 14) float patches, as the image processor orders them."""
    batch, height, width, _ = rgb.shape
    mean, std = (torch.tensor(values, device=rgb.device) for values in (_MEAN, _STD))
    pixels = (rgb.float() / 255 - mean) / std
    side = PATCH_PX * MERGE
    cells = pixels.view(batch, height // side, MERGE, PATCH_PX, width // side, MERGE, PATCH_PX, 3)
    return cells.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(batch, -1, 3 * PATCH_PX**2)


def encode_frames(visual: Any, rgb: torch.Tensor) -> torch.Tensor:
    """Merged tokens of frames.

    Args:
        visual: ``model.model.visual``.
        rgb: (B, H, W, 3) uint8, sides multiples of 28.

    Returns:
        (B, N, hidden) tokens, row by row.
    """
    batch, height, width, _ = rgb.shape
    patches = to_patches(rgb)
    # A still image fills both times of a patch, so their weights add up.
    weight = visual.patch_embed.proj.weight.sum(dim=2).flatten(1)
    hidden = functional.linear(patches, weight)
    cos, sin = _rotation(visual, height // PATCH_PX, width // PATCH_PX, hidden)
    for block in visual.blocks:
        attention = block.attn
        qkv = attention.qkv(block.norm1(hidden)).unflatten(-1, (3, attention.num_heads, attention.head_dim))
        query, key, value = qkv.transpose(1, 3).unbind(2)
        mixed = _attend(_rotate(query, cos, sin), _rotate(key, cos, sin), value, attention.scaling)
        hidden = hidden + attention.proj(mixed.transpose(1, 2).flatten(2))
        hidden = hidden + block.mlp(block.norm2(hidden))
    return visual.merger(hidden.flatten(0, 1)).view(batch, -1, visual.config.out_hidden_size)


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """(B, heads, N, d) attention within each frame."""
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and torch.is_grad_enabled():
        # PyTorch's fused backward takes some six times as long as these products in bfloat16.
        with torch.autocast("cpu", enabled=False):
            return (query * scaling @ key.transpose(2, 3)).softmax(dim=-1) @ value
    return functional.scaled_dot_product_attention(query, key, value, scale=scaling)


def _rotation(visual: Any, rows: int, columns: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    down, across = (torch.arange(count, device=like.device) for count in (rows, columns))
    y, x = torch.meshgrid(down, across, indexing="ij")
    cells = torch.stack([y, x]).view(2, rows // MERGE, MERGE, columns // MERGE, MERGE)
    cos, sin = visual.rotary_pos_emb(like, cells.permute(1, 3, 2, 4, 0).reshape(-1, 2))
    return cos.float(), sin.float()


def _rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions on (B, heads, N, d)."""
    first, second = states.float().chunk(2, dim=-1)
    turned = states.float() * cos + torch.cat([-second, first], dim=-1) * sin
    return turned.to(states.dtype)
