"""Stage ``box``: where the object is in key frames of the span (image grounding)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scene_r1_cli.config import BoxConfig, SamplingConfig
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.geometry.boxes import box2d_iou
from scene_r1_cli.models.ask import Frames, Understood, ask_each
from scene_r1_cli.models.families import box_to_original
from scene_r1_cli.models.parse import BoxesReply, ParseFailure, parse_boxes
from scene_r1_cli.models.prompts import box_prompt
from scene_r1_cli.models.vlm import VLM, Record, VideoPrefix
from scene_r1_cli.stages.agreement import most_agreed
from scene_r1_cli.stages.key_frames import choose_key_frames, frames_elsewhere, held_by
from scene_r1_cli.stages.video import resize_rgb
from scene_r1_cli.types import Box2D, Frame, Query, Scene, TemporalSpan

logger = logging.getLogger(__name__)

NOT_THERE = "object not in the frame"
"""Why a frame has no box: the model says so."""


def ground_boxes(
    vlm: VLM,
    scene: Scene,
    span: TemporalSpan,
    query: Query,
    config: BoxConfig,
    record: Record | None = None,
) -> tuple[Box2D, ...]:
    """Ask the model for the object's box in each key frame, one prompt per frame.

    If it says that the object is in none of them, the span was wrong: frames elsewhere are asked then.

    Args:
        vlm: The model.
        scene: The capture.
        span: When the object is seen.
        query: What to find.
        config: Number and size of key frames, length of the reply, retries.
        record: Told every exchange with the model.

    Returns:
        One box for each frame that shows the object, by rising frame; of several boxes in a reply the
        first, which is the model's best; of several replies the box that others are most like.

    Raises:
        StageFailure: No frame has a box: the model says it is not there, or cannot be understood.
        InputError: The query is empty.
    """
    misses: Counter[str] = Counter()
    for key_frames in (choose_key_frames(scene, span, config), frames_elsewhere(scene, span, config)):
        outcomes = boxes_in_frames(vlm, list(key_frames), query, config, record)
        found = [outcome for outcome in outcomes if isinstance(outcome, Box2D)]
        misses.update(outcome for outcome in outcomes if isinstance(outcome, str))
        if found:
            shares = _shares(scene, span)
            return tuple(replace(box, score=shares[box.frame_index] * box.score**2) for box in found)
        if not misses[NOT_THERE]:
            # Replies that cannot be read say nothing about the span.
            break
        logger.info("the object is in no key frame of the span")
    if not misses:
        raise StageFailure("box", f"no frame between {span.start_s:g} s and {span.end_s:g} s can be decoded")
    reasons = ", ".join(f"{count} × {reason}" for reason, count in misses.items())
    raise StageFailure("box", f"none of {misses.total()} key frames gave a box ({reasons})")


def _shares(scene: Scene, span: TemporalSpan) -> dict[int, float]:
    """By ``frame_index``, the share of spans that hold a frame; 1 if one span was asked for."""
    if not span.drawn_s:
        return dict.fromkeys(scene.frame_indices.tolist(), 1.0)
    # As if one more held every frame, since those elsewhere are held by none.
    shares = (held_by(scene, span) + 1) / (len(span.drawn_s) + 1)
    return dict(zip(scene.frame_indices.tolist(), shares.tolist(), strict=True))


def boxes_in_frames(
    vlm: VLM,
    key_frames: Sequence[tuple[Frame, np.ndarray]],
    query: Query,
    config: BoxConfig,
    record: Record | None = None,
) -> list[Box2D | str]:
    """Ask the model for the object's box in each of some frames, whatever the span.

    Args:
        vlm: The model.
        key_frames: Frames of one capture with their (H, W, 3) uint8 colour images.
        query: What to find.
        config: Size of the frames, number and length of replies.
        record: Told every exchange with the model.

    Returns:
        For each the box that other replies are most like, or in words why there is none. The score is the
        mean IoU with the other replies, 1 if one was asked for.

    Raises:
        InputError: The query is empty.
    """
    if not key_frames:
        return []
    height, width = key_frames[0][1].shape[:2]
    model_wh = vlm.model_size_wh((width, height), config.max_side_px)
    found = ask_each(
        vlm,
        [
            Frames(
                VideoPrefix(resize_rgb(image_rgb, model_wh)[None], np.array([frame.timestamp_s])),
                [frame.frame_index],
            )
            for frame, image_rgb in key_frames
        ],
        box_prompt(query.text, vlm.family, model_wh, think=config.think),
        parse_boxes,
        stage="box",
        think=config.think,
        max_new_tokens=config.max_new_tokens,
        retries=config.retries,
        record=record,
        replies=config.replies,
        sampling=SamplingConfig(temperature=config.replies_temperature) if config.replies > 1 else None,
    )

    def box_of(frame: Frame, replies: Sequence[Understood[BoxesReply]] | ParseFailure) -> Box2D | str:
        if isinstance(replies, ParseFailure):
            return "reply cannot be read"
        said = [reply for reply in replies if reply.value.boxes]
        if 2 * len(said) <= len(replies):
            return NOT_THERE
        boxes = []
        for reply in said:
            box = reply.value.boxes[0]
            xyxy_px = box_to_original(box.xyxy_model, vlm.family, model_wh, (width, height))
            if xyxy_px is not None:
                boxes.append(Box2D(frame.frame_index, xyxy_px, label=box.label, rationale=reply.rationale))
        if not boxes:
            return "box without area in the frame"
        best, agreement = most_agreed([box.xyxy_px for box in boxes], box2d_iou, config.replies)
        return replace(boxes[best], score=agreement)

    return [box_of(frame, replies) for (frame, _), replies in zip(key_frames, found, strict=True)]
