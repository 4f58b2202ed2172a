"""Stray Scanner: ``rgb.mp4``, ``depth/``, ``confidence/``, ``odometry.csv``, ``camera_matrix.csv``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scene_r1_cli.data.sources.assemble import (
    FrameRow,
    camera_from_matrix,
    level_scene,
    split_usable,
)
from scene_r1_cli.data.sources.image_folder import MILLIMETRES_PER_METRE, read_bytes
from scene_r1_cli.data.sources.images import decode_depth_image, depth_to_metres, encoded_size
from scene_r1_cli.data.sources.trajectory import DOWN_OF_Y_UP, read_rows, transforms_of
from scene_r1_cli.data.sources.upright import turned_upright
from scene_r1_cli.data.sources.video_frames import VideoFrames
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import resize_camera
from scene_r1_cli.types import Scene

MIN_CONFIDENCE = 2
"""ARKit's 0 low, 1 medium, 2 high; only the highest is kept."""


def matches(path: Path) -> bool:
    """A folder with the video and the odometry."""
    return (path / "rgb.mp4").is_file() and (path / "odometry.csv").is_file()


def open_stray(path: Path) -> Scene:
    """Open a recording of Stray Scanner.

    Raises:
        InputError: The video, the odometry, the camera matrix or all depth images are missing or damaged.
    """
    video = VideoFrames(path / "rgb.mp4")
    odometry = read_rows(path / "odometry.csv", 9, ",")
    transforms = transforms_of(odometry[:, 2:5], odometry[:, 5:9])
    matrix = read_rows(path / "camera_matrix.csv", 3, ",")
    if matrix.shape != (3, 3):
        raise InputError(f"{path / 'camera_matrix.csv'} is no 3×3 matrix.")
    color = camera_from_matrix(path / "camera_matrix.csv", matrix, video.size_wh)
    reader = StrayReader(path, video)
    rows: list[FrameRow] = []
    for index in range(len(odometry)):
        if index >= len(video):
            rows.append((index, "not in the video"))
        elif reader.depth_path(index) is None:
            rows.append((index, "no depth image"))
        else:
            rows.append((index, transforms[index]))
    frames, skipped = split_usable(path, rows, odometry[:, 0] - odometry[0, 0])
    depth = resize_camera(color, reader.depth_size_wh(frames[0].frame_index))
    return turned_upright(
        level_scene(
            source="stray",
            path=path,
            color_camera=color,
            depth_camera=depth,
            frames=frames,
            skipped=skipped,
            clock="timestamps",
            reader=reader,
            gravity_scan=DOWN_OF_Y_UP,
        )
    )


class StrayReader:
    """Colour from the video, depth from PNG or NPY less what the sensor was not sure of."""

    def __init__(self, path: Path, video: VideoFrames) -> None:
        self._path, self._video = path, video

    def depth_path(self, frame_index: int) -> Path | None:
        """The depth file of a frame."""
        stem = self._path / "depth" / f"{frame_index:06d}"
        return next((p for p in (stem.with_suffix(".png"), stem.with_suffix(".npy")) if p.is_file()), None)

    def depth_size_wh(self, frame_index: int) -> tuple[int, int]:
        """Size of a frame's depth image. Raises InputError."""
        path = self.depth_path(frame_index)
        if path is not None and path.suffix == ".png":
            return encoded_size(read_bytes(path), str(path))
        height, width = self._read_npy(path).shape
        return width, height

    def read_color(self, frame_index: int) -> np.ndarray:
        """See FrameReader."""
        return self._video.read(frame_index)

    def read_depth(self, frame_index: int) -> np.ndarray:
        """See FrameReader."""
        path = self.depth_path(frame_index)
        if path is not None and path.suffix == ".png":
            data = read_bytes(path)
            raw = decode_depth_image(data, encoded_size(data, str(path)), str(path))
        else:
            raw = self._read_npy(path)
        depth_m = depth_to_metres(raw, MILLIMETRES_PER_METRE)
        import cv2

        sure_path = self._path / "confidence" / f"{frame_index:06d}.png"
        sure = cv2.imread(str(sure_path), cv2.IMREAD_UNCHANGED) if sure_path.is_file() else None
        if sure is not None and sure.shape == depth_m.shape:
            depth_m[sure < MIN_CONFIDENCE] = 0
        return depth_m

    def _read_npy(self, path: Path | None) -> np.ndarray:
        if path is None:
            raise InputError("The frame has no such image.")
        try:
            raw = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is damaged: {error}.") from error
        if raw.ndim != 2:
            raise InputError(f"{path} is no (H, W) depth image.")
        return raw.astype(np.uint16)
