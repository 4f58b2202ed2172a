"""Asks a model one question about some frames, and once more if no reply can be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from scene_r1_cli.config import SamplingConfig
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
    """Ask until the reply can be read, at most ``1 + retries`` times; arguments as of ``ask_several``.

    Returns:
        What the model said, or why its last reply could not be read.
    """
    found = ask_several(
        vlm,
        prefix,
        prompt,
        parse,
        stage=stage,
        think=think,
        frame_indices=frame_indices,
        max_new_tokens=max_new_tokens,
        retries=retries,
        record=record,
    )
    return found if isinstance(found, ParseFailure) else found[0]


def ask_several(
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
    replies: int = 1,
    sampling: SamplingConfig | None = None,
) -> list[Understood[T]] | ParseFailure:
    """Ask for several replies until one of them can be read, at most ``1 + retries`` times.

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
        replies: How many to draw at a time.
        sampling: How to decode; None is what the model was loaded with.

    Returns:
        What the replies say that can be read, at least one, or why the last reply could not be read.
    """
    failure = ParseFailure("no_answer", "the model was not asked")
    suffix = prompt
    for attempt in range(1 + retries):
        understood = []
        for reply in vlm.generate(
            prefix, [suffix] * replies, max_new_tokens=max_new_tokens, sampling=sampling
        ):
            outcome = parse(reply.text)
            if record is not None:
                record(_row(vlm, prefix, suffix, reply, outcome, stage, think, attempt, frame_indices))
            if isinstance(outcome, ParseFailure):
                failure = outcome
            else:
                understood.append(Understood(outcome, parse_think(reply.text)))
        if understood:
            return understood
        logger.info("%s: reply %d cannot be read: %s", stage, attempt + 1, failure.detail)
        suffix = ask_again(prompt, failure.code)
    return failure


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
