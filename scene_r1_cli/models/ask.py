"""Asks a model a question about some frames, and once more if no reply can be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from scene_r1_cli.config import SamplingConfig
from scene_r1_cli.models.parse import ParseFailure, parse_think
from scene_r1_cli.models.prompts import PromptStage, ask_again, prompt_hash
from scene_r1_cli.models.vlm import VLM, Asked, Exchange, Record, Reply, VideoPrefix

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Understood(Generic[T]):
    """A reply that could be read: what it says and the reasoning before it (empty if none)."""

    value: T
    rationale: str


class Frames(NamedTuple):
    """What a question is about.

    Attributes:
        prefix: The frames.
        indices: Their source indices, for the record.
    """

    prefix: VideoPrefix
    indices: Sequence[int]


def ask_each(
    vlm: VLM,
    frames: Sequence[Frames],
    prompt: str,
    parse: Callable[[str], T | ParseFailure],
    *,
    stage: PromptStage,
    think: bool = True,
    max_new_tokens: int,
    retries: int,
    record: Record | None,
    replies: int = 1,
    sampling: SamplingConfig | None = None,
) -> list[list[Understood[T]] | ParseFailure]:
    """Ask the same of several prefixes together, those without a reply that can be read again.

    Args:
        vlm: The model.
        frames: What is asked about.
        prompt: The question.
        parse: Reads a reply.
        stage: For the record.
        think: Whether the prompt asks for reasoning; for the record.
        max_new_tokens: Longest reply.
        retries: How often to ask again, telling the model what was wrong.
        record: Told every exchange; None if nobody listens.
        replies: How many to draw for each at a time.
        sampling: How to decode; None is what the model was loaded with.

    Returns:
        For each what its replies say that can be read, at least one, or why the last could not be read.
    """
    outcomes: list[list[Understood[T]] | ParseFailure] = [
        ParseFailure("no_answer", "the model was not asked") for _ in frames
    ]
    prompts = dict.fromkeys(range(len(frames)), prompt)
    for attempt in range(1 + retries):
        asked = [Asked(frames[place].prefix, [suffix] * replies) for place, suffix in prompts.items()]
        written = vlm.generate_each(asked, max_new_tokens=max_new_tokens, sampling=sampling) if asked else []
        for (place, suffix), of_place in zip(list(prompts.items()), written, strict=True):
            understood: list[Understood[T]] = []
            for reply in of_place:
                outcome = parse(reply.text)
                if record is not None:
                    record(_row(vlm, frames[place], suffix, reply, outcome, stage, think, attempt))
                if isinstance(outcome, ParseFailure):
                    outcomes[place] = outcome
                    prompts[place] = ask_again(prompt, outcome.code)
                    logger.info("%s: reply %d cannot be read: %s", stage, attempt + 1, outcome.detail)
                else:
                    understood.append(Understood(outcome, parse_think(reply.text)))
            if understood:
                outcomes[place] = understood
                del prompts[place]
    return outcomes


def _row(
    vlm: VLM,
    frames: Frames,
    suffix: str,
    reply: Reply,
    outcome: Any,
    stage: PromptStage,
    think: bool,
    attempt: int,
) -> dict[str, Any]:
    failure = outcome if isinstance(outcome, ParseFailure) else None
    return asdict(
        Exchange(
            stage=stage,
            model=vlm.name,
            prompt=suffix,
            prompt_hash=prompt_hash(stage, think),
            attempt=attempt,
            frame_indices=tuple(int(index) for index in frames.indices),
            model_size_wh=frames.prefix.size_wh,
            reply=reply.text,
            finish_reason=reply.finish_reason,
            num_prompt_tokens=reply.num_prompt_tokens,
            num_new_tokens=reply.num_new_tokens,
            parsed=None if failure else asdict(outcome),
            error=f"{failure.code}: {failure.detail}" if failure else None,
        )
    )
