"""Asks all questions about the same frames at once, while the pipeline asks them one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from scene_r1_cli.config import SamplingConfig
from scene_r1_cli.models.families import Family
from scene_r1_cli.models.vlm import VLM, Asked, AsksOne, Reply

BATCH = 16


class AskedAhead(AsksOne):
    """A VLM that is told which questions will come, and answers them in batches behind one prefix.

    The first question about some frames brings the replies of those that are expected next about the same
    frames; replies are those of asking alone (greedy decoding; see ``generate_groups``).

    Args:
        vlm: The model.
        batch: Questions asked at once.
    """

    def __init__(self, vlm: VLM, batch: int = BATCH) -> None:
        self._vlm, self._batch = vlm, batch
        self._expected: list[str] = []
        self._replies: dict[tuple[str, str, int], Reply] = {}

    @property
    def name(self) -> str:
        """See VLM."""
        return self._vlm.name

    @property
    def family(self) -> Family:
        """See VLM."""
        return self._vlm.family

    def model_size_wh(self, original_wh: tuple[int, int], max_side_px: int) -> tuple[int, int]:
        """See VLM."""
        return self._vlm.model_size_wh(original_wh, max_side_px)

    def expect(self, suffixes: Sequence[str]) -> None:
        """Questions that will be asked about the same frames, in order; replies to others are forgotten."""
        self._expected = list(suffixes)
        self._replies.clear()

    def generate_each(
        self, asked: Sequence[Asked], *, max_new_tokens: int, sampling: SamplingConfig | None = None
    ) -> list[list[Reply]]:
        """See VLM; what is not one expected question is passed on."""
        questions = [suffix for _, suffixes in asked for suffix in suffixes]
        if len(questions) != 1 or sampling is not None or questions[0] not in self._expected:
            return self._vlm.generate_each(asked, max_new_tokens=max_new_tokens, sampling=sampling)
        (prefix, _), (suffix,) = asked[0], questions
        frames = hashlib.sha256(prefix.frames_rgb.tobytes() + prefix.timestamps_s.tobytes()).hexdigest()
        key = (frames, suffix, max_new_tokens)
        if key not in self._replies:
            first = self._expected.index(suffix)
            together = list(dict.fromkeys(self._expected[first : first + self._batch]))
            replies = self._vlm.generate(prefix, together, max_new_tokens=max_new_tokens)
            self._replies |= {
                (frames, text, max_new_tokens): reply for text, reply in zip(together, replies, strict=True)
            }
        return [[self._replies[key]]]
