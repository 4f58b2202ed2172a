"""Makes pocket from nothing: rooms, vision tower on dense labels, language model on cached features, both.

A plain loop instead of a trainer: the first phase has no text, and the second feeds features instead of
pixels, which is what makes two cores enough. Kill it at any step; ``resume`` goes on from the last save
with the same data order.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scene_r1_cli.data.rooms import split_seeds
from scene_r1_cli.errors import InputError
from scene_r1_cli.models.pocket.build import build_model, save_checkpoint
from scene_r1_cli.models.pocket.encode import encode_frames
from scene_r1_cli.models.pocket.tokens import build_tokenizer
from scene_r1_cli.training.dense import DenseHead, dense_loss
from scene_r1_cli.training.packing import Batch, Packer, SoftNumbers, collate
from scene_r1_cli.training.pocket_data import PackedRow, TrainingRoom, draw_frames, key_row, video_row
from scene_r1_cli.training.replies import box_questions, span_questions
from scene_r1_cli.training.room_views import make_views
from scene_r1_cli.training.warm_start import warm_start
from scene_r1_cli.training_config import PhaseConfig, PocketConfig

logger = logging.getLogger(__name__)

PHASES = ("vision", "language", "joint")
CORPUS_ROOMS = 60
"""Rooms whose sentences and replies the tokenizer learns its words from."""

Progress = Callable[[str, int, int, Mapping[str, float]], None]
"""Told phase, steps done, steps in all, and what was measured at the last one."""


@dataclass
class _Run:
    """All that changes while training."""

    config: PocketConfig
    model: Any
    head: DenseHead
    tokenizer: Any
    rooms: list[TrainingRoom]
    phase: int = 0
    step: int = 0
    optimizer_state: dict[str, Any] | None = None
    packer: Packer = field(init=False)
    numbers: SoftNumbers = field(init=False)

    def __post_init__(self) -> None:
        self.packer = Packer(self.tokenizer)
        self.numbers = SoftNumbers(self.tokenizer, self.config.sigma_px, self.config.sigma_s)


def train_pocket(config: PocketConfig, out: Path, *, resume: bool, progress: Progress) -> Path:
    """Make pocket.

    Args:
        config: Sizes and lengths.
        out: Run folder: ``views/`` rooms, ``state.pt`` to resume from, ``checkpoint/`` the result.
        resume: Go on from ``state.pt``.
        progress: Told of every step.

    Returns:
        Folder of the checkpoint.

    Raises:
        InputError: Nothing to resume, or a run is there and ``resume`` is not asked for.
    """
    state_path = out / "state.pt"
    if resume != state_path.is_file():
        what = "holds no state.pt to resume from" if resume else "already holds a run"
        raise InputError(
            f"{out} {what}.", "Leave out --resume." if resume else "Use --resume or another --out."
        )
    torch.set_num_threads(config.threads)
    seeds = split_seeds("train")[: config.train_rooms]
    rooms = []
    for count, path in enumerate(make_views(out / "views", seeds, config.views), start=1):
        rooms.append(TrainingRoom.load(path))
        progress("rooms", count, len(seeds), {})
    tokenizer = build_tokenizer(_corpus(rooms[:CORPUS_ROOMS]))
    torch.manual_seed(config.seed)
    run = _Run(config, build_model(tokenizer, config.seed), DenseHead(), tokenizer, rooms)
    if resume:
        _load(run, state_path)
    while run.phase < len(PHASES):
        _train_phase(run, state_path, progress)
        run.phase, run.step, run.optimizer_state = run.phase + 1, 0, None
        _save(run, state_path, None)
    save_checkpoint(out / "checkpoint", run.model, tokenizer)
    return out / "checkpoint"


def _corpus(rooms: list[TrainingRoom]) -> list[str]:
    """Texts that the tokenizer learns words from."""
    rng = np.random.default_rng(0)
    texts: list[str] = []
    for room in rooms:
        questions = span_questions(room.views) + box_questions(room.views, 0, rng)
        texts += [text for question in questions for text in (question.text, question.reply)]
    return texts


def _train_phase(run: _Run, state_path: Path, progress: Progress) -> None:
    name = PHASES[run.phase]
    if name == "language" and run.step == 0:
        warm_start(run.model, run.head, run.tokenizer)
    phase: PhaseConfig = getattr(run.config, name)
    trained = _trained(run, name)
    optimizer = torch.optim.AdamW(trained, lr=phase.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    if run.optimizer_state is not None:
        optimizer.load_state_dict(run.optimizer_state)
    run.model.train()
    saved_s = time.monotonic()
    while run.step < phase.steps:
        for group in optimizer.param_groups:
            group["lr"] = phase.learning_rate * _schedule(run.step, phase)
        rng = np.random.default_rng([run.config.seed, run.phase, run.step])
        with torch.autocast("cpu", torch.bfloat16, enabled=run.config.bfloat16):
            if name == "vision":
                loss, shown = _vision_loss(run, rng)
            else:
                video = name == "joint" or run.step >= run.config.video_from * phase.steps
                loss, shown = _text_loss(run, rng, live=name == "joint", video=video)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        run.step += 1
        progress(name, run.step, phase.steps, {"loss": float(loss.detach()), **shown})
        if time.monotonic() - saved_s > run.config.save_every_s:
            _save(run, state_path, optimizer)
            saved_s = time.monotonic()


def _trained(run: _Run, name: str) -> list[torch.nn.Parameter]:
    """Parameters of a phase."""
    visual = list(run.model.model.visual.parameters())
    if name == "vision":
        return [*visual, *run.head.parameters()]
    language = list(run.model.model.language_model.parameters())
    return [*visual, *language, *run.head.parameters()] if name == "joint" else language


def _schedule(step: int, phase: PhaseConfig) -> float:
    """Rises linearly, then falls as a cosine to a fiftieth."""
    if step < phase.warmup:
        return (step + 1) / phase.warmup
    share = (step - phase.warmup) / max(1, phase.steps - phase.warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))


def _vision_loss(run: _Run, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
    """Dense loss on frames of both sizes."""
    total = torch.zeros(())
    shown: dict[str, float] = {}
    for kind, count in (("video", run.config.vision_video_frames), ("key", run.config.vision_key_frames)):
        rgb, targets = draw_frames(run.rooms, kind, count, rng)
        loss, measured = dense_loss(run.head(encode_frames(run.model.model.visual, rgb)), targets)
        total = total + loss
        shown |= {f"{kind}_{name}": value for name, value in measured.items()}
    return total, shown


def _text_loss(
    run: _Run, rng: np.random.Generator, *, live: bool, video: bool
) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of replies, on the features of a frozen tower or (``live``) on a tower that learns too.

    ``video`` False leaves out whole videos: single frames teach finding an object sooner and cost less.
    """
    config = run.config
    groups: dict[str, list[PackedRow]] = {"video": [], "key": []}
    for index in rng.choice(
        len(run.rooms), min(config.rooms_per_step, len(run.rooms)), replace=False
    ).tolist():
        room = run.rooms[index]
        frames = rng.permutation(len(room.views.key.rgb))[: config.key_frames_per_room].tolist()
        drawn = [video_row(room, run.packer, config.questions_per_row, rng)] if video else []
        drawn += [key_row(room, frame, run.packer, config.questions_per_row, rng) for frame in frames]
        for packed in drawn:
            if packed is not None:
                groups[packed.kind].append(packed)
    total = torch.zeros(())
    shown: dict[str, float] = {}
    for kind, rows in groups.items():
        if rows:
            loss, right = rows_loss(run.model, rows, run.numbers, live)
            total = total + loss
            shown |= {f"{kind}_loss": float(loss.detach()), f"{kind}_right": right}
    return total, shown


def rows_loss(
    model: Any, rows: list[PackedRow], numbers: SoftNumbers, live: bool
) -> tuple[torch.Tensor, float]:
    """Mean loss over the reply tokens of some rows, and the share of them that would be written."""
    batch, states = packed_states(model, rows, live)
    row, place = batch.learned.unbind(1)
    logits = model.lm_head(states[row, place - 1])
    target = batch.ids[row, place]
    loss = numbers.loss(logits, target, batch.is_answer).mean()
    return loss, float((logits.argmax(-1) == target).float().mean())


def packed_states(model: Any, rows: list[PackedRow], live: bool) -> tuple[Batch, torch.Tensor]:
    """The batch that some rows make, and the language model's (B, L, hidden) states of it."""
    batch = collate([packed.row for packed in rows], model.config.text_config.pad_token_id)
    features = torch.cat([_features(model, packed, live) for packed in rows])
    embeds = model.get_input_embeddings()(batch.ids)
    embeds = embeds.masked_scatter(batch.is_image[..., None], features.to(embeds.dtype))
    output = model.model.language_model(
        inputs_embeds=embeds, position_ids=batch.positions, attention_mask=batch.mask, use_cache=False
    )
    return batch, output.last_hidden_state


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


def _save(run: _Run, path: Path, optimizer: torch.optim.Optimizer | None) -> None:
    """Write the state; the file appears whole or not at all."""
    partial = path.with_suffix(".partial")
    state = {
        "config": run.config.model_dump(),
        "phase": run.phase,
        "step": run.step,
        "model": run.model.state_dict(),
        "head": run.head.state_dict(),
        "optimizer": optimizer.state_dict() if optimizer is not None else None,
    }
    torch.save(state, partial)
    partial.replace(path)


def _load(run: _Run, path: Path) -> None:
    state = torch.load(path, weights_only=True)
    run.model.load_state_dict(state["model"])
    run.head.load_state_dict(state["head"])
    run.phase, run.step, run.optimizer_state = state["phase"], state["step"], state["optimizer"]
