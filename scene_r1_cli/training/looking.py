"""Teaches some heads of the language model where to look while it writes a time or a corner.

Which of 32 frames shows the chair meant is learnt from one written number per question only with very much
patience; rooms know which patches show it, so the attention itself is taught, and so is what the heads carry
over from there: the time of the frame.
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

    The first time named in the thinking looks at all frames that show it, as each is a right one; the others
    look at the frame of their time, and each corner of a box at the key frame. What is read in the frame of a
    time must be that time, too.

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
    values = attention.v_proj(normed).view(shape).transpose(1, 2)
    losses, shares, copied = [], [], []
    for index, packed in enumerate(rows):
        places, targets, own = _targets(batch, index, packed, numbers)
        if not len(places):
            continue
        scores = queries[index, :LOOK_HEADS, places] @ keys[index, :LOOK_HEADS].transpose(1, 2)
        scores = (scores * attention.scaling).float().masked_fill(~batch.mask[index, :, places], -torch.inf)
        seen = (scores.log_softmax(dim=-1).masked_fill(~targets, -torch.inf)).logsumexp(dim=-1)
        losses.append(-seen.flatten())
        shares.append(seen.detach().exp().flatten())
        if packed.kind == "video":
            evenly = (own / own.sum(dim=1, keepdim=True)).to(values.dtype)
            read = (evenly @ values[index, :LOOK_HEADS]).transpose(0, 1).flatten(1)
            carried = read @ attention.o_proj.weight[:, : read.shape[1]].T.to(read.dtype)
            logits = model.lm_head(model.model.language_model.norm(carried))
            written = batch.ids[index, places + 1]
            copied.append(numbers.loss(logits, written, torch.ones(len(written), dtype=torch.bool)))
    if not losses:
        return torch.zeros(()), 0.0, 0
    every = torch.cat(losses)
    total = every.mean() + (torch.cat(copied).mean() if copied else 0.0)
    return total, float(torch.cat(shares).mean()), len(every)


def _targets(
    batch: Batch, index: int, packed: PackedRow, numbers: SoftNumbers
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where a row's numbers should look.

    Returns:
        (M,) places that are about to write a number, (M, L) tokens each may look at, and (M, L) those of them
        in the number's own frame.
    """
    mine = batch.learned[:, 0] == index
    at = batch.learned[mine, 1]
    video = packed.kind == "video"
    value = numbers.values["time" if video else "coordinate"][batch.ids[index, at]]
    at = at[(value >= 0) & (batch.is_thought if video else batch.is_answer)[mine]]
    frames = getattr(packed.room.views, packed.kind)
    image_at = batch.is_image[index].nonzero()[:, 0]
    cells: dict[int, torch.Tensor] = {}
    begun: dict[int, int] = {}
    places, targets, own = [], [], []
    for place in at.tolist():
        branch = int(batch.branch[index, place])
        named, before = packed.questions[branch - 1].named, begun.get(branch, 0)
        begun[branch] = before + 1
        object_id = named[min(before, len(named) - 1)]
        if object_id not in cells:
            shown = [shown_cells(frames.instances[frame], object_id) for frame in packed.frames]
            cells[object_id] = torch.from_numpy(np.stack(shown))
        slot = 0
        if video:
            time_s = float(numbers.values["time"][batch.ids[index, place]])
            slot = int(np.abs(frames.times_s[packed.frames] - time_s).argmin())
        only = torch.zeros_like(cells[object_id])
        only[slot] = cells[object_id][slot]
        if not only.any():
            continue
        # The state before a token writes it.
        places.append(place - 1)
        own.append(image_at[only.flatten()])
        # Of several objects each is named at one time, which is not any that shows it.
        anywhere = before == 0 and len(named) == 1
        targets.append(image_at[cells[object_id].flatten()] if anywhere else own[-1])
    length = batch.ids.shape[1]
    return torch.tensor(places, dtype=torch.long), _at(targets, length), _at(own, length)


def _at(places: list[torch.Tensor], length: int) -> torch.Tensor:
    """(M, length) bool, True at each row's places."""
    mask = torch.zeros(len(places), length, dtype=torch.bool)
    for row, at in enumerate(places):
        mask[row, at] = True
    return mask


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
