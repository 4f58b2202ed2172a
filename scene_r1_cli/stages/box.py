"""Stage ``box``: where the object is in key frames of the span (image grounding)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from scene_r1_cli.config import BoxConfig, SamplingConfig
from scene_r1_cli.errors import InputError, StageFailure
from scene_r1_cli.geometry.boxes import box2d_iou
from scene_r1_cli.models.ask import Frames, Understood, ask_each
from scene_r1_cli.models.families import box_to_original
from scene_r1_cli.models.parse import BoxesReply, ParseFailure, parse_boxes
from scene_r1_cli.models.prompts import box_prompt
from scene_r1_cli.models.vlm import VLM, Record, VideoPrefix
from scene_r1_cli.stages.video import resize_rgb
from scene_r1_cli.types import Box2D, Frame, Query, Scene, TemporalSpan

logger = logging.getLogger(__name__)

SHARPNESS_WIDTH_PX = 480

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

    If it says that the object is in none of them, or its replies to each disagree, the span was wrong: frames
    elsewhere are asked then.

    Args:
        vlm: The model.
        scene: The capture.
        span: When the object is seen.
        query: What to find.
        config: Number and size of key frames, length of the reply, retries.
        record: Told every exchange with the model.

    Returns:
        One box for each frame that shows the object, by rising frame; of several boxes in a reply the
        first, which is the model's best; of several replies the box that most agree with. If the replies to
        no frame of the span agree by ``min_agreement``, but some elsewhere do, those from there.

    Raises:
        StageFailure: No frame has a box: the model says it is not there, or cannot be understood.
        InputError: The query is empty.
    """
    boxes: list[Box2D] = []
    misses: Counter[str] = Counter()
    for key_frames in (choose_key_frames(scene, span, config), frames_elsewhere(scene, span, config)):
        outcomes = _ask_boxes(vlm, list(key_frames), query, config, record)
        found = [outcome for outcome in outcomes if isinstance(outcome, Box2D)]
        misses.update(outcome for outcome in outcomes if isinstance(outcome, str))
        if any(box.score >= config.min_agreement for box in found):
            # The others may be of the same object; the key frames' vote finds out.
            return tuple(box for box in found if 2 * box.score >= config.min_agreement)
        # What is found elsewhere is believed only if one is sure, where the span has anything.
        boxes = boxes or sorted(found, key=lambda box: -box.score)[: config.num_keyframes]
        if not boxes and not misses[NOT_THERE]:
            # Replies that cannot be read say nothing about the span.
            break
        logger.info("the object is not seen between %g s and %g s", span.start_s, span.end_s)
    if boxes:
        return tuple(sorted(boxes, key=lambda box: box.frame_index))
    if not misses:
        raise StageFailure("box", f"no frame between {span.start_s:g} s and {span.end_s:g} s can be decoded")
    reasons = ", ".join(f"{count} × {reason}" for reason, count in misses.items())
    raise StageFailure("box", f"none of {misses.total()} key frames gave a box ({reasons})")


def _ask_boxes(
    vlm: VLM,
    key_frames: Sequence[tuple[Frame, np.ndarray]],
    query: Query,
    config: BoxConfig,
    record: Record | None,
) -> list[Box2D | str]:
    """The box in each of some frames of one capture, or in words why there is none."""
    if not key_frames:
        return []
    height, width = key_frames[0][1].shape[:2]
    model_wh = vlm.model_size_wh((width, height), config.max_side_px)
    found = ask_each(
        vlm,
        [
            Frames(VideoPrefix(resize_rgb(image_rgb, model_wh)[None], np.array([frame.timestamp_s])), [index])
            for frame, image_rgb in key_frames
            for index in [frame.frame_index]
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
        return most_agreed(boxes, len(replies)) if boxes else "box without area in the frame"

    return [box_of(frame, replies) for (frame, _), replies in zip(key_frames, found, strict=True)]


def most_agreed(boxes: Sequence[Box2D], num_replies: int) -> Box2D:
    """Of boxes in one frame the one that others are most like, the first of equals.

    Decoding that takes the reply with the least expected loss, by what else the model would have replied
    (minimum Bayes risk), with the IoU for the gain.

    Args:
        boxes: At least one.
        num_replies: Replies asked for; those without a box agree with none.

    Returns:
        The box. Its score is its mean IoU with the other replies' boxes, 1 if there was one reply only.
    """
    if num_replies == 1:
        return boxes[0]
    ious = np.array([[box2d_iou(a.xyxy_px, b.xyxy_px) for b in boxes] for a in boxes])
    agreement = (ious.sum(axis=1) - 1) / (num_replies - 1)
    best = int(agreement.argmax())
    return replace(boxes[best], score=float(agreement[best]))


def choose_key_frames(scene: Scene, span: TemporalSpan, config: BoxConfig) -> list[tuple[Frame, np.ndarray]]:
    """Key frames of a span: one from each of ``num_keyframes`` equal parts, the sharpest looked at.

    A span too short to hold a frame gives the frame nearest to its middle. Frames that cannot be decoded
    are passed over; a part without any other frame has no key frame.

    Returns:
        Frames by rising time, each with its (H, W, 3) uint8 colour image at the original size.
    """
    positions = _positions_in(scene, span)
    return list(_one_of_each_part(scene, positions, config.num_keyframes, config.sharpest_of))


def frames_elsewhere(
    scene: Scene, span: TemporalSpan, config: BoxConfig
) -> Iterator[tuple[Frame, np.ndarray]]:
    """``search_frames`` frames outside a span, chosen as ``choose_key_frames`` does; read when asked for."""
    positions = np.setdiff1d(np.arange(len(scene.frames)), _positions_in(scene, span))
    return _one_of_each_part(scene, positions, config.search_frames, config.sharpest_of)


def _positions_in(scene: Scene, span: TemporalSpan) -> np.ndarray:
    """Rising positions of the frames of a span; the nearest to its middle if it holds none."""
    times_s = scene.timestamps_s
    positions = np.flatnonzero((times_s >= span.start_s) & (times_s < span.end_s))
    if len(positions):
        return positions
    return np.array([np.abs(times_s - (span.start_s + span.end_s) / 2).argmin()])


def _one_of_each_part(
    scene: Scene, positions: np.ndarray, count: int, sharpest_of: int
) -> Iterator[tuple[Frame, np.ndarray]]:
    parts = min(count, len(positions))
    for part in np.array_split(positions, parts) if parts else ():
        sharpest = _sharpest(scene, _spread(part, sharpest_of))
        if sharpest is not None:
            yield sharpest


def _spread(positions: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` of some positions: the middles of equal parts."""
    count = min(count, len(positions))
    return positions[((np.arange(count) + 0.5) * len(positions) / count).astype(np.int64)]


def _sharpest(scene: Scene, positions: np.ndarray) -> tuple[Frame, np.ndarray] | None:
    """The sharpest of some frames with its image; None if none can be decoded."""
    best: tuple[float, Frame, np.ndarray] | None = None
    for position in positions.tolist():
        frame = scene.frames[position]
        try:
            image_rgb = scene.read_color(frame.frame_index)
        except InputError as error:
            logger.warning("frame %d is passed over: %s", frame.frame_index, error.message)
            continue
        score = sharpness(image_rgb) if len(positions) > 1 else 0.0
        if best is None or score > best[0]:
            best = (score, frame, image_rgb)
    return best[1:] if best is not None else None


def sharpness(image_rgb: np.ndarray) -> float:
    """Variance of the Laplacian of an (H, W, 3) uint8 image at a fixed width; motion blur lowers it."""
    import cv2

    height, width = image_rgb.shape[:2]
    scale = min(1.0, SHARPNESS_WIDTH_PX / width)
    small_rgb = resize_rgb(image_rgb, (max(1, round(width * scale)), max(1, round(height * scale))))
    return float(cv2.Laplacian(cv2.cvtColor(small_rgb, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())
