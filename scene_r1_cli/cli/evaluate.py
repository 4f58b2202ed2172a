"""``scener1 evaluate``: predict, score, report; or score stored predictions again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scene_r1_cli.cli import options, output
from scene_r1_cli.cli.run_evaluation import ORACLES, compare_runs, predict_and_report, rescore, run_dir
from scene_r1_cli.errors import UsageError

if TYPE_CHECKING:
    from scene_r1_cli.evaluation.items import ItemSet

EXIT_SOME_FAILED = 5
MAX_LISTED = 10
TASKS = ("ground", "qa")


def evaluate(
    benchmark: Annotated[
        str,
        typer.Option(
            "--benchmark",
            help="rooms, scanrefer, nr3d, sr3d, multi3drefer, scanqa, sqa3d, vsibench, scenefun3d.",
        ),
    ] = "rooms",
    split: Annotated[
        str,
        typer.Option("--split", help="train, val or test: of the rooms, and of Nr3D's and Sr3D's one file."),
    ] = "val",
    rooms: Annotated[int, typer.Option("--rooms", min=1, help="How many rooms of the split.")] = 8,
    task: Annotated[str | None, typer.Option("--task", help="ground or qa alone, for rooms.")] = None,
    annotations: Annotated[
        Path | None, typer.Option("--annotations", help="The benchmark's own annotation file.")
    ] = None,
    gt_boxes: Annotated[
        Path | None, typer.Option("--gt-boxes", help="True boxes: {scene: {object: [cx,cy,cz,dx,dy,dz]}}.")
    ] = None,
    scannet_root: Annotated[
        Path | None,
        typer.Option("--scannet-root", help="ScanNet's folder with scans/: true boxes from its meshes."),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            "--predictions",
            help="Score this file or run instead; several (shards) are joined. With --out, also a report.",
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", help="Two predictions files or runs: paired test.", metavar="A B"),
    ] = None,
    subset: Annotated[
        Path | None, typer.Option("--subset", help="CSV or JSON list of the queries to take.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Queries, evenly spread.")] = None,
    scene: Annotated[list[str] | None, typer.Option("--scene", help="Only this scene; repeatable.")] = None,
    query_id: Annotated[
        list[str] | None, typer.Option("--query-id", help="Only this query; repeatable.")
    ] = None,
    oracle: Annotated[
        str | None, typer.Option("--oracle", help="Truth up to this stage: span, box or mask.")
    ] = None,
    ladder: Annotated[
        bool,
        typer.Option("--ladder", help="Run without truth and with each oracle; report all four together."),
    ] = False,
    shard: Annotated[str | None, typer.Option("--shard", help="Part of the scenes, as 2/8.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    executor: Annotated[str, typer.Option("--executor", help="local or ray.")] = "local",
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Ray cluster.")] = None,
    preset: options.Preset = None,
    model: Annotated[str | None, typer.Option("--model", help="Checkpoint folder or hub name.")] = None,
    tracker: Annotated[str | None, typer.Option("--tracker", help="geometric or sam2.")] = None,
    think: options.Think = None,
    config: options.ConfigFiles = None,
    sets: options.Sets = None,
    store: options.Store = None,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Score the whole pipeline on a benchmark as its authors do.

    Every query is predicted, scored and reported with 95 % intervals over scenes. A query that fails or is
    missing counts as wrong.

    Examples:

      scener1 evaluate --benchmark rooms --split val --rooms 8

      scener1 evaluate --rooms 2 --task ground --ladder

      scener1 evaluate --benchmark scanrefer --annotations ScanRefer_filtered_val.json --preset qwen2.5-vl-7b

      scener1 evaluate --benchmark scanqa --annotations ScanQA_v1.0_val.json --predictions rows.jsonl
    """
    from scene_r1_cli.config_load import load_config
    from scene_r1_cli.data.store import DEFAULT_STORE
    from scene_r1_cli.evaluation.chosen import choose, in_subset, read_subset
    from scene_r1_cli.evaluation.items import annotated_items, check_benchmark, room_items
    from scene_r1_cli.evaluation.run import shard_of
    from scene_r1_cli.evaluation.views import with_views

    check_benchmark(benchmark)
    _check("--task", task, TASKS)
    _check("--oracle", oracle, ORACLES)
    _check("--executor", executor, ("local", "ray"))
    if ladder and oracle:
        raise UsageError("--ladder runs every oracle; give it or --oracle.")
    store = store or DEFAULT_STORE
    flags = {"model.name": model, "tracker.name": tracker, **options.think_flags(think)}
    settings = load_config(preset=preset, files=config or [], sets=sets or [], flags=flags)
    if benchmark == "rooms":
        items = room_items(store, split, rooms, TASKS if task is None else (task,))  # pyright: ignore
    elif annotations is None:
        raise UsageError(f"--benchmark {benchmark} needs --annotations, the benchmark's own file.")
    elif benchmark == "scenefun3d":
        from scene_r1_cli.evaluation.scenefun3d import visit_items

        items = visit_items(annotations, store)
    else:
        items = annotated_items(
            benchmark, annotations, store, split=split, gt_boxes=gt_boxes, scannet_root=scannet_root
        )
    if subset is not None:
        items = in_subset(items, read_subset(subset))
    items = choose(items, limit, scene or (), query_id or ())
    if ladder and all(item.task == "qa" for item in items.items):
        raise UsageError("--ladder is of grounding; these queries are questions.")
    if compare is not None:
        compare_runs(items, *compare, as_json=as_json)
        return
    if shard is not None:
        items = shard_of(items, shard)
    if dry_run:
        output.print_json(_plan(items, settings.model_dump(mode="json")))
        return
    items, frame_source = with_views(items)
    name = f"{benchmark}-{split if benchmark == 'rooms' else Path(annotations or benchmark).stem}"
    if predictions:
        run = run_dir(out, name, resume=resume, overwrite=overwrite) if out else None
        rescore(items, frame_source, predictions, run, settings, as_json=as_json)
        return
    run = run_dir(out, name, resume=resume, overwrite=overwrite)
    how = {"workers": workers, "executor": executor, "ray_address": ray_address, "cache_of": store}
    oracles = (None, *ORACLES) if ladder else (oracle,)
    failed = predict_and_report(
        items, frame_source, run, settings, oracles, how, as_json=as_json, quiet=quiet
    )
    if not quiet:
        output.next_step(f"open {run.path}/report/index.html")
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _plan(items: ItemSet, settings: dict[str, Any]) -> dict[str, Any]:
    asked = {item.label.scene_id for item in items.items}
    return {
        "schema_version": 1,
        "benchmark": items.benchmark,
        "queries": len(items.items),
        "scenes": len(asked),
        "scenes_missing": sorted(asked - items.scenes.keys())[:MAX_LISTED],
        "with_true_box": sum(item.label.box3d is not None for item in items.items),
        "truth_source": items.truth_source,
        "config": settings,
    }


def _check(option: str, value: str | None, accepted: tuple[str, ...]) -> None:
    if value is not None and value not in accepted:
        raise UsageError(f"{option} takes {', '.join(accepted)}, not {value!r}.")
