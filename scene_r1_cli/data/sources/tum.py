"""TUM RGB-D: ``rgb.txt``, ``depth.txt`` and ``groundtruth.txt``, joined by time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scene_r1_cli.data.sources.assemble import FrameRow, folder_name, level_scene, split_usable
from scene_r1_cli.data.sources.image_folder import FrameFiles, ImageFolderReader, image_sizes
from scene_r1_cli.data.sources.trajectory import nearest, read_rows, transforms_of
from scene_r1_cli.errors import InputError
from scene_r1_cli.types import Camera, Scene

UNITS_PER_METRE = 5000.0
MAX_APART_S = 0.02
"""Colour, depth and camera transform of a frame are at most this far apart, as in the data set's own tool."""

# The data set's own calibration (depth is registered to colour); distortion is left to the images.
_CAMERAS = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3),
    "freiburg2": (520.9, 521.0, 325.1, 249.7),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
}
_DEFAULT_CAMERA = (525.0, 525.0, 319.5, 239.5)


def matches(path: Path) -> bool:
    """A folder with the three lists."""
    return all((path / name).is_file() for name in ("rgb.txt", "depth.txt", "groundtruth.txt"))


def open_tum(path: Path) -> Scene:
    """Open a TUM RGB-D sequence.

    Raises:
        InputError: A list is damaged, or no colour image has depth and a camera transform near its time.
    """
    color_times, color_files = _list(path, "rgb.txt")
    depth_times, depth_files = _list(path, "depth.txt")
    trajectory = read_rows(path / "groundtruth.txt", 8)
    trajectory = trajectory[np.argsort(trajectory[:, 0], kind="stable")]
    transforms = transforms_of(trajectory[:, 1:4], trajectory[:, 4:8])
    depth_of = nearest(depth_times, color_times, MAX_APART_S)
    transform_of = nearest(trajectory[:, 0], color_times, MAX_APART_S)
    files: dict[int, FrameFiles] = {}
    rows: list[FrameRow] = []
    for index, color in enumerate(color_files):
        depth = depth_files[depth_of[index]] if depth_of[index] >= 0 else None
        files[index] = FrameFiles(color, depth, None)
        if not color.is_file() or depth is None or not depth.is_file():
            rows.append((index, "no colour or no depth image at its time"))
        elif transform_of[index] < 0:
            rows.append((index, "no camera transform at its time"))
        else:
            rows.append((index, transforms[transform_of[index]]))
    color_wh, depth_wh = image_sizes(path, files)
    frames, skipped = split_usable(path, rows, color_times - color_times[0])
    known = next((name for name in _CAMERAS if name in folder_name(path)), None)
    camera = Camera(*(_CAMERAS[known] if known else _DEFAULT_CAMERA), color_wh)
    reader = ImageFolderReader(files, color_wh, depth_wh, UNITS_PER_METRE)
    notes = (
        () if known else ("the folder's name tells no TUM camera: the default 525/525/319.5/239.5 is used",)
    )
    return level_scene(
        source="tum",
        path=path,
        color_camera=camera,
        depth_camera=Camera(camera.fx, camera.fy, camera.cx, camera.cy, depth_wh),
        frames=frames,
        skipped=skipped,
        clock="timestamps",
        reader=reader,
        keep_upright=True,
        notes=notes,
    )


def _list(path: Path, name: str) -> tuple[np.ndarray, list[Path]]:
    """Rising times and files of a list."""
    entries: list[tuple[float, Path]] = []
    text = (path / name).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            entries.append((float(words[0]), path / words[1]))
        except (ValueError, IndexError) as error:
            raise InputError(f"{path / name}, line {number}, is not a time and a file.") from error
    if not entries:
        raise InputError(f"{path / name} lists no image.")
    entries.sort(key=lambda entry: entry[0])
    return np.array([time for time, _ in entries]), [file for _, file in entries]
