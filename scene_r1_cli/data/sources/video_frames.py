"""Colour frames of a video file, read by number."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.errors import InputError

CACHE_FRAMES = 8
FAR_AHEAD = 120
"""Frames decoded to get ahead, before seeking is worth it."""


class VideoFrames:
    """Decodes a video; reading in rising order costs one pass. Safe to use from several threads.

    Raises:
        InputError: It is no video.
    """

    def __init__(self, path: Path) -> None:
        import av
        from av.error import FFmpegError

        self._path = path
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        try:
            self._container: Any = av.open(str(path))
            self._stream: Any = self._container.streams.video[0]
            self._times = self._frame_times()
        except (FFmpegError, OSError, IndexError) as error:
            raise InputError(f"{path} is no readable video: {error}.") from error
        if not len(self._times):
            raise InputError(f"{path} holds no frame.")
        self._restart()

    def __len__(self) -> int:
        return len(self._times)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size of the frames as stored."""
        return self._stream.width, self._stream.height

    @property
    def times_s(self) -> np.ndarray:
        """(N,) seconds of the frames, from the first."""
        return (self._times - self._times[0]) * float(self._stream.time_base)

    def read(self, number: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises InputError when there is no such frame or it is damaged."""
        from av.error import FFmpegError

        with self._lock:
            if number in self._kept:
                return self._kept[number]
            if not 0 <= number < len(self._times):
                raise InputError(f"{self._path} has {len(self._times)} frames, none of number {number}.")
            try:
                if not self._next <= number <= self._next + FAR_AHEAD:
                    self._seek(number)
                for frame in self._decoded:
                    place = int(np.searchsorted(self._times, frame.pts))
                    self._next = place + 1
                    if place == number:
                        image = frame.to_ndarray(format="rgb24")
                        self._kept[number] = image
                        if len(self._kept) > CACHE_FRAMES:
                            self._kept.popitem(last=False)
                        return image
                    if place > number:
                        break
            except (FFmpegError, ValueError) as error:
                self._restart()
                raise InputError(f"{self._path}, frame {number}, cannot be decoded: {error}.") from error
            self._restart()
            raise InputError(f"{self._path}, frame {number}, cannot be decoded.")

    def _frame_times(self) -> np.ndarray:
        """Presentation times without decoding; the packets of the file are walked once."""
        times = [packet.pts for packet in self._container.demux(self._stream) if packet.pts is not None]
        return np.array(sorted(times), dtype=np.int64)

    def _restart(self) -> None:
        self._seek(0)

    def _seek(self, number: int) -> None:
        self._container.seek(int(self._times[number]), stream=self._stream, backward=True)
        self._decoded = self._container.decode(self._stream)
        self._next = number
