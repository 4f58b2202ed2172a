"""Watches GRPO learn: what each logged step measured, and known sicknesses by name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from scene_r1_cli.run_dir import RunDir

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, Mapping[str, float]], object]

ZERO_SPREAD_TOLD = 0.95
STUCK_LOGS = 5
TREND_LOGS = 20
FORM_ROSE, SCORE_FLAT = 0.15, 0.02
FORM_REWARD = "rewards/format/mean"
TASK_REWARDS = ("rewards/span_iou/mean", "rewards/box_iou/mean", "rewards/answer/mean")


def reporter(run: RunDir, progress: Progress | None) -> Any:
    """Writes what TRL measures to ``train.jsonl`` and warns, by name, of known sicknesses."""
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):
        def __init__(self) -> None:
            self._rows: list[dict[str, float]] = []
            self._told: set[str] = set()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if not logs or not state.is_world_process_zero:
                return
            row = {name: float(value) for name, value in logs.items() if isinstance(value, int | float)}
            run.append_training({"step": state.global_step, **row})
            if progress is not None:
                progress(state.global_step, state.max_steps, row)
            if "reward" in row:
                self._rows.append(row)
                for name, advice in sicknesses(self._rows):
                    if name not in self._told:
                        self._told.add(name)
                        logger.warning("%s: %s", name, advice)

    return Reporter()


def sicknesses(rows: list[dict[str, float]]) -> list[tuple[str, str]]:
    """Known ways in which GRPO learns nothing; none if it is too early.

    Most are seen in the last STUCK_LOGS logs; form without substance in the first and last TREND_LOGS.
    """
    recent = rows[-STUCK_LOGS:]
    if len(recent) < STUCK_LOGS:
        return []
    found = []
    task = next((name for name in recent[-1] if name in TASK_REWARDS), None)
    if task is not None and len(rows) >= 2 * TREND_LOGS and FORM_REWARD in recent[-1]:
        form, score = (
            _mean(rows[-TREND_LOGS:], name) - _mean(rows[:TREND_LOGS], name) for name in (FORM_REWARD, task)
        )
        if form > FORM_ROSE and score < SCORE_FLAT:
            found.append(
                (
                    "format reward up while IoU is flat",
                    "only the reply's form is learned; lower reward.format, or raise trl.num_generations",
                )
            )
    if all(row["reward"] == 0 for row in recent):
        found.append(
            ("reward stuck at 0", "no reply can be read; start from train-sft, or look at the prompt")
        )
    if all(row.get("frac_reward_zero_std", 0) >= ZERO_SPREAD_TOLD for row in recent):
        found.append(
            (
                "all groups with zero spread",
                "all completions of a prompt earn the same, so nothing is learned; raise trl.temperature or "
                "trl.num_generations, or take harder queries",
            )
        )
    if all(row.get("completions/clipped_ratio", 0) >= ZERO_SPREAD_TOLD for row in recent):
        found.append(("all completions are cut", "raise trl.max_completion_length"))
    return found


def _mean(rows: list[dict[str, float]], name: str) -> float:
    return sum(row.get(name, 0.0) for row in rows) / len(rows)
