"""Scenes of ScanNet++, ARKitScenes, 3RScan, MultiScan and Matterport3D, read through ``scenezoo``.

scenezoo knows each data set's files; this adapter turns one of its scenes into ours. It is a first,
plain version: a scene has one camera per sensor here, so intrinsics that change from frame to frame
(phones focus) become those of one middling frame, which a note tells; and every frame read is one call
of scenezoo.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scene_r1_cli.data.sources.assemble import FrameRow, folder_name, level_scene, split_usable
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.transforms import invert
from scene_r1_cli.types import Camera, Clock, Scene

MIN_CONFIDENCE = 2
"""ARKit's 0 low, 1 medium, 2 high; only the highest is kept."""

_FOCAL_SPREAD_TOLD = 0.002
_CAMERA_ITEMS = ("rgb_intrinsics", "depth_intrinsics", "world_to_camera")


class ZooDataset(NamedTuple):
    """How one data set of scenezoo is found and asked.

    Attributes:
        name: Its name in scenezoo.
        marker: A file or folder in every scene folder; ``{scene_id}`` stands for the folder's name.
        depth_in_root: Folders from the data set's root down to a scene.
        has_timestamps: Whether its frames have times.
        frame_sources: Which of its image streams to take, the first that a scene has; empty if it has one.
        confidence: A file or folder in a scene that says how sure the sensor was; empty if there is none.
    """

    name: str
    marker: str
    depth_in_root: int
    has_timestamps: bool
    frame_sources: tuple[dict[str, str], ...] = ()
    confidence: str = ""


DATASETS = {
    "scannetpp": ZooDataset(
        "scannetppv2", "iphone/pose_intrinsic_imu.json", 2, True, ({"source": "iphone"},)
    ),
    "arkitscenes": ZooDataset(
        "arkitscenes",
        "lowres_wide.traj",
        2,
        True,
        ({"source": "wide", "depth_type": "lowres"}, {"source": "mov"}, {"source": "lowres_wide"}),
        "confidence",
    ),
    "3rscan": ZooDataset("3rscan", "sequence.zip", 1, False),
    "multiscan": ZooDataset(
        "multiscan", "{scene_id}.depth.zlib", 1, True, confidence="{scene_id}.confidence.zlib"
    ),
    "matterport3d": ZooDataset(
        "matterport3d", "undistorted_camera_parameters", 1, False, ({"source": "undistorted"},)
    ),
}


def matches(path: Path, source: str) -> bool:
    """A scene folder of that data set, told by its marker."""
    return path.is_dir() and (path / DATASETS[source].marker.format(scene_id=folder_name(path))).exists()


def open_zoo_scene(path: Path, source: str) -> Scene:
    """Open one scene folder of a data set in its official layout.

    Images of portrait captures are turned upright by scenezoo, cameras with them; a note tells. Colour
    counts as registered to depth, since scenezoo gives one camera transform for both.

    Args:
        path: The scene folder inside its data set.
        source: A key of DATASETS.

    Raises:
        InputError: scenezoo cannot read it, or no frame is usable.
    """
    from scenezoo import get_dataset

    known = DATASETS[source]
    scene_id = folder_name(path)
    root = Path(os.path.abspath(path)).parents[known.depth_in_root - 1]
    with _told_as_input_error(path, source):
        # Never online: what is not on disk is an error here, not a download.
        dataset: Any = get_dataset(known.name, root, offline=True)
        get_frames = partial(dataset.get_frames, scene_id, **_frame_source(dataset, scene_id, known))
        items = (*_CAMERA_ITEMS, "timestamps") if known.has_timestamps else _CAMERA_ITEMS
        batch = get_frames(items=items)
    if not len(batch.indices):
        raise InputError(f"{path} has no frame with a camera transform, colour and depth.")
    timestamps_s, clock = _clock(batch)
    frames, skipped = split_usable(path, _rows(batch), timestamps_s)
    with _told_as_input_error(path, source):
        color_camera, depth_camera, notes = _cameras(get_frames, batch)
    is_told = bool(known.confidence) and (path / known.confidence.format(scene_id=scene_id)).exists()
    reader = ZooReader(get_frames, path, source, has_confidence=is_told)
    # Their annotations live in the scan's own axes, which are kept where they prove upright.
    return level_scene(
        scene_id=scene_id,
        source=source,
        path=path,
        color_camera=color_camera,
        depth_camera=depth_camera,
        frames=frames,
        skipped=skipped,
        clock=clock,
        reader=reader,
        keep_upright=True,
        notes=notes,
    )


class ZooReader:
    """Decodes frames through scenezoo, one at a time: its readers are not made for several threads."""

    def __init__(self, get_frames: partial, path: Path, source: str, *, has_confidence: bool = False) -> None:
        self._get_frames, self._path, self._source = get_frames, path, source
        self._depth_items = ("depth", "confidence_maps") if has_confidence else ("depth",)
        self._lock = threading.Lock()

    def read_color(self, frame_index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises InputError when unreadable."""
        return self._read(frame_index, "rgb")[0]

    def read_depth(self, frame_index: int) -> np.ndarray:
        """(h, w) float32 metres, 0 = no reading or one not sure. Raises InputError when unreadable."""
        depth_m, *sure = self._read(frame_index, *self._depth_items)
        usable = np.isfinite(depth_m) & (depth_m > 0)
        if sure:
            usable &= sure[0] >= MIN_CONFIDENCE
        return np.where(usable, depth_m, 0).astype(np.float32)

    def _read(self, frame_index: int, *items: str) -> list[np.ndarray]:
        with self._lock, _told_as_input_error(self._path, self._source):
            batch = self._get_frames(indices=[int(frame_index)], items=items)
            return [getattr(batch, item)[0] for item in items]


@contextmanager
def _told_as_input_error(path: Path, source: str) -> Iterator[None]:
    """Bad files reach us as these built-in types as well as scenezoo's own."""
    from scenezoo import SceneZooError

    try:
        yield
    except (SceneZooError, OSError, KeyError, IndexError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} cannot be read as a scene of {source}: {error}",
            f"It must lie in the official layout of {source}, with the data set's own metadata files.",
        ) from error


def _frame_source(dataset: Any, scene_id: str, known: ZooDataset) -> dict[str, str]:
    if len(known.frame_sources) < 2:
        return dict(*known.frame_sources)
    present = dataset.get_frame_sources(scene_id)
    found = [options for options in known.frame_sources if options["source"] in present]
    if not found:
        raise ValueError(f"it has no images of {', '.join(item['source'] for item in known.frame_sources)}")
    return found[0]


def _rows(batch: Any) -> list[FrameRow]:
    """A row per source frame; scenezoo leaves unusable ones out without saying why."""
    row_of = {int(frame_index): row for row, frame_index in enumerate(batch.indices)}
    rows: list[FrameRow] = []
    for frame_index in range(batch.source_frame_count):
        if frame_index not in row_of:
            rows.append((frame_index, "no camera transform, colour or depth at its time"))
            continue
        rows.append((frame_index, invert(batch.world_to_camera[row_of[frame_index]].astype(np.float64))))
    return rows


def _clock(batch: Any) -> tuple[np.ndarray | None, Clock]:
    """Seconds since the first frame with a time, per source frame; None means index / 30."""
    times = batch.timestamps
    if times is None or not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        return None, "fps"
    seconds = np.zeros(batch.source_frame_count)
    seconds[batch.indices] = np.asarray(times, dtype=np.float64) - float(times[0])
    return seconds, "timestamps"


def _cameras(get_frames: partial, batch: Any) -> tuple[Camera, Camera, tuple[str, ...]]:
    """Colour and depth camera of the frame with the median focal length, and what to know of them."""
    focal_px = batch.rgb_intrinsics[:, 0, 0]
    middle = int(np.argsort(focal_px)[len(focal_px) // 2])
    index = [int(batch.indices[middle])]
    # Asked with the images, intrinsics are those of the images' true size.
    sized = get_frames(indices=index, items=("rgb", "depth", *_CAMERA_ITEMS))
    stored = get_frames(indices=index, items=("world_to_camera",), rotate_to_up=False)
    notes = []
    if not np.allclose(stored.world_to_camera, sized.world_to_camera, atol=1e-4):
        notes.append("images are turned upright; boxes are those of the turned images")
    spread = float(np.ptp(focal_px) / focal_px[middle])
    if spread > _FOCAL_SPREAD_TOLD:
        notes.append(f"the focal length differs between frames by {spread:.1%}; its median is used for all")
    return (
        _camera(sized.rgb_intrinsics[0], sized.rgb),
        _camera(sized.depth_intrinsics[0], sized.depth),
        tuple(notes),
    )


def _camera(intrinsic: np.ndarray, images: np.ndarray) -> Camera:
    fx, fy, cx, cy = (float(intrinsic[row, column]) for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return Camera(fx, fy, cx, cy, (images.shape[2], images.shape[1]))
