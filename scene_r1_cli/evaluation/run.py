"""Predicts every query of an evaluation, on one machine or many, and can be killed and started again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.errors import SetupError, UsageError
from scene_r1_cli.evaluation.items import ItemSet
from scene_r1_cli.evaluation.predict import (
    MACHINE,
    Oracle,
    SceneJob,
    by_scene,
    failed_row,
    predict_scene,
    predictions_of,
)
from scene_r1_cli.models.provider import Models
from scene_r1_cli.parallel import Executor, WorkerLost, run_jobs
from scene_r1_cli.run_dir import RunDir

Progress = Callable[[int], object]


def predict(
    items: ItemSet,
    config: GroundConfig,
    run: RunDir,
    *,
    cache: Path,
    oracle: Oracle | None = None,
    keep_artifacts: bool = True,
    models: Models | None = None,
    workers: int = 1,
    executor: Executor = "local",
    ray_address: str | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Predict what has no prediction yet, and append each row to ``predictions.jsonl`` as it comes.

    Only this process writes the file, and it writes a row once its query is done: a worker or a node that
    dies loses no finished query and doubles none. A query that failed because of the machine (its process or
    node died every time, its server was out of reach) is asked again when the run goes on.

    Args:
        items: The queries.
        config: Settings of the pipeline.
        run: Run directory; its predictions are kept.
        cache: Folder for what is made once per scene.
        oracle: The last stage that truth replaces.
        keep_artifacts: Store what each stage makes.
        models: Loaded models for work in this process; None loads them where the work is done.
        workers: Local processes.
        executor: ``local`` or ``ray``.
        ray_address: See ``run_jobs``.
        progress: Told how many queries have a prediction.

    Returns:
        All rows, those from before included.
    """
    rows = {
        (row["scene_id"], row["query_id"]): row
        for row in run.read_predictions()
        if (row.get("failure") or {}).get("stage") != MACHINE
    }
    left = [item for item in items.items if item.key not in rows]
    jobs: list[SceneJob] = []
    for scene_id, of_scene in by_scene(left).items():
        if scene_id in items.scenes:
            jobs.append(
                SceneJob(
                    scene_id,
                    items.scenes[scene_id].absolute(),
                    tuple(of_scene),
                    config,
                    oracle,
                    run.path.absolute(),
                    cache.absolute(),
                    keep_artifacts,
                )
            )
            continue
        for item in of_scene:
            _keep(run, rows, failed_row(item, "video", f"the store has no scene {scene_id}"))
    if progress is not None:
        progress(len(rows))
    if workers <= 1 and executor == "local":
        loaded = models or Models(config)
        for job in jobs:
            for row in predictions_of(job, loaded):
                _keep(run, rows, row)
                if progress is not None:
                    progress(len(rows))
        return list(rows.values())
    for job, outcome in run_jobs(
        predict_scene, jobs, workers=workers, executor=executor, ray_address=ray_address
    ):
        stage = MACHINE if isinstance(outcome, (WorkerLost, SetupError)) else "run"
        found = (
            [failed_row(item, stage, str(outcome)) for item in job.items]
            if isinstance(outcome, Exception)
            else outcome
        )
        for row in found:
            _keep(run, rows, row)
        if progress is not None:
            progress(len(rows))
    return list(rows.values())


def shard_of(items: ItemSet, text: str) -> ItemSet:
    """The scenes of one shard, as in ``2/8``; shards are disjoint and together all.

    Raises:
        UsageError: It is not ``i/n`` with 1 <= i <= n.
    """
    from dataclasses import replace

    first, _, last = text.partition("/")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise UsageError(f"--shard takes i/n with 1 <= i <= n, as in 2/8, not {text!r}.")
    scenes = sorted({item.label.scene_id for item in items.items})
    mine = frozenset(scenes[int(first) - 1 :: int(last)])
    return replace(items, items=tuple(item for item in items.items if item.label.scene_id in mine))


def seconds_per_stage(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean seconds a query of each stage that ran."""
    sums: dict[str, list[float]] = {}
    for row in rows:
        for stage, seconds in (row.get("timings_s") or {}).items():
            sums.setdefault(stage, []).append(float(seconds))
    return {stage: sum(values) / len(values) for stage, values in sums.items()}


def _keep(run: RunDir, rows: dict[tuple[str, str], dict[str, Any]], row: dict[str, Any]) -> None:
    run.append_prediction(row)
    rows[row["scene_id"], row["query_id"]] = row
