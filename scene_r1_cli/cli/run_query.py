"""Grounds one query in a run directory of its own and shows the result; ``ground`` and ``demo`` share it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scene_r1_cli.cli import output

if TYPE_CHECKING:
    from scene_r1_cli.config import GroundConfig
    from scene_r1_cli.data.labels import Label
    from scene_r1_cli.models.provider import Models
    from scene_r1_cli.pipeline import Given
    from scene_r1_cli.types import GroundingResult, Query, Scene

EXIT_QUERY_FAILED = 5

SHOWN_BOXES = 3


def run_query(
    scene: Scene,
    query: Query,
    given: Given,
    config: GroundConfig,
    *,
    command: str,
    label: Label | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    quiet: bool,
    cache: Path,
    any_scene: bool = False,
    overlay: bool = False,
    models: Models | None = None,
    argv: Sequence[str] | None = None,
) -> GroundingResult:
    """Ground one query in a run directory of its own, with report and, if there is a label, its truth.

    ``cache`` keeps what is made once per scene.

    ``any_scene`` lets pocket see captures it was not made for; ``overlay`` adds a video to the report;
    ``models`` are loaded already; ``argv`` is what is recorded as typed, if it was not.
    """
    from dataclasses import replace

    from scene_r1_cli.evaluation.truth import score_against_label
    from scene_r1_cli.models.pocket import POCKET
    from scene_r1_cli.models.pocket.domain import check_query, check_scene
    from scene_r1_cli.models.provider import Models
    from scene_r1_cli.pipeline import ground_query
    from scene_r1_cli.run_dir import RunDir
    from scene_r1_cli.serialize import boxes_2d_to_coco
    from scene_r1_cli.stages.overlay import write_overlay
    from scene_r1_cli.stages.report import write_report

    if config.model.name == POCKET and config.model.endpoint is None and not given.boxes_2d:
        if not any_scene:
            check_scene(scene)
        check_query(query.text)
    models = models or Models(config)
    # Load before the run directory is made: a model that cannot be loaded leaves nothing behind.
    models.load(with_vlm=not given.boxes_2d)
    path = out or RunDir.default_path(command, f"{scene.scene_id}-{query.query_id}")
    run = RunDir(path, resume=resume, overwrite=overwrite)
    run.start(command, config.model_dump(mode="json"), argv or sys.argv[1:], scene)
    artifacts = run.query(scene.scene_id, query.query_id)
    status = "interrupted"
    try:
        with (
            output.going_on(path),
            output.logging_to(run.log_path, quiet=quiet),
            output.stage_status(query.text) as on_stage,
        ):
            result = ground_query(
                scene,
                query,
                config,
                models,
                given=given,
                artifacts=artifacts,
                cache=cache,
                on_stage=on_stage,
            )
            truth = score_against_label(result, label) if label else None
            mask_path = str(artifacts.points_path.relative_to(run.path)) if result.num_points else None
            result = replace(result, truth=truth, run_dir=str(run.path), mask_path=mask_path)
            truth_box = label.box3d if label else None
            video = None
            if overlay:
                on_stage("overlay")
                video = "overlay.mp4"
                write_overlay(scene, result, artifacts, run.report_dir / video, truth_box)
            artifacts.save_coco(boxes_2d_to_coco(result, scene.color_camera.size_wh))
            runs_s = label.runs_s if label else ()
            on_stage("report")
            write_report(scene, result, run, artifacts, truth_box, runs_s, video)
        run.append_prediction(result_json(result))
        status = "failed items" if result.failure else "done"
    finally:
        run.finish(status)
    return result


def result_json(result: GroundingResult) -> dict:
    """The result as the JSON object of docs/result.schema.json."""
    from scene_r1_cli.serialize import result_to_json

    return result_to_json(result)


def show_result(result: GroundingResult, *, as_json: bool, quiet: bool) -> None:
    """Print a result: one JSON object, or a few lines for people."""
    if as_json:
        output.print_json(result_json(result))
    else:
        for line in _lines(result):
            output.print_data(line)
    if not quiet:
        output.next_step(f"open {result.run_dir}/report/index.html")


def _lines(result: GroundingResult) -> list[str]:
    lines = [f"query     {result.query.text}"]
    if result.span:
        lines.append(f"span      {result.span.start_s:.1f} s to {result.span.end_s:.1f} s")
        lines += _thinking(result.span.rationale)
    best = sorted(result.boxes_2d, key=lambda box: -box.score)[:SHOWN_BOXES]
    for box in sorted(best, key=lambda box: box.frame_index):
        corners = ", ".join(f"{value:.0f}" for value in box.xyxy_px)
        lines.append(f"box 2D    frame {box.frame_index}: {corners}")
        lines += _thinking(box.rationale)
    if len(best) < len(result.boxes_2d):
        lines.append(f"          and in {len(result.boxes_2d) - len(best)} more frames")
    if result.failure:
        lines.append(f"failed    {result.failure.stage}: {result.failure.reason}")
    if result.box3d and result.obb:
        lines.append(
            f"box 3D    centre {_metres(result.box3d.center_m)}, size {_metres(result.box3d.size_m)}"
        )
        lines.append(f"oriented  size {_metres(result.obb.size_m)}, yaw {result.obb.yaw_rad:.2f} rad")
        lines.append(f"points    {result.num_points}")
    if result.truth and result.truth.box3d_iou is not None:
        lines.append(f"truth     3D IoU with the label {result.truth.box3d_iou:.3f}")
    lines.append(f"time      {result.timings_s['total']:.1f} s")
    return lines


def _thinking(rationale: str) -> list[str]:
    """The model's reasoning under what it led to."""
    return [f"          “{rationale}”"] if rationale else []


def _metres(values: Iterable[float]) -> str:
    return "(" + ", ".join(f"{value:.2f}" for value in values) + ") m"
