"""``scener1 train-sft``: makes pocket, the small model, from rooms."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from scene_r1_cli.cli import options, output

REPORT_EVERY_S = 10.0


def train_sft(
    config: Annotated[Path, typer.Option("--config", help="YAML file, e.g. configs/train/pocket.yaml.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder.")] = Path("runs/pocket"),
    resume: options.Resume = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Train pocket from nothing on synthetic rooms.

    Renders rooms, trains the vision tower on dense labels, then the language model on its features, then
    both. Can be killed at any step and resumed.

    Examples:

      scener1 train-sft --config configs/train/pocket.yaml

      scener1 train-sft --config configs/train/pocket.yaml --resume
    """
    from scene_r1_cli.config_load import load_settings
    from scene_r1_cli.training_config import PocketConfig

    settings = load_settings(PocketConfig, files=[config])
    if dry_run:
        output.print_data(settings.model_dump_json(indent=2))
        return
    from scene_r1_cli.training.pocket import train_pocket

    with output.going_on():
        checkpoint = train_pocket(settings, out, resume=resume, progress=_Reporter())
    if as_json:
        output.print_json({"schema_version": 1, "checkpoint": str(checkpoint)})
    else:
        output.print_data(str(checkpoint))
    output.next_step(f'scener1 ground SCENE "the brown chair" --model {checkpoint}')


class _Reporter:
    """A line on stderr every few seconds: phase, step, what was measured lately, time to the phase's end."""

    def __init__(self) -> None:
        self._phase = ""
        self._begun = (0.0, 0)
        self._shown_s = 0.0
        self._means: dict[str, float] = {}

    def __call__(self, phase: str, step: int, steps: int, measured: Mapping[str, float]) -> None:
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._begun, self._means = phase, (now, step), {}
        for name, value in measured.items():
            # A figure of held-out rooms is a mean already, and so rare that an average of it would lag.
            weight = 1.0 if name.startswith("val_") else 0.05
            before = self._means.get(name, value)
            self._means[name] = before + weight * (value - before)
        if now - self._shown_s < REPORT_EVERY_S and step < steps:
            return
        self._shown_s = now
        begun_s, first = self._begun
        left_s = (now - begun_s) / (step - first) * (steps - step) if step > first else None
        eta = f"{left_s / 60:.0f} min left" if left_s is not None else "timing"
        shown = " ".join(f"{name} {value:.3f}" for name, value in self._means.items())
        output.note(f"{phase} {step}/{steps} ({eta}) {shown}")
