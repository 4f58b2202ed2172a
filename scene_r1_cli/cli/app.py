"""The ``scener1`` command: commands are thin, errors become one sentence and an exit code."""

from __future__ import annotations

import os
import sys

import typer

from scene_r1_cli import __version__
from scene_r1_cli.cli import (
    demo,
    evaluate,
    ground,
    manage,
    output,
    preprocess,
    qa,
    rooms,
    train_grpo,
    train_sft,
    view,
)
from scene_r1_cli.cli.panels import INSPECT, PIPELINE, PROJECT, PanelGroup
from scene_r1_cli.errors import SceneR1Error, SetupError, is_disk_full

app = typer.Typer(
    name="scener1",
    cls=PanelGroup,
    help="Find an object in a 3D scene from a sentence and RGB-D video, and see why (Scene-R1).",
    epilog="First success, no download: scener1 demo",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.print_data(f"scener1 {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Options of scener1 itself."""


app.command("demo", rich_help_panel=PIPELINE)(demo.demo)
app.command("ground", rich_help_panel=PIPELINE)(ground.ground)
app.command("qa", rich_help_panel=PIPELINE)(qa.qa)
app.command("preprocess", rich_help_panel=PIPELINE)(preprocess.preprocess)
app.command("rooms", rich_help_panel=PIPELINE)(rooms.rooms)
app.command("evaluate", rich_help_panel=PIPELINE)(evaluate.evaluate)
app.command("train-temporal", rich_help_panel=PIPELINE)(train_grpo.train_temporal)
app.command("train-image", rich_help_panel=PIPELINE)(train_grpo.train_image)
app.command("train-qa", rich_help_panel=PIPELINE)(train_grpo.train_qa)
app.command("train-sft", rich_help_panel=PIPELINE)(train_sft.train_sft)
app.command("view", rich_help_panel=INSPECT)(view.view)
app.add_typer(manage.runs_app, name="runs", rich_help_panel=INSPECT)
app.add_typer(manage.configs_app, name="configs", rich_help_panel=PROJECT)
app.command("doctor", rich_help_panel=PROJECT)(manage.doctor)


def main() -> None:
    """Entry point: run a command, turn every outcome into an exit code.

    0 done, 1 a bug, 2 usage or config, 3 input data, 4 environment, 5 some items failed, 130 Ctrl-C.
    """
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False)
    except SceneR1Error as error:
        if debug:
            raise
        output.print_error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        output.note("interrupted")
        code = 130
    except BrokenPipeError:
        # The reader of stdout has gone (`scener1 ... | head`): not our failure, and nothing to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if is_disk_full(error) and not debug:
            told = _known_cause(error) or SetupError(
                "The disk is full.", "Free some space and go on with --resume."
            )
            output.print_error(told)
            code = told.exit_code
        elif isinstance(error, OSError) and error.filename is not None and not debug:
            error = _refused_by_the_system(error)
            output.print_error(error)
            code = error.exit_code
        else:
            code = _exit_code_of(error, debug)
    sys.exit(code or 0)


def _known_cause(error: BaseException | None) -> SceneR1Error | None:
    """The known error during whose handling this one came up, if any: what it says is more to the point."""
    while error is not None and not isinstance(error, SceneR1Error):
        error = error.__context__
    return error


def _refused_by_the_system(error: OSError) -> SetupError:
    """No permission, no space, no such place: the machine's fault or the path's, not scener1's."""
    return SetupError(
        f"{error.filename} cannot be read or written: {error.strerror}.",
        "Check the path, its permissions and the free disk space.",
    )


def _exit_code_of(error: Exception, debug: bool) -> int:
    """Exit code of an error that is not ours: typer's own usage errors show themselves."""
    show = getattr(error, "show", None)
    if callable(show) and hasattr(error, "exit_code"):
        show()
        return int(error.exit_code)  # pyright: ignore[reportAttributeAccessIssue]
    if type(error).__name__ == "Abort":
        return 130
    if debug:
        raise error
    output.print_bug(error)
    return 1
