"""What every reader ends with: rows of frames become a Scene, unusable ones are counted with their reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.gravity import estimate_world_from_scan
from scene_r1_cli.geometry.transforms import are_rigid
from scene_r1_cli.types import Camera, Frame, FrameReader, Scene, SkippedFrame

DEFAULT_FPS = 30.0
_FRAMES_FOR_GRAVITY = 16
_UPRIGHT_DEG = 15.0

# (source frame index, its camera transform, or the reason why there is none)
FrameRow = tuple[int, np.ndarray | str]


def split_usable(
    path: Path, rows: Iterable[FrameRow], timestamps_s: Sequence[float] | np.ndarray | None
) -> tuple[tuple[Frame, ...], tuple[SkippedFrame, ...]]:
    """Frames with a rigid camera transform, and the rest with reasons.

    Args:
        path: The capture, for the error.
        rows: Source frame index with its (4, 4) ``scan_from_camera``, or with a reason.
        timestamps_s: Seconds per row; None means index / 30.

    Raises:
        InputError: No frame is usable; the commonest reason is told.
    """
    rows = list(rows)
    transforms = np.full((len(rows), 4, 4), np.nan)
    for number, (_, transform) in enumerate(rows):
        if not isinstance(transform, str):
            transforms[number] = transform
    finite, rigid = np.asarray(np.isfinite(transforms).all(axis=(1, 2))), are_rigid(transforms)
    frames, skipped = [], []
    for number, (frame_index, transform) in enumerate(rows):
        if isinstance(transform, str):
            skipped.append(SkippedFrame(frame_index, transform))
        elif not finite[number]:
            skipped.append(SkippedFrame(frame_index, "camera transform is not finite"))
        elif not rigid[number]:
            skipped.append(SkippedFrame(frame_index, "camera transform is not a rotation with translation"))
        else:
            time_s = frame_index / DEFAULT_FPS if timestamps_s is None else float(timestamps_s[number])
            frames.append(Frame(frame_index, time_s, transforms[number]))
    if not frames:
        reason, count = Counter(item.reason for item in skipped).most_common(1)[0] if skipped else ("none", 0)
        raise InputError(
            f"{path} has no usable frame: of {len(skipped)} frames, {count} have this fault: {reason}."
            if skipped
            else f"{path} has no frames."
        )
    return tuple(frames), tuple(skipped)


def level_world(
    camera: Camera,
    frames: Sequence[Frame],
    reader: FrameReader,
    *,
    gravity_scan: np.ndarray | None = None,
    keep_upright: bool = False,
) -> tuple[np.ndarray, Literal["measured", "estimated"]]:
    """``world_from_scan`` for a capture that brings no alignment, and how it was found.

    Args:
        camera: Depth camera.
        frames: Usable frames.
        reader: Reads their depth; unreadable frames are passed over.
        gravity_scan: (3,) measured direction of gravity (down), or None.
        keep_upright: For data sets whose scans have +z up and whose annotations live in those axes:
            a scan that is upright within 15° keeps its own axes, and only another one is turned.

    Raises:
        InputError: None of the frames looked at has a readable depth image.
    """
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), _FRAMES_FOR_GRAVITY)).round().astype(int)
    readable, unreadable = [], []
    for number in chosen:
        frame = frames[number]
        try:
            readable.append((reader.read_depth(frame.frame_index), frame.scan_from_camera))
        except InputError as error:
            unreadable.append(error)
    if not readable:
        raise unreadable[0]
    up_scan = None if gravity_scan is None else -gravity_scan
    world_from_scan = estimate_world_from_scan(camera, readable, up_scan)
    if keep_upright and world_from_scan[2, 2] > np.cos(np.radians(_UPRIGHT_DEG)):
        world_from_scan = np.eye(4)
    return world_from_scan, "estimated" if gravity_scan is None else "measured"


def read_matrix(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A matrix from a text file of numbers; ``-inf`` and ``nan`` are numbers here.

    Raises:
        InputError: The file is missing, holds something else, or has another shape.
    """
    try:
        values = [float(word) for word in path.read_text(encoding="utf-8", errors="replace").split()]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path} holds something that is no number ({error}).") from error
    if len(values) != shape[0] * shape[1]:
        raise InputError(f"{path} holds {len(values)} numbers; a {shape[0]}×{shape[1]} matrix is needed.")
    return np.array(values, dtype=np.float64).reshape(shape)


def folder_name(path: Path) -> str:
    """Name of a folder as its path spells it: ``.`` and ``..`` are followed, symbolic links are not."""
    return os.path.basename(os.path.abspath(path))


def camera_from_matrix(path: Path, matrix: np.ndarray, size_wh: tuple[int, int]) -> Camera:
    """A camera from a (3, 3) or (4, 4) intrinsic matrix. Raises InputError when it is impossible."""
    fx, fy, cx, cy = (float(matrix[row, column]) for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if not (np.isfinite([fx, fy, cx, cy]).all() and fx > 0 and fy > 0):
        raise InputError(
            f"{path} is no intrinsic matrix (fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}; fx, fy must be > 0)."
        )
    return Camera(fx, fy, cx, cy, size_wh)


def level_scene(
    *,
    path: Path,
    depth_camera: Camera,
    frames: Sequence[Frame],
    reader: FrameReader,
    gravity_scan: np.ndarray | None = None,
    keep_upright: bool = False,
    **fields: Any,
) -> Scene:
    """A Scene whose depth is registered to colour and that brings no alignment.

    Args:
        path: Its folder, which names it unless ``scene_id`` is among the fields.
        depth_camera: See ``Scene``.
        frames: Likewise.
        reader: Likewise.
        gravity_scan: See ``level_world``.
        keep_upright: See ``level_world``.
        fields: Of ``Scene``, those that are not worked out here.

    Raises:
        InputError: No depth image can be read, or frames do not rise in index and time.
    """
    world_from_scan, gravity = level_world(
        depth_camera, frames, reader, gravity_scan=gravity_scan, keep_upright=keep_upright
    )
    return build_scene(
        path=path,
        depth_camera=depth_camera,
        depth_from_color=np.eye(4),
        world_from_scan=world_from_scan,
        gravity=gravity,
        frames=frames,
        reader=reader,
        **{"scene_id": folder_name(path)} | fields,
    )


def build_scene(**fields: Any) -> Scene:
    """A Scene; matrices become float64 and the frames are checked to rise in index and time."""
    frames = fields["frames"]
    times = np.array([frame.timestamp_s for frame in frames])
    indices = np.array([frame.frame_index for frame in frames])
    if (np.diff(indices) <= 0).any() or (np.diff(times) < 0).any():
        raise InputError(f"{fields['path']} has frames that do not rise in index and time.")
    return Scene(**fields)
