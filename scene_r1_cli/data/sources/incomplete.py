"""What a folder lacks that looks like a capture but is none: told at once, with how to get it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FROM_IMAGES = (
    "Camera transforms: Open3D's RGB-D odometry (its reconstruction system writes trajectory.log) or COLMAP; "
    "then lay them beside the frames as one of the formats of docs/datasets.md."
)
FROM_SENSOR = (
    "Depth must come from a sensor, with the capture: record with Record3D, Stray Scanner, Polycam (LiDAR), "
    "a RealSense or a Kinect. Depth that a network guesses has no certain scale."
)
_IMAGES = (".jpg", ".jpeg", ".png")
_COLOR_FOLDERS = ("color", "rgb", "image", "images", "hires_wide", "lowres_wide")
_DEPTH_FOLDERS = ("depth", "hires_depth", "lowres_depth")


class _Sign(NamedTuple):
    """A file that tells a format, and what else that format needs: file to what it holds."""

    name: str
    format_name: str
    needed: dict[str, str]


_SIGNS = (
    _Sign("rgb.txt", "tum", {"depth.txt": "depth", "groundtruth.txt": "camera transforms"}),
    _Sign("camera_matrix.csv", "stray", {"depth": "depth", "odometry.csv": "camera transforms"}),
    _Sign("trajectory.log", "redwood", {"depth": "depth"}),
    _Sign("hires_wide", "scenefun3d", {"hires_depth": "depth", "hires_poses.traj": "camera transforms"}),
    _Sign("lowres_wide", "scenefun3d", {"lowres_depth": "depth", "lowres_poses.traj": "camera transforms"}),
    _Sign("intrinsic", "exported", {"depth": "depth", "pose": "camera transforms"}),
)
_HINTS = {"depth": FROM_SENSOR, "camera transforms": FROM_IMAGES}


def what_is_missing(path: Path) -> tuple[str, str] | None:
    """What a capture at a path lacks, as a sentence, and how to get it; None if it looks like no capture.

    Args:
        path: A folder, or a video file.
    """
    if path.is_file():
        if path.suffix.lower() not in (".mp4", ".mov", ".mkv"):
            return None
        return f"{path} is a video alone: it has neither depth nor camera transforms.", FROM_SENSOR
    for sign in _SIGNS:
        absent = {name: what for name, what in sign.needed.items() if not (path / name).exists()}
        if (path / sign.name).exists() and absent:
            listed = " and ".join(f"no {name} ({what})" for name, what in absent.items())
            return f"{path} looks like a capture of the format {sign.format_name}, but has {listed}.", _HINTS[
                next(iter(absent.values()))
            ]
    if not path.is_dir():
        return None
    folders = [name for name in _COLOR_FOLDERS if (path / name).is_dir()]
    has_color = bool(folders) or any(item.suffix.lower() in _IMAGES for item in path.iterdir())
    has_depth = any((path / name).is_dir() for name in _DEPTH_FOLDERS) or any(path.glob("*depth*"))
    if not has_color:
        return None
    if not has_depth:
        return f"{path} has pictures, but no depth.", FROM_SENSOR
    return f"{path} has colour and depth, but no camera transforms.", FROM_IMAGES
