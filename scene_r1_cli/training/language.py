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
from scene_r1_cli.training.packing import Batch, Packer, SoftNumbers, collate
from scene_r1_cli.training.pocket_data import PackedRow, TrainingRoom, key_row, video_row

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
class Scores:
    """What the model would write if it had written the truth so far.

    Attributes:
        loss: Of the replies.
        right: Share of the reply's tokens.
        iou: IoU of each box, or span, that is asked for.
        looked: Share of the taught heads' attention on patches that show the object; None if not taught.
        found: Of videos, share of first times named in the thinking at which the object is to be seen.
    """

    loss: torch.Tensor
    right: float
    iou: tuple[float, ...]
    looked: float | None
    found: tuple[bool, ...]


def draw_rows(
    room: TrainingRoom,
    frames: Sequence[int],
    packer: Packer,
    questions: int,
    rng: np.random.Generator,
    *,
    video: bool,
    answers: int = 0,
) -> list[PackedRow]:
    """Rows of some key frames of a room, and of its video; those without a question are left out."""
    drawn = [video_row(room, packer, questions, rng, answers)] if video else []
    drawn += [key_row(room, frame, packer, questions, rng) for frame in frames]
    return [packed for packed in drawn if packed is not None]


def rows_loss(
    model: Any,
    place: PlaceHead,
    rows: list[PackedRow],
    numbers: SoftNumbers,
    *,
    live: bool,
    look: bool,
    settle: bool = False,
) -> tuple[torch.Tensor, Scores]:
    """The loss to train on, of rows of one kind, and what to show of it.

    Args:
        model: pocket.
        place: Reads what frames' tokens know.
        rows: All about videos, or all about key frames.
        numbers: Decides how near numbers share a target.
        live: Run the vision tower, instead of taking its features from the cache.
        look: Teach heads where to look, too.
        settle: Let ``place`` learn from the model, but not the model from ``place``.
    """
    batch, last, states = packed_states(model, rows, live)
    row, at = batch.learned.unbind(1)
    logits = model.lm_head(last[row, at - 1])
    target = batch.ids[row, at]
    kind, written = rows[0].kind, logits.argmax(-1)
    weights = torch.ones(len(target))
    first = _first_times(batch, numbers) if kind == "video" else []
    weights[first] = FIRST_TIME_WEIGHT
    loss = (numbers.loss(logits, target, batch.is_answer) * weights).sum() / weights.sum()
    looking, looked = torch.zeros(()), None
    if look:
        looking, looked, _ = look_loss(model, states[LOOK_LAYER], batch, rows, numbers)
    scores = Scores(
        loss=loss.detach(),
        right=float((written == target).float().mean()),
        iou=_written_iou(written[batch.is_answer], target[batch.is_answer], numbers, kind),
        looked=looked,
        found=_found(batch, first, written, rows, numbers),
    )
    known = states[PLACE_LAYER][batch.is_image]
    words = model.lm_head.weight
    if settle:
        known, words = known.detach(), words.detach()
    placing = _place_loss(words, place(known), rows, numbers)
    return loss + placing + looking, scores


def packed_states(
    model: Any, rows: list[PackedRow], live: bool
) -> tuple[Batch, torch.Tensor, tuple[torch.Tensor, ...]]:
    """The batch that some rows make, and its (B, L, hidden) states: the last, and the input of each layer."""
    use_branches(model)
    batch = collate([packed.row for packed in rows], model.config.text_config.pad_token_id)
    features = torch.cat([_features(model, packed, live) for packed in rows])
    embeds = model.get_input_embeddings()(batch.ids)
    embeds = embeds.masked_scatter(batch.is_image[..., None], features.to(embeds.dtype))
    output = model.model.language_model(
        inputs_embeds=embeds,
        position_ids=batch.positions,
        branches=batch.branches,
        use_cache=False,
        output_hidden_states=True,
    )
    return batch, output.last_hidden_state, output.hidden_states


def _features(model: Any, packed: PackedRow, live: bool) -> torch.Tensor:
    """(N, hidden) image tokens of a row in the order of its frames."""
    rgb = getattr(packed.room.views, packed.kind).rgb
    if live:
        return encode_frames(model.model.visual, torch.from_numpy(rgb[packed.frames])).flatten(0, 1)
    cached = packed.room.features
    if packed.kind not in cached:
        with torch.no_grad():
            cached[packed.kind] = encode_frames(model.model.visual, torch.from_numpy(rgb.copy())).half()
    return cached[packed.kind][packed.frames].flatten(0, 1).float()


def _place_loss(
    words: torch.Tensor, codes: torch.Tensor, rows: list[PackedRow], numbers: SoftNumbers
) -> torch.Tensor:
    """Loss of the times of frames' tokens, and of the corners where a key frame's show an object.

    Args:
        words: (V, hidden) embeddings.
        codes: (N, 5, hidden) what the head reads in each token of a frame.
        rows: Whose frames these are.
        numbers: Embeddings of numbers.
    """
    times, corners = [], []
    for packed in rows:
        targets = getattr(packed.room, f"{packed.kind}_targets")["corners_px"][packed.frames]
        times_s = getattr(packed.room.views, packed.kind).times_s[packed.frames]
        tenths = torch.from_numpy(np.rint(times_s * 10).astype(np.int64))
        times.append(tenths[:, None].expand(-1, targets.shape[1]).flatten())
        corners.append(targets.flatten(0, 1))
    written = [(codes[:, 4], numbers.time_ids[torch.cat(times)])]
    if rows[0].kind == "key":
        shown = torch.cat(corners)
        seen = shown[:, 0] >= 0
        written.append((codes[seen, :4].flatten(0, 1), numbers.coordinate_ids[shown[seen]].flatten()))
    total = torch.zeros(())
    for code, target in written:
        if len(target):
            soft = torch.ones(len(target), dtype=torch.bool)
            total = total + numbers.loss(code @ words.T, target, soft).mean()
    return total


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


def _first_times(batch: Batch, numbers: SoftNumbers) -> list[int]:
    """Which of the tokens to learn are the first time named in each thinking."""
    row, at = batch.learned.unbind(1)
    is_time = (numbers.values["time"][batch.ids[row, at]] >= 0) & batch.is_thought
    first: dict[tuple[int, int], int] = {}
    for index in is_time.nonzero()[:, 0].tolist():
        first.setdefault((int(row[index]), int(batch.branch[row[index], at[index]])), index)
    return list(first.values())


def _found(
    batch: Batch, first: list[int], written: torch.Tensor, rows: list[PackedRow], numbers: SoftNumbers
) -> tuple[bool, ...]:
    """Whether each first time named is one at which the object is to be seen."""
    found = []
    for index in first:
        row, at = batch.learned[index].tolist()
        packed, time_s = rows[row], float(numbers.values["time"][written[index]])
        video, question = packed.room.views.video, packed.questions[int(batch.branch[row, at]) - 1]
        nearest = packed.frames[np.abs(video.times_s[packed.frames] - time_s).argmin()]
        found.append(time_s >= 0 and bool((video.instances[nearest] == question.named[0] + 1).any()))
    return tuple(found)
