"""7-Scenes and TSDF-fusion folders: ``frame-XXXXXX.{color.*,depth.png,pose.txt}``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from scene_r1_cli.data.sources.assemble import (
    build_scene,
    camera_from_matrix,
    level_world,
    read_matrix,
    split_usable,
)
from scene_r1_cli.data.sources.image_folder import (
    FrameFiles,
    ImageFolderReader,
    frame_rows,
    image_sizes,
    optional_color_calibration,
)
from scene_r1_cli.errors import InputError
from scene_r1_cli.types import Camera, Scene

_NAME = re.compile(r"frame-(\d+)\.(color\.(?:jpg|jpeg|png)|depth\.(?:png|pgm)|pose\.txt)", re.IGNORECASE)
_INTRINSICS_FILE = "camera-intrinsics.txt"
_GRAVITY_FILE = "gravity-direction.txt"

# 7-Scenes gives one matrix, which fits its depth camera only. Its colour camera (a Kinect v1's) was
# fitted to depth edges; docs/datasets.md says how.
_SEVEN_SCENES_DEPTH = Camera(585.0, 585.0, 320.0, 240.0, (640, 480))
_SEVEN_SCENES_COLOR = Camera(527.8, 527.8, 321.5, 238.5, (640, 480))
_SEVEN_SCENES_BASELINE_M = 0.030


def matches(path: Path) -> bool:
    """A folder with at least one ``frame-*.pose.txt``."""
    return path.is_dir() and next(path.glob("frame-*.pose.txt"), None) is not None


def open_tsdf(path: Path) -> Scene:
    """Open a 7-Scenes sequence or a TSDF-fusion folder.

    ``camera-intrinsics.txt`` (3×3) is the depth camera's. ``color-intrinsics.txt`` (3×3) and
    ``depth-from-color.txt`` (4×4) are honoured when present; without them a capture with 7-Scenes'
    intrinsics gets 7-Scenes' colour calibration, any other is taken as registered.
    ``gravity-direction.txt`` holds the direction of gravity in the scan frame.

    Raises:
        InputError: No usable frame, or a file that cannot be understood.
    """
    files = _list_files(path)
    color_wh, depth_wh = image_sizes(path, files)
    depth_camera, notes = _depth_camera(path, depth_wh)
    color_camera, depth_from_color = optional_color_calibration(path, color_wh)
    if color_camera is None and depth_from_color is None and _is_seven_scenes(depth_camera, color_wh):
        color_camera = _SEVEN_SCENES_COLOR
        depth_from_color = np.eye(4)
        depth_from_color[0, 3] = _SEVEN_SCENES_BASELINE_M
        notes.append("colour is not registered in 7-Scenes: its own colour calibration is used")
    reader = ImageFolderReader(files, color_wh, depth_wh)
    frames, skipped = split_usable(path, frame_rows(files), None)
    gravity_path = path / _GRAVITY_FILE
    gravity_scan = read_matrix(gravity_path, (3, 1))[:, 0] if gravity_path.is_file() else None
    world_from_scan, gravity = level_world(depth_camera, frames, reader, gravity_scan)
    return build_scene(
        scene_id=path.resolve().name,
        source="tsdf",
        path=path,
        color_camera=color_camera or _same_camera(depth_camera, color_wh),
        depth_camera=depth_camera,
        depth_from_color=np.eye(4) if depth_from_color is None else depth_from_color,
        world_from_scan=world_from_scan,
        gravity=gravity,
        frames=frames,
        skipped=skipped,
        clock="fps",
        reader=reader,
        notes=tuple(notes),
    )


def _list_files(path: Path) -> dict[int, FrameFiles]:
    found: dict[int, dict[str, Path]] = {}
    for item in path.iterdir():
        match = _NAME.fullmatch(item.name)
        if match:
            kind = {"c": "color", "d": "depth", "p": "transform"}[match[2][0].lower()]
            found.setdefault(int(match[1]), {})[kind] = item
    return {
        index: FrameFiles(kinds.get("color"), kinds.get("depth"), kinds.get("transform"))
        for index, kinds in found.items()
    }


def _depth_camera(path: Path, depth_wh: tuple[int, int]) -> tuple[Camera, list[str]]:
    intrinsics = path / _INTRINSICS_FILE
    if intrinsics.is_file():
        return camera_from_matrix(intrinsics, read_matrix(intrinsics, (3, 3)), depth_wh), []
    if depth_wh != _SEVEN_SCENES_DEPTH.size_wh:
        raise InputError(
            f"{path} has no {_INTRINSICS_FILE}.", "Put the depth camera's 3×3 matrix in that file."
        )
    return _SEVEN_SCENES_DEPTH, [f"no {_INTRINSICS_FILE}: 7-Scenes' intrinsics are used"]


def _is_seven_scenes(depth_camera: Camera, color_wh: tuple[int, int]) -> bool:
    return depth_camera == _SEVEN_SCENES_DEPTH and color_wh == _SEVEN_SCENES_COLOR.size_wh


def _same_camera(depth_camera: Camera, color_wh: tuple[int, int]) -> Camera:
    from scene_r1_cli.geometry.camera import resize_camera

    return resize_camera(depth_camera, color_wh)
