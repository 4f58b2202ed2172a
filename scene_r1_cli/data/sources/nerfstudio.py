"""nerfstudio: ``transforms.json`` whose frames have depth images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.sources.assemble import FrameRow, level_scene, split_usable
from scene_r1_cli.data.sources.image_folder import FrameFiles, ImageFolderReader, image_sizes
from scene_r1_cli.data.sources.trajectory import OPENCV_FROM_OPENGL
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import resize_camera
from scene_r1_cli.types import Camera, Scene

FILE = "transforms.json"
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
_DISTORTION_TOLD = 0.01


def matches(path: Path) -> bool:
    """A folder with ``transforms.json``."""
    return (path / FILE).is_file()


def open_nerfstudio(path: Path) -> Scene:
    """Open a nerfstudio data set with depth (16-bit PNG in millimetres, registered to colour).

    Raises:
        InputError: No frame has depth, a field is missing, or intrinsics differ from frame to frame.
    """
    try:
        data = json.loads((path / FILE).read_text(encoding="utf-8"))
        entries = sorted(data["frames"], key=lambda item: str(item["file_path"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path / FILE} is no list of frames: {error!r}.") from error
    if not any("depth_file_path" in item for item in entries):
        raise InputError(
            f"{path / FILE} names no depth image (depth_file_path).",
            "Record with a depth sensor; ns-process-data exports depth from Record3D and Polycam.",
        )
    files: dict[int, FrameFiles] = {}
    rows: list[FrameRow] = []
    for index, item in enumerate(entries):
        color = path / str(item["file_path"])
        depth = path / str(item["depth_file_path"]) if item.get("depth_file_path") else None
        files[index] = FrameFiles(color, depth, None)
        if not color.is_file() or depth is None or not depth.is_file():
            rows.append((index, "no colour or no depth image"))
            continue
        transform = np.asarray(item.get("transform_matrix"), dtype=np.float64)
        rows.append(
            (index, transform @ OPENCV_FROM_OPENGL if transform.shape == (4, 4) else "no camera transform")
        )
    color_wh, depth_wh = image_sizes(path, files)
    color_camera, notes = _camera(path, data, entries, color_wh)
    frames, skipped = split_usable(path, rows, None)
    reader = ImageFolderReader(files, color_wh, depth_wh)
    depth_camera = resize_camera(color_camera, depth_wh)
    return level_scene(
        source="nerfstudio",
        path=path,
        color_camera=color_camera,
        depth_camera=depth_camera,
        frames=frames,
        skipped=skipped,
        clock="fps",
        reader=reader,
        keep_upright=True,
        notes=notes,
    )


def _camera(
    path: Path, data: dict[str, Any], entries: list[dict[str, Any]], size_wh: tuple[int, int]
) -> tuple[Camera, tuple[str, ...]]:
    keys = ("fl_x", "fl_y", "cx", "cy")
    try:
        values = np.array([[(data | item)[key] for key in keys] for item in entries], dtype=np.float64)
        stated = (int((data | entries[0])["w"]), int((data | entries[0])["h"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path / FILE} lacks fl_x, fl_y, cx, cy, w or h.") from error
    middle = np.median(values, axis=0)
    notes: list[str] = []
    spread = float((np.ptp(values[:, :2], axis=0) / middle[:2]).max())
    if spread > 0.002:
        notes.append(f"the focal length differs between frames by {spread:.1%}; the middle one is used")
    distortion = max(abs(float(data.get(key, 0) or 0)) for key in _DISTORTION)
    if distortion > _DISTORTION_TOLD:
        notes.append(f"lens distortion up to {distortion:.3f} is not undone; export undistorted images")
    fx, fy, cx, cy = (float(value) for value in middle)
    # nerfstudio's principal point counts from the image's corner.
    return resize_camera(Camera(fx, fy, cx - 0.5, cy - 0.5, stated), size_wh), tuple(notes)
