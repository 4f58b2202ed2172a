"""What changes while pocket is trained, saved and loaded as a whole, and the losses of its phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scene_r1_cli.errors import InputError
from scene_r1_cli.models.pocket.encode import encode_frames
from scene_r1_cli.training.dense import DenseHead, dense_loss
from scene_r1_cli.training.language import PlaceHead, Written, frame_features, rows_loss, score
from scene_r1_cli.training.packing import Packer, SoftNumbers
from scene_r1_cli.training.pocket_data import Targets, TrainingRoom
from scene_r1_cli.training.step_data import (
    RowsBatch,
    StepData,
    StepDrawer,
    batch_rows,
    draw_rows,
    frames_travel,
    moved,
    trains_tower,
)
from scene_r1_cli.training_config import PocketConfig

SETTLE_STEPS = 150
"""A checkpoint has no heads that read places and classes; for so long new ones learn without teaching it."""

FREE_TO_CHANGE = frozenset(
    {"threads", "device", "workers", "bfloat16", "val_rooms", "validate_every", "save_every_s"}
)
"""Settings that a run may go on with others of: they do not change which data a step has."""

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
    device: torch.device
    phase: int = 0
    step: int = 0
    optimizer_state: dict[str, Any] | None = None
    packer: Packer = field(init=False)
    numbers: SoftNumbers = field(init=False)
    device_numbers: SoftNumbers = field(init=False)

    def __post_init__(self) -> None:
        self.packer = Packer(self.tokenizer, think=self.config.think)
        self.numbers = SoftNumbers(self.tokenizer, self.config.sigma_px, self.config.sigma_s)
        self.device_numbers = self.numbers.to(self.device)
        for part in (self.model, self.head, self.place):
            part.to(self.device)

    @property
    def pad_id(self) -> int:
        """Token behind shorter rows."""
        return int(self.model.config.text_config.pad_token_id)

    def drawer(self) -> StepDrawer:
        """Draws the data of the present phase's steps."""
        return StepDrawer(self.config, self.rooms, self.packer, self.numbers, self.pad_id, self.phase)

    @property
    def settles(self) -> bool:
        """The heads are still new beside a trained model."""
        return self.config.start is not None and self.step < SETTLE_STEPS

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
        """Go on from a saved state.

        Raises:
            InputError: It is of a model of other sizes.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        if _sizes(state["model"]) != _sizes(self.model.state_dict()):
            raise InputError(
                f"{path} was saved by another version of scener1, whose pocket had other sizes.",
                "Go on with that version, or start anew with another --out.",
            )
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.place.load_state_dict(state["place"])
        self.phase, self.step, self.optimizer_state = state["phase"], state["step"], state["optimizer"]


def check_settings(path: Path, config: PocketConfig) -> None:
    """Compare the settings that a state was saved with with those to go on with.

    Raises:
        InputError: They would not go on with the same data order and learning rates.
    """
    saved = torch.load(path, map_location="cpu", mmap=True, weights_only=True)["config"]
    asked = config.model_dump()
    # A setting that an older version did not have was at its default.
    before = PocketConfig().model_dump() | saved
    changed = [name for name in asked if name not in FREE_TO_CHANGE and before[name] != asked[name]]
    if changed:
        raise InputError(
            f"{path} was saved with other settings of {', '.join(changed)}.",
            "Go on with those of then, or start anew with another --out.",
        )


def _sizes(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in weights.items()}


def step_loss(run: PocketRun, data: StepData, name: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss of a step of a phase, and what to show of it."""
    total = torch.zeros((), device=run.device)
    shown: dict[str, torch.Tensor] = {}
    visual = run.model.model.visual
    for rows in data.rows:
        features = frame_features(visual, rows, live=trains_tower(run.config, name))
        loss, written = _rows_loss(run, rows, features)
        total = total + loss
        shown |= {f"{rows.kind}_loss": written.loss, f"{rows.kind}_right": written.right}
        if written.looked is not None:
            shown[f"{rows.kind}_looked"] = written.looked
        if rows.dense is not None:
            total = total + _dense_loss(run, rows.kind, features, rows.dense, shown)
    for kind, rgb, targets in data.frames:
        total = total + _dense_loss(run, kind, encode_frames(visual, rgb), targets, shown)
    return total, shown


def _rows_loss(run: PocketRun, rows: RowsBatch, features: torch.Tensor) -> tuple[torch.Tensor, Written]:
    return rows_loss(run.model, run.place, rows, features, run.device_numbers, settle=run.settles)


def _dense_loss(
    run: PocketRun, kind: str, tokens: torch.Tensor, targets: Targets, shown: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Loss of the dense labels of frames; adds to what is shown."""
    loss, measured = dense_loss(run.head(tokens.detach() if run.settles else tokens), targets)
    shown |= {f"{kind}_{name}": value for name, value in measured.items()}
    return loss


def validate(run: PocketRun, name: str) -> dict[str, float]:
    """Mean loss and IoU on held-out rooms, given the truth up to each token; the same questions each time."""
    rng = np.random.default_rng(0)
    losses: dict[str, list[float]] = {}
    run.model.eval()
    for room in run.val_rooms:
        frames = range(0, len(room.views.key.rgb), VAL_EVERY_FRAME)
        drawn = draw_rows(room, frames, run.packer, run.config.questions_per_row, rng, video=True)
        for kind in ("video", "key"):
            own = [packed for packed in drawn if packed.kind == kind]
            if not own:
                continue
            rows = batch_rows(own, run.numbers, run.pad_id, with_frames=frames_travel(run.config, name))
            with torch.no_grad():
                on_device = moved(rows, run.device)
                features = frame_features(run.model.model.visual, on_device, live=False)
                _, written = _rows_loss(run, on_device, features)
            scores = score(moved(written, torch.device("cpu")), rows, own, run.numbers)
            losses.setdefault(f"val_{kind}_loss", []).append(float(written.loss))
            losses.setdefault(f"val_{kind}_iou", []).extend(scores.iou)
            if scores.found:
                losses.setdefault("val_found", []).extend(map(float, scores.found))
    run.model.train()
    return {name: float(np.mean(values)) for name, values in losses.items()}
