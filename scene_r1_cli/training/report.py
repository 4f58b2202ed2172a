"""The page of a training run: curves, and replies while it learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.stages.report import write_jpeg
from scene_r1_cli.training.grpo_data import PromptDataset
from scene_r1_cli.viewer.html import write_page

NUM_SAMPLES = 12
SHEET_FRAMES = 12
SHEET_COLUMNS = 6
SHEET_SIDE_PX = 160

CURVES = {
    "reward": "reward",
    "reward_std": "spread of rewards in a group",
    "frac_reward_zero_std": "share of groups without spread",
    "entropy": "entropy",
    "kl": "KL to the start",
    "completions/mean_length": "tokens of a reply",
    "completions/clipped_ratio": "share of replies that were cut",
    "loss": "loss",
    "grad_norm": "gradient norm",
    "step_time": "seconds a step",
}


class SampleLog:
    """Keeps the replies to one prompt now and then, with what they earned and the frames of the prompt.

    Args:
        run: Where ``samples.jsonl`` and the pictures go.
        dataset: The prompts.
    """

    def __init__(self, run: RunDir, dataset: PromptDataset) -> None:
        self._run, self._dataset = run, dataset
        self._last_step = -1

    def add(self, state: Any, numbers: Sequence[int], texts: Sequence[str], rewards: Sequence[float]) -> None:
        """Keep the first prompt's replies if it is time."""
        every = max(1, int(state.max_steps) // NUM_SAMPLES)
        step = int(state.global_step)
        if not state.is_world_process_zero or step % every or step == self._last_step:
            return
        self._last_step = step
        rows = [place for place, number in enumerate(numbers) if number == numbers[0]]
        name = f"samples/{step:06d}.jpg"
        prefix, _ = self._dataset.prompt_of(numbers[0])
        write_jpeg(self._run.report_dir / name, contact_sheet(prefix.frames_rgb))
        sample = self._dataset.sample(numbers[0])
        self._run.append_sample(
            {
                "step": step,
                "scene_id": sample.label.scene_id,
                "query": sample.label.text,
                "truth": self._dataset.truth_text(numbers[0]),
                "picture": name,
                "replies": [{"text": texts[row], "reward": float(rewards[row])} for row in rows],
            }
        )


def contact_sheet(frames_rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 picture of at most SHEET_FRAMES of the (T, h, w, 3) frames, in rows."""
    import cv2

    places = np.linspace(0, len(frames_rgb) - 1, min(len(frames_rgb), SHEET_FRAMES)).astype(int)
    scale = SHEET_SIDE_PX / max(frames_rgb.shape[1:3])
    small = [
        cv2.resize(frames_rgb[place], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for place in places
    ]
    columns = min(SHEET_COLUMNS, len(small))
    small += [np.zeros_like(small[0])] * (-len(small) % columns)
    rows = [np.concatenate(small[i : i + columns], axis=1) for i in range(0, len(small), columns)]
    return np.concatenate(rows)


def write_training_report(run: RunDir, title: str, start: str, status: str) -> Path:
    """Write ``report/index.html`` from ``train.jsonl`` and ``samples.jsonl``; returns its path."""
    by_step = {row["step"]: row for row in run.read_training() if "reward" in row}
    rows = [by_step[step] for step in sorted(by_step)]
    names = [
        name for row in rows[:1] for name in row if name.startswith("rewards/") and name.endswith("/mean")
    ]
    titles = {name: f"reward {name.split('/')[1]}" for name in names} | CURVES
    curves = [
        {"title": text, "values": [_finite(row.get(name)) for row in rows]}
        for name, text in titles.items()
        if any(_finite(row.get(name)) is not None for row in rows)
    ]
    window = max(1, len(rows) // 12)
    facts = []
    for name in [*names, "reward"] if rows else []:
        ends = [np.mean([row[name] for row in part]) for part in (rows[:window], rows[-window:])]
        facts.append((f"{titles[name]}, first and last {window}", f"{ends[0]:.3f} → {ends[1]:.3f}"))
    samples = {row["step"]: row for row in run.read_samples()}
    values = {
        "title": title,
        "steps": len(rows),
        "status": status,
        "start": start,
        "facts": facts,
        "window": window,
        "samples": [samples[step] for step in sorted(samples)],
    }
    data = {"steps": [row["step"] for row in rows], "curves": curves, "window": window}
    return write_page(run.report_dir, "training.html", values, data=data, scripts=("training.js",))


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
