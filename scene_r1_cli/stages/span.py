"""Stage ``span``: when in the video the object is seen (temporal grounding)."""

from __future__ import annotations

from scene_r1_cli.config import SamplingConfig, SpanConfig
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.geometry.intervals import interval_iou
from scene_r1_cli.models.ask import Frames, ask_each
from scene_r1_cli.models.parse import ParseFailure, parse_span
from scene_r1_cli.models.prompts import span_prompt
from scene_r1_cli.models.vlm import VLM, Record
from scene_r1_cli.stages.agreement import most_agreed
from scene_r1_cli.stages.video import SampledVideo
from scene_r1_cli.types import Query, TemporalSpan


def ground_span(
    vlm: VLM, video: SampledVideo, query: Query, config: SpanConfig, record: Record | None = None
) -> TemporalSpan:
    """Ask the model when the object is seen.

    Of several replies (``config.replies``) the span that others are most like is taken.

    Args:
        vlm: The model.
        video: Frames of the whole capture.
        query: What to find.
        config: Number and length of replies, retries.
        record: Told every exchange with the model.

    Returns:
        The span, clipped to the video, with the model's reasoning, and what else was replied. A moment (no
        length) is kept as one.

    Raises:
        StageFailure: No reply can be read, or those that can lie outside the video.
        InputError: The query is empty.
    """
    (found,) = ask_each(
        vlm,
        [Frames(video.prefix, video.frame_indices.tolist())],
        span_prompt(query.text, video.duration_s, think=config.think),
        parse_span,
        stage="span",
        think=config.think,
        max_new_tokens=config.max_new_tokens,
        retries=config.retries,
        record=record,
        replies=config.replies,
        sampling=SamplingConfig(temperature=config.replies_temperature) if config.replies > 1 else None,
    )
    if isinstance(found, ParseFailure):
        raise StageFailure("span", f"the model's reply cannot be read: {found.detail}")
    replies = [r for r in found if r.value.start_s < video.duration_s and r.value.end_s >= 0]
    if not replies:
        span = found[0].value
        raise StageFailure(
            "span",
            f"the model answered {span.start_s:g} s to {span.end_s:g} s, "
            f"outside the video of {video.duration_s:.1f} s",
        )
    drawn_s = [(max(r.value.start_s, 0.0), min(r.value.end_s, video.duration_s)) for r in replies]
    best, _ = most_agreed(drawn_s, interval_iou, config.replies)
    return TemporalSpan(
        *drawn_s[best],
        rationale=replies[best].rationale,
        drawn_s=tuple(drawn_s) if config.replies > 1 else (),
    )
