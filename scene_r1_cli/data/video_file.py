"""Writes an MP4 that browsers play."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

MILLISECONDS = Fraction(1, 1000)


class VideoWriter:
    """H.264 with a time for each frame; use as a context manager.

    Args:
        path: The file.
        size_wh: Size of the images; an odd side loses its last pixel, which H.264 cannot hold.
        fps: Nominal rate, written to the header.
    """

    def __init__(self, path: Path, size_wh: tuple[int, int], fps: float) -> None:
        import av

        self._av: Any = av
        self._container = av.open(str(path), "w", format="mp4")
        stream: Any = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = size_wh[0] // 2 * 2, size_wh[1] // 2 * 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = MILLISECONDS
        # A single thread gives the same bytes on every machine.
        stream.codec_context.thread_count = 1
        self._stream = stream
        self._last_ms = -1

    def add(self, image_rgb: np.ndarray, time_s: float) -> None:
        """Add one (H, W, 3) uint8 image at its time; times rise."""
        height, width = self._stream.height, self._stream.width
        frame = self._av.VideoFrame.from_ndarray(
            np.ascontiguousarray(image_rgb[:height, :width]), format="rgb24"
        )
        self._last_ms = max(round(time_s * 1000), self._last_ms + 1)
        frame.pts, frame.time_base = self._last_ms, MILLISECONDS
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
