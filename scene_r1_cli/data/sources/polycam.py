"""Polycam raw export: ``keyframes/`` with images, depth, confidence and a JSON per camera."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from scene_r1_cli.data.sources.assemble import FrameRow, level_scene, split_usable
from scene_r1_cli.data.sources.image_folder import FrameFiles, ImageFolderReader, image_sizes
from scene_r1_cli.data.sources.trajectory import DOWN_OF_Y_UP, OPENCV_FROM_OPENGL
from scene_r1_cli.data.sources.upright import turned_upright
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import resize_camera
from scene_r1_cli.types import Camera, Scene

MIN_CONFIDENCE = 127
"""Confidence is 0, 54 or 255 in Polycam's pictures; only the highest is kept."""

_CORRECTED = ("corrected_images", "corrected_cameras")
_RAW = ("images", "cameras")


def matches(path: Path) -> bool:
    """A folder with ``keyframes/`` that has cameras."""
    return any((path / "keyframes" / name).is_dir() for name in (_CORRECTED[1], _RAW[1]))


def open_polycam(path: Path) -> Scene:
    """Open a raw export; the images and cameras that Polycam corrected are preferred.

    Raises:
        InputError: No frame has an image, depth and a camera.
    """
    root = path / "keyframes"
    images, cameras = _CORRECTED if (root / _CORRECTED[1]).is_dir() else _RAW
    records = {item.stem: item for item in (root / cameras).glob("*.json")}
    if not (root / "depth").is_dir():
        raise InputError(
            f"{path} has no keyframes/depth.",
            "Only captures with LiDAR (Space mode) export depth; record one.",
        )
    stems = sorted(records, key=lambda stem: (len(stem), stem))
    files: dict[int, FrameFiles] = {}
    confidence: dict[int, Path] = {}
    rows: list[FrameRow] = []
    values, times = [], []
    for index, stem in enumerate(stems):
        files[index] = FrameFiles(root / images / f"{stem}.jpg", root / "depth" / f"{stem}.png", None)
        sure = root / "confidence" / f"{stem}.png"
        if sure.is_file():
            confidence[index] = sure
        times.append(index / 30.0)
        found = _read(records[stem])
        if isinstance(found, str):
            rows.append((index, found))
        elif not all(item.is_file() for item in (files[index].color, files[index].depth) if item):
            rows.append((index, "no colour or no depth image"))
        else:
            transform, camera, size_wh, time_s = found
            rows.append((index, transform))
            values.append((*camera, *size_wh))
            times[-1] = time_s
    if not values:
        raise InputError(f"{path} has no frame with an image, depth and a camera.")
    middle = np.median(np.array(values), axis=0)
    stated = (int(middle[4]), int(middle[5]))
    seconds = np.array(times) - times[0]
    if (np.diff(seconds) < 0).any() or not np.isfinite(seconds).all():
        seconds = np.arange(len(times)) / 30.0
    frames, skipped = split_usable(path, rows, seconds)
    color_wh, depth_wh = image_sizes(path, {frame.frame_index: files[frame.frame_index] for frame in frames})
    fx, fy, cx, cy = middle[:4].tolist()
    color = resize_camera(Camera(fx, fy, cx, cy, stated), color_wh)
    depth = resize_camera(color, depth_wh)
    reader = ImageFolderReader(
        files, color_wh, depth_wh, confidence=confidence, min_confidence=MIN_CONFIDENCE
    )
    return turned_upright(
        level_scene(
            source="polycam",
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


def _read(
    file: Path,
) -> tuple[np.ndarray, tuple[float, float, float, float], tuple[int, int], float] | str:
    """Transform, intrinsics, size and time of one camera; or why not."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        transform = np.eye(4)
        for row in range(3):
            transform[row] = [float(data[f"t_{row}{column}"]) for column in range(4)]
        intrinsics = (float(data["fx"]), float(data["fy"]), float(data["cx"]), float(data["cy"]))
        size_wh = (int(data["width"]), int(data["height"]))
        time_s = float(data.get("timestamp", np.nan)) / 1e6
    except (OSError, ValueError, KeyError, TypeError):
        return "its camera file is damaged"
    return transform @ OPENCV_FROM_OPENGL, intrinsics, size_wh, time_s
