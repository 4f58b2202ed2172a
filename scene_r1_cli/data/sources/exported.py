"""ScanNet frames as exported: ``color/ depth/ pose/ intrinsic/``, files named by source frame index."""

from __future__ import annotations

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
from scene_r1_cli.data.sources.scannet import axis_alignment, read_meta
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import resize_camera
from scene_r1_cli.types import Camera, Scene

_COLOR_SUFFIXES = (".jpg", ".jpeg", ".png")
_DEPTH_SUFFIXES = (".png", ".pgm")


def matches(path: Path) -> bool:
    """A folder with ``color/``, ``depth/`` and ``pose/``."""
    return all((path / name).is_dir() for name in ("color", "depth", "pose"))


def open_exported(path: Path) -> Scene:
    """Open a folder of exported ScanNet frames.

    Intrinsics come from ``intrinsic/intrinsic_color.txt`` and ``intrinsic/intrinsic_depth.txt``, or from
    one ``intrinsic.txt`` (or ``intrinsics.txt``), which is the *colour* camera; depth is then taken from
    the meta file beside it (``fx_depth`` …), or as the colour camera at depth's size.

    Raises:
        InputError: No usable frame, no intrinsics, or a file that cannot be understood.
    """
    files = _list_files(path)
    color_wh, depth_wh = image_sizes(path, files)
    scene_id = path.resolve().name
    meta_path = path / f"{scene_id}.txt"
    meta = read_meta(meta_path)
    color_camera, depth_camera = _cameras(path, meta, color_wh, depth_wh)
    own_color_camera, depth_from_color = optional_color_calibration(path, color_wh)
    reader = ImageFolderReader(files, color_wh, depth_wh)
    frames, skipped = split_usable(path, frame_rows(files), None)
    aligned = axis_alignment(meta, meta_path)
    if aligned is not None:
        world_from_scan, gravity = aligned, "axis_alignment"
    else:
        world_from_scan, gravity = level_world(depth_camera, frames, reader)
    return build_scene(
        scene_id=scene_id,
        source="exported",
        path=path,
        color_camera=own_color_camera or color_camera,
        depth_camera=depth_camera,
        depth_from_color=np.eye(4) if depth_from_color is None else depth_from_color,
        world_from_scan=world_from_scan,
        gravity=gravity,
        frames=frames,
        skipped=skipped,
        clock="fps",
        reader=reader,
    )


def _list_files(path: Path) -> dict[int, FrameFiles]:
    color = _by_index(path / "color", _COLOR_SUFFIXES)
    depth = _by_index(path / "depth", _DEPTH_SUFFIXES)
    transform = _by_index(path / "pose", (".txt",))
    indices = color.keys() | depth.keys() | transform.keys()
    return {i: FrameFiles(color.get(i), depth.get(i), transform.get(i)) for i in indices}


def _by_index(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    files = (item for item in folder.iterdir() if item.suffix.lower() in suffixes)
    return {int(item.stem): item for item in files if item.stem.isdigit()}


def _cameras(
    path: Path, meta: dict[str, str], color_wh: tuple[int, int], depth_wh: tuple[int, int]
) -> tuple[Camera, Camera]:
    folder = path / "intrinsic"
    color = _first_file(folder / "intrinsic_color.txt", path / "intrinsic.txt", path / "intrinsics.txt")
    if color is None:
        raise InputError(
            f"{path} has no intrinsics.",
            "Put 4×4 matrices in intrinsic/intrinsic_color.txt and intrinsic/intrinsic_depth.txt.",
        )
    color_camera = camera_from_matrix(color, _read_square(color), color_wh)
    depth = _first_file(folder / "intrinsic_depth.txt")
    if depth is not None:
        return color_camera, camera_from_matrix(depth, _read_square(depth), depth_wh)
    keys = ("fx_depth", "fy_depth", "mx_depth", "my_depth")
    if all(key in meta for key in keys):
        fx, fy, cx, cy = (float(meta[key]) for key in keys)
        return color_camera, Camera(fx, fy, cx, cy, depth_wh)
    return color_camera, resize_camera(color_camera, depth_wh)


def _read_square(path: Path) -> np.ndarray:
    size = 3 if len(path.read_text(encoding="utf-8", errors="replace").split()) == 9 else 4
    return read_matrix(path, (size, size))


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)
