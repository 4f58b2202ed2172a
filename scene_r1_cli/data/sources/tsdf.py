"""7-Scenes, TSDF-fusion and SensReader folders: ``frame-XXXXXX.{color.*,depth.*,pose.txt}``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scene_r1_cli.data.sources.assemble import (
    build_scene,
    camera_from_matrix,
    folder_name,
    level_world,
    read_matrix,
    split_usable,
)
from scene_r1_cli.data.sources.image_folder import (
    MILLIMETRES_PER_METRE,
    FrameFiles,
    ImageFolderReader,
    frame_rows,
    image_sizes,
    optional_color_calibration,
)
from scene_r1_cli.data.sources.scannet import read_meta
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import resize_camera
from scene_r1_cli.types import Camera, Scene

_NAME = re.compile(r"frame-(\d+)\.(color\.(?:jpg|jpeg|png)|depth\.(?:png|pgm)|pose\.txt)", re.IGNORECASE)
_INTRINSICS_FILE = "camera-intrinsics.txt"
_GRAVITY_FILE = "gravity-direction.txt"
_INFO_FILE = "_info.txt"

# 7-Scenes gives one matrix, which fits its depth camera only. Its colour camera (a Kinect v1's) was
# fitted to depth edges; docs/datasets.md says how.
_SEVEN_SCENES_DEPTH = Camera(585.0, 585.0, 320.0, 240.0, (640, 480))
_SEVEN_SCENES_COLOR = Camera(527.8, 527.8, 321.5, 238.5, (640, 480))
_SEVEN_SCENES_BASELINE_M = 0.030


class _Calibration(NamedTuple):
    """The cameras of a folder and where they were found."""

    color_camera: Camera
    depth_camera: Camera
    depth_from_color: np.ndarray
    depth_units_per_metre: float
    notes: tuple[str, ...]


def matches(path: Path) -> bool:
    """A folder with at least one ``frame-*.pose.txt``."""
    return path.is_dir() and next(path.glob("frame-*.pose.txt"), None) is not None


def open_tsdf(path: Path) -> Scene:
    """Open a 7-Scenes sequence, a TSDF-fusion folder, or what ScanNet's C++ SensReader exports.

    ``camera-intrinsics.txt`` (3×3) is the depth camera's. Without it, SensReader's ``_info.txt`` gives
    both cameras. ``color-intrinsics.txt`` (3×3) and ``depth-from-color.txt`` (4×4) are honoured when
    present; without them a capture with 7-Scenes' intrinsics gets 7-Scenes' colour calibration, any
    other is taken as registered. ``gravity-direction.txt`` holds the direction of gravity (down) in the
    scan frame.

    Raises:
        InputError: No usable frame, or a file that cannot be understood.
    """
    files = _list_files(path)
    color_wh, depth_wh = image_sizes(path, files)
    calibration = _calibration(path, color_wh, depth_wh)
    reader = ImageFolderReader(files, color_wh, depth_wh, calibration.depth_units_per_metre)
    frames, skipped = split_usable(path, frame_rows(files), None)
    world_from_scan, gravity = level_world(
        calibration.depth_camera, frames, reader, gravity_scan=_measured_gravity(path)
    )
    return build_scene(
        scene_id=folder_name(path),
        source="tsdf",
        path=path,
        color_camera=calibration.color_camera,
        depth_camera=calibration.depth_camera,
        depth_from_color=calibration.depth_from_color,
        world_from_scan=world_from_scan,
        gravity=gravity,
        frames=frames,
        skipped=skipped,
        clock="fps",
        reader=reader,
        notes=calibration.notes,
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


def _calibration(path: Path, color_wh: tuple[int, int], depth_wh: tuple[int, int]) -> _Calibration:
    intrinsics, info = path / _INTRINSICS_FILE, path / _INFO_FILE
    units, notes, stated_color = MILLIMETRES_PER_METRE, [], None
    if intrinsics.is_file():
        depth_camera = camera_from_matrix(intrinsics, read_matrix(intrinsics, (3, 3)), depth_wh)
    elif info.is_file():
        meta = read_meta(info)
        depth_camera = _info_camera(info, meta, "depth", depth_wh)
        stated_color = _info_camera(info, meta, "color", color_wh)
        units = _info_numbers(info, meta, "m_depthShift", 1)[0]
        if units < 1:
            raise InputError(f"{info} has m_depthShift {units:g}; raw units per metre are at least 1.")
    elif depth_wh == _SEVEN_SCENES_DEPTH.size_wh:
        depth_camera = _SEVEN_SCENES_DEPTH
        notes.append(f"no {_INTRINSICS_FILE}: 7-Scenes' intrinsics are assumed")
    else:
        raise InputError(
            f"{path} has no {_INTRINSICS_FILE}.", "Put the depth camera's 3×3 matrix in that file."
        )
    own_color, depth_from_color = optional_color_calibration(path, color_wh)
    own_color = own_color or stated_color
    if own_color is None and depth_from_color is None and _is_seven_scenes(depth_camera, color_wh):
        own_color = _SEVEN_SCENES_COLOR
        depth_from_color = np.eye(4)
        depth_from_color[0, 3] = _SEVEN_SCENES_BASELINE_M
        notes.append("colour is not registered in 7-Scenes: its own colour calibration is used")
    return _Calibration(
        color_camera=own_color or resize_camera(depth_camera, color_wh),
        depth_camera=depth_camera,
        depth_from_color=np.eye(4) if depth_from_color is None else depth_from_color,
        depth_units_per_metre=units,
        notes=tuple(notes),
    )


def _is_seven_scenes(depth_camera: Camera, color_wh: tuple[int, int]) -> bool:
    return depth_camera == _SEVEN_SCENES_DEPTH and color_wh == _SEVEN_SCENES_COLOR.size_wh


def _info_camera(info: Path, meta: dict[str, str], sensor: str, size_wh: tuple[int, int]) -> Camera:
    """A camera of ``_info.txt``, at the size the images really have."""
    matrix = _info_numbers(info, meta, f"m_calibration{sensor.title()}Intrinsic", 16).reshape(4, 4)
    width, height = (
        int(_info_numbers(info, meta, f"m_{sensor}{side}", 1)[0]) for side in ("Width", "Height")
    )
    if width < 1 or height < 1:
        raise InputError(f"{info} states {sensor} images of {width}×{height} pixels.")
    return resize_camera(camera_from_matrix(info, matrix, (width, height)), size_wh)


def _info_numbers(info: Path, meta: dict[str, str], key: str, count: int) -> np.ndarray:
    try:
        values = np.array([float(word) for word in meta.get(key, "").split()])
    except ValueError:
        values = np.zeros(0)
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(f"{info} has no {key} of {count} finite numbers.")
    return values


def _measured_gravity(path: Path) -> np.ndarray | None:
    file = path / _GRAVITY_FILE
    if not file.is_file():
        return None
    gravity_scan = read_matrix(file, (3, 1))[:, 0]
    if not (np.isfinite(gravity_scan).all() and np.linalg.norm(gravity_scan) > 0):
        raise InputError(f"{file} holds no direction; three finite numbers, not all zero, are needed.")
    return gravity_scan
