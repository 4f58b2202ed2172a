"""Makes pocket from nothing: its vision tower, its language model, both, and at last where to look.

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

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.data.rooms import split_seeds
from scene_r1_cli.errors import InputError
from scene_r1_cli.models.checkpoint import load_checkpoint
from scene_r1_cli.models.pocket import POCKET, pocket_path
from scene_r1_cli.models.pocket.build import HIDDEN, LAYERS, build_model, save_checkpoint
from scene_r1_cli.models.pocket.encode import encode_frames
from scene_r1_cli.models.pocket.tokens import build_tokenizer
from scene_r1_cli.training.dense import DenseHead, dense_loss
from scene_r1_cli.training.language import PlaceHead, Scores, draw_rows, rows_loss
from scene_r1_cli.training.packing import Packer, SoftNumbers
from scene_r1_cli.training.pocket_data import PackedRow, TrainingRoom, draw_frames
from scene_r1_cli.training.replies import box_questions, frames_in, name_of, room_questions, span_reply
from scene_r1_cli.training.room_views import make_views
from scene_r1_cli.training.warm_start import warm_start
from scene_r1_cli.training_config import PhaseConfig, PocketConfig

logger = logging.getLogger(__name__)

PHASES = ("vision", "language", "joint", "look")
CORPUS_ROOMS = 60
"""Rooms whose sentences and replies the tokenizer learns its words from."""

SETTLE_STEPS = 150
"""A checkpoint has no head that reads places; for so long a new one learns without teaching the model."""

VAL_EVERY_FRAME = 4
"""Of a held-out room's key frames, every fourth is asked about."""

Progress = Callable[[str, int, int, Mapping[str, float]], None]
"""Told phase, steps done, steps in all, and what was measured at the last one."""


@dataclass
class _Run:
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
        self.packer = Packer(self.tokenizer)
        self.numbers = SoftNumbers(self.tokenizer, self.config.sigma_px, self.config.sigma_s)


def train_pocket(config: PocketConfig, out: Path, *, resume: bool, progress: Progress) -> Path:
    """Make pocket, or go on from ``config.start``.

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
    train, val = split_seeds("train")[: config.train_rooms], split_seeds("val")[: config.val_rooms]
    every = []
    for count, path in enumerate(make_views(out / "views", [*val, *train], config.views), start=1):
        every.append(TrainingRoom.load(path))
        progress("rooms", count, len(val) + len(train), {})
    val_rooms, rooms = every[: len(val)], every[len(val) :]
    torch.manual_seed(config.seed)
    if config.start is None:
        tokenizer = build_tokenizer(_corpus(rooms[:CORPUS_ROOMS]))
        model, phase = build_model(tokenizer, config.seed), 0
    else:
        model, tokenizer = _start_from(config.start)
        phase = PHASES.index("look")
    if config.bfloat16 is None:
        config = config.model_copy(update={"bfloat16": _multiplies_bfloat16()})
    run = _Run(config, model, DenseHead(), PlaceHead(), tokenizer, rooms, val_rooms, phase)
    if resume:
        _load(run, state_path)
    while run.phase < len(PHASES):
        _train_phase(run, state_path, progress)
        run.phase, run.step, run.optimizer_state = run.phase + 1, 0, None
        _save(run, state_path, None)
    save_checkpoint(out / "checkpoint", run.model, tokenizer)
    return out / "checkpoint"


def _multiplies_bfloat16() -> bool:
    """Without such instructions bfloat16 is emulated, some thirty times slower than float32."""
    can = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(can.get("amx_bf16") or can.get("avx512_bf16"))


def _start_from(name: str) -> tuple[Any, Any]:
    """Model and tokenizer of a checkpoint of pocket's architecture.

    Raises:
        InputError: The checkpoint is of another architecture.
        SetupError: There is no such checkpoint.
    """
    name_or_folder = str(pocket_path()) if name == POCKET else name
    model, processor, _ = load_checkpoint(ModelConfig(name=name_or_folder, device="cpu", dtype="float32"))
    text = model.config.text_config
    if (text.hidden_size, text.num_hidden_layers) != (HIDDEN, LAYERS):
        raise InputError(
            f"{name} is no model of pocket's architecture.", "train-sft makes and continues pocket."
        )
    tokenizer: Any = processor.tokenizer  # pyright: ignore
    return model, tokenizer


def _corpus(rooms: list[TrainingRoom]) -> list[str]:
    """Texts that the tokenizer learns words from: what is asked of a room, and replies to it."""
    rng = np.random.default_rng(0)
    texts: list[str] = []
    for room in rooms:
        for sentence in room.views.sentences:
            if len(seen_s := frames_in(room.views, sentence.run_s)):
                name = name_of(room.views, sentence.object_id)
                texts += [sentence.text, span_reply(name, seen_s.tolist(), sentence.run_s)]
        about = [*box_questions(room.views, 0, rng), *room_questions(room.views, rng)]
        texts += [text for question in about for text in (question.text, question.reply)]
    return texts


def _train_phase(run: _Run, state_path: Path, progress: Progress) -> None:
    name = PHASES[run.phase]
    if name == "language" and run.step == 0:
        warm_start(run.model, run.head, run.tokenizer)
    phase: PhaseConfig = getattr(run.config, name)
    trained = _trained(run, name)
    places = list(run.place.parameters()) if name != "vision" else []
    optimizer = torch.optim.AdamW(
        [*trained, *places], lr=phase.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    if run.optimizer_state is not None:
        optimizer.load_state_dict(run.optimizer_state)
    # An earlier phase may have trained the tower since.
    for room in [*run.rooms, *run.val_rooms]:
        room.features.clear()
    run.model.train()
    saved_s = time.monotonic()
    while run.step < phase.steps:
        for group in optimizer.param_groups:
            group["lr"] = phase.learning_rate * _schedule(run.step, phase)
        rng = np.random.default_rng([run.config.seed, run.phase, run.step])
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(run.config.bfloat16)):
            if name == "vision":
                loss, shown = _vision_loss(run, rng)
            else:
                video = name != "language" or run.step >= run.config.video_from * phase.steps
                loss, shown = _text_loss(run, rng, name, video=video)
                if name == "joint":
                    dense, seen = _vision_loss(run, rng)
                    loss, shown = loss + dense, shown | seen
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for part in (trained, places):
            torch.nn.utils.clip_grad_norm_(part, 1.0)
        optimizer.step()
        run.step += 1
        if name != "vision" and (run.step % run.config.validate_every == 0 or run.step == phase.steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=bool(run.config.bfloat16)):
                shown |= _validate(run, name)
        progress(name, run.step, phase.steps, {"loss": float(loss.detach()), **shown})
        if time.monotonic() - saved_s > run.config.save_every_s:
            _save(run, state_path, optimizer)
            saved_s = time.monotonic()


def _trained(run: _Run, name: str) -> list[torch.nn.Parameter]:
    """Parameters of a phase, beside the head that reads places."""
    vision = [*run.model.model.visual.parameters(), *run.head.parameters()]
    language = list(run.model.model.language_model.parameters())
    return {"vision": vision, "joint": [*vision, *language]}.get(name, language)


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
    run: _Run, rng: np.random.Generator, name: str, *, video: bool
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
            room,
            frames,
            run.packer,
            config.questions_per_row,
            rng,
            video=video,
            answers=answers,
            think=config.think,
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


def _rows_loss(run: _Run, rows: list[PackedRow], name: str) -> tuple[torch.Tensor, Scores]:
    return rows_loss(
        run.model,
        run.place,
        rows,
        run.numbers,
        live=name == "joint",
        look=name == "look",
        settle=run.settles,
    )


def _validate(run: _Run, name: str) -> dict[str, float]:
    """Mean loss and IoU on held-out rooms, given the truth up to each token; the same questions each time."""
    rng = np.random.default_rng(0)
    losses: dict[str, list[float]] = {}
    run.model.eval()
    for room in run.val_rooms:
        frames = range(0, len(room.views.key.rgb), VAL_EVERY_FRAME)
        rows = draw_rows(
            room,
            frames,
            run.packer,
            run.config.questions_per_row,
            rng,
            video=True,
            think=run.config.think,
        )
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


def _save(run: _Run, path: Path, optimizer: torch.optim.Optimizer | None) -> None:
    """Write the state; the file appears whole or not at all."""
    partial = path.with_suffix(".partial")
    state = {
        "config": run.config.model_dump(),
        "phase": run.phase,
        "step": run.step,
        "model": run.model.state_dict(),
        "head": run.head.state_dict(),
        "place": run.place.state_dict(),
        "optimizer": optimizer.state_dict() if optimizer is not None else None,
    }
    torch.save(state, partial)
    partial.replace(path)


def _load(run: _Run, path: Path) -> None:
    state = torch.load(path, weights_only=True)
    run.model.load_state_dict(state["model"])
    run.head.load_state_dict(state["head"])
    run.place.load_state_dict(state["place"])
    run.phase, run.step, run.optimizer_state = state["phase"], state["step"], state["optimizer"]
