"""Asks a model one question about some frames, and once more if the reply cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from scene_r1_cli.models.parse import ParseFailure, parse_think
from scene_r1_cli.models.prompts import PromptStage, ask_again, prompt_hash
from scene_r1_cli.models.vlm import VLM, Exchange, Record, Reply, VideoPrefix

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Understood(Generic[T]):
    """A reply that could be read: what it says and the reasoning before it (empty if none)."""

    value: T
    rationale: str


def ask(
    vlm: VLM,
    prefix: VideoPrefix,
    prompt: str,
    parse: Callable[[str], T | ParseFailure],
    *,
    stage: PromptStage,
    think: bool = True,
    frame_indices: Sequence[int],
    max_new_tokens: int,
    retries: int,
    record: Record | None,
) -> Understood[T] | ParseFailure:
    """Ask until the reply can be read, at most ``1 + retries`` times.

    Args:
        vlm: The model.
        prefix: The frames.
        prompt: The question.
        parse: Reads a reply.
        stage: For the record.
        think: Whether the prompt asks for reasoning; for the record.
        frame_indices: Source indices of the frames, for the record.
        max_new_tokens: Longest reply.
        retries: How often to ask again, telling the model what was wrong.
        record: Told every exchange; None if nobody listens.

    Returns:
        What the model said, or why its last reply could not be read.
    """
    outcome: T | ParseFailure = ParseFailure("no_answer", "the model was not asked")
    suffix = prompt
    for attempt in range(1 + retries):
        reply = vlm.generate(prefix, [suffix], max_new_tokens=max_new_tokens)[0]
        outcome = parse(reply.text)
        if record is not None:
            record(_row(vlm, prefix, suffix, reply, outcome, stage, think, attempt, frame_indices))
        if not isinstance(outcome, ParseFailure):
            return Understood(outcome, parse_think(reply.text))
        logger.info("%s: reply %d cannot be read: %s", stage, attempt + 1, outcome.detail)
        suffix = ask_again(prompt, outcome.code)
    return outcome


def _row(
    vlm: VLM,
    prefix: VideoPrefix,
    suffix: str,
    reply: Reply,
    outcome: Any,
    stage: PromptStage,
    think: bool,
    attempt: int,
    frame_indices: Sequence[int],
) -> dict[str, Any]:
    failure = outcome if isinstance(outcome, ParseFailure) else None
    return asdict(
        Exchange(
            stage=stage,
            model=vlm.name,
            prompt=suffix,
            prompt_hash=prompt_hash(stage, think),
            attempt=attempt,
            frame_indices=tuple(int(index) for index in frame_indices),
            model_size_wh=prefix.size_wh,
            reply=reply.text,
            finish_reason=reply.finish_reason,
            num_prompt_tokens=reply.num_prompt_tokens,
            num_new_tokens=reply.num_new_tokens,
            parsed=None if failure else asdict(outcome),
            error=f"{failure.code}: {failure.detail}" if failure else None,
        )
    )
