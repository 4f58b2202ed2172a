"""``scener1 runs``, ``configs`` and ``doctor``: what is there, and what is missing."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from scene_r1_cli.cli import options, output
from scene_r1_cli.errors import InputError, UsageError

EXIT_MISSING = 4

runs_app = typer.Typer(help="List, show or remove runs.", no_args_is_help=True)
configs_app = typer.Typer(help="List, show, copy or check configurations.", no_args_is_help=True)

RunsFolder = Annotated[Path, typer.Option("--runs", help="Folder of runs.")]


@runs_app.command("list")
def list_runs(folder: RunsFolder = Path("runs"), as_json: options.AsJson = False) -> None:
    """List runs, the latest last.

    Examples:

      scener1 runs list

      scener1 runs list --runs elsewhere --json
    """
    from scene_r1_cli.run_dir import find_runs

    found = find_runs(folder)
    if as_json:
        rows = [{"path": str(path), **_brief(manifest)} for path, manifest in found]
        output.print_json({"schema_version": 1, "runs": rows})
        return
    for path, manifest in found:
        output.print_data(f"{path}  {manifest['command']}  {manifest['status']}  {manifest['started_at']}")
    if not found:
        output.note(f"no runs in {folder}")


@runs_app.command("show")
def show_run(run: options.RunPath, as_json: options.AsJson = False) -> None:
    """Show what a run was asked, how it ended, and what is in it.

    Examples:

      scener1 runs show runs/2026-01-01_120000_ground_demo

      scener1 runs show runs/2026-01-01_120000_ground_demo --json
    """
    from scene_r1_cli.run_dir import open_run

    opened = open_run(run)
    manifest = opened.manifest()
    rows = opened.read_predictions()
    failed = sum(row["status"] == "failed" for row in rows)
    if as_json:
        output.print_json({**manifest, "path": str(run), "predictions": len(rows), "failed": failed})
        return
    for name in ("command", "status", "started_at", "finished_at", "scener1_version"):
        output.print_data(f"{name:16} {manifest[name]}")
    output.print_data(f"{'typed':16} {shlex.join(['scener1', *manifest['argv']])}")
    if rows:
        output.print_data(f"{'predictions':16} {len(rows)}, {failed} failed")
    page = opened.report_dir / "index.html"
    if page.is_file():
        output.next_step(f"open {page}")


@runs_app.command("export")
def export_run(
    run: options.RunPath,
    to: Annotated[Path, typer.Argument(help="HTML file to write; it must not be there yet.")],
) -> None:
    """Write a run's report as one file, to send or to keep.

    Examples:

      scener1 runs export runs/2026-01-01_120000_ground_bed bed.html

      scener1 runs export runs/temporal curves.html
    """
    from scene_r1_cli.files import write_text
    from scene_r1_cli.run_dir import open_run
    from scene_r1_cli.viewer.html import single_file

    if to.exists():
        raise UsageError(f"{to} is there already.", "Name another file, or delete it first.")
    write_text(to, single_file(open_run(run).report_dir))
    output.print_data(str(to))


@runs_app.command("merge")
def merge_run(
    run: Annotated[Path, typer.Argument(help="Training run, or one of its checkpoints.")],
    to: Annotated[Path, typer.Argument(help="Folder to write; it must not be there yet.")],
) -> None:
    """Write a checkpoint as one folder that any server loads, LoRA weights merged into the model's.

    Of a run the trained model, or its last checkpoint if it did not end.

    Examples:

      scener1 runs merge runs/temporal merged

      scener1 runs merge runs/temporal/checkpoints/checkpoint-200 merged
    """
    from scene_r1_cli.models.checkpoint import load_as_stored
    from scene_r1_cli.run_dir import last_model_in, write_model

    if to.exists():
        raise UsageError(f"{to} is there already.", "Name another folder, or delete it first.")
    source = last_model_in(run)
    model, processor = load_as_stored(str(source))
    write_model(to, model, processor, f"# Written by scener1 runs merge\n\nFrom {source}.\n")
    output.print_data(str(to))
    output.next_step(f'scener1 ground SCENE "the chair" --model {to}')


@runs_app.command("rm")
def remove_run(
    run: options.RunPath,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a run directory; anything that is no run is refused.

    Examples:

      scener1 runs rm runs/2026-01-01_120000_ground_demo

      scener1 runs rm runs/2026-01-01_120000_ground_demo --yes
    """
    from scene_r1_cli.run_dir import open_run

    opened = open_run(run)
    if not yes:
        typer.confirm(f"Delete {run}?", abort=True, err=True)
    shutil.rmtree(opened.path)
    output.note(f"deleted {run}")


@configs_app.command("list")
def list_configs() -> None:
    """List the configurations that are shipped.

    Examples:

      scener1 configs list

      scener1 configs list | grep train
    """
    from scene_r1_cli.models.presets import shipped_configs

    for name in sorted(shipped_configs()):
        output.print_data(name)


@configs_app.command("show")
def show_config(name: options.ConfigName) -> None:
    """Print a shipped configuration with its comments.

    Examples:

      scener1 configs show ground/pocket

      scener1 configs show train/paper-7b-temporal
    """
    output.print_data(_path_of(name).read_text(encoding="utf-8").rstrip())


@configs_app.command("copy")
def copy_config(
    name: options.ConfigName,
    to: Annotated[Path, typer.Argument(help="File to write; it must not be there yet.")],
) -> None:
    """Copy a shipped configuration, to change it.

    Examples:

      scener1 configs copy ground/qwen2.5-vl-7b mine.yaml

      scener1 configs copy train/pocket-temporal mine.yaml
    """
    from scene_r1_cli.files import write_text

    source = _path_of(name)
    if to.exists():
        raise UsageError(f"{to} is there already.", "Give another name.")
    write_text(to, source.read_text(encoding="utf-8"))
    output.next_step(f"scener1 configs check {to}")


@configs_app.command("check")
def check_config(
    file: Annotated[Path, typer.Argument(help="YAML file.")],
    command: Annotated[
        str, typer.Option("--for", help="ground, preprocess, train-sft or train (GRPO).")
    ] = "ground",
) -> None:
    """Check a configuration file without running anything.

    Examples:

      scener1 configs check mine.yaml

      scener1 configs check mine.yaml --for train
    """
    from scene_r1_cli.config_load import load_config, load_settings
    from scene_r1_cli.grpo_config import GrpoConfig
    from scene_r1_cli.preprocess_config import PreprocessConfig
    from scene_r1_cli.training_config import PocketConfig

    if command == "ground":
        load_config(files=[file])
    elif command == "preprocess":
        load_settings(PreprocessConfig, files=[file])
    elif command == "train":
        load_settings(GrpoConfig, files=[file])
    elif command == "train-sft":
        load_settings(PocketConfig, files=[file])
    else:
        raise UsageError(f"--for takes ground, preprocess, train or train-sft, not {command!r}.")
    output.print_data(f"{file} is accepted by {command}")


def doctor(
    scannet_root: Annotated[
        Path | None, typer.Option("--scannet-root", help="Also check a ScanNet folder.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Check this machine: versions, GPU, memory, disk, packages, and what each missing thing costs.

    Examples:

      scener1 doctor

      scener1 doctor --scannet-root scannet --json
    """
    from scene_r1_cli.doctor import examine

    checks = examine(scannet_root)
    if as_json:
        output.print_json({"schema_version": 1, "checks": [check.as_json() for check in checks]})
    else:
        for check in checks:
            output.print_data(
                f"{'ok  ' if check.ok else 'MISS' if check.needed else '-   '} {check.name}: {check.found}"
            )
            if not check.ok:
                output.print_data(f"       without it: {check.cost}")
                output.print_data(f"       to mend it: {check.mend}")
    if any(check.needed and not check.ok for check in checks):
        raise typer.Exit(EXIT_MISSING)


def _brief(manifest: dict[str, Any]) -> dict[str, Any]:
    return {name: manifest.get(name) for name in ("command", "status", "started_at", "finished_at")}


def _path_of(name: str) -> Path:
    from difflib import get_close_matches

    from scene_r1_cli.models.presets import shipped_configs

    shipped = shipped_configs()
    found = shipped.get(name.removesuffix(".yaml"))
    if found is None:
        close = get_close_matches(name, shipped, n=1)
        raise InputError(
            f"There is no shipped configuration {name!r}.",
            f"Did you mean {close[0]}?" if close else "See: scener1 configs list",
        )
    return found
