"""SceneFun3D's laser scan: its points, and its annotated elements as a camera sees them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from scene_r1_cli.data.annotations.scenefun3d import Element
from scene_r1_cli.data.sources.assemble import folder_name
from scene_r1_cli.data.sources.scenefun3d import LASER_SUFFIX
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import project
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.geometry.visibility import SEEN, classify_points
from scene_r1_cli.types import Scene

SPACING_M = 0.005
"""Between points of the scan: each stands for a square of this side."""

MIN_POINT_BYTES = 6
"""Three numbers of one digit as text; a binary point takes more."""

MAX_HEADER_BYTES = 16384


def read_laser_scan(visit: Path) -> np.ndarray:
    """(N, 3) float64 points of ``<visit>_laser_scan.ply``, in their order, in the scan frame.

    Raises:
        InputError: The file is missing, is no PLY, or is shorter than its header says.
    """
    from plyfile import PlyData, PlyParseError

    path = visit / f"{folder_name(visit)}{LASER_SUFFIX}"
    count_points(visit)
    try:
        vertex: Any = PlyData.read(str(path), mmap="r")["vertex"]
        points = np.stack([np.asarray(vertex[axis], dtype=np.float64) for axis in "xyz"], axis=1)
    except (PlyParseError, KeyError, ValueError, OSError, OverflowError, MemoryError) as error:
        raise InputError(f"{path} is no readable point cloud: {error}.") from error
    return points


def read_crop_mask(visit: Path, num_points: int) -> np.ndarray:
    """(N,) bool points that are of the room; all of them where there is no ``<visit>_crop_mask.npy``.

    Raises:
        InputError: It is no mask of the scan's points.
    """
    path = visit / f"{folder_name(visit)}_crop_mask.npy"
    if not path.is_file():
        return np.ones(num_points, dtype=bool)
    try:
        mask = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no readable array: {error}.") from error
    if mask.shape != (num_points,):
        raise InputError(f"{path} has the shape {mask.shape}, but the laser scan has {num_points} points.")
    return np.asarray(mask).astype(bool)


def count_points(visit: Path) -> int:
    """How many points a laser scan has, by its header.

    Raises:
        InputError: The file is missing, or declares no points or more than its bytes can hold.
    """
    path = visit / f"{folder_name(visit)}{LASER_SUFFIX}"
    try:
        with path.open("rb") as file:
            header = file.read(MAX_HEADER_BYTES).partition(b"end_header")[0]
        num_bytes = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path} is missing.", "Download the asset laser_scan_5mm.") from error
    found = re.search(rb"^element vertex (\d{1,19})\s*$", header, re.MULTILINE)
    declared = int(found[1]) if found else 0
    if not declared:
        raise InputError(f"{path} is no readable point cloud: its header declares no points.")
    if declared * MIN_POINT_BYTES > num_bytes:
        raise InputError(f"{path} declares {declared} points, more than its {num_bytes} bytes hold.")
    return declared


class LaserInstances:
    """Pictures of the annotated elements; see InstanceMaps.

    A point is seen where the depth image agrees with it; a farther reading or a nearer one hides it.

    Args:
        scene: The capture, whose scan frame is the laser scan's.
        points_scan_m: (N, 3) laser scan.
        elements: By ``object_id``.
    """

    def __init__(self, scene: Scene, points_scan_m: np.ndarray, elements: Sequence[Element]) -> None:
        self._scene = scene
        parts = [
            (number + 1, points_scan_m[element.point_indices]) for number, element in enumerate(elements)
        ]
        # The smaller is drawn over the larger, or a key would vanish under its keyboard's rim.
        self._parts = sorted(parts, key=lambda part: -len(part[1]))

    def read(self, frame_index: int) -> np.ndarray:
        """(H, W) int32 at the colour image's size, 0 = none, object_id + 1 else."""
        scene = self._scene
        frame = scene.frame(frame_index)
        depth_m = scene.read_depth(frame_index)
        color_from_scan = invert(frame.scan_from_camera @ scene.depth_from_color)
        width, height = scene.color_camera.size_wh
        picture = np.zeros((height, width), dtype=np.int32)
        for value, points in self._parts:
            pixels, z = project(scene.color_camera, transform_points(color_from_scan, points))
            near = (z > 0) & (np.abs(pixels - (width / 2, height / 2)) < (width, height)).all(axis=1)
            if not near.any():
                continue
            state, _ = classify_points(points[near], frame.scan_from_camera, scene.depth_camera, depth_m)
            seen = state == SEEN
            if seen.any():
                reach = SPACING_M * scene.color_camera.fx / float(np.median(z[near][seen])) / 2
                _splat(picture, pixels[near][seen], max(0, round(reach)), value)
        return picture


def _splat(picture: np.ndarray, pixels_xy: np.ndarray, reach_px: int, value: int) -> None:
    """Write ``value`` in squares around pixels; what lies outside the picture is cut."""
    height, width = picture.shape
    column, row = np.rint(pixels_xy).astype(np.int64).T
    left, top = column.min() - reach_px, row.min() - reach_px
    mask = np.zeros((row.max() + reach_px + 1 - top, column.max() + reach_px + 1 - left), dtype=np.uint8)
    mask[row - top, column - left] = 1
    side = 2 * reach_px + 1
    mask = cv2.dilate(mask, np.ones((side, side), np.uint8))
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(width, left + mask.shape[1]), min(height, top + mask.shape[0])
    if x1 > x0 and y1 > y0:
        picture[y0:y1, x0:x1][mask[y0 - top : y1 - top, x0 - left : x1 - left] > 0] = value
