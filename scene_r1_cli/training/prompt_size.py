"""How long prompts are, and frames that keep them below a limit; image tokens are never cut."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.errors import ConfigError
from scene_r1_cli.grpo_config import Stage
from scene_r1_cli.models.transformers_vlm import TransformersVLM
from scene_r1_cli.training.grpo_data import PromptDataset
from scene_r1_cli.training.samples import Sample

logger = logging.getLogger(__name__)

FEWEST_FRAMES = 8
"""A video is shown with fewer frames down to this number, then with smaller ones."""
SIDE_STEP_PX = 28
SMALLEST_SIDE_PX = 56


def prompt_lengths(dataset: PromptDataset, vlm: TransformersVLM) -> list[int]:
    """Tokens of every prompt of a data set; no image is read."""
    lengths: list[int] = []
    number = 0
    while number < len(dataset):
        # Samples of one scene follow each other; their frames have the same size and number.
        path = dataset.sample(number).path
        prefix, _ = dataset.blank_prompt_of(number)
        texts = []
        while number < len(dataset) and dataset.sample(number).path == path:
            texts.append(dataset.blank_prompt_of(number)[1])
            number += 1
        lengths += vlm.count_tokens(prefix, texts)
    return lengths


def fit_frames(
    stage: Stage, samples: Sequence[Sample], vlm: TransformersVLM, config: GroundConfig, limit: int
) -> GroundConfig:
    """Settings whose prompts have at most ``limit`` tokens: fewer frames, then smaller ones.

    All prompts of a run are made with the same settings, which inference can be given too.

    Raises:
        ConfigError: The smallest frames are too many tokens, or the text alone is.
    """
    fitted = config
    while True:
        lengths = prompt_lengths(PromptDataset(stage, samples, vlm, fitted), vlm)
        longest = max(range(len(lengths)), key=lengths.__getitem__)
        if lengths[longest] <= limit:
            break
        # Only the longest is counted again and again; at last all are.
        one, tokens = [samples[longest]], lengths[longest]
        while tokens > limit:
            fitted = _smaller(stage, fitted, tokens, limit)
            tokens = max(prompt_lengths(PromptDataset(stage, one, vlm, fitted), vlm))
    changed = {
        "video.max_frames": (config.video.max_frames, fitted.video.max_frames),
        "video.max_side_px": (config.video.max_side_px, fitted.video.max_side_px),
        "box.max_side_px": (config.box.max_side_px, fitted.box.max_side_px),
    }
    told = " ".join(f"--set {name}={new}" for name, (old, new) in changed.items() if new != old)
    if told:
        logger.warning("max_prompt_tokens %d takes smaller prompts; use the model with: %s", limit, told)
    return fitted


def _smaller(stage: Stage, config: GroundConfig, tokens: int, limit: int) -> GroundConfig:
    """One step towards fewer tokens."""
    frames = config.video.max_frames
    if stage != "image" and frames > FEWEST_FRAMES:
        fewer = max(FEWEST_FRAMES, min(frames - 1, frames * limit // tokens))
        return config.model_copy(update={"video": config.video.model_copy(update={"max_frames": fewer})})
    part = "box" if stage == "image" else "video"
    settings = getattr(config, part)
    side = settings.max_side_px - SIDE_STEP_PX
    if side < SMALLEST_SIDE_PX:
        raise ConfigError(
            f"max_prompt_tokens {limit} is too low: with the smallest frames a prompt has {tokens} tokens.",
            "Raise it.",
        )
    return config.model_copy(update={part: settings.model_copy(update={"max_side_px": side})})
