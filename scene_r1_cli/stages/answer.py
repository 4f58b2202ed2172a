"""Stage ``answer``: a free-form question about the video."""

from __future__ import annotations

from scene_r1_cli.config import AnswerConfig
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.models.ask import Frames, ask_each
from scene_r1_cli.models.parse import ParseFailure, parse_answer
from scene_r1_cli.models.prompts import answer_prompt
from scene_r1_cli.models.vlm import VLM, Record
from scene_r1_cli.stages.video import SampledVideo
from scene_r1_cli.types import Answer, Query


def answer_question(
    vlm: VLM, video: SampledVideo, question: Query, config: AnswerConfig, record: Record | None = None
) -> Answer:
    """Ask the model a question about the whole video.

    Args:
        vlm: The model.
        video: Frames of the whole capture.
        question: The question.
        config: Length of the reply, retries.
        record: Told every exchange with the model.

    Returns:
        The answer's text as the model wrote it, with its reasoning.

    Raises:
        StageFailure: No reply can be read.
        InputError: The question is empty.
    """
    (found,) = ask_each(
        vlm,
        [Frames(video.prefix, video.frame_indices.tolist())],
        answer_prompt(question.text, video.duration_s, think=config.think),
        parse_answer,
        stage="answer",
        think=config.think,
        max_new_tokens=config.max_new_tokens,
        retries=config.retries,
        record=record,
    )
    if isinstance(found, ParseFailure):
        raise StageFailure("answer", f"the model's reply cannot be read: {found.detail}")
    (reply,) = found
    return Answer(text=reply.value.text, rationale=reply.rationale)
