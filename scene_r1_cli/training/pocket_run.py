"""What changes while pocket is trained, saved and loaded as a whole, and the losses of its phases."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scene_r1_cli.models.pocket.encode import encode_frames
from scene_r1_cli.training.dense import DenseHead, dense_loss
from scene_r1_cli.training.language import PlaceHead, Scores, draw_rows, rows_loss
from scene_r1_cli.training.packing import Packer, SoftNumbers
from scene_r1_cli.training.pocket_data import PackedRow, TrainingRoom, draw_frames
from scene_r1_cli.training_config import PocketConfig

SETTLE_STEPS = 150
"""A checkpoint has no head that reads places; for so long a new one learns without teaching the model."""

VAL_EVERY_FRAME = 4
"""Of a held-out room's key frames, every fourth is asked about."""


@dataclass
class PocketRun:
    """All that changes while training."""

    config: PocketConfig
    model: Any
    head: DenseHead
    place: PlaceHead
    tokenizer: Any
    rooms: list[TrainingRoom]
    val_rooms: list[TrainingRoom]
    phase: int = 0
    step: int = 0
    optimizer_state: dict[str, Any] | None = None
    packer: Packer = field(init=False)
    numbers: SoftNumbers = field(init=False)

    @property
    def settles(self) -> bool:
        """The head that reads places is still new beside a trained model."""
        return self.config.start is not None and self.step < SETTLE_STEPS

    def __post_init__(self) -> None:
        self.packer = Packer(self.tokenizer, think=self.config.think)
        self.numbers = SoftNumbers(self.tokenizer, self.config.sigma_px, self.config.sigma_s)

    def save(self, path: Path, optimizer: torch.optim.Optimizer | None) -> None:
        """Write the state; the file appears whole or not at all."""
        partial = path.with_suffix(".partial")
        state = {
            "config": self.config.model_dump(),
            "phase": self.phase,
            "step": self.step,
            "model": self.model.state_dict(),
            "head": self.head.state_dict(),
            "place": self.place.state_dict(),
            "optimizer": optimizer.state_dict() if optimizer is not None else None,
        }
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a saved state."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.place.load_state_dict(state["place"])
        self.phase, self.step, self.optimizer_state = state["phase"], state["step"], state["optimizer"]


def vision_loss(run: PocketRun, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
    """Dense loss on frames of both sizes."""
    total = torch.zeros(())
    shown: dict[str, float] = {}
    for kind, count in (("video", run.config.vision_video_frames), ("key", run.config.vision_key_frames)):
        rgb, targets = draw_frames(run.rooms, kind, count, rng)
        loss, measured = dense_loss(run.head(encode_frames(run.model.model.visual, rgb)), targets)
        total = total + loss
        shown |= {f"{kind}_{name}": value for name, value in measured.items()}
    return total, shown


def text_loss(
    run: PocketRun, rng: np.random.Generator, name: str, *, video: bool
) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of replies in a phase: on the features of a frozen tower, or in ``joint`` on one that learns too.

    ``video`` False leaves out whole videos: single frames teach finding an object sooner and cost less.
    """
    config = run.config
    rows: list[PackedRow] = []
    for index in rng.choice(
        len(run.rooms), min(config.rooms_per_step, len(run.rooms)), replace=False
    ).tolist():
        room = run.rooms[index]
        frames = rng.permutation(len(room.views.key.rgb))[: config.key_frames_per_room].tolist()
        answers = config.answers_per_row if name == "look" else 0
        rows += draw_rows(
            room, frames, run.packer, config.questions_per_row, rng, video=video, answers=answers
        )
    total = torch.zeros(())
    shown: dict[str, float] = {}
    for kind in ("video", "key"):
        if own := [packed for packed in rows if packed.kind == kind]:
            loss, scores = _rows_loss(run, own, name)
            total = total + loss
            shown |= {f"{kind}_loss": float(scores.loss), f"{kind}_right": scores.right}
            if scores.looked is not None:
                shown[f"{kind}_looked"] = scores.looked
    return total, shown


def _rows_loss(run: PocketRun, rows: list[PackedRow], name: str) -> tuple[torch.Tensor, Scores]:
    return rows_loss(
        run.model,
        run.place,
        rows,
        run.numbers,
        live=name == "joint",
        look=name == "look",
        settle=run.settles,
    )


def validate(run: PocketRun, name: str) -> dict[str, float]:
    """Mean loss and IoU on held-out rooms, given the truth up to each token; the same questions each time."""
    rng = np.random.default_rng(0)
    losses: dict[str, list[float]] = {}
    run.model.eval()
    for room in run.val_rooms:
        frames = range(0, len(room.views.key.rgb), VAL_EVERY_FRAME)
        rows = draw_rows(room, frames, run.packer, run.config.questions_per_row, rng, video=True)
        for kind in ("video", "key"):
            if own := [packed for packed in rows if packed.kind == kind]:
                with torch.no_grad():
                    _, scores = _rows_loss(run, own, name)
                losses.setdefault(f"val_{kind}_loss", []).append(float(scores.loss))
                losses.setdefault(f"val_{kind}_iou", []).extend(scores.iou)
                if scores.found:
                    losses.setdefault("val_found", []).extend(map(float, scores.found))
    run.model.train()
    return {name: float(np.mean(values)) for name, values in losses.items()}
