"""Record3D: an ``.r3d`` file, which is a zip of JPEGs, compressed depth, and ``metadata``."""

from __future__ import annotations

import importlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.sources.assemble import FrameRow, level_scene, split_usable
from scene_r1_cli.data.sources.images import decode_color, encoded_size
from scene_r1_cli.data.sources.trajectory import DOWN_OF_Y_UP, OPENCV_FROM_OPENGL, transforms_of
from scene_r1_cli.data.sources.upright import turned_upright
from scene_r1_cli.errors import InputError, SetupError
from scene_r1_cli.geometry.camera import resize_camera
from scene_r1_cli.types import Camera, Scene

MIN_CONFIDENCE = 2
MAX_MEMBER_BYTES = 64 * 2**20


def matches(path: Path) -> bool:
    """A file that ends in ``.r3d``."""
    return path.is_file() and path.suffix == ".r3d"


def open_record3d(path: Path) -> Scene:
    """Open a Record3D file.

    Raises:
        InputError: It is no zip file, or its metadata lack cameras.
        SetupError: The decompressor is not installed.
    """
    try:
        archive = zipfile.ZipFile(path)
        metadata = archive.getinfo("metadata")
        if metadata.file_size > MAX_MEMBER_BYTES:
            raise ValueError(f"its metadata claim {metadata.file_size} bytes")
        data = json.loads(archive.read(metadata))
        poses = np.array(data["poses"], dtype=np.float64).reshape(-1, 7)
        # Apple's matrices lie column by column.
        matrix = np.array(data["K"], dtype=np.float64).reshape(3, 3).T
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no readable Record3D file: {error}.") from error
    reader = Record3DReader(path, archive, data)
    transforms = transforms_of(poses[:, 4:7], poses[:, :4]) @ OPENCV_FROM_OPENGL
    rows: list[FrameRow] = [
        (index, transforms[index] if reader.has(index) else "no colour or no depth image")
        for index in range(len(poses))
    ]
    times = np.array(data.get("frameTimestamps", ()), dtype=np.float64)
    if len(times) != len(poses) or (np.diff(times) < 0).any():
        times = np.arange(len(poses)) / float(data.get("fps", 60) or 60)
    frames, skipped = split_usable(path, rows, times - times[0])
    color_wh = reader.color_size_wh(frames[0].frame_index)
    stated = (int(data.get("w", color_wh[0])), int(data.get("h", color_wh[1])))
    if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise InputError(f"{path} has an impossible camera matrix in its metadata.")
    color = resize_camera(Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], stated), color_wh)
    depth = resize_camera(color, reader.depth_size_wh)
    return turned_upright(
        level_scene(
            scene_id=path.stem,
            source="record3d",
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


class Record3DReader:
    """Reads members of the archive by number."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, data: dict[str, Any]) -> None:
        self._path, self._archive = path, archive
        self._names = set(archive.namelist())
        self.depth_size_wh = (int(data.get("dw", 192)), int(data.get("dh", 256)))
        self._decompress = _decompressor()

    def has(self, frame_index: int) -> bool:
        """Whether the frame has colour and depth."""
        return {f"rgbd/{frame_index}.jpg", f"rgbd/{frame_index}.depth"} <= self._names

    def color_size_wh(self, frame_index: int) -> tuple[int, int]:
        """Size of a colour image. Raises InputError."""
        return encoded_size(self._member(f"rgbd/{frame_index}.jpg"), f"{self._path}, frame {frame_index}")

    def read_color(self, frame_index: int) -> np.ndarray:
        """See FrameReader."""
        data = self._member(f"rgbd/{frame_index}.jpg")
        name = f"{self._path}, frame {frame_index}"
        return decode_color(data, encoded_size(data, name), name)

    def read_depth(self, frame_index: int) -> np.ndarray:
        """See FrameReader; what ARKit was not sure of is no reading."""
        width, height = self.depth_size_wh
        depth_m = self._array(f"rgbd/{frame_index}.depth", np.float32, (height, width))
        depth_m = np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, 0).astype(np.float32)
        if f"rgbd/{frame_index}.conf" in self._names:
            sure = self._array(f"rgbd/{frame_index}.conf", np.uint8, (height, width))
            depth_m[sure < MIN_CONFIDENCE] = 0
        return depth_m

    def _array(self, name: str, dtype: Any, shape: tuple[int, int]) -> np.ndarray:
        try:
            data = self._decompress(self._member(name))
            return np.frombuffer(data, dtype).reshape(shape)
        except InputError:
            raise
        except Exception as error:  # the decompressor raises its own types
            raise InputError(f"{self._path}, {name}, is no {shape[1]}×{shape[0]} image ({error}).") from error

    def _member(self, name: str) -> bytes:
        try:
            info = self._archive.getinfo(name)
            if info.file_size > MAX_MEMBER_BYTES:
                raise InputError(f"{self._path}, {name}, claims {info.file_size} bytes.")
            return self._archive.read(info)
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{self._path}, {name}, is missing or damaged ({error}).") from error


def _decompressor() -> Any:
    try:
        return importlib.import_module("liblzfse").decompress
    except ImportError as error:
        raise SetupError("Record3D's depth needs pyliblzfse.", "pip install 'scener1[record3d]'") from error
