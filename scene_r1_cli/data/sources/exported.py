"""ScanNet frames as exported: ``color/ depth/ pose/ intrinsic/``, files named by source frame index."""

from __future__ import annotations

from pathlib import Path

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
    FrameFiles,
    ImageFolderReader,
    frame_rows,
    image_sizes,
    optional_color_calibration,
)
from scene_r1_cli.data.sources.scannet import axis_alignment, meta_number, read_meta
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
    the meta file beside it (``fx_depth`` …), or as the colour camera at depth's size, which a note tells.
    Colour exported at another size than the meta file's ``colorWidth`` scales the colour camera.

    Raises:
        InputError: No usable frame, no intrinsics, intrinsics of another image size, or a file that
            cannot be understood.
    """
    files = _list_files(path)
    color_wh, depth_wh = image_sizes(path, files)
    scene_id = folder_name(path)
    meta_path = path / f"{scene_id}.txt"
    meta = read_meta(meta_path)
    color_camera, depth_camera, notes = _cameras(path, meta, color_wh, depth_wh)
    own_color_camera, depth_from_color = optional_color_calibration(path, color_wh)
    reader = ImageFolderReader(files, color_wh, depth_wh)
    frames, skipped = split_usable(path, frame_rows(files), None)
    aligned = axis_alignment(meta, meta_path)
    if aligned is not None:
        world_from_scan, gravity = aligned, "axis_alignment"
    else:
        # These are ScanNet's frames, and ScanNet's scans have +z up.
        world_from_scan, gravity = level_world(depth_camera, frames, reader, keep_upright=True)
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
        notes=notes,
    )


def _list_files(path: Path) -> dict[int, FrameFiles]:
    color = _by_index(path / "color", _COLOR_SUFFIXES)
    depth = _by_index(path / "depth", _DEPTH_SUFFIXES)
    transform = _by_index(path / "pose", (".txt",))
    indices = color.keys() | depth.keys() | transform.keys()
    return {i: FrameFiles(color.get(i), depth.get(i), transform.get(i)) for i in indices}


def _by_index(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    files = (item for item in folder.iterdir() if item.suffix.lower() in suffixes)
    return {int(item.stem): item for item in files if item.stem.isdecimal()}


def _cameras(
    path: Path, meta: dict[str, str], color_wh: tuple[int, int], depth_wh: tuple[int, int]
) -> tuple[Camera, Camera, tuple[str, ...]]:
    """Colour and depth camera, and what a person should know of them."""
    folder = path / "intrinsic"
    color = _first_file(folder / "intrinsic_color.txt", path / "intrinsic.txt", path / "intrinsics.txt")
    if color is None:
        raise InputError(
            f"{path} has no intrinsics.",
            "Put 4×4 matrices in intrinsic/intrinsic_color.txt and intrinsic/intrinsic_depth.txt.",
        )
    color_camera = _camera_of_size(color, meta, "color", color_wh)
    depth = _first_file(folder / "intrinsic_depth.txt")
    if depth is not None:
        return color_camera, _camera_of_size(depth, meta, "depth", depth_wh), ()
    stated = [meta_number(meta, key) for key in ("fx_depth", "fy_depth", "mx_depth", "my_depth")]
    if None not in stated:
        matrix = np.eye(3)
        matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2] = stated
        return color_camera, camera_from_matrix(path / f"{folder_name(path)}.txt", matrix, depth_wh), ()
    note = f"no depth intrinsics: the colour camera of {color.name} is used at depth's size"
    return color_camera, resize_camera(color_camera, depth_wh), (note,)


def _camera_of_size(file: Path, meta: dict[str, str], sensor: str, size_wh: tuple[int, int]) -> Camera:
    """The camera of an intrinsics file, at the size its images really have.

    Exporters shrink images but keep the matrix. The meta file tells the size the matrix is for; without
    it a principal point far from the centre gives the mismatch away.
    """
    matrix = _read_square(file)
    width, height = (int(meta_number(meta, f"{sensor}{side}") or 0) for side in ("Width", "Height"))
    if width > 0 and height > 0:
        return resize_camera(camera_from_matrix(file, matrix, (width, height)), size_wh)
    camera = camera_from_matrix(file, matrix, size_wh)
    if not all(0.25 < c / side < 0.75 for c, side in zip((camera.cx, camera.cy), size_wh, strict=True)):
        raise InputError(
            f"{file} has its principal point at ({camera.cx:.0f}, {camera.cy:.0f}), which is not near the "
            f"centre of {size_wh[0]}×{size_wh[1]} images; it belongs to images of another size.",
            "Scale the matrix to the exported images.",
        )
    return camera


def _read_square(path: Path) -> np.ndarray:
    size = 3 if len(path.read_text(encoding="utf-8", errors="replace").split()) == 9 else 4
    return read_matrix(path, (size, size))


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)
