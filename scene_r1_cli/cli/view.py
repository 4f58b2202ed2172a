"""``scener1 view``: a live 3D page of a run or a scene, where new queries can be typed or drawn."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scene_r1_cli.cli import completion, options, output
from scene_r1_cli.errors import InputError

if TYPE_CHECKING:
    from scene_r1_cli.config import GroundConfig
    from scene_r1_cli.run_dir import RunDir
    from scene_r1_cli.types import Box2D, Scene
    from scene_r1_cli.viewer.live import Found, Ground

LOOPBACK = "127.0.0.1"


def view(
    target: Annotated[
        str,
        typer.Argument(
            help="Run directory, or a scene as `ground` takes it.",
            metavar="RUN|SCENE",
            autocompletion=completion.runs_and_scenes,
        ),
    ],
    scene_id: Annotated[
        str | None, typer.Option("--scene", help="Which scene of a run over several.")
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 opens it to everyone.")
    ] = LOOPBACK,
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port; the next free one is taken.")
    ] = 8080,
    preset: options.Preset = None,
    model: Annotated[str | None, typer.Option("--model", help="Checkpoint folder or hub name.")] = None,
    tracker: Annotated[str | None, typer.Option("--tracker", help="geometric or sam2.")] = None,
    config: options.ConfigFiles = None,
    sets: options.Sets = None,
    source: options.Source = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Look at a scene in 3D in a browser, and find things in it there.

    Shows the scene, cameras, what was found and the truth. A query typed there runs as `ground` does, with
    the run's own settings, and is kept as a run. Only this machine is let in unless --host says otherwise.

    Examples:

      scener1 view demo

      scener1 view runs/2026-01-01_120000_ground_bed --port 9000
    """
    from scene_r1_cli.config_load import load_config
    from scene_r1_cli.data.store import DEFAULT_STORE, resolve_scene
    from scene_r1_cli.run_dir import open_run
    from scene_r1_cli.viewer.live import LiveView, serve

    store = store or DEFAULT_STORE
    files, known = list(config or []), []
    if (Path(target) / "run.json").is_file():
        run = open_run(Path(target))
        opened = _scene_of(run, scene_id, store, source)
        if run.manifest()["command"] in ("ground", "demo", "evaluate"):
            files.insert(0, run.path / "config.yaml")
        known = _known(run, opened)
    else:
        opened = resolve_scene(target, store, source)
    flags = {"model.name": model, "tracker.name": tracker}
    settings = load_config(preset=preset, files=files, sets=sets or [], flags=flags)
    server = serve(host, port, f"scener1 · {opened.scene_id}")
    with output.stage_status(f"{opened.scene_id}: preparing the page"):
        LiveView(server, opened, _grounder(opened, settings, store, any_scene=preset is not None), known)
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{server.get_port()}"
    if as_json:
        output.print_json(
            {"schema_version": 1, "url": url, "scene_id": opened.scene_id, "results": len(known)}
        )
    else:
        output.print_data(url)
    if not quiet:
        _tell_how_to_reach(host, server.get_port())
    with contextlib.suppress(KeyboardInterrupt):  # the usual way to end
        server.sleep_forever()


def _tell_how_to_reach(host: str, port: int) -> None:
    import getpass
    import socket

    if host == LOOPBACK:
        who = f"{getpass.getuser()}@{socket.gethostname()}"
        output.note(
            f"only this machine is let in; from another one: ssh -N -L {port}:{LOOPBACK}:{port} {who}"
        )
    else:
        output.note(f"open to every machine that reaches {host}:{port}; whoever does can run queries")
    output.note("Ctrl-C ends it")


def _scene_of(run: RunDir, scene_id: str | None, store: Path, source: str | None) -> Scene:
    """The capture that a run was about; of several, the one asked for or the first."""
    from scene_r1_cli.data.sources import open_scene
    from scene_r1_cli.data.store import resolve_scene

    path = run.manifest().get("scene_path")
    if path is not None and scene_id is None:
        return open_scene(Path(path), source)
    scene_ids = list(dict.fromkeys(row["scene_id"] for row in run.read_predictions()))
    if not scene_ids:
        raise InputError(f"{run.path} holds no result of a scene.", "Give a run of ground, qa or evaluate.")
    if scene_id is not None and scene_id not in scene_ids:
        raise InputError(
            f"{run.path} holds no result of {scene_id}.", f"It holds {', '.join(scene_ids[:10])}."
        )
    return resolve_scene(scene_id or scene_ids[0], store, source)


def _known(run: RunDir, scene: Scene) -> list[Found]:
    from scene_r1_cli.data.labels import find_label
    from scene_r1_cli.viewer.live import Found

    found = []
    for row in run.read_predictions():
        if row["scene_id"] != scene.scene_id or row["answers"]:
            continue
        label = find_label(scene, row["query"])
        points = run.query(row["scene_id"], row["query_id"]).stored_points()
        found.append(Found(row, points, label.box3d if label else None))
    return found


def _grounder(scene: Scene, settings: GroundConfig, store: Path, *, any_scene: bool) -> Ground:
    """What the page calls for a new query: ``ground``, with models that stay loaded."""
    from scene_r1_cli.cli.run_query import result_json, run_query
    from scene_r1_cli.data.labels import find_label
    from scene_r1_cli.data.store import CACHE_FOLDER
    from scene_r1_cli.models.provider import Models
    from scene_r1_cli.pipeline import Given
    from scene_r1_cli.query_dir import query_id_of
    from scene_r1_cli.run_dir import open_run
    from scene_r1_cli.types import Query
    from scene_r1_cli.viewer.live import Found

    models = Models(settings)

    def ground(text: str, boxes: tuple[Box2D, ...]) -> Found:
        label = find_label(scene, text)
        query = Query(scene.scene_id, query_id_of(text), text)
        typed = ["ground", str(scene.path), text]
        for box in boxes:
            corners = ",".join(f"{value:.1f}" for value in box.xyxy_px)
            typed += ["--frame", str(box.frame_index), "--box", corners]
        result = run_query(
            scene,
            query,
            Given(boxes_2d=boxes),
            settings,
            command="ground",
            label=label,
            out=None,
            resume=False,
            overwrite=False,
            quiet=True,
            cache=store / CACHE_FOLDER,
            any_scene=any_scene,
            models=models,
            argv=typed,
        )
        output.note(f"{shlex.quote(text)}: {result.run_dir}")
        points = open_run(Path(str(result.run_dir))).query(query.scene_id, query.query_id).stored_points()
        return Found(result_json(result), points, label.box3d if label else None)

    return ground
