"""Which frames the model is asked for a box in: spread over the span, or over the rest, and sharp."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np

from scene_r1_cli.config import BoxConfig
from scene_r1_cli.errors import InputError
from scene_r1_cli.stages.video import resize_rgb
from scene_r1_cli.types import Frame, Scene, TemporalSpan

logger = logging.getLogger(__name__)

SHARPNESS_WIDTH_PX = 480


def choose_key_frames(scene: Scene, span: TemporalSpan, config: BoxConfig) -> list[tuple[Frame, np.ndarray]]:
    """Key frames of a span: one from each of ``num_keyframes`` equal parts, the sharpest looked at.

    Of several spans (``drawn_s``) a frame counts as often as spans hold it: parts are equal in that count,
    and the frames of a part that most spans hold are looked at; a frame that is more than a part leaves the
    next part without any. A span too short to hold a frame gives the frame nearest to its middle. Frames
    that cannot be decoded are passed over; a part without any other frame has no key frame.

    Returns:
        Frames by rising time, each with its (H, W, 3) uint8 colour image at the original size.
    """
    return list(_one_of_each_part(scene, held_by(scene, span), config.num_keyframes, config.sharpest_of))


def frames_elsewhere(
    scene: Scene, span: TemporalSpan, config: BoxConfig
) -> Iterator[tuple[Frame, np.ndarray]]:
    """``search_frames`` frames outside a span, chosen as ``choose_key_frames`` does; read when asked for."""
    outside = (held_by(scene, span) == 0).astype(np.int64)
    return _one_of_each_part(scene, outside, config.search_frames, config.sharpest_of)


def held_by(scene: Scene, span: TemporalSpan) -> np.ndarray:
    """How many spans hold each frame: all that were drawn, or the one there is.

    A moment, or a span between two frames, holds the frame nearest to its middle.

    Returns:
        (N,) int64 counts by the capture's frames.
    """
    times_s = scene.timestamps_s
    held_by = np.zeros(len(times_s), dtype=np.int64)
    for start_s, end_s in span.drawn_s or ((span.start_s, span.end_s),):
        inside = (times_s >= start_s) & (times_s < end_s)
        if not inside.any():
            inside[np.abs(times_s - (start_s + end_s) / 2).argmin()] = True
        held_by += inside
    return held_by


def _one_of_each_part(
    scene: Scene, weights: np.ndarray, count: int, sharpest_of: int
) -> Iterator[tuple[Frame, np.ndarray]]:
    """A frame of each of ``count`` parts of equal weight; (N,) ``weights`` of 0 leave frames out."""
    positions = np.flatnonzero(weights)
    count = min(count, len(positions))
    if count == 0:
        return
    middles = np.cumsum(weights[positions]) - weights[positions] / 2
    parts = (middles * count / weights.sum()).astype(np.int64)
    for part in range(count):
        of_part = positions[parts == part]
        most = of_part[weights[of_part] == weights[of_part].max(initial=0)]
        sharpest = _sharpest(scene, _spread(most, sharpest_of))
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
