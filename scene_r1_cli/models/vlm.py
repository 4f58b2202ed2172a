"""What every vision-language model looks like to the stages: frames first, then questions about them.

A *prefix* is a scene's frames with their times, a *suffix* one question. All questions of a scene share
its prefix, so an implementation may encode and prefill it once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from scene_r1_cli.config import SamplingConfig

if TYPE_CHECKING:
    from scene_r1_cli.models.families import Family

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class VideoPrefix:
    """Frames the model sees before the question.

    Attributes:
        frames_rgb: (T, H, W, 3) uint8, T >= 1, already at the model's own size (``VLM.model_size_wh``).
        timestamps_s: (T,) seconds since the first source frame, rising.
    """

    frames_rgb: np.ndarray
    timestamps_s: np.ndarray

    def __post_init__(self) -> None:
        shape = self.frames_rgb.shape
        if self.frames_rgb.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or shape[0] == 0:
            raise ValueError(f"frames_rgb is (T >= 1, H, W, 3) uint8, not {shape} {self.frames_rgb.dtype}")
        if np.shape(self.timestamps_s) != (shape[0],):
            raise ValueError(f"{shape[0]} frames need as many timestamps, not {np.shape(self.timestamps_s)}")

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the frames in pixels."""
        return int(self.frames_rgb.shape[2]), int(self.frames_rgb.shape[1])

    def parts(self) -> Iterator[str | np.ndarray]:
        """The prefix as the model reads it: each frame's time as text, then the frame (H, W, 3)."""
        for time_s, frame_rgb in zip(self.timestamps_s.tolist(), self.frames_rgb, strict=True):
            yield time_text(time_s)
            yield frame_rgb


def time_text(time_s: float) -> str:
    """A frame's time as written before it. Text, so seconds never depend on a processor's fps default."""
    return f"<{time_s:.1f} seconds>"


@dataclass(frozen=True)
class Reply:
    """One reply of a model.

    Attributes:
        text: What the model wrote, without special tokens; the prompt is never part of it.
        finish_reason: ``length`` when ``max_new_tokens`` cut the reply.
        num_prompt_tokens: Tokens of prefix and suffix together; None when a server does not say.
        num_new_tokens: Tokens written, including the one that ends the reply; None when not known.
    """

    text: str
    finish_reason: FinishReason
    num_prompt_tokens: int | None
    num_new_tokens: int | None


@dataclass(frozen=True)
class Exchange:
    """One question, the reply, and what was understood: a row of ``vlm.jsonl`` (plain JSON types only).

    Attributes:
        stage: ``span``, ``box`` or ``answer``.
        model: ``VLM.name``.
        prompt: The suffix as sent.
        prompt_hash: Identity of the prompt's wording; see ``prompts.prompt_hash``.
        attempt: 0 for the first time this was asked.
        frame_indices: Source indices of the frames of the prefix.
        model_size_wh: Size at which the model saw them.
        reply: Raw reply.
        finish_reason: See Reply.
        num_prompt_tokens: See Reply.
        num_new_tokens: See Reply.
        parsed: What the parser read; None when it could not.
        error: Why it could not; None when it could.
    """

    stage: str
    model: str
    prompt: str
    prompt_hash: str
    attempt: int
    frame_indices: tuple[int, ...]
    model_size_wh: tuple[int, int]
    reply: str
    finish_reason: FinishReason
    num_prompt_tokens: int | None
    num_new_tokens: int | None
    parsed: Mapping[str, Any] | None
    error: str | None


Record = Callable[[Mapping[str, Any]], None]
"""Told every exchange (``asdict(Exchange)``) as it happens, so that those of a failing stage are kept too."""


class Asked(NamedTuple):
    """Questions about the same frames, which are at ``VLM.model_size_wh``."""

    prefix: VideoPrefix
    suffixes: Sequence[str]


def times_before(texts: Sequence[str]) -> list[int]:
    """How often each text stands before itself: what tells the replies drawn to one question apart."""
    seen: Counter[str] = Counter()
    times = []
    for text in texts:
        times.append(seen[text])
        seen[text] += 1
    return times


class VLM(Protocol):
    """A vision-language model."""

    @property
    def name(self) -> str:
        """Checkpoint or served model, for people and fingerprints."""
        ...

    @property
    def family(self) -> Family:
        """Image grid and box convention."""
        ...

    def model_size_wh(self, original_wh: tuple[int, int], max_side_px: int) -> tuple[int, int]:
        """The size at which this model should be given an image, so that it is not resized again."""
        ...

    def generate(
        self,
        prefix: VideoPrefix,
        suffixes: Sequence[str],
        *,
        max_new_tokens: int,
        sampling: SamplingConfig | None = None,
    ) -> list[Reply]:
        """Answer each question about the same frames.

        Args:
            prefix: The frames, at ``model_size_wh``.
            suffixes: Questions; none gives no replies.
            max_new_tokens: Longest reply.
            sampling: How to decode; None is what the model was loaded with.

        Returns:
            One reply per suffix, in order.

        Raises:
            SetupError: The model cannot be reached or does not fit.
        """
        ...

    def generate_each(
        self, asked: Sequence[Asked], *, max_new_tokens: int, sampling: SamplingConfig | None = None
    ) -> list[list[Reply]]:
        """As ``generate``, about the frames of several prefixes at once; one list of replies per prefix."""
        ...


class AsksOne:
    """``VLM.generate`` by way of ``generate_each``."""

    def generate(
        self: VLM,
        prefix: VideoPrefix,
        suffixes: Sequence[str],
        *,
        max_new_tokens: int,
        sampling: SamplingConfig | None = None,
    ) -> list[Reply]:
        """See ``VLM.generate``; raises as ``generate_each``."""
        asked = [Asked(prefix, suffixes)]
        (replies,) = self.generate_each(asked, max_new_tokens=max_new_tokens, sampling=sampling)
        return replies
