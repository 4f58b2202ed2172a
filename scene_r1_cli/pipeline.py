"""The whole method on one screen: sentence to span, to 2D boxes, to masks, to points, to a 3D box.

Each step is one stage with one public function in ``scene_r1_cli.stages``; this is the only module
that knows their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.data.scene_surface import scene_surface, surface_source
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.fingerprint import scene_fingerprint
from scene_r1_cli.models.prompts import prompt_hash
from scene_r1_cli.models.provider import Models
from scene_r1_cli.query_dir import QueryDir
from scene_r1_cli.stage_cache import StageCache
from scene_r1_cli.stages.answer import answer_question
from scene_r1_cli.stages.box import ground_boxes
from scene_r1_cli.stages.box3d import fit_boxes
from scene_r1_cli.stages.masks import track_masks
from scene_r1_cli.stages.points import lift_points
from scene_r1_cli.stages.second_pass import track_again
from scene_r1_cli.stages.span import ground_span
from scene_r1_cli.stages.video import sample_video
from scene_r1_cli.stages.vote import vote
from scene_r1_cli.types import (
    AnswerResult,
    Box2D,
    Failure,
    FrameMask,
    GroundingResult,
    PointSet,
    Query,
    Scene,
    TemporalSpan,
)


@dataclass(frozen=True)
class Given:
    """Answers of a person or an oracle, used in place of the model's: its stages are then skipped."""

    span: TemporalSpan | None = None
    boxes_2d: tuple[Box2D, ...] = ()
    masks: tuple[FrameMask, ...] = ()


def ground_query(
    scene: Scene,
    query: Query,
    config: GroundConfig,
    models: Models,
    *,
    given: Given = Given(),
    artifacts: QueryDir | None = None,
    cache: Path | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> GroundingResult:
    """Find the object a sentence describes.

    Args:
        scene: The capture.
        query: The sentence.
        config: Settings of every stage.
        models: Gives the vision-language model and the tracker, each loaded only when a stage needs it.
        given: Answers that replace the model's.
        artifacts: Where to store what each stage makes, and to find it again; None stores nothing.
        cache: Folder for what is made once per scene (its surface); None makes it anew for each query.
        on_stage: Told each stage's name as it starts.

    Returns:
        The result. A stage that finds nothing gives a result with ``failure``, not an exception.
    """
    run = StageCache(artifacts, scene_fingerprint(scene), on_stage)
    span, boxes_2d, points, boxes_3d = given.span, given.boxes_2d, None, (None, None)
    failure = None
    try:
        if not boxes_2d and span is None:
            span = run.span(
                [query.text, prompt_hash("span", config.span.think), config.model, config.video, config.span],
                lambda record: ground_span(
                    models.vlm,
                    sample_video(scene, config.video, models.vlm.model_size_wh),
                    query,
                    config.span,
                    record,
                ),
            )
        if not boxes_2d and span is not None:
            boxes_2d = run.boxes_2d(
                [query.text, prompt_hash("box", config.box.think), span, config.model, config.box],
                lambda record: vote(
                    scene, ground_boxes(models.vlm, scene, span, query, config.box, record), config.box
                ),
            )
        surface = lru_cache(lambda: run.surface(lambda: scene_surface(scene, config.surface, cache)))

        def lift(views: Iterable[FrameMask]) -> PointSet:
            # Colours are for the stored cloud alone.
            return lift_points(scene, views, config.lifting, surface(), colors=artifacts is not None)

        def track() -> tuple[FrameMask, ...]:
            first = tuple(track_masks(models.tracker, scene, boxes_2d, span, config.tracker))
            if not config.tracker.second_pass:
                return first
            return track_again(models.tracker, scene, boxes_2d, first, lift, config.tracker)

        # Only a second pass looks at what the first one lifts to.
        lifted = [config.lifting, config.surface] if config.tracker.second_pass else []
        masks = given.masks or run.masks([boxes_2d, span, config.tracker, *lifted], track)
        points = run.points([masks, config.lifting, config.surface], lambda: lift(masks))
        boxes_3d = run.boxes_3d(
            [masks, config.lifting, config.surface], lambda: fit_boxes(points, config.lifting)
        )
    except StageFailure as stage_failure:
        failure = Failure(stage_failure.stage, stage_failure.reason)
    return GroundingResult(
        query=query,
        span=span,
        boxes_2d=boxes_2d,
        box3d=boxes_3d[0],
        obb=boxes_3d[1],
        num_points=len(points.points_world_m) if points else 0,
        surface_source=surface_source(scene, config.surface) if points else None,
        timings_s=run.timings_with_total(),
        failure=failure,
    )


def answer_query(
    scene: Scene,
    query: Query,
    config: GroundConfig,
    models: Models,
    *,
    artifacts: QueryDir | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> AnswerResult:
    """Answer a question about the whole video.

    Arguments as of ``ground_query``; the same frames are shown as for the span, so both share a prefix.
    """
    run = StageCache(artifacts, scene_fingerprint(scene), on_stage)
    answer, failure = None, None
    video = lru_cache(lambda: sample_video(scene, config.video, models.vlm.model_size_wh))
    try:
        answer = run.answer(
            [
                query.text,
                prompt_hash("answer", config.answer.think),
                config.model,
                config.video,
                config.answer,
            ],
            lambda record: answer_question(models.vlm, video(), query, config.answer, record),
        )
    except StageFailure as stage_failure:
        failure = Failure(stage_failure.stage, stage_failure.reason)
    return AnswerResult(query, answer, run.timings_with_total(), failure)
