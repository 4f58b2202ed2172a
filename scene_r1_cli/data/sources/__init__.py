"""Captures in: one file per format, found by what is on disk."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from scene_r1_cli.data.sources import scenezoo_datasets
from scene_r1_cli.data.sources.incomplete import what_is_missing
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.types import Scene


class Source(NamedTuple):
    """One capture format; its module is loaded when it is asked for, since most runs need one of them.

    Attributes:
        module: In this package; its function ``matches`` tells such a capture.
        opener: Its function that opens one.
        looks_like: For people.
        arguments: Given to both functions besides the path.
    """

    module: str
    opener: str
    looks_like: str
    arguments: tuple[str, ...] = ()

    def matches(self, path: Path) -> bool:
        """Whether a capture of this format lies there."""
        return self._call("matches", path)

    def open(self, path: Path) -> Scene:
        """Open it. Raises InputError."""
        return self._call(self.opener, path)

    def _call(self, name: str, path: Path) -> Any:
        return getattr(import_module(f"{__name__}.{self.module}"), name)(path, *self.arguments)


SOURCES = {
    "prepared": Source("prepared", "open_prepared", "a scene that preprocess wrote"),
    "scannet": Source("scannet", "open_scannet", "a .sens file, a folder with one, or a ScanNet root"),
    "exported": Source(
        "exported", "open_exported", "color/ depth/ pose/ intrinsic/ with files named by index"
    ),
    "tsdf": Source("tsdf", "open_tsdf", "frame-XXXXXX.color.*, .depth.*, .pose.txt (7-Scenes, TSDF-fusion)"),
    "tum": Source("tum", "open_tum", "rgb.txt depth.txt groundtruth.txt (TUM RGB-D)"),
    "redwood": Source("redwood", "open_redwood", "color/ depth/ trajectory.log (Open3D, Redwood)"),
    "record3d": Source("record3d", "open_record3d", "an .r3d file (Record3D)"),
    "stray": Source("stray", "open_stray", "rgb.mp4 depth/ odometry.csv (Stray Scanner)"),
    "polycam": Source("polycam", "open_polycam", "keyframes/ of a raw export (Polycam)"),
    "nerfstudio": Source(
        "nerfstudio", "open_nerfstudio", "transforms.json with depth_file_path (nerfstudio)"
    ),
    "scenefun3d": Source(
        "scenefun3d",
        "open_scenefun3d",
        "a visit with <visit>_laser_scan.ply and <video>/hires_wide/ (SceneFun3D)",
    ),
    "video": Source("video_folder", "open_video_folder", "video.mp4 depth/ trajectory.log intrinsic.txt"),
} | {
    name: Source(
        "scenezoo_datasets",
        "open_zoo_scene",
        f"a scene folder with {dataset.marker.format(scene_id='<scene>')}",
        (name,),
    )
    for name, dataset in scenezoo_datasets.DATASETS.items()
}


def open_scene(path: Path, source: str | None = None) -> Scene:
    """Open a capture, whatever its format.

    Args:
        path: File or folder.
        source: Name of a format in SOURCES; None detects it.

    Raises:
        InputError: Nothing is there, no format matches, or the capture is unusable.
        UsageError: ``source`` is no known format.
    """
    if source is not None and source not in SOURCES:
        raise UsageError(f"--source takes {', '.join(SOURCES)}, not {source!r}.")
    if not path.exists():
        raise InputError(f"There is no file or folder {str(path)!r}.")
    if source is None:
        source = _detect(path)
    return SOURCES[source].open(path)


def _detect(path: Path) -> str:
    for name, candidate in SOURCES.items():
        if candidate.matches(path):
            return name
    if path.is_dir() and not any(path.iterdir()):
        raise InputError(f"{path} is an empty folder.", "Give the folder of an RGB-D capture.")
    if missing := what_is_missing(path):
        raise InputError(*missing)
    formats = "; ".join(f"{name}: {candidate.looks_like}" for name, candidate in SOURCES.items())
    raise InputError(f"{path} is no capture that scener1 knows.", f"Known are {formats}.")
