"""What one training step of pocket reads, drawn and packed without the model: by other processes if asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from scene_r1_cli.training.looking import LookTargets, look_targets
from scene_r1_cli.training.packing import Batch, Packer, SoftNumbers, collate
from scene_r1_cli.training.pocket_data import (
    PackedRow,
    Targets,
    TrainingRoom,
    draw_frames,
    key_row,
    video_row,
)
from scene_r1_cli.training_config import PocketConfig

DENSE_LABELS = ("label", "color", "box")
"""What ``dense_loss`` reads."""

PHASES = ("vision", "language", "joint", "look")

Moved = TypeVar("Moved")


@dataclass(frozen=True)
class RowsBatch:
    """Rows about videos, or about key frames, and what is to be learnt from them.

    Attributes:
        kind: ``video`` or ``key``.
        batch: The rows, packed.
        rgb: (N, H, W, 3) uint8 frames of all rows in order, to run the tower on.
        dense: Dense labels of these frames, where the tower learns.
        rows: The rows themselves, whose rooms keep features, instead of ``rgb``.
        first: (F,) int64, which tokens to learn are the first time named in each thinking.
        times: (I,) int64, token of the time of each of the I image tokens.
        cornered: (K,) int64, which of them show an object, in key frames.
        corners: (K, 4) int64, tokens of its corners.
        look: Where numbers should look, if that is taught.
    """

    kind: str
    batch: Batch
    rgb: torch.Tensor | None
    dense: Targets | None
    rows: tuple[PackedRow, ...] | None
    first: torch.Tensor
    times: torch.Tensor
    cornered: torch.Tensor
    corners: torch.Tensor
    look: LookTargets | None


@dataclass(frozen=True)
class StepData:
    """One step: rows to learn replies from, or frames with dense labels, each with its kind."""

    rows: tuple[RowsBatch, ...] = ()
    frames: tuple[tuple[str, torch.Tensor, Targets], ...] = ()


class StepDrawer(Dataset[StepData]):
    """Draws the data of any step of a phase; the same step gives the same data, in any process.

    Args:
        config: How much of what.
        rooms: Rooms to draw from.
        packer: Writes rows.
        numbers: Knows which tokens are numbers.
        pad_id: Token behind shorter rows.
        phase: Index into ``PHASES``.
    """

    def __init__(
        self,
        config: PocketConfig,
        rooms: Sequence[TrainingRoom],
        packer: Packer,
        numbers: SoftNumbers,
        pad_id: int,
        phase: int,
    ) -> None:
        self._config, self._rooms, self._packer, self._numbers = config, rooms, packer, numbers
        self._pad_id, self._phase = pad_id, phase

    def __getitem__(self, step: int) -> StepData:
        config, name = self._config, PHASES[self._phase]
        rng = np.random.default_rng([config.seed, self._phase, step])
        if name == "vision":
            return StepData(frames=self._frames(rng))
        return StepData(self._rows(rng, name, video=name != "language" or step >= self._video_from))

    @property
    def _video_from(self) -> float:
        return self._config.video_from * self._config.language.steps

    def _rows(self, rng: np.random.Generator, name: str, *, video: bool) -> tuple[RowsBatch, ...]:
        """Without whole videos, single frames teach finding an object sooner and cost less."""
        config = self._config
        drawn: list[PackedRow] = []
        count = min(config.rooms_per_step, len(self._rooms))
        for index in rng.choice(len(self._rooms), count, replace=False).tolist():
            room = self._rooms[index]
            frames = rng.permutation(len(room.views.key.rgb))[: config.key_frames_per_room].tolist()
            answers = config.answers_per_row if name == "look" else 0
            questions = config.questions_per_row
            drawn += draw_rows(room, frames, self._packer, questions, rng, video=video, answers=answers)
        return tuple(
            batch_rows(
                own,
                self._numbers,
                self._pad_id,
                look=name == "look",
                with_frames=frames_travel(config, name),
                dense=trains_tower(config, name),
            )
            for kind in ("video", "key")
            if (own := [packed for packed in drawn if packed.kind == kind])
        )

    def _frames(self, rng: np.random.Generator) -> tuple[tuple[str, torch.Tensor, Targets], ...]:
        counts = {"video": self._config.vision_video_frames, "key": self._config.vision_key_frames}
        return tuple((kind, *draw_frames(self._rooms, kind, count, rng)) for kind, count in counts.items())


def trains_tower(config: PocketConfig, phase: str) -> bool:
    """Whether the vision tower learns from replies in a phase."""
    return phase == "joint" or (phase == "look" and config.look_trains_vision)


def frames_travel(config: PocketConfig, phase: str) -> bool:
    """Whether rows bring their frames; else rooms keep the features of a frozen tower, and save its time."""
    return config.workers > 0 or trains_tower(config, phase)


def steps_data(drawer: StepDrawer, first: int, end: int, workers: int) -> DataLoader[StepData]:
    """The data of steps in order, drawn ahead by some processes, or one after the other by this one."""
    return DataLoader(
        drawer,
        batch_size=None,
        sampler=range(first, end),
        num_workers=workers,
        # It draws a seed; from torch's own numbers that would change what a phase begins with after a resume.
        generator=torch.Generator(),
        prefetch_factor=2 if workers else None,
        multiprocessing_context="fork" if workers else None,
    )


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


def batch_rows(
    rows: Sequence[PackedRow],
    numbers: SoftNumbers,
    pad_id: int,
    *,
    look: bool = False,
    with_frames: bool = False,
    dense: bool = False,
) -> RowsBatch:
    """Pack rows of one kind with all that is learnt from them.

    Args:
        rows: At least one.
        numbers: Knows which tokens are numbers.
        pad_id: Token behind shorter rows.
        look: Where to look is taught, too.
        with_frames: Bring the frames, instead of leaving the rooms to keep their features.
        dense: Bring the dense labels of the frames, too.
    """
    kind = rows[0].kind
    batch = collate([packed.row for packed in rows], pad_id)
    times, corners, rgb, labels = [], [], [], []
    for packed in rows:
        frames = getattr(packed.room.views, kind)
        targets = getattr(packed.room, f"{kind}_targets")
        of_frames = targets["corners_px"][packed.frames]
        tenths = torch.from_numpy(np.rint(frames.times_s[packed.frames] * 10).astype(np.int64))
        times.append(numbers.time_ids[tenths][:, None].expand(-1, of_frames.shape[1]).flatten())
        corners.append(torch.from_numpy(of_frames).flatten(0, 1))
        if with_frames:
            rgb.append(frames.rgb[packed.frames])
        if dense:
            labels.append({name: targets[name][packed.frames] for name in DENSE_LABELS})
    shown = torch.cat(corners)
    cornered = (shown[:, 0] >= 0).nonzero()[:, 0] if kind == "key" else torch.zeros(0, dtype=torch.long)
    return RowsBatch(
        kind,
        batch,
        torch.from_numpy(np.concatenate(rgb)) if with_frames else None,
        _joined(labels) if dense else None,
        None if with_frames else tuple(rows),
        torch.tensor(_first_times(batch, numbers) if kind == "video" else [], dtype=torch.long),
        torch.cat(times),
        cornered,
        numbers.coordinate_ids[shown[cornered]],
        look_targets(batch, rows, numbers) if look else None,
    )


def _joined(labels: Sequence[Mapping[str, np.ndarray]]) -> Targets:
    return {name: torch.from_numpy(np.concatenate([of[name] for of in labels])) for name in DENSE_LABELS}


def _first_times(batch: Batch, numbers: SoftNumbers) -> list[int]:
    row, at = batch.learned.unbind(1)
    is_time = (numbers.values["time"][batch.ids[row, at]] >= 0) & batch.is_thought
    first: dict[tuple[int, int], int] = {}
    for index in is_time.nonzero()[:, 0].tolist():
        first.setdefault((int(row[index]), int(batch.branch[row[index], at[index]])), index)
    return list(first.values())


def moved(value: Moved, device: torch.device) -> Moved:
    """The same with all tensors in it, of dataclasses, dicts and tuples, on a device.

    Rows, which hold rooms, and named tuples are left as they are.
    """
    found: Any = value
    if isinstance(found, torch.Tensor):
        return found.to(device)  # pyright: ignore[reportReturnType]
    if isinstance(found, dict):
        return {name: moved(part, device) for name, part in found.items()}  # pyright: ignore[reportReturnType]
    if isinstance(found, tuple) and not hasattr(found, "_fields"):
        return tuple(moved(part, device) for part in found)  # pyright: ignore[reportReturnType]
    if is_dataclass(found) and not isinstance(found, (type, PackedRow)):
        parts = {part.name: moved(getattr(found, part.name), device) for part in fields(found)}
        return replace(found, **parts)  # pyright: ignore[reportReturnType]
    return value
