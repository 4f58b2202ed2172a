"""``scener1 rooms``: synthetic captures in ScanNet's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scene_r1_cli.cli import options, output
from scene_r1_cli.errors import UsageError


def rooms(
    out: Annotated[Path, typer.Argument(help="Folder to write; scans/ and annotation files go inside.")],
    split: Annotated[str, typer.Option("--split", help="train, val or test: seeds never overlap.")] = "test",
    count: Annotated[int, typer.Option("--count", min=1, help="How many rooms.")] = 1,
    fps: Annotated[float | None, typer.Option("--fps", min=0.1, help="Frames per second.")] = None,
    duration: Annotated[float | None, typer.Option("--duration", min=1, help="Seconds of video.")] = None,
    color_size: Annotated[
        str | None, typer.Option("--color-size", help="Colour image size.", metavar="W,H")
    ] = None,
    depth_size: Annotated[
        str | None, typer.Option("--depth-size", help="Depth image size.", metavar="W,H")
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Make synthetic captures in ScanNet's layout.

    Furnished rooms with a hand-held camera path, noisy depth, sentences, questions and true boxes.

    Examples:

      scener1 rooms rooms --split test --count 4

      scener1 rooms rooms_small --split train --count 100 --color-size 320,240 --depth-size 160,120 --fps 5
    """
    from scene_r1_cli.data.rooms import SPLITS, RoomOptions, make_rooms

    if split not in SPLITS:
        raise UsageError(f"--split takes {', '.join(SPLITS)}, not {split!r}.")
    given = {
        "fps": fps,
        "duration_s": duration,
        "color_size_wh": _size(color_size, "--color-size"),
        "depth_size_wh": _size(depth_size, "--depth-size"),
    }
    room_options = RoomOptions(**{name: value for name, value in given.items() if value is not None})
    # One room is counted by its frames, several by the room.
    with output.going_on(resume=False):
        if count > 1:
            with output.progress_bar("rooms", count) as update:
                summaries = make_rooms(out, split, count, room_options, update)
        else:
            with output.stage_status("making a room"):
                summaries = make_rooms(out, split, count, room_options)
    if as_json:
        output.print_json(
            {
                "schema_version": 1,
                "root": str(out),
                "split": split,
                "scenes": [summary.scene_id for summary in summaries],
                "queries": sum(summary.num_queries for summary in summaries),
            }
        )
    else:
        for summary in summaries:
            output.print_data(
                f"{summary.scene_id}  {summary.num_objects} objects, {summary.num_queries} queries"
            )
    first = out / "scans" / summaries[0].scene_id
    output.next_step(f'scener1 ground {first} "the chair" --frame 0 --box X1,Y1,X2,Y2')


def _size(text: str | None, option: str) -> tuple[int, int] | None:
    if text is None:
        return None
    width, height = options.parse_numbers(text, 2, option, "640,480")
    if width < 16 or height < 16 or width % 1 or height % 1:
        raise UsageError(f"{option} takes two whole numbers of at least 16, not {text!r}.")
    return int(width), int(height)
