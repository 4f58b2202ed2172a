"""Stage ``video``: the frames of a capture that the model sees, evenly spread in time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.config import VideoConfig
from scene_r1_cli.errors import InputError
from scene_r1_cli.models.vlm import VideoPrefix
from scene_r1_cli.types import Scene

logger = logging.getLogger(__name__)

SizeFn = Callable[[tuple[int, int], int], tuple[int, int]]
"""``VLM.model_size_wh``: original size and longest side to the size the model takes."""


@dataclass(frozen=True)
class SampledVideo:
    """Frames of one capture at the model's size.

    Attributes:
        frame_indices: (T,) int64 source indices, rising.
        timestamps_s: (T,) float64 seconds since the first source frame.
        frames_rgb: (T, H, W, 3) uint8.
        original_size_wh: Size of the colour images before resizing.
        duration_s: Length of the whole capture, not of the samples.
        num_unreadable: Frames that should have been sampled and could not be decoded.
    """

    frame_indices: np.ndarray
    timestamps_s: np.ndarray
    frames_rgb: np.ndarray
    original_size_wh: tuple[int, int]
    duration_s: float
    num_unreadable: int

    @property
    def prefix(self) -> VideoPrefix:
        """The frames as a model's prefix."""
        return VideoPrefix(self.frames_rgb, self.timestamps_s)


def sample_video(scene: Scene, config: VideoConfig, size_fn: SizeFn) -> SampledVideo:
    """Sample a capture uniformly in time.

    Args:
        scene: The capture.
        config: Sampling rate, number of frames and their size.
        size_fn: ``VLM.model_size_wh``.

    Returns:
        At least one frame. A frame that cannot be decoded is left out and counted.

    Raises:
        InputError: No sampled frame can be decoded.
    """
    size_wh = size_fn(scene.color_camera.size_wh, config.max_side_px)
    kept: list[int] = []
    frames_rgb: list[np.ndarray] = []
    positions = sample_positions(scene.timestamps_s, config.fps, config.max_frames)
    for position in positions.tolist():
        frame_index = scene.frames[position].frame_index
        try:
            image_rgb = scene.read_color(frame_index)
        except InputError as error:
            logger.warning("frame %d is left out: %s", frame_index, error.message)
            continue
        kept.append(position)
        frames_rgb.append(resize_rgb(image_rgb, size_wh))
    if not kept:
        raise InputError(
            f"None of the {len(positions)} frames sampled from {scene.scene_id} can be decoded.",
            "Look at the colour images of the capture.",
        )
    return SampledVideo(
        frame_indices=scene.frame_indices[kept],
        timestamps_s=scene.timestamps_s[kept],
        frames_rgb=np.stack(frames_rgb),
        original_size_wh=scene.color_camera.size_wh,
        duration_s=scene.duration_s,
        num_unreadable=len(positions) - len(kept),
    )


def sample_positions(timestamps_s: np.ndarray, fps: float, max_frames: int) -> np.ndarray:
    """Which of rising times to sample: every 1 / fps seconds, or more sparsely to stay in ``max_frames``.

    Args:
        timestamps_s: (N >= 1,) rising.
        fps: Sampling rate.
        max_frames: Most samples.

    Returns:
        (T,) int64 positions in ``timestamps_s``, rising, 1 <= T <= max_frames: for each sampling time, the
        nearest frame; a gap in the capture gives no duplicates.
    """
    first_s, last_s = float(timestamps_s[0]), float(timestamps_s[-1])
    # The slack keeps a last frame that floating point puts a hair before its sampling time.
    wanted = int(np.floor((last_s - first_s) * fps + 1e-6)) + 1
    if wanted <= max_frames:
        times_s = first_s + np.arange(wanted) / fps
    elif max_frames == 1:
        times_s = np.array([(first_s + last_s) / 2])
    else:
        times_s = np.linspace(first_s, last_s, max_frames)
    after = np.searchsorted(timestamps_s, times_s).clip(0, len(timestamps_s) - 1)
    before = (after - 1).clip(0)
    is_before_nearer = times_s - timestamps_s[before] < timestamps_s[after] - times_s
    return np.unique(np.where(is_before_nearer, before, after))


def resize_rgb(image_rgb: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, 3) uint8: by area when smaller (no aliasing), cubic when larger."""
    import cv2

    height, width = image_rgb.shape[:2]
    if (width, height) == size_wh:
        return image_rgb
    is_smaller = size_wh[0] * size_wh[1] < width * height
    return cv2.resize(image_rgb, size_wh, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC)
