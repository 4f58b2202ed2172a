"""Teaches some heads of the language model where to look while it writes a time or a corner.

Which of 32 frames shows the chair meant is learnt from one written number per question only with very much
patience; rooms know which patches show it, so the attention itself is taught.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from scene_r1_cli.training.packing import Batch, SoftNumbers
from scene_r1_cli.training.pocket_data import CELL_PX, PackedRow

LOOK_LAYER = 4
"""This layer's heads are taught: its input knows what each patch shows, and two layers are left to write."""

LOOK_HEADS = 2

MIN_CELL_SHARE = 0.25
"""Share of a patch that an object covers for the patch to show it; of a tiny object, the fullest patches."""


def look_loss(
    model: Any, states: torch.Tensor, batch: Batch, rows: list[PackedRow], numbers: SoftNumbers
) -> tuple[torch.Tensor, float, float]:
    """Cross entropy of the taught heads' attention with the patches that show the object.

    Each time named in the thinking looks at the frame of that time, each corner of a box at the key frame.

    Args:
        model: pocket.
        states: (B, L, hidden) input of layer ``LOOK_LAYER``.
        batch: The rows, packed.
        rows: All about videos, or all about key frames.
        numbers: Knows which tokens are times and corners.

    Returns:
        The loss, the share of attention that falls on those patches, and how many numbers there were.
    """
    layer = model.model.language_model.layers[LOOK_LAYER]
    attention = layer.self_attn
    normed = layer.input_layernorm(states)
    shape = (*states.shape[:2], -1, attention.head_dim)
    cos, sin = model.model.language_model.rotary_emb(states, batch.positions)
    queries, keys = apply_rotary_pos_emb(
        attention.q_proj(normed).view(shape).transpose(1, 2),
        attention.k_proj(normed).view(shape).transpose(1, 2),
        cos,
        sin,
    )
    losses, shares = [], []
    for index, packed in enumerate(rows):
        places, targets = _targets(batch, index, packed, numbers)
        if not len(places):
            continue
        scores = queries[index, :LOOK_HEADS, places] @ keys[index, :LOOK_HEADS].transpose(1, 2)
        scores = (scores * attention.scaling).float().masked_fill(~batch.mask[index, :, places], -torch.inf)
        seen = (scores.log_softmax(dim=-1).masked_fill(~targets, -torch.inf)).logsumexp(dim=-1)
        losses.append(-seen.flatten())
        shares.append(seen.detach().exp().flatten())
    if not losses:
        return torch.zeros(()), 0.0, 0
    every = torch.cat(losses)
    return every.mean(), float(torch.cat(shares).mean()), len(every)


def _targets(
    batch: Batch, index: int, packed: PackedRow, numbers: SoftNumbers
) -> tuple[torch.Tensor, torch.Tensor]:
    """(M,) places of a row that are about to write a number, and (M, L) tokens each should look at."""
    own = batch.learned[:, 0] == index
    at, is_answer = batch.learned[own, 1], batch.is_answer[own]
    video = packed.kind == "video"
    value = numbers.values["time" if video else "coordinate"][batch.ids[index, at]]
    at = at[(value >= 0) & (is_answer != video)]
    frames = getattr(packed.room.views, packed.kind)
    image_at = batch.is_image[index].nonzero()[:, 0]
    cells: dict[tuple[int, int], torch.Tensor] = {}
    places, targets = [], []
    for place in at.tolist():
        question = packed.questions[int(batch.branch[index, place]) - 1]
        slot = 0
        if video:
            time_s = float(numbers.values["time"][batch.ids[index, place]])
            slot = int(np.abs(frames.times_s[packed.frames] - time_s).argmin())
        key = (slot, question.object_id)
        if key not in cells:
            cells[key] = torch.from_numpy(
                shown_cells(frames.instances[packed.frames[slot]], question.object_id)
            )
        shown = cells[key]
        if not shown.any():
            continue
        target = torch.zeros(batch.ids.shape[1], dtype=torch.bool)
        target[image_at[slot * len(shown) : (slot + 1) * len(shown)][shown]] = True
        # The state before a token writes it.
        places.append(place - 1)
        targets.append(target)
    if not places:
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, 0, dtype=torch.bool)
    return torch.tensor(places), torch.stack(targets)


def shown_cells(instances: np.ndarray, object_id: int) -> np.ndarray:
    """Which tokens of a frame show an object.

    Args:
        instances: (H, W) map, 0 = none, ``object_id + 1`` otherwise; sides are multiples of ``CELL_PX``.
        object_id: The object.

    Returns:
        (N,) bool in the order of the frame's tokens; none if the object is not in the frame.
    """
    height, width = instances.shape
    mask = (instances == object_id + 1).reshape(height // CELL_PX, CELL_PX, width // CELL_PX, CELL_PX)
    share = mask.mean(axis=(1, 3)).ravel()
    return (share > 0) & (share >= min(MIN_CELL_SHARE, share.max()))
