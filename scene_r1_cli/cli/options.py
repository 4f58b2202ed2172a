"""Options that several commands share. Flags default to "not given": defaults live in the config models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scene_r1_cli.cli import completion
from scene_r1_cli.errors import UsageError

ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option("--config", help="YAML file; may be given more than once, later files win."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="One config value, as in --set lifting.min_points=50.", metavar="KEY=VALUE"),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Model, tracker and sampling together, e.g. qwen2.5-vl-7b.",
        autocompletion=completion.presets,
    ),
]
SceneName = Annotated[
    str,
    typer.Argument(
        help="Capture folder, .sens file, scene id in the store, or demo.", autocompletion=completion.scenes
    ),
]
RunPath = Annotated[Path, typer.Argument(help="Run directory.", autocompletion=completion.runs)]
ConfigName = Annotated[
    str, typer.Argument(help="As `configs list` names it.", autocompletion=completion.configs)
]
Think = Annotated[
    bool | None,
    typer.Option(
        "--think/--no-think", help="Ask for reasoning before the answer, or not.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr, errors only.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan; load no model, write nothing.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Run directory.", show_default="runs/<date>_<command>_<name>")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on in an existing run directory.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Empty an existing run directory first.")]
Store = Annotated[
    Path | None,
    typer.Option("--store", envvar="SCENER1_STORE", help="Folder of prepared scenes.", show_default="data"),
]
Source = Annotated[
    str | None, typer.Option("--source", help="Capture format, when detection is wrong.", metavar="NAME")
]


def think_flags(think: bool | None) -> dict[str, bool | None]:
    """What ``--no-think`` sets: every question a model is asked."""
    return {f"{stage}.think": think for stage in ("span", "box", "answer")}


def parse_numbers(text: str, count: int, option: str, example: str) -> tuple[float, ...]:
    """Numbers separated by commas, as in ``--box 10,20,200,220``.

    Raises:
        UsageError: Not ``count`` finite numbers.
    """
    parts = text.split(",")
    try:
        values = tuple(float(part) for part in parts)
    except ValueError:
        values = ()
    if len(values) != count or not all(abs(value) < float("inf") for value in values):
        raise UsageError(
            f"{option} takes {count} numbers separated by commas, not {text!r}.",
            f"For example: {option} {example}",
        )
    return values
