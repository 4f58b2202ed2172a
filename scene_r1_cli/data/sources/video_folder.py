"""A plain folder: a colour video, one depth image a frame, a trajectory, and the video's intrinsics."""

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
from scene_r1_cli.data.sources.trajectory import nearest, read_log, read_rows, transforms_of
from scene_r1_cli.data.sources.video_frames import VideoFrames
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import resize_camera
from scene_r1_cli.types import Scene

VIDEOS = ("video.mp4", "color.mp4", "rgb.mp4", "video.mov", "video.mkv")
INTRINSICS = "intrinsic.txt"
LOG, ROWS = "trajectory.log", "trajectory.txt"
MAX_APART_S = 0.02


def matches(path: Path) -> bool:
    """A folder with a video and depth, or with a video and a trajectory: what is missing is then told."""
    parts = any((path / name).exists() for name in ("depth", LOG, ROWS))
    # A recording of Stray Scanner that lacks its odometry is no plain folder.
    return _video(path) is not None and parts and not (path / "camera_matrix.csv").is_file()


def open_video_folder(path: Path) -> Scene:
    """Open a video with depth.

    ``depth/`` holds one 16-bit PNG a video frame, in millimetres, joined by order, registered to the video.
    ``trajectory.log`` is Open3D's; ``trajectory.txt`` has rows of seconds, position and quaternion (x y z w).
    ``intrinsic.txt`` is the 3×3 matrix of the video. Transforms take the camera to the scan, OpenCV axes.

    Raises:
        InputError: Something is missing, which is named together with how to get it, or damaged.
    """
    file = _video(path)
    if file is None:
        raise InputError(f"{path} has no video ({', '.join(VIDEOS)}).")
    if not (path / "depth").is_dir():
        raise InputError(
            f"{path} has no depth/.",
            "Depth must come from a sensor: record with Record3D, Stray Scanner, a RealSense or a Kinect.",
        )
    if not (path / INTRINSICS).is_file():
        raise InputError(
            f"{path} has no {INTRINSICS}, the 3×3 matrix of the video's camera.",
            "The recording app knows it; COLMAP and OpenCV's calibration estimate it.",
        )
    video = VideoFrames(file)
    depth_files = sorted(item for item in (path / "depth").iterdir() if item.suffix.lower() == ".png")
    if not depth_files:
        raise InputError(f"{path / 'depth'} holds no PNG.")
    color = camera_from_matrix(path / INTRINSICS, read_rows(path / INTRINSICS, 3), video.size_wh)
    reader = _VideoFolderReader(video, depth_files)
    rows = _rows(path, video, len(depth_files))
    frames, skipped = split_usable(path, rows, video.times_s)
    depth = resize_camera(color, encoded_size(read_bytes(depth_files[0]), str(depth_files[0])))
    return level_scene(
        source="video",
        path=path,
        color_camera=color,
        depth_camera=depth,
        frames=frames,
        skipped=skipped,
        clock="timestamps",
        reader=reader,
    )


def _video(path: Path) -> Path | None:
    return next((path / name for name in VIDEOS if (path / name).is_file()), None)


def _rows(path: Path, video: VideoFrames, num_depth: int) -> list[FrameRow]:
    """A row for each frame of the video."""
    transforms: dict[int, np.ndarray] = {}
    if (path / LOG).is_file():
        transforms = read_log(path / LOG)
    elif (path / ROWS).is_file():
        table = read_rows(path / ROWS, 8)
        table = table[np.argsort(table[:, 0], kind="stable")]
        found = transforms_of(table[:, 1:4], table[:, 4:8])
        chosen = nearest(table[:, 0], video.times_s, MAX_APART_S)
        transforms = {number: found[row] for number, row in enumerate(chosen) if row >= 0}
    else:
        raise InputError(
            f"{path} has no camera transforms ({LOG} or {ROWS}).",
            "Open3D's RGB-D odometry writes trajectory.log from colour and depth; COLMAP finds transforms "
            "up to scale.",
        )
    return [
        (number, transforms.get(number, "not in the trajectory") if number < num_depth else "no depth image")
        for number in range(len(video))
    ]


class _VideoFolderReader:
    """Colour from the video, depth from PNG."""

    def __init__(self, video: VideoFrames, depth_files: list[Path]) -> None:
        self._video, self._depth_files = video, depth_files

    def read_color(self, frame_index: int) -> np.ndarray:
        """See FrameReader."""
        return self._video.read(frame_index)

    def read_depth(self, frame_index: int) -> np.ndarray:
        """See FrameReader."""
        path = self._depth_files[frame_index]
        data = read_bytes(path)
        size_wh = encoded_size(data, str(path))
        return depth_to_metres(decode_depth_image(data, size_wh, str(path)), MILLIMETRES_PER_METRE)
