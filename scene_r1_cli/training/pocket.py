"""Makes pocket from nothing: its vision tower, its language model, both, and at last where to look.

A plain loop instead of a trainer: the first phase has no text, and the second feeds features instead of
pixels, which is what makes two cores enough. A GPU encodes the frames each time, and has other processes draw
and pack them (``workers``). Kill it at any step; ``resume`` goes on from the last save
with the same data order.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.data.rooms import split_seeds
from scene_r1_cli.errors import ConfigError, InputError
from scene_r1_cli.models.checkpoint import choose_device, load_checkpoint
from scene_r1_cli.models.pocket import POCKET, pocket_path
from scene_r1_cli.models.pocket.build import HIDDEN, LAYERS, build_model, save_checkpoint
from scene_r1_cli.models.pocket.tokens import build_tokenizer
from scene_r1_cli.training.dense import DenseHead
from scene_r1_cli.training.language import PlaceHead
from scene_r1_cli.training.pocket_data import TrainingRoom
from scene_r1_cli.training.pocket_run import PocketRun, check_settings, step_loss, validate
from scene_r1_cli.training.replies import box_questions, frames_in, name_of, room_questions, span_reply
from scene_r1_cli.training.room_views import make_views
from scene_r1_cli.training.step_data import PHASES, moved, steps_data, trains_tower
from scene_r1_cli.training.warm_start import warm_start
from scene_r1_cli.training_config import PhaseConfig, PocketConfig, ViewsConfig

CORPUS_ROOMS = 60
"""Rooms whose sentences and replies the tokenizer learns its words from."""

Progress = Callable[[str, int, int, Mapping[str, float]], None]
"""Told phase, steps done, steps in all, and what was measured at the last one."""


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
        InputError: Nothing to resume or a state of other sizes or settings, or a run is there and ``resume``
            is not asked for.
        SetupError: The device is not there.
        ConfigError: It is no device, or the train split has fewer rooms.
    """
    state_path = out / "state.pt"
    if resume != state_path.is_file():
        what = "holds no state.pt to resume from" if resume else "already holds a run"
        raise InputError(
            f"{out} {what}.", "Leave out --resume." if resume else "Use --resume or another --out."
        )
    if resume:
        check_settings(state_path, config)
    device = choose_device(config.device, "device")
    torch.set_num_threads(config.threads)
    every_train = split_seeds("train")
    train = every_train[config.first_room :][: config.train_rooms]
    if len(train) < config.train_rooms:
        raise ConfigError(
            f"The train split has {len(every_train)} rooms; first_room and train_rooms ask for "
            f"{config.first_room + config.train_rooms}."
        )
    val = split_seeds("val")[: config.val_rooms]
    every = []
    for room in _made_rooms(out / "views", [*val, *train], config):
        every.append(room)
        progress("rooms", len(every), len(val) + len(train), {})
    val_rooms, rooms = every[: len(val)], every[len(val) :]
    torch.manual_seed(config.seed)
    if config.start is None:
        tokenizer = build_tokenizer(_corpus(rooms[:CORPUS_ROOMS]))
        model, phase = build_model(tokenizer, config.seed), 0
    else:
        model, tokenizer = _start_from(config.start)
        phase = PHASES.index("look")
    if config.bfloat16 is None:
        config = config.model_copy(update={"bfloat16": _multiplies_bfloat16(device)})
    run = PocketRun(config, model, DenseHead(), PlaceHead(), tokenizer, rooms, val_rooms, device, phase)
    if resume:
        run.load(state_path)
    while run.phase < len(PHASES):
        _train_phase(run, state_path, progress)
        run.phase, run.step, run.optimizer_state = run.phase + 1, 0, None
        run.save(state_path, None)
    save_checkpoint(out / "checkpoint", run.model, tokenizer)
    return out / "checkpoint"


def _made_rooms(folder: Path, seeds: Sequence[int], config: PocketConfig) -> Iterator[TrainingRoom]:
    """Rooms in order; they are rendered where they are not there yet."""
    make = partial(_made_room, folder, config.views)
    if not config.workers:
        yield from map(make, seeds)
        return
    # Open3D, which renders, does not survive a fork.
    with multiprocessing.get_context("spawn").Pool(config.workers) as pool:
        yield from pool.imap(make, seeds)


def _made_room(folder: Path, config: ViewsConfig, seed: int) -> TrainingRoom:
    (path,) = make_views(folder, [seed], config)
    return TrainingRoom.load(path)


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Without such instructions bfloat16 is emulated, some thirty times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
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


def _train_phase(run: PocketRun, state_path: Path, progress: Progress) -> None:
    name = PHASES[run.phase]
    if name == "language" and run.step == 0:
        warm_start(run.model, run.head, run.tokenizer)
    phase: PhaseConfig = getattr(run.config, name)
    trained = _trained(run, name)
    places = list(run.place.parameters()) if name != "vision" else []
    optimizer = torch.optim.AdamW(
        [*trained, *places], lr=phase.learning_rate, betas=(0.9, 0.98), weight_decay=0.01,
        fused=run.device.type == "cuda",
    )  # fmt: skip
    if run.optimizer_state is not None:
        optimizer.load_state_dict(run.optimizer_state)
        for group in optimizer.param_groups:
            group["fused"] = run.device.type == "cuda"  # The state may come from another device.
    # An earlier phase may have trained the tower since.
    for room in [*run.rooms, *run.val_rooms]:
        room.features.clear()
    run.model.train()
    saved_s = time.monotonic()
    kind, bfloat16 = run.device.type, bool(run.config.bfloat16)
    for data in steps_data(run.drawer(), run.step, phase.steps, run.config.workers):
        for group in optimizer.param_groups:
            group["lr"] = phase.learning_rate * _schedule(run.step, phase)
        with torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
            loss, measured = step_loss(run, moved(data, run.device), name)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for part in (trained, places):
            torch.nn.utils.clip_grad_norm_(part, 1.0)
        optimizer.step()
        run.step += 1
        shown = {"loss": float(loss.detach())} | {what: float(value) for what, value in measured.items()}
        if name != "vision" and (run.step % run.config.validate_every == 0 or run.step == phase.steps):
            with torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
                shown |= validate(run, name)
        progress(name, run.step, phase.steps, shown)
        if time.monotonic() - saved_s > run.config.save_every_s:
            run.save(state_path, optimizer)
            saved_s = time.monotonic()


def _trained(run: PocketRun, name: str) -> list[torch.nn.Parameter]:
    """Parameters of a phase, beside the head that reads places."""
    vision = [*run.model.model.visual.parameters(), *run.head.parameters()]
    language = list(run.model.model.language_model.parameters())
    if name == "vision":
        return vision
    return [*vision, *language] if trains_tower(run.config, name) else language


def _schedule(step: int, phase: PhaseConfig) -> float:
    """Rises linearly, then falls as a cosine to a fiftieth."""
    if step < phase.warmup:
        return (step + 1) / phase.warmup
    share = (step - phase.warmup) / max(1, phase.steps - phase.warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))
