"""Which frames of a capture are kept: the sharpest of each period."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scene_r1_cli.data.sources.encoded import EncodedFrames
from scene_r1_cli.data.sources.prepared import FrameTable
from scene_r1_cli.data.sources.sens import SensReader
from scene_r1_cli.preprocess_config import FramesConfig
from scene_r1_cli.types import Scene


def choose_frames(scene: Scene, encoded: EncodedFrames, config: FramesConfig) -> FrameTable:
    """All usable frames, and which of them are kept: the sharpest of each ``1 / fps`` seconds.

    Raises:
        InputError: ``sharpness`` is ``pixels`` and an image cannot be decoded.
    """
    indices, times = scene.frame_indices, scene.timestamps_s
    if config.fps is None:
        sharpness = np.zeros(len(indices))
        sampled = np.ones(len(indices), dtype=bool)
    else:
        measure = encoded.color_num_bytes if config.sharpness == "bytes" else _pixel_sharpness(scene)
        sharpness = np.array([measure(int(index)) for index in indices], dtype=np.float64)
        # A time that is a multiple of the period must not fall below it by rounding.
        bins = np.floor(times * config.fps + 1e-6).astype(np.int64)
        order = np.lexsort((indices, -sharpness, bins))
        first = np.unique(bins[order], return_index=True)[1]
        sampled = np.zeros(len(indices), dtype=bool)
        sampled[order[first]] = True
    ranges = None
    if config.in_place and isinstance(scene.reader, SensReader):
        index = scene.reader.index
        ranges = np.concatenate([index.color_range[indices], index.depth_range[indices]], axis=1)
    transforms = np.stack([frame.scan_from_camera for frame in scene.frames])
    return FrameTable(indices, times, transforms, sharpness, sampled, ranges)


def _pixel_sharpness(scene: Scene) -> Callable[[int], float]:
    """Variance of the Laplacian of the grey image."""
    import cv2

    def measure(frame_index: int) -> float:
        grey = cv2.cvtColor(scene.read_color(frame_index), cv2.COLOR_RGB2GRAY)
        return float(cv2.Laplacian(grey, cv2.CV_32F).var())

    return measure
