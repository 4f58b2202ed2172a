"""Open3D and Redwood: ``color/``, ``depth/``, ``trajectory.log``, and an intrinsic JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from scene_r1_cli.data.sources.assemble import (
    FrameRow,
    camera_from_matrix,
    level_scene,
    split_usable,
)
from scene_r1_cli.data.sources.image_folder import FrameFiles, ImageFolderReader, image_sizes
from scene_r1_cli.data.sources.trajectory import read_log
from scene_r1_cli.errors import InputError
from scene_r1_cli.types import Camera, Scene

_COLOR_FOLDERS = ("color", "rgb", "image")
_IMAGES = (".jpg", ".jpeg", ".png")
_LOGS = ("trajectory.log", "scene/trajectory.log")
_INTRINSICS = ("camera_intrinsic.json", "intrinsic.json", "camera_intrinsics.json")
_PRIMESENSE = (525.0, 525.0, 319.5, 239.5)


def matches(path: Path) -> bool:
    """A folder with images, depth, and a trajectory log."""
    return (
        path.is_dir()
        and (path / "depth").is_dir()
        and _color_folder(path) is not None
        and _log(path) is not None
    )


def open_redwood(path: Path) -> Scene:
    """Open a capture as Open3D's recorder and reconstruction system leave it; depth is in millimetres.

    Colour counts as aligned to depth, which is how Open3D records a RealSense. Without an intrinsic JSON the
    cameras are the PrimeSense default of Open3D and Redwood, which a note tells.

    Raises:
        InputError: Folders do not hold as many images, or the trajectory or the intrinsics cannot be read.
    """
    color_folder, log_path = _color_folder(path), _log(path)
    if color_folder is None or log_path is None or not (path / "depth").is_dir():
        raise InputError(f"{path} lacks images, depth/ or trajectory.log of an Open3D capture.")
    color = sorted(item for item in color_folder.iterdir() if item.suffix.lower() in _IMAGES)
    depth = sorted(item for item in (path / "depth").iterdir() if item.suffix.lower() == ".png")
    if len(color) != len(depth):
        raise InputError(
            f"{path} has {len(color)} colour and {len(depth)} depth images; they are joined by order.",
            "Export aligned pairs, one depth image for each colour image.",
        )
    transforms = read_log(log_path)
    files = {index: FrameFiles(c, d, None) for index, (c, d) in enumerate(zip(color, depth, strict=True))}
    rows: list[FrameRow] = [(index, transforms.get(index, "not in the trajectory")) for index in files]
    color_wh, depth_wh = image_sizes(path, files)
    frames, skipped = split_usable(path, rows, None)
    camera, notes = _camera(path, depth_wh)
    reader = ImageFolderReader(files, color_wh, depth_wh)
    scale = color_wh[0] / depth_wh[0]
    color_camera = Camera(
        camera.fx * scale,
        camera.fy * scale,
        (camera.cx + 0.5) * scale - 0.5,
        (camera.cy + 0.5) * scale - 0.5,
        color_wh,
    )
    return level_scene(
        source="redwood",
        path=path,
        color_camera=color_camera,
        depth_camera=camera,
        frames=frames,
        skipped=skipped,
        clock="fps",
        reader=reader,
        notes=notes,
    )


def _camera(path: Path, size_wh: tuple[int, int]) -> tuple[Camera, tuple[str, ...]]:
    file = next((path / name for name in _INTRINSICS if (path / name).is_file()), None)
    if file is None:
        return Camera(*_PRIMESENSE, size_wh), ("no intrinsic JSON: the PrimeSense default is used",)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        # Open3D writes the matrix column by column.
        matrix = np.array(data["intrinsic_matrix"], dtype=np.float64).reshape(3, 3).T
        stated = (int(data["width"]), int(data["height"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is no intrinsic JSON of Open3D: {error!r}.") from error
    if stated != size_wh:
        raise InputError(f"{file} is for {stated[0]}×{stated[1]} images; depth is {size_wh[0]}×{size_wh[1]}.")
    return camera_from_matrix(file, matrix, size_wh), ()


def _color_folder(path: Path) -> Path | None:
    return next((path / name for name in _COLOR_FOLDERS if (path / name).is_dir()), None)


def _log(path: Path) -> Path | None:
    return next((path / name for name in _LOGS if (path / name).is_file()), None)
