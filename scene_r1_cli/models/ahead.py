"""Asks all questions about the same frames at once, while the pipeline asks them one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence

from scene_r1_cli.config import SamplingConfig
from scene_r1_cli.models.families import Family
from scene_r1_cli.models.vlm import VLM, Asked, AsksOne, Reply

BATCH = 16

MAX_ROWS = 128
"""Replies written at once, where several are drawn for each question."""


class AskedAhead(AsksOne):
    """A VLM that is told which questions will come, and answers them in batches behind one prefix.

    The first question about some frames brings the replies of those that are expected next about the same
    frames; replies are those of asking alone, also where they are drawn (see ``generate_groups``).

    Args:
        vlm: The model.
        batch: Questions asked at once.
    """

    def __init__(self, vlm: VLM, batch: int = BATCH) -> None:
        self._vlm, self._batch = vlm, batch
        self._expected: list[str] = []
        self._replies: dict[tuple[Hashable, ...], list[Reply]] = {}

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
        """See VLM; what is not one expected question, asked once or several times, is passed on."""
        questions = {suffix for _, suffixes in asked for suffix in suffixes}
        if len(asked) != 1 or len(questions) != 1 or not questions <= set(self._expected):
            return self._vlm.generate_each(asked, max_new_tokens=max_new_tokens, sampling=sampling)
        (prefix, suffixes), count = asked[0], len(asked[0].suffixes)
        frames = hashlib.sha256(prefix.frames_rgb.tobytes() + prefix.timestamps_s.tobytes()).hexdigest()
        settings = (frames, max_new_tokens, repr(sampling), count)
        if (*settings, suffixes[0]) not in self._replies:
            first = self._expected.index(suffixes[0])
            num_questions = max(1, min(self._batch, MAX_ROWS // count))
            together = list(dict.fromkeys(self._expected[first : first + num_questions]))
            repeated = [text for text in together for _ in range(count)]
            replies = self._vlm.generate(prefix, repeated, max_new_tokens=max_new_tokens, sampling=sampling)
            for number, text in enumerate(together):
                self._replies[*settings, text] = replies[number * count : (number + 1) * count]
        return [self._replies[*settings, suffixes[0]]]
