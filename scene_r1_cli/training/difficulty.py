"""Leaves out queries that the start model always or never gets right: such groups teach nothing.

A few replies are drawn for each query and scored with the task's reward. What was found is kept in the store
and belongs to the model, the prompts and the settings, so no run asks again and a killed one goes on.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scene_r1_cli.config import GroundConfig, SamplingConfig
from scene_r1_cli.data.store import CACHE_FOLDER
from scene_r1_cli.errors import InputError
from scene_r1_cli.fingerprint import fingerprint
from scene_r1_cli.grpo_config import DifficultyConfig, Stage
from scene_r1_cli.models.checkpoint import weights_fingerprint
from scene_r1_cli.models.prompts import PromptStage, prompt_hash
from scene_r1_cli.models.vlm import VLM
from scene_r1_cli.training.grpo_data import PromptDataset
from scene_r1_cli.training.samples import Sample

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 64
TELL_EVERY_S = 10.0
PROMPTS: dict[Stage, PromptStage] = {"temporal": "span", "image": "box", "qa": "answer"}
Score = Callable[[str, int], float]
"""What a reply earns, by the sample's number."""


def difficulty_file(
    stage: Stage, config: DifficultyConfig, ground: GroundConfig, model: str, max_tokens: int, store: Path
) -> Path:
    """Where rewards of the start model are kept; another model or prompt has another file."""
    think = {"temporal": ground.span, "image": ground.box, "qa": ground.answer}[stage].think
    frames = ground.box.max_side_px if stage == "image" else ground.video
    asked = [weights_fingerprint(model), prompt_hash(PROMPTS[stage], think), frames, max_tokens]
    identity = fingerprint(stage, *asked, config.replies, config.temperature)
    return store / CACHE_FOLDER / "difficulty" / f"{stage}-{identity}.jsonl"


def measure_difficulty(
    dataset: PromptDataset,
    vlm: VLM,
    score: Score,
    config: DifficultyConfig,
    file: Path,
    max_tokens: int,
    *,
    part: tuple[int, int] = (0, 1),
    tell: Callable[[str], object] = logger.info,
) -> None:
    """Draw and score replies to every query that has none in ``file`` yet.

    Args:
        dataset: The queries.
        vlm: The start model.
        score: See ``Score``.
        config: How many replies.
        file: Rows are added to it, or to one of its own per process.
        max_tokens: Longest reply.
        part: This process and the number of them; each asks a part of the queries.
        tell: Told now and then how far this part is.
    """
    known = read_difficulty(file)
    rank, processes = part
    asked = [n for n in range(len(dataset)) if dataset.sample(n).key not in known][rank::processes]
    own = file if processes == 1 else file.with_suffix(f".{rank}.jsonl")
    own.parent.mkdir(parents=True, exist_ok=True)
    sampling = SamplingConfig(temperature=config.temperature)
    begun_s = told_s = time.monotonic()
    done = 0
    with own.open("ab", buffering=0) as out:
        for numbers in _alike(dataset, asked, max(1, ROWS_AT_ONCE // config.replies)):
            prefix = dataset.prompt_of(numbers[0])[0]
            texts = [dataset.prompt_of(number)[1] for number in numbers for _ in range(config.replies)]
            replies = vlm.generate(prefix, texts, max_new_tokens=max_tokens, sampling=sampling)
            for place, number in enumerate(numbers):
                of_query = replies[place * config.replies : (place + 1) * config.replies]
                rewards = [score(reply.text, number) for reply in of_query]
                row = {"key": dataset.sample(number).key, "rewards": rewards}
                out.write(f"{json.dumps(row)}\n".encode())
            done += len(numbers)
            now_s = time.monotonic()
            if now_s - told_s > TELL_EVERY_S:
                told_s, left_s = now_s, (now_s - begun_s) / done * (len(asked) - done)
                tell(f"difficulty {done}/{len(asked)} ({left_s / 60:.0f} min left)")


def read_difficulty(file: Path) -> dict[tuple[Any, ...], list[float]]:
    """Rewards of each query that was asked; a line that a full disk cut is none."""
    found = {}
    for path in sorted(file.parent.glob(f"{file.stem}*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            found[tuple(row["key"])] = row["rewards"]
    return found


def choose_by_difficulty(
    samples: Sequence[Sample], rewards: dict[tuple[Any, ...], list[float]], config: DifficultyConfig
) -> list[Sample]:
    """Samples that are neither too easy nor too hard, in order.

    Raises:
        InputError: None is left.
    """
    hard = [sample for sample in samples if max(rewards[sample.key]) <= config.low]
    easy = [sample for sample in samples if min(rewards[sample.key]) >= config.high]
    left_out = {sample.key for sample in (*hard, *easy)}
    kept = [sample for sample in samples if sample.key not in left_out]
    told = f"of {len(samples)} queries {len(hard)} are too hard and {len(easy)} too easy for the start model"
    if not kept:
        raise InputError(
            f"{told.capitalize()}: none is left.", "Change data.difficulty, or start from train-sft."
        )
    logger.warning("%s; %d are left", told, len(kept))
    return kept


def _alike(dataset: PromptDataset, numbers: Sequence[int], most: int) -> Iterator[list[int]]:
    """Numbers that follow each other and share their frames, at most ``most`` at a time."""
    batch: list[int] = []
    for number in numbers:
        one, other = dataset.sample(number), dataset.sample(batch[0]) if batch else None
        is_alike = other is not None and (one.path, one.frame) == (other.path, other.frame)
        if batch and (not is_alike or len(batch) == most):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
