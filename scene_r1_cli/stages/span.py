"""Stage ``span``: when in the video the object is seen (temporal grounding)."""

from __future__ import annotations

from scene_r1_cli.config import SpanConfig
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.models.ask import Frames, ask_each
from scene_r1_cli.models.parse import ParseFailure, parse_span
from scene_r1_cli.models.prompts import span_prompt
from scene_r1_cli.models.vlm import VLM, Record
from scene_r1_cli.stages.video import SampledVideo
from scene_r1_cli.types import Query, TemporalSpan


def ground_span(
    vlm: VLM, video: SampledVideo, query: Query, config: SpanConfig, record: Record | None = None
) -> TemporalSpan:
    """Ask the model when the object is seen.

    Args:
        vlm: The model.
        video: Frames of the whole capture.
        query: What to find.
        config: Length of the reply, retries.
        record: Told every exchange with the model.

    Returns:
        The span, clipped to the video, with the model's reasoning. A moment (no length) is kept as one.

    Raises:
        StageFailure: No reply can be read, or the span lies outside the video.
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
    )
    if isinstance(found, ParseFailure):
        raise StageFailure("span", f"the model's reply cannot be read: {found.detail}")
    (reply,) = found
    span = reply.value
    if span.start_s >= video.duration_s or span.end_s < 0:
        raise StageFailure(
            "span",
            f"the model answered {span.start_s:g} s to {span.end_s:g} s, "
            f"outside the video of {video.duration_s:.1f} s",
        )
    return TemporalSpan(
        start_s=max(span.start_s, 0.0),
        end_s=min(span.end_s, video.duration_s),
        rationale=reply.rationale,
    )
