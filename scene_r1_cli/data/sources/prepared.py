"""Prepared scenes: what ``scener1 preprocess`` writes, and how it is read back.

::

    <store>/<dataset>/<scene_id>/
      scene.json  frames.parquet  color/<frame_index>.jpg  depth/<frame_index>.z16
      surface.ply  superpoints.npy  video.mp4  labels/<set>.parquet

``scene.json`` is written last inside a folder that appears by rename, so a folder with one is whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.sources.assemble import build_scene
from scene_r1_cli.data.sources.image_folder import read_bytes
from scene_r1_cli.data.sources.images import (
    decode_color,
    decode_depth_image,
    decode_depth_raw,
    depth_to_metres,
    encoded_size,
)
from scene_r1_cli.data.sources.sens import SensIndex, SensReader, read_sens_header
from scene_r1_cli.errors import InputError
from scene_r1_cli.types import Camera, Frame, FrameReader, Scene, SkippedFrame

SCENE_FILE = "scene.json"
FRAMES_FILE = "frames.parquet"
SURFACE_FILE = "surface.ply"
SUPERPOINTS_FILE = "superpoints.npy"
SCHEMA_VERSION = 1
DEPTH_SUFFIXES = {"z16": ".z16", "png": ".png"}


@dataclass(frozen=True)
class FrameTable:
    """``frames.parquet``: the usable frames of the source by rising index.

    Attributes:
        frame_index: (N,) int64.
        timestamp_s: (N,) float64.
        scan_from_camera: (N, 4, 4) float64.
        sharpness: (N,) float64; higher is sharper, comparable within a scene only, 0 = not measured.
        sampled: (N,) bool: the frame's images are kept.
        ranges: (N, 4) int64 offset and length of colour and of depth in the ``.sens``; None unless in place.
    """

    frame_index: np.ndarray
    timestamp_s: np.ndarray
    scan_from_camera: np.ndarray
    sharpness: np.ndarray
    sampled: np.ndarray
    ranges: np.ndarray | None = None


_RANGE_COLUMNS = ("color_offset", "color_length", "depth_offset", "depth_length")


def write_frames(path: Path, table: FrameTable) -> None:
    """Write ``frames.parquet``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def column(values: np.ndarray, dtype: type) -> Any:
        # pa.array would load pandas, which takes longer than all of a small scene.
        contiguous = np.ascontiguousarray(values, dtype=dtype)
        buffer = pa.py_buffer(contiguous.tobytes())
        return pa.Array.from_buffers(pa.from_numpy_dtype(dtype), contiguous.size, [None, buffer])

    # Packed here: a cast would load all of Arrow's functions, which takes a third of a second.
    bits = np.packbits(table.sampled, bitorder="little").tobytes()
    columns = {
        "frame_index": column(table.frame_index, np.int64),
        "timestamp_s": column(table.timestamp_s, np.float64),
        "scan_from_camera": pa.FixedSizeListArray.from_arrays(column(table.scan_from_camera, np.float64), 16),
        "sharpness": column(table.sharpness, np.float64),
        "sampled": pa.Array.from_buffers(pa.bool_(), len(table.sampled), [None, pa.py_buffer(bits)]),
    }
    if table.ranges is not None:
        columns |= {
            name: column(table.ranges[:, place], np.int64) for place, name in enumerate(_RANGE_COLUMNS)
        }
    pq.write_table(pa.table(columns), path)


def read_frames(path: Path) -> FrameTable:
    """Read ``frames.parquet``. Raises InputError when it is missing or damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        transforms = np.array(table["scan_from_camera"].to_pylist(), dtype=np.float64)
        return FrameTable(
            table["frame_index"].to_numpy(),
            table["timestamp_s"].to_numpy(),
            transforms.reshape(-1, 4, 4),
            table["sharpness"].to_numpy(),
            table["sampled"].to_numpy(),
            np.stack([table[name].to_numpy() for name in _RANGE_COLUMNS], axis=1)
            if _RANGE_COLUMNS[0] in table.column_names
            else None,
        )
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}", "Run preprocess again.") from error


def matches(path: Path) -> bool:
    """A folder with ``scene.json`` and ``frames.parquet``."""
    return (path / SCENE_FILE).is_file() and (path / FRAMES_FILE).is_file()


def read_record(path: Path) -> dict[str, Any]:
    """``scene.json`` of a prepared scene. Raises InputError when it is missing, damaged or too new."""
    file = path / SCENE_FILE
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        version = record["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged: {error}", "Run preprocess again.") from error
    if version != SCHEMA_VERSION:
        raise InputError(f"{file} has schema version {version}; {SCHEMA_VERSION} is read here.")
    return record


def open_prepared(path: Path) -> Scene:
    """Open a prepared scene; its frames are those whose images can be read.

    Raises:
        InputError: A file is missing or damaged, or the source of an in-place scene is gone or changed.
    """
    record = read_record(path)
    table = read_frames(path / FRAMES_FILE)
    try:
        color, depth = (_camera(record[name]) for name in ("color_camera", "depth_camera"))
        in_place = record["in_place"]
        reader: FrameReader
        if in_place is None:
            reader = PreparedReader(
                path, color.size_wh, depth.size_wh, record["depth_format"], record["depth_units_per_metre"]
            )
            readable = table.sampled
        else:
            reader = _source_reader(path, in_place, table)
            readable = np.ones(len(table.sampled), dtype=bool)
        surface, superpoints = path / SURFACE_FILE, path / SUPERPOINTS_FILE
        return build_scene(
            scene_id=record["scene_id"],
            source=record["source"],
            path=path,
            color_camera=color,
            depth_camera=depth,
            depth_from_color=np.array(record["depth_from_color"], dtype=np.float64),
            world_from_scan=np.array(record["world_from_scan"], dtype=np.float64),
            gravity=record["gravity"],
            frames=tuple(
                Frame(int(table.frame_index[row]), float(table.timestamp_s[row]), table.scan_from_camera[row])
                for row in np.flatnonzero(readable)
            ),
            skipped=tuple(SkippedFrame(*item) for item in record["skipped"]),
            clock=record["clock"],
            reader=reader,
            surface_path=surface if surface.is_file() else None,
            superpoints_path=superpoints if superpoints.is_file() else None,
            notes=tuple(record["notes"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path / SCENE_FILE} lacks or garbles a field: {error!r}", "Run preprocess again."
        ) from error


class PreparedReader:
    """Decodes the kept images of a prepared scene; safe to use from several threads."""

    def __init__(
        self,
        path: Path,
        color_size_wh: tuple[int, int],
        depth_size_wh: tuple[int, int],
        depth_format: str,
        depth_units_per_metre: float,
    ) -> None:
        self._path, self._color_size_wh, self._depth_size_wh = path, color_size_wh, depth_size_wh
        self._depth_suffix = DEPTH_SUFFIXES[depth_format]
        self._units = depth_units_per_metre

    def read_color(self, frame_index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises InputError when unreadable."""
        path = self._path / "color" / f"{frame_index}.jpg"
        if not path.is_file():
            path = path.with_suffix(".png")
        return decode_color(read_bytes(path), self._color_size_wh, str(path))

    def read_depth(self, frame_index: int) -> np.ndarray:
        """(h, w) float32 metres, 0 = no reading. Raises InputError when unreadable."""
        path = self._path / "depth" / f"{frame_index}{self._depth_suffix}"
        data = read_bytes(path)
        if self._depth_suffix == ".png":
            return depth_to_metres(decode_depth_image(data, self._depth_size_wh, str(path)), self._units)
        return depth_to_metres(decode_depth_raw(data, self._depth_size_wh, True, str(path)), self._units)


def check_color(data: bytes, size_wh: tuple[int, int], name: str) -> None:
    """Refuse a colour image of another size, by its header alone. Raises InputError."""
    found = encoded_size(data, name)
    if found != size_wh:
        raise InputError(f"{name} is {found[0]}×{found[1]}, not {size_wh[0]}×{size_wh[1]}")


def camera_record(camera: Camera) -> dict[str, Any]:
    """A camera as ``scene.json`` has it."""
    return {
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "size_wh": list(camera.size_wh),
    }


def _camera(data: dict[str, Any]) -> Camera:
    width, height = data["size_wh"]
    return Camera(data["fx"], data["fy"], data["cx"], data["cy"], (width, height))


def _source_reader(path: Path, in_place: dict[str, Any], table: FrameTable) -> FrameReader:
    source = Path(in_place["path"])
    if not source.exists():
        raise InputError(
            f"{path} was prepared in place, and its source {source} is gone.",
            "Bring the source back, or preprocess without --in-place where it is.",
        )
    if table.ranges is None:
        from scene_r1_cli.data.sources import open_scene

        return open_scene(source, in_place["source"]).reader
    if source.stat().st_size != in_place["num_bytes"]:
        raise InputError(f"{source} has changed since {path} was prepared from it.", "Run preprocess again.")
    size = int(table.frame_index.max()) + 1
    ranges = np.zeros((size, 4), dtype=np.int64)
    ranges[table.frame_index] = table.ranges
    empty = np.zeros(0)
    header = read_sens_header(source)
    return SensReader(SensIndex(source, header, empty, empty, empty, ranges[:, :2], ranges[:, 2:]))
