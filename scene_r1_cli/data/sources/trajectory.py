"""Camera transforms as text: lines of time, position and quaternion (TUM), and Open3D's ``.log``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scene_r1_cli.errors import InputError

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Camera axes of ARKit, Blender and nerfstudio (+y up, looking along -z) turned to OpenCV's."""

DOWN_OF_Y_UP = np.array([0.0, -1.0, 0.0])
"""Gravity in ARKit's world, which its accelerometer levels."""


def read_rows(path: Path, min_columns: int, delimiter: str | None = None) -> np.ndarray:
    """(N, C) numbers of a text table; lines that start with ``#`` and one line of names are passed over.

    Raises:
        InputError: It cannot be read, a line is no row of numbers, or rows are shorter than ``min_columns``.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            rows.append([float(word) for word in line.split(delimiter)])
        except ValueError as error:
            if not rows and number == 1:
                continue
            raise InputError(f"{path}, line {number}, is no row of numbers ({error}).") from error
        if len(rows[-1]) < min_columns or len(rows[-1]) != len(rows[0]):
            raise InputError(
                f"{path}, line {number}, has {len(rows[-1])} numbers, not {min_columns} or more."
            )
    if not rows:
        raise InputError(f"{path} holds no row of numbers.")
    return np.array(rows, dtype=np.float64)


def transforms_of(positions_m: np.ndarray, quaternions_xyzw: np.ndarray) -> np.ndarray:
    """(N, 4, 4) from (N, 3) and (N, 4); a zero or non-finite quaternion gives NaN: untracked."""
    # Half a second to load, and most captures bring matrices.
    from scipy.spatial.transform import Rotation

    transforms = np.tile(np.eye(4), (len(positions_m), 1, 1))
    norms = np.linalg.norm(quaternions_xyzw, axis=1)
    usable = np.isfinite(norms) & (norms > 0)
    if usable.any():
        transforms[usable, :3, :3] = Rotation.from_quat(quaternions_xyzw[usable]).as_matrix()
    transforms[:, :3, 3] = positions_m
    transforms[~usable] = np.nan
    return transforms


def read_log(path: Path) -> dict[int, np.ndarray]:
    """Frame number to (4, 4) ``scan_from_camera`` of Open3D's and Redwood's ``trajectory.log``.

    Blocks of five lines: three numbers, of which the first is the frame's, then the matrix.

    Raises:
        InputError: It cannot be read, or is not made of such blocks.
    """
    try:
        words = path.read_text(encoding="utf-8", errors="replace").split()
        values = np.array([float(word) for word in words])
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path} holds something that is no number ({error}).") from error
    if not len(values) or len(values) % 19:
        raise InputError(f"{path} is no trajectory log: {len(values)} numbers are no blocks of 3 + 16.")
    blocks = values.reshape(-1, 19)
    return {int(block[0]): block[3:].reshape(4, 4) for block in blocks}


def nearest(times_s: np.ndarray, wanted_s: np.ndarray, tolerance_s: float) -> np.ndarray:
    """(M,) row of the nearest of (N,) rising times for each of (M,) wanted; -1 if none is that near."""
    right = np.clip(np.searchsorted(times_s, wanted_s), 1, max(1, len(times_s) - 1))
    left = right - 1
    right = np.minimum(right, len(times_s) - 1)
    chosen = np.where(np.abs(times_s[right] - wanted_s) < np.abs(times_s[left] - wanted_s), right, left)
    return np.where(np.abs(times_s[chosen] - wanted_s) <= tolerance_s, chosen, -1)
