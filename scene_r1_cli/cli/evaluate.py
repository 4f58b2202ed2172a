"""``scener1 evaluate``: predict, score, report; or score stored predictions again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scene_r1_cli.cli import options, output
from scene_r1_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from scene_r1_cli.evaluation.items import ItemSet
    from scene_r1_cli.evaluation.score import Scored

EXIT_SOME_FAILED = 5
MAX_LISTED = 10
TASKS = ("ground", "qa")


def evaluate(
    benchmark: Annotated[
        str,
        typer.Option(
            "--benchmark", help="rooms, scanrefer, nr3d, sr3d, multi3drefer, scanqa, sqa3d, vsibench."
        ),
    ] = "rooms",
    split: Annotated[str, typer.Option("--split", help="Split of the rooms: train, val or test.")] = "val",
    rooms: Annotated[int, typer.Option("--rooms", min=1, help="How many rooms of the split.")] = 8,
    task: Annotated[str | None, typer.Option("--task", help="ground or qa alone, for rooms.")] = None,
    annotations: Annotated[
        Path | None, typer.Option("--annotations", help="The benchmark's own annotation file.")
    ] = None,
    gt_boxes: Annotated[
        Path | None, typer.Option("--gt-boxes", help="True boxes: {scene: {object: [cx,cy,cz,dx,dy,dz]}}.")
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option("--predictions", help="Score this file or run instead; several (shards) are joined."),
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

      scener1 evaluate --benchmark scanrefer --annotations ScanRefer_filtered_val.json --preset qwen2.5-vl-7b

      scener1 evaluate --benchmark scanqa --annotations ScanQA_v1.0_val.json --predictions rows.jsonl
    """
    from scene_r1_cli.config_load import load_config
    from scene_r1_cli.data.store import CACHE_FOLDER, DEFAULT_STORE
    from scene_r1_cli.evaluation.items import annotated_items, check_benchmark, choose, in_subset, read_subset

    check_benchmark(benchmark)
    _check("--task", task, TASKS)
    _check("--oracle", oracle, ("span", "box", "mask"))
    _check("--executor", executor, ("local", "ray"))
    store = store or DEFAULT_STORE
    flags = {"model.name": model, "tracker.name": tracker, **options.think_flags(think)}
    settings = load_config(preset=preset, files=config or [], sets=sets or [], flags=flags)
    if benchmark == "rooms":
        from scene_r1_cli.evaluation.items import room_items

        items = room_items(store, split, rooms, TASKS if task is None else (task,))  # pyright: ignore
    elif annotations is None:
        raise UsageError(f"--benchmark {benchmark} needs --annotations, the benchmark's own file.")
    else:
        items = annotated_items(benchmark, annotations, store, gt_boxes, None)
    if subset is not None:
        items = in_subset(items, read_subset(subset))
    items = choose(items, limit, scene or (), query_id or ())
    if compare is not None:
        _compare(items, *compare, as_json=as_json)
        return
    if shard is not None:
        from scene_r1_cli.evaluation.run import shard_of

        items = shard_of(items, shard)
    if dry_run:
        output.print_json(_plan(items, settings.model_dump(mode="json")))
        return
    if predictions:
        from scene_r1_cli.evaluation.predictions import read_predictions

        files = [_predictions_file(path) for path in predictions]
        _report(items, read_predictions(files), None, {}, as_json=as_json)
        return
    from scene_r1_cli.evaluation.run import predict, seconds_per_stage
    from scene_r1_cli.models.prompts import prompt_hash
    from scene_r1_cli.models.provider import Models
    from scene_r1_cli.run_dir import RunDir

    models = None
    if workers <= 1 and executor == "local":
        models = Models(settings)
        models.load(with_vlm=oracle not in ("box", "mask") or any(item.task == "qa" for item in items.items))
    name = f"{benchmark}-{split if benchmark == 'rooms' else Path(annotations or benchmark).stem}"
    run = RunDir(out or RunDir.default_path("evaluate", name), resume=resume, overwrite=overwrite)
    run.start("evaluate", settings.model_dump(mode="json"), sys.argv[1:])
    status = "interrupted"
    total = len(items.items)
    try:
        with output.logging_to(run.log_path, quiet=quiet), output.progress_bar("queries", total) as update:
            rows = predict(
                items,
                settings,
                run,
                cache=store / CACHE_FOLDER,
                oracle=oracle,  # pyright: ignore
                models=models,
                workers=workers,
                executor=executor,  # pyright: ignore
                ray_address=ray_address,
                progress=update,
            )
        about = {
            "model": settings.model.endpoint or settings.model.name,
            "tracker": settings.tracker.name,
            "oracle": oracle or "none",
            "prompts": {
                "span": prompt_hash("span", settings.span.think),
                "box": prompt_hash("box", settings.box.think),
                "answer": prompt_hash("answer", settings.answer.think),
            },
            "seconds per query and stage": {k: round(v, 3) for k, v in seconds_per_stage(rows).items()},
        }
        failed = _report(items, rows, run, about, as_json=as_json)
        status = "failed items" if failed else "done"
    except KeyboardInterrupt:
        output.note(f"go on with: scener1 {' '.join(sys.argv[1:])} --out {run.path} --resume")
        raise
    finally:
        run.finish(status)
    if not quiet:
        output.next_step(f"open {run.path}/report/index.html")
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _report(
    items: ItemSet, rows: list[dict[str, Any]], run: Any, about: dict[str, Any], *, as_json: bool
) -> int:
    """Score, store, print; returns how many queries failed."""
    from scene_r1_cli.evaluation.predictions import match, unaligned_guess
    from scene_r1_cli.evaluation.report import write_evaluation_report
    from scene_r1_cli.evaluation.score import metrics, score
    from scene_r1_cli.evaluation.tables import markdown

    matched = match(rows, items.items)
    scored = score(items, matched)
    report: dict[str, Any] = metrics(items, scored)
    notes = [*report["notes"], *matched.faults, unaligned_guess(matched, items.items)]
    report |= {"about": about, "notes": [note for note in notes if note]}
    table = markdown(report | {"notes": report["notes"][:MAX_LISTED]})
    if run is not None:
        run.write_metrics(report, table)
        write_evaluation_report(items, matched, scored, report, run)
    if as_json:
        output.print_json(report | {"run_dir": str(run.path) if run is not None else None})
    else:
        output.print_data(table)
    return report["failed"]


def _compare(items: ItemSet, a: Path, b: Path, *, as_json: bool) -> None:
    from scene_r1_cli.evaluation.compare import compare, markdown

    found = compare(_scored(items, a), _scored(items, b))
    if as_json:
        output.print_json({"schema_version": 1, "a": str(a), "b": str(b), "metrics": found})
    else:
        output.print_data(markdown(found, a.name, b.name))


def _scored(items: ItemSet, path: Path) -> list[Scored]:
    """Scores of the queries that a run has predictions for."""
    from scene_r1_cli.evaluation.predictions import match, read_predictions
    from scene_r1_cli.evaluation.score import score

    matched = match(read_predictions([_predictions_file(path)]), items.items)
    return [row for row in score(items, matched) if not row.missing]


def _predictions_file(path: Path) -> Path:
    """The predictions of a run; a file is what it is."""
    from scene_r1_cli.run_dir import RunDir

    file = RunDir(path, resume=True).predictions_path if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path} has no predictions.")
    return file


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
