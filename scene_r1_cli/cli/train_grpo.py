"""``scener1 train-temporal``, ``train-image``, ``train-qa``: GRPO with task-level labels."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from scene_r1_cli.cli import options, output
from scene_r1_cli.cli.training_table import training_table
from scene_r1_cli.errors import UsageError

if TYPE_CHECKING:
    from scene_r1_cli.grpo_config import GrpoConfig, Stage

logger = logging.getLogger(__name__)

Model = Annotated[
    str | None, typer.Option("--model", help="Checkpoint or run to start from, else the preset's model.")
]
ReportTo = Annotated[
    str | None,
    typer.Option(
        "--report-to",
        help="Where else curves go: tensorboard, wandb, trackio, none; several with commas.",
        show_default="tensorboard",
    ),
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
    think: options.Think = None,
    report_to: ReportTo = None,
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
    choices = _Choices(config, sets, preset, model, shared_prefix, think, report_to)
    _train("temporal", choices, store, out, resume, overwrite, dry_run, as_json, quiet)


def train_image(
    config: options.ConfigFiles = None,
    sets: options.Sets = None,
    preset: options.Preset = None,
    model: Model = None,
    shared_prefix: SharedPrefix = None,
    think: options.Think = None,
    report_to: ReportTo = None,
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
    choices = _Choices(config, sets, preset, model, shared_prefix, think, report_to)
    _train("image", choices, store, out, resume, overwrite, dry_run, as_json, quiet)


def train_qa(
    config: options.ConfigFiles = None,
    sets: options.Sets = None,
    preset: options.Preset = None,
    model: Model = None,
    shared_prefix: SharedPrefix = None,
    think: options.Think = None,
    report_to: ReportTo = None,
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
    choices = _Choices(config, sets, preset, model, shared_prefix, think, report_to)
    _train("qa", choices, store, out, resume, overwrite, dry_run, as_json, quiet)


class _Choices(NamedTuple):
    """What decides the settings."""

    config: list[Path] | None
    sets: list[str] | None
    preset: str | None
    model: str | None
    shared_prefix: bool | None
    think: bool | None
    report_to: str | None


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
    from scene_r1_cli.data.store import DEFAULT_STORE
    from scene_r1_cli.models.presets import preset_path
    from scene_r1_cli.run_dir import RunDir

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    is_main = int(os.environ.get("RANK", "0")) == 0
    if processes > 1 and out is None:
        raise UsageError(f"{processes} processes need one run directory.", "Name it with --out.")
    settings = _settings(stage, choices, out, resume=resume, quiet=quiet or not is_main)
    preset_path(settings.preset)
    if dry_run:
        output.print_data(settings.model_dump_json(indent=2))
        return
    from scene_r1_cli.training.grpo import check_store, train_grpo
    from scene_r1_cli.training.report import write_training_report

    check_store(store or DEFAULT_STORE, settings)
    path = out or RunDir.default_path(f"train-{stage}", settings.preset)
    if not is_main:
        train_grpo(stage, settings, RunDir.joined(path), store or DEFAULT_STORE, resume=resume)
        return
    run = RunDir(path, resume=resume, overwrite=overwrite)
    run.start(f"train-{stage}", settings.model_dump(mode="json"), sys.argv[1:])
    status = "interrupted"
    try:
        with output.logging_to(run.log_path, quiet=quiet), training_table() as table:
            trained = train_grpo(
                stage,
                settings,
                run,
                store or DEFAULT_STORE,
                resume=resume,
                progress=None if quiet else table,
                tell=_teller(quiet),
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


def _settings(stage: Stage, choices: _Choices, out: Path | None, *, resume: bool, quiet: bool) -> GrpoConfig:
    """The settings; unless told otherwise, stage 2 starts from the latest stage 1 of its preset beside it.

    A resumed run goes on from what it started from.
    """
    from scene_r1_cli.config_load import load_settings
    from scene_r1_cli.grpo_config import GrpoConfig
    from scene_r1_cli.run_dir import RunDir, latest_run

    reported = None if choices.report_to is None else choices.report_to.split(",")
    flags = {
        "preset": choices.preset,
        "model": choices.model,
        "shared_prefix": choices.shared_prefix,
        "think": choices.think,
        "trl.report_to": reported,
    }
    settings = load_settings(GrpoConfig, files=choices.config or (), sets=choices.sets or (), flags=flags)
    if stage != "image" or settings.model is not None:
        return settings
    if resume and out is not None and (before := RunDir.joined(out).config()) is not None:
        return settings.model_copy(update={"model": before.get("model")})
    first = latest_run(Path("runs") if out is None else out.parent, "train-temporal", settings.preset)
    if first is None:
        return settings
    if not quiet:
        output.note(f"starting from stage 1, {first}; --model NAME starts from another")
    return settings.model_copy(update={"model": str(first)})


def _teller(quiet: bool) -> Callable[[str], None]:
    """Tells people and the log."""

    def tell(text: str) -> None:
        logger.info(text)
        if not quiet:
            output.note(text)

    return tell
