"""``scener1 train-temporal``, ``train-image``, ``train-qa``: GRPO with task-level labels."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from scene_r1_cli.cli import options, output

if TYPE_CHECKING:
    from scene_r1_cli.grpo_config import Stage

SHOWN = {
    "reward": "reward",
    "rewards/span_iou/mean": "span IoU",
    "rewards/box_iou/mean": "box IoU",
    "rewards/answer/mean": "answer",
    "rewards/format/mean": "format",
    "frac_reward_zero_std": "groups without spread",
    "completions/mean_length": "tokens",
    "step_time": "seconds",
}
"""What TRL measures, and how it is told."""

Model = Annotated[
    str | None, typer.Option("--model", help="Checkpoint or run to start from, else the preset's model.")
]
SharedPrefix = Annotated[
    bool | None,
    typer.Option(
        "--shared-prefix/--no-shared-prefix",
        help="Compute a prompt once a group; off: stock TRL.",
        show_default=False,
    ),
]


def train_temporal(
    config: options.ConfigFiles = None,
    sets: options.Sets = None,
    preset: options.Preset = None,
    model: Model = None,
    shared_prefix: SharedPrefix = None,
    store: options.Store = None,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Stage 1: learn by GRPO when an object is seen.

    The reward is the IoU of the span with the best-matching visible run, plus the reply's form.

    Examples:

      scener1 train-temporal --config configs/train/pocket-temporal.yaml

      accelerate launch -m scene_r1_cli.cli train-temporal --config configs/train/paper-7b-temporal.yaml
    """
    choices = _Choices(config, sets, preset, model, shared_prefix)
    _train("temporal", choices, store, out, resume, overwrite, dry_run, as_json, quiet)


def train_image(
    config: options.ConfigFiles = None,
    sets: options.Sets = None,
    preset: options.Preset = None,
    model: Model = None,
    shared_prefix: SharedPrefix = None,
    store: options.Store = None,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Stage 2: learn by GRPO where an object is in a key frame.

    The reward is the 2D IoU in pixels of the original image, plus the reply's form.

    Examples:

      scener1 train-image --config configs/train/pocket-image.yaml --model runs/temporal

      scener1 train-image --config configs/train/pocket-image.yaml --set trl.max_steps=50
    """
    choices = _Choices(config, sets, preset, model, shared_prefix)
    _train("image", choices, store, out, resume, overwrite, dry_run, as_json, quiet)


def train_qa(
    config: options.ConfigFiles = None,
    sets: options.Sets = None,
    preset: options.Preset = None,
    model: Model = None,
    shared_prefix: SharedPrefix = None,
    store: options.Store = None,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Learn by GRPO to answer questions about a scene.

    The reward is an exact match for texts and choices and mean relative accuracy for numbers, plus the
    reply's form.

    Examples:

      scener1 train-qa --config configs/train/pocket-qa.yaml

      scener1 train-qa --config configs/train/pocket-qa.yaml --resume --out runs/qa
    """
    choices = _Choices(config, sets, preset, model, shared_prefix)
    _train("qa", choices, store, out, resume, overwrite, dry_run, as_json, quiet)


class _Choices(NamedTuple):
    """What decides the settings."""

    config: list[Path] | None
    sets: list[str] | None
    preset: str | None
    model: str | None
    shared_prefix: bool | None


def _train(
    stage: Stage,
    choices: _Choices,
    store: Path | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from scene_r1_cli.config_load import load_settings
    from scene_r1_cli.data.store import DEFAULT_STORE
    from scene_r1_cli.grpo_config import GrpoConfig
    from scene_r1_cli.models.presets import preset_path
    from scene_r1_cli.run_dir import RunDir

    flags = {"preset": choices.preset, "model": choices.model, "shared_prefix": choices.shared_prefix}
    settings = load_settings(GrpoConfig, files=choices.config or (), sets=choices.sets or (), flags=flags)
    preset_path(settings.preset)
    if dry_run:
        output.print_data(settings.model_dump_json(indent=2))
        return
    from scene_r1_cli.training.grpo import check_store, train_grpo
    from scene_r1_cli.training.report import write_training_report

    check_store(store or DEFAULT_STORE, settings)
    path = out or RunDir.default_path(f"train-{stage}", settings.preset)
    run = RunDir(path, resume=resume, overwrite=overwrite)
    run.start(f"train-{stage}", settings.model_dump(mode="json"), sys.argv[1:])
    status = "interrupted"
    try:
        with output.logging_to(run.log_path, quiet=quiet):
            trained = train_grpo(
                stage,
                settings,
                run,
                store or DEFAULT_STORE,
                resume=resume,
                progress=None if quiet else _tell,
            )
        status = "done"
    except KeyboardInterrupt:
        output.note(f"go on with: {output.command_again(sys.argv[1:], run.path, resume=True)}")
        raise
    finally:
        run.finish(status)
        write_training_report(run, f"train-{stage}", settings.model or settings.preset, status)
    if as_json:
        output.print_json({"schema_version": 1, "run_dir": str(run.path), "model": str(trained)})
    else:
        output.print_data(str(trained))
    if not quiet:
        output.next_step(f"scener1 evaluate --model {run.path}")


def _tell(step: int, steps: int, measured: Mapping[str, float]) -> None:
    shown = " ".join(f"{title} {measured[name]:.3f}" for name, title in SHOWN.items() if name in measured)
    if shown:
        output.note(f"step {step}/{steps} {shown}")
