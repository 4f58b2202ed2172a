"""Teaches some heads of the language model where to look while it writes a time or a corner.

Which of 32 frames shows the chair meant is learnt from one written number per question only with very much
patience; rooms know which patches show it, so the attention itself is taught, and so is what the heads carry
over from there: the time of the frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from scene_r1_cli.models.pocket.build import LAYERS
from scene_r1_cli.training.packing import Batch, SoftNumbers
from scene_r1_cli.training.pocket_data import CELL_PX, PackedRow

LOOK_LAYER = LAYERS - 2
"""This layer's heads are taught: its input knows what each patch shows, and two layers are left to write."""

LOOK_HEADS = 2

MIN_CELL_SHARE = 0.25
"""Share of a patch that an object covers for the patch to show it; of a tiny object, the fullest patches."""


@dataclass(frozen=True)
class LookTargets:
    """Where the M numbers of a batch's replies should look.

    Attributes:
        row: (M,) int64.
        place: (M,) int64 place in its row of the token whose state writes the number.
        slot: (M,) int64, counts the numbers of a row.
        anywhere: (M, L) bool, tokens that each may look at.
        own: (M, L) bool, those of them in the number's own frame.
        number: (M,) int64, the token to write.
    """

    row: torch.Tensor
    place: torch.Tensor
    slot: torch.Tensor
    anywhere: torch.Tensor
    own: torch.Tensor
    number: torch.Tensor


def look_targets(batch: Batch, rows: Sequence[PackedRow], numbers: SoftNumbers) -> LookTargets:
    """Where numbers of the thinking about videos, or of boxes in key frames, should look."""
    row, place, slot, anywhere, own = [], [], [], [], []
    for index, packed in enumerate(rows):
        for count, (at, any_tokens, own_tokens) in enumerate(_looks(batch, index, packed, numbers)):
            row.append(index)
            place.append(at)
            slot.append(count)
            anywhere.append(any_tokens)
            own.append(own_tokens)
    length = batch.ids.shape[1]
    rows_at, places_at = torch.tensor(row, dtype=torch.long), torch.tensor(place, dtype=torch.long)
    return LookTargets(
        rows_at,
        places_at,
        torch.tensor(slot, dtype=torch.long),
        _at(anywhere, length),
        _at(own, length),
        batch.ids[rows_at, places_at + 1],
    )


def look_loss(
    model: Any, states: torch.Tensor, batch: Batch, look: LookTargets, numbers: SoftNumbers, *, copies: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy of the taught heads' attention with the patches that show the object.

    The first time named in the thinking looks at all frames that show it, as each is a right one; the others
    look at the frame of their time, and each corner of a box at the key frame. What is read in the frame of a
    time must be that time, too.

    Args:
        model: pocket.
        states: (B, L, hidden) input of layer ``LOOK_LAYER``.
        batch: The rows, packed.
        look: Where the numbers should look.
        numbers: Knows how near numbers share a target.
        copies: What is read must be the number, too: of videos, where it is the frame's time.

    Returns:
        The loss, and (2 M,) share of attention that falls on those patches.
    """
    if not len(look.row):
        return states.new_zeros(()), states.new_zeros(0)
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
    asking = queries[look.row, :LOOK_HEADS, look.place]
    scores = _by_row(look, asking, keys[:, :LOOK_HEADS].transpose(2, 3)) * attention.scaling
    visible = batch.mask[look.row, 0, look.place]
    scores = scores.float().masked_fill(~visible[:, None], -torch.inf)
    seen = scores.log_softmax(dim=-1).masked_fill(~look.anywhere[:, None], -torch.inf).logsumexp(dim=-1)
    total = -seen.mean()
    if copies:
        evenly = look.own / look.own.sum(dim=1, keepdim=True)
        evenly = evenly.to(values.dtype)[:, None].expand(-1, LOOK_HEADS, -1)
        read = _by_row(look, evenly, values[:, :LOOK_HEADS]).flatten(1)
        carried = read @ attention.o_proj.weight[:, : read.shape[1]].T.to(read.dtype)
        logits = model.lm_head(model.model.language_model.norm(carried))
        soft = torch.ones(len(logits), dtype=torch.bool, device=logits.device)
        total = total + numbers.loss(logits, look.number, soft).mean()
    return total, seen.detach().exp().flatten()


def _by_row(look: LookTargets, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(M, H, A) times each one's row of (B, H, A, C): (M, H, C). One product per row, not one per number."""
    most = int(look.slot.max()) + 1
    padded = left.new_zeros(len(right), most, *left.shape[1:])
    padded = padded.index_put((look.row, look.slot), left)
    return (padded.transpose(1, 2) @ right).transpose(1, 2)[look.row, look.slot]


def _looks(
    batch: Batch, index: int, packed: PackedRow, numbers: SoftNumbers
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Per number of a row: where it is about to be written, tokens it may look at, and its own frame's."""
    mine = batch.learned[:, 0] == index
    at = batch.learned[mine, 1]
    video = packed.kind == "video"
    value = numbers.values["time" if video else "coordinate"][batch.ids[index, at]]
    at = at[(value >= 0) & (batch.is_thought if video else batch.is_answer)[mine]]
    frames = getattr(packed.room.views, packed.kind)
    image_at = batch.is_image[index].nonzero()[:, 0]
    cells: dict[int, torch.Tensor] = {}
    begun: dict[int, int] = {}
    for place in at.tolist():
        branch = int(batch.branch[index, place])
        named, before = packed.questions[branch - 1].named, begun.get(branch, 0)
        begun[branch] = before + 1
        object_id = named[min(before, len(named) - 1)]
        if object_id not in cells:
            shown = [shown_cells(frames.instances[frame], object_id) for frame in packed.frames]
            cells[object_id] = torch.from_numpy(np.stack(shown))
        frame_at = 0
        if video:
            time_s = float(numbers.values["time"][batch.ids[index, place]])
            frame_at = int(np.abs(frames.times_s[packed.frames] - time_s).argmin())
        only = torch.zeros_like(cells[object_id])
        only[frame_at] = cells[object_id][frame_at]
        if not only.any():
            continue
        own = image_at[only.flatten()]
        # Of several objects each is named at one time, which is not any that shows it.
        anywhere = image_at[cells[object_id].flatten()] if before == 0 and len(named) == 1 else own
        # The state before a token writes it.
        yield place - 1, anywhere, own


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
