"""What ``scener1 evaluate`` does once it knows the queries: predict, score again, compare, report."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scene_r1_cli.cli import output
from scene_r1_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from scene_r1_cli.config import GroundConfig
    from scene_r1_cli.evaluation.items import ItemSet
    from scene_r1_cli.evaluation.score import Scored
    from scene_r1_cli.run_dir import RunDir

ORACLES = ("span", "box", "mask")


def run_dir(out: Path | None, name: str, *, resume: bool, overwrite: bool) -> RunDir:
    """The run directory; its default name is the benchmark's."""
    from scene_r1_cli.run_dir import RunDir

    return RunDir(out or RunDir.default_path("evaluate", name), resume=resume, overwrite=overwrite)


def predict_and_report(
    items: ItemSet,
    frame_source: str,
    run: RunDir,
    settings: GroundConfig,
    oracles: tuple[str | None, ...],
    how: dict[str, Any],
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Predict with each oracle (None first, or one alone), then report; returns how many queries failed."""
    from scene_r1_cli.data.store import CACHE_FOLDER
    from scene_r1_cli.evaluation.predict import asks_model
    from scene_r1_cli.evaluation.run import predict
    from scene_r1_cli.evaluation.summary import about_run
    from scene_r1_cli.models.provider import Models

    cache = how.pop("cache_of") / CACHE_FOLDER
    models = None
    if how["workers"] <= 1 and how["executor"] == "local":
        models = Models(settings)
        models.load(with_vlm=any(asks_model(items.items, oracle) for oracle in oracles))  # pyright: ignore
    grounding = replace(items, items=tuple(item for item in items.items if item.task == "ground"))
    rows: dict[str | None, list[dict[str, Any]]] = {}
    status = "interrupted"
    run.start("evaluate", settings.model_dump(mode="json"), sys.argv[1:])
    try:
        with output.logging_to(run.log_path, quiet=quiet):
            for number, oracle in enumerate(oracles):
                asked, of_step = (items, run) if number == 0 else (grounding, _step(run, oracle, settings))
                title = f"queries, {oracle} given" if oracle else "queries"
                with output.progress_bar(title, len(asked.items)) as update:
                    rows[oracle] = predict(
                        asked,
                        settings,
                        of_step,
                        cache=cache,
                        oracle=oracle,  # pyright: ignore
                        keep_artifacts=number == 0,
                        models=models,
                        progress=update,
                        **how,
                    )
                if number:
                    of_step.finish("done")
        about = about_run(settings, oracles[0], rows[oracles[0]])
        steps = {oracle: rows[oracle] for oracle in oracles[1:] if oracle}
        masks = None
        if items.visits:
            from scene_r1_cli.evaluation.element_masks import write_masks

            voxel_m = settings.lifting.voxel_m
            masks, about["queries without a mask"] = write_masks(items, run, rows[oracles[0]], voxel_m)
        failed = _report(
            items, rows[oracles[0]], run, about, frame_source, steps, as_json=as_json, masks=masks
        )
        status = "failed items" if failed else "done"
    except KeyboardInterrupt:
        output.note(f"go on with: {output.command_again(sys.argv[1:], run.path, resume=True)}")
        raise
    finally:
        run.finish(status)
    return failed


def _step(run: RunDir, oracle: str | None, settings: GroundConfig) -> RunDir:
    """A step of the ladder is a run inside the run, so it resumes, re-scores and compares as any other."""
    from scene_r1_cli.run_dir import RunDir

    step = RunDir(run.oracle_path(str(oracle)), resume=True)
    step.start("evaluate", settings.model_dump(mode="json"), sys.argv[1:])
    return step


def rescore(
    items: ItemSet,
    frame_source: str,
    paths: list[Path],
    run: RunDir | None,
    settings: GroundConfig,
    *,
    as_json: bool,
) -> None:
    """Score stored predictions, of one run or of several shards; with a run directory, write a report."""
    from scene_r1_cli.evaluation.summary import joined_about
    from scene_r1_cli.run_dir import RunDir

    masks = None
    if items.visits:
        items, rows, masks = _masks_of(items, paths)
    else:
        rows = _rows_of(paths)
    runs = [RunDir(path, resume=True) for path in paths if (path / "run.json").is_file()]
    about = joined_about([(one.read_metrics() or {}).get("about") for one in runs])
    steps: dict[str, list[dict[str, Any]]] = {}
    for oracle in ORACLES:
        of_step = [one.oracle_path(oracle) for one in runs]
        if of_step and all(path.is_dir() for path in of_step):
            steps[oracle] = _rows_of(of_step)
    if run is not None:
        run.start("evaluate", settings.model_dump(mode="json"), sys.argv[1:])
        for row in rows:
            run.append_prediction(row)
    _report(items, rows, run, about, frame_source, steps, as_json=as_json, masks=masks)
    if run is not None:
        run.finish("done")


def _masks_of(items: ItemSet, paths: list[Path]) -> tuple[ItemSet, list[dict[str, Any]], Path]:
    """Queries, rows and masks of a submission folder of SceneFun3D, or of a run that made one."""
    from scene_r1_cli.evaluation.scenefun3d import submitted
    from scene_r1_cli.run_dir import RunDir

    folder = paths[0]
    if len(paths) > 1 or not folder.is_dir():
        raise UsageError(
            "For scenefun3d, --predictions takes one run or folder with <visit>_<desc>.txt files."
        )
    if (folder / "run.json").is_file():
        run = RunDir(folder, resume=True)
        return items, run.read_predictions(), run.submission_dir
    return *submitted(items, folder), folder


def _report(
    items: ItemSet,
    rows: list[dict[str, Any]],
    run: RunDir | None,
    about: dict[str, Any],
    frame_source: str,
    steps: dict[str, list[dict[str, Any]]],
    *,
    as_json: bool,
    masks: Path | None = None,
) -> int:
    """Score, store, print; returns how many queries failed. ``masks`` is a submission of SceneFun3D."""
    from scene_r1_cli.evaluation.report import write_evaluation_report
    from scene_r1_cli.evaluation.submission import submission
    from scene_r1_cli.evaluation.summary import summarize
    from scene_r1_cli.evaluation.tables import markdown

    report, matched, scored = summarize(items, rows, about, frame_source, steps, masks)
    table = markdown(report)
    if run is not None:
        run.write_metrics(report, table)
        write_evaluation_report(items, matched, scored, report, run)
        for_server = submission(items, matched)
        if for_server is not None:
            run.write_submission(for_server)
    if as_json:
        output.print_json(report | {"run_dir": str(run.path) if run is not None else None})
    else:
        output.print_markdown(table)
    return report["failed"]


def compare_runs(items: ItemSet, a: Path, b: Path, *, as_json: bool) -> None:
    """Print the paired comparison of two predictions files or runs."""
    from scene_r1_cli.evaluation.compare import compare, markdown

    found = compare(_scored(items, a), _scored(items, b))
    if as_json:
        output.print_json({"schema_version": 1, "a": str(a), "b": str(b), "metrics": found})
    else:
        output.print_markdown(markdown(found, a.name, b.name))


def _scored(items: ItemSet, path: Path) -> list[Scored]:
    """Scores of the queries that a run has predictions for."""
    from scene_r1_cli.evaluation.predictions import match
    from scene_r1_cli.evaluation.score import score

    return [row for row in score(items, match(_rows_of([path]), items.items)) if not row.missing]


def _rows_of(paths: list[Path]) -> list[dict[str, Any]]:
    """Predictions of runs (the latest of each query, if one was asked again) and of files as they are."""
    from scene_r1_cli.evaluation.predictions import read_predictions
    from scene_r1_cli.run_dir import RunDir

    rows: list[dict[str, Any]] = []
    for path in paths:
        found = RunDir(path, resume=True).read_predictions() if path.is_dir() else None
        if found == [] or (found is None and not path.is_file()):
            raise InputError(f"{path} has no predictions.")
        rows += read_predictions([path]) if found is None else found
    return rows
