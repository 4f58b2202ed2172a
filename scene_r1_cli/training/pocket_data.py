"""pocket's training data in memory: rooms' frames, dense labels, questions, and frames' cached features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from scene_r1_cli.models.families import FAMILIES
from scene_r1_cli.models.prompts import answer_prompt, box_prompt, span_prompt
from scene_r1_cli.training.dense import dense_targets
from scene_r1_cli.training.packing import Packer, Row
from scene_r1_cli.training.replies import Question, box_questions, room_questions, span_questions
from scene_r1_cli.training.room_views import Frames, RoomViews, load_views

Targets = dict[str, torch.Tensor]
CELL_PX = 28


@dataclass
class TrainingRoom:
    """One room; ``features`` holds what a frozen vision tower made of its frames, once asked for."""

    views: RoomViews
    video_targets: dict[str, np.ndarray]
    key_targets: dict[str, np.ndarray]
    features: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> TrainingRoom:
        """Read a room's views and work out its dense labels."""
        return cls.of(load_views(path))

    @classmethod
    def of(cls, views: RoomViews) -> TrainingRoom:
        """Work out the dense labels of a room's views."""
        return cls(views, dense_targets(views, views.video), dense_targets(views, views.key))


def draw_frames(
    rooms: Sequence[TrainingRoom], kind: str, count: int, rng: np.random.Generator
) -> tuple[torch.Tensor, Targets]:
    """Random frames of random rooms with their dense labels; ``kind`` is ``video`` or ``key``."""
    rgb, targets = [], []
    for index in rng.integers(len(rooms), size=count).tolist():
        room = rooms[index]
        frames: Frames = getattr(room.views, kind)
        at = int(rng.integers(len(frames.rgb)))
        rgb.append(frames.rgb[at])
        targets.append({name: values[at] for name, values in getattr(room, f"{kind}_targets").items()})
    stacked = {name: torch.from_numpy(np.stack([of[name] for of in targets])) for name in targets[0]}
    return torch.from_numpy(np.stack(rgb)), stacked


@dataclass(frozen=True)
class PackedRow:
    """A row with the frames it needs: ``frames`` indexes the room's frames of that kind."""

    row: Row
    room: TrainingRoom
    kind: str
    frames: np.ndarray
    questions: tuple[Question, ...]


def video_row(
    room: TrainingRoom, packer: Packer, count: int, rng: np.random.Generator, answers: int = 0
) -> PackedRow | None:
    """Up to ``count`` sentences to find in a video and ``answers`` questions; None if there are none."""
    views = room.views
    questions = _some(span_questions(views, rng), count, rng)
    if answers:
        questions += _some(room_questions(views, rng), answers, rng)
    if not questions:
        return None
    asked = []
    for question in questions:
        prompt = span_prompt if question.is_find else answer_prompt
        text = prompt(question.text, views.duration_s, think=packer.think)
        asked.append((text, question.said(packer.think), question.is_find))
    row = packer.row(views.video.times_s.tolist(), _grid(views.video), asked)
    return PackedRow(row, room, "video", np.arange(len(views.video.rgb)), tuple(questions))


def key_row(
    room: TrainingRoom, frame: int, packer: Packer, count: int, rng: np.random.Generator
) -> PackedRow | None:
    """Up to ``count`` box questions about one key frame; None if there are none."""
    frames = room.views.key
    questions = _some(box_questions(room.views, frame, rng), count, rng)
    if not questions:
        return None
    size_wh = (frames.rgb.shape[2], frames.rgb.shape[1])
    family, think = FAMILIES["qwen2.5-vl"], packer.think
    asked = [(box_prompt(q.text, family, size_wh, think=think), q.said(think), True) for q in questions]
    row = packer.row([float(frames.times_s[frame])], _grid(frames), asked)
    return PackedRow(row, room, "key", np.array([frame]), tuple(questions))


def _some(questions: list[Question], count: int, rng: np.random.Generator) -> list[Question]:
    return [questions[index] for index in rng.permutation(len(questions))[:count]]


def _grid(frames: Frames) -> tuple[int, int]:
    return frames.rgb.shape[1] // CELL_PX, frames.rgb.shape[2] // CELL_PX
