"""Shows GRPO as it learns: a table drawn anew after each step, or a line a step without a terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from scene_r1_cli.cli import output

SHOWN = {
    "reward": "reward",
    "rewards/span_iou/mean": "span IoU",
    "rewards/box_iou/mean": "box IoU",
    "rewards/answer/mean": "answer",
    "rewards/format/mean": "format",
    "reward_std": "spread in a group",
    "frac_reward_zero_std": "groups without spread",
    "kl": "KL to the start",
    "entropy": "entropy",
    "completions/mean_length": "tokens",
    "completions/clipped_ratio": "cut replies",
    "step_time": "seconds",
}
"""What TRL measures, and how it is told."""

WINDOW = 20
COLUMNS = ("", "now", f"last {WINDOW}", f"first {WINDOW}")


class TrainingTable:
    """What was measured, step by step.

    Args:
        draw: Shows title, columns and rows; None prints a line a step.
        clock: Seconds; a test has its own.
    """

    def __init__(
        self,
        draw: Callable[[str, Sequence[str], Sequence[Sequence[str]]], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._draw, self._clock = draw, clock
        self._rows: list[Mapping[str, float]] = []
        self._begun: tuple[float, int] | None = None

    def __call__(self, step: int, steps: int, measured: Mapping[str, float]) -> None:
        """See ``training.watch.Progress``."""
        if "reward" not in measured:
            return
        self._rows.append(measured)
        eta = self._eta(step, steps)
        if self._draw is None:
            shown = " ".join(
                f"{text} {measured[name]:.3f}" for name, text in SHOWN.items() if name in measured
            )
            output.note(f"step {step}/{steps} ({eta}) {shown}")
            return
        self._draw(f"step {step}/{steps}, {eta}", COLUMNS, self.table())

    def table(self) -> list[list[str]]:
        """A row for everything measured: now, and means of the last and first steps of this start."""
        now = self._rows[-1]
        ends = (self._rows[-WINDOW:], self._rows[:WINDOW])
        return [
            [text, f"{now[name]:.3f}", *(f"{_mean(part, name):.3f}" for part in ends)]
            for name, text in SHOWN.items()
            if name in now
        ]

    def _eta(self, step: int, steps: int) -> str:
        """Time to the end at the mean pace since the first step of this start, which also made ready."""
        if self._begun is None:
            self._begun = (self._clock(), step)
        begun_s, first = self._begun
        if step == first:
            return "timing"
        minutes = (self._clock() - begun_s) / (step - first) * (steps - step) / 60
        return f"{minutes:.0f} min left" if minutes < 120 else f"{minutes / 60:.1f} h left"


def _mean(rows: Sequence[Mapping[str, float]], name: str) -> float:
    values = [row[name] for row in rows if name in row]
    return sum(values) / len(values) if values else math.nan


@contextmanager
def training_table() -> Iterator[TrainingTable]:
    """A table on stderr while training."""
    with output.live_table() as draw:
        yield TrainingTable(draw)
