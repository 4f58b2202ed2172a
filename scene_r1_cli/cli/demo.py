"""``scener1 demo``: a first success, with no download and no GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scene_r1_cli.cli import options, output
from scene_r1_cli.cli.run_query import EXIT_QUERY_FAILED, run_query, show_result

if TYPE_CHECKING:
    from scene_r1_cli.data.labels import Label


def demo(
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which held-out room and query.")] = 0,
    store: options.Store = None,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Ground a sentence in a synthetic room with pocket, the small model shipped with scener1.

    The room is held out (a test seed); the result is compared with its truth.

    Examples:

      scener1 demo

      scener1 demo --seed 7 --json
    """
    from scene_r1_cli.config_load import load_config
    from scene_r1_cli.data.labels import read_labels
    from scene_r1_cli.data.store import CACHE_FOLDER, DEFAULT_STORE, demo_room
    from scene_r1_cli.pipeline import Given
    from scene_r1_cli.types import Query

    if not quiet:
        output.note("a held-out synthetic room: made on first use, then kept in the store")
    with output.stage_status("making a room"):
        scene = demo_room(seed, store or DEFAULT_STORE)
    label = _pick(read_labels(scene.path / "labels" / "rooms.parquet"), seed)
    result = run_query(
        scene,
        Query(scene_id=scene.scene_id, query_id=label.query_id, text=label.text),
        Given(),
        load_config(),
        command="demo",
        label=label,
        out=out,
        resume=resume,
        overwrite=overwrite,
        quiet=quiet,
        cache=(store or DEFAULT_STORE) / CACHE_FOLDER,
    )
    show_result(result, as_json=as_json, quiet=quiet)
    if result.failure:
        raise typer.Exit(EXIT_QUERY_FAILED)


def _pick(labels: list[Label], seed: int) -> Label:
    grounding = [label for label in labels if label.keyframes and label.box3d is not None]
    return grounding[seed % len(grounding)]
