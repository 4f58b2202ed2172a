"""The language model's loss: replies to questions about frames, and what its tokens of frames must know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from scene_r1_cli.geometry.boxes import box2d_iou
from scene_r1_cli.geometry.intervals import interval_iou
from scene_r1_cli.models.branch_attention import use_branches
from scene_r1_cli.models.pocket.build import HIDDEN, LAYERS
from scene_r1_cli.models.pocket.encode import encode_frames
from scene_r1_cli.training.looking import LOOK_LAYER, look_loss
from scene_r1_cli.training.packing import Batch, SoftNumbers
from scene_r1_cli.training.pocket_data import PackedRow
from scene_r1_cli.training.step_data import RowsBatch

PLACE_LAYER = LAYERS // 2
"""After this layer a frame's tokens know corners and time, so that the rest can find and copy them."""


FIRST_TIME_WEIGHT = 10.0
"""Of the two dozen tokens of a reply about a video, the first time named says where the object was found: all
others follow from the sentence or from it."""


class PlaceHead(nn.Module):
    """Reads corners and time of each token of a frame, in the embedding of numbers; thrown away at the end.

    Where a patch lies in its frame is learnt from a few numbers per reply only with much patience; here every
    token of every frame teaches it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(HIDDEN, 5 * HIDDEN, bias=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(N, HIDDEN) states to (N, 5, HIDDEN): x1, y1, x2, y2, time."""
        return self.linear(states).unflatten(-1, (5, -1))


@dataclass(frozen=True)
class Written:
    """What the model would write if it had written the truth so far.

    Attributes:
        loss: () of the replies.
        right: () share of the reply's tokens.
        tokens: (M,) int64, in place of each token to learn.
        looked: () share of the taught heads' attention on patches that show the object; None if not taught.
    """

    loss: torch.Tensor
    right: torch.Tensor
    tokens: torch.Tensor
    looked: torch.Tensor | None


def rows_loss(
    model: Any,
    place: PlaceHead,
    rows: RowsBatch,
    features: torch.Tensor,
    numbers: SoftNumbers,
    *,
    settle: bool = False,
) -> tuple[torch.Tensor, Written]:
    """The loss to train on, of rows of one kind, and what would be written.

    Args:
        model: pocket.
        place: Reads what frames' tokens know.
        rows: On the model's device.
        features: (N, T, hidden) tokens of their frames.
        numbers: Decides how near numbers share a target.
        settle: Let ``place`` learn from the model, but not the model from ``place``.
    """
    batch = rows.batch
    last, states = packed_states(model, batch, features, masked=batch.ids.is_cuda)
    row, at = batch.learned.unbind(1)
    logits = model.lm_head(last[row, at - 1])
    target = batch.ids[row, at]
    tokens = logits.argmax(-1)
    weights = torch.ones(len(target), device=target.device)
    weights[rows.first] = FIRST_TIME_WEIGHT
    loss = (numbers.loss(logits, target, batch.is_answer) * weights).sum() / weights.sum()
    total, looked = loss, None
    if rows.look is not None:
        looking, shares = look_loss(
            model, states[LOOK_LAYER], batch, rows.look, numbers, copies=rows.kind == "video"
        )
        total, looked = total + looking, shares.mean() if len(shares) else shares.new_zeros(())
    known = states[PLACE_LAYER][batch.is_image]
    words = model.lm_head.weight
    if settle:
        known, words = known.detach(), words.detach()
    total = total + _place_loss(words, place(known), rows, numbers)
    return total, Written(loss.detach(), (tokens == target).float().mean(), tokens, looked)


def packed_states(
    model: Any, batch: Batch, features: torch.Tensor, *, masked: bool = False
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The (B, L, hidden) states that rows make: the last, and the input of each layer.

    The same to rounding with one masked attention call for all rows, which is quicker on a GPU, and with one
    call for every row.

    Args:
        model: pocket.
        batch: The rows, packed.
        features: (N, T, hidden) tokens of their frames in order.
        masked: One call for all.
    """
    use_branches(model)
    embeds = model.get_input_embeddings()(batch.ids)
    embeds = embeds.masked_scatter(batch.is_image[..., None], features.to(embeds.dtype))
    seen = {"attention_mask": batch.mask} if masked else {"branches": batch.branches}
    output = model.model.language_model(
        inputs_embeds=embeds,
        position_ids=batch.positions,
        use_cache=False,
        output_hidden_states=True,
        **seen,
    )
    return output.last_hidden_state, output.hidden_states


def frame_features(visual: Any, rows: RowsBatch, *, live: bool) -> torch.Tensor:
    """(N, T, hidden) tokens of the frames of all rows in order; ``live`` for a tower that learns."""
    if rows.rgb is not None:
        with torch.set_grad_enabled(live and torch.is_grad_enabled()):
            return encode_frames(visual, rows.rgb)
    assert rows.rows is not None
    features = []
    for packed in rows.rows:
        kept = packed.room.features
        if rows.kind not in kept:
            rgb = getattr(packed.room.views, rows.kind).rgb
            with torch.no_grad():
                pixels = torch.from_numpy(rgb.copy()).to(rows.batch.ids.device)
                kept[rows.kind] = encode_frames(visual, pixels).half()
        features.append(kept[rows.kind][packed.frames].float())
    return torch.cat(features)


def _place_loss(
    words: torch.Tensor, codes: torch.Tensor, rows: RowsBatch, numbers: SoftNumbers
) -> torch.Tensor:
    """Loss of the times of frames' tokens, and of the corners where a key frame's show an object.

    Args:
        words: (V, hidden) embeddings.
        codes: (I, 5, hidden) what the head reads in each token of a frame.
        rows: Whose frames these are.
        numbers: Embeddings of numbers.
    """
    written = [(codes[:, 4], rows.times)]
    if len(rows.cornered):
        written.append((codes[rows.cornered, :4].flatten(0, 1), rows.corners.flatten()))
    total = words.new_zeros(())
    for code, target in written:
        soft = torch.ones(len(target), dtype=torch.bool, device=target.device)
        total = total + numbers.loss(code @ words.T, target, soft).mean()
    return total


@dataclass(frozen=True)
class Scores:
    """How good what would be written is.

    Attributes:
        iou: IoU of each box, or span, that is asked for.
        found: Of videos, whether each first time named in the thinking is one at which the object is seen.
    """

    iou: tuple[float, ...]
    found: tuple[bool, ...]


def score(written: Written, batched: RowsBatch, rows: Sequence[PackedRow], numbers: SoftNumbers) -> Scores:
    """Score what was written; everything on the CPU."""
    batch = batched.batch
    row, at = batch.learned.unbind(1)
    target, answer = batch.ids[row, at], batch.is_answer
    return Scores(
        _written_iou(written.tokens[answer], target[answer], numbers, batched.kind),
        _found(batched, written.tokens, rows, numbers),
    )


def _written_iou(
    written: torch.Tensor, target: torch.Tensor, numbers: SoftNumbers, kind: str
) -> tuple[float, ...]:
    """IoU of written with true boxes or spans: answers hold four corners, or two times, in order."""
    values = numbers.values["coordinate" if kind == "key" else "time"]
    is_number = values[target] >= 0
    per_answer = 4 if kind == "key" else 2
    found = values[written[is_number]].view(-1, per_answer).tolist()
    true = values[target[is_number]].view(-1, per_answer).tolist()
    iou = box2d_iou if kind == "key" else interval_iou
    return tuple(iou(a, b) if min(a) >= 0 else 0.0 for a, b in zip(found, true, strict=True))


def _found(
    batched: RowsBatch, written: torch.Tensor, rows: Sequence[PackedRow], numbers: SoftNumbers
) -> tuple[bool, ...]:
    """Whether each first time named is one at which the object is to be seen."""
    found, batch = [], batched.batch
    for index in batched.first.tolist():
        row, at = batch.learned[index].tolist()
        packed, time_s = rows[row], float(numbers.values["time"][written[index]])
        video, question = packed.room.views.video, packed.questions[int(batch.branch[row, at]) - 1]
        nearest = packed.frames[np.abs(video.times_s[packed.frames] - time_s).argmin()]
        found.append(time_s >= 0 and bool((video.instances[nearest] == question.named[0] + 1).any()))
    return tuple(found)
