"""Reads ScanNet's ``.sens`` (version 4) through an index: nothing is decoded until a frame is asked for.

Layout: github.com/ScanNet/ScanNet, SensReader. Every count and size is checked against the file's
size before it is used, so a damaged header costs an error and not memory. A file cut after its header
keeps its whole frames; a missing IMU tail is no fault.
"""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scene_r1_cli.data.sources.encoded import encode_jpeg
from scene_r1_cli.data.sources.images import decode_color, decode_depth_raw, depth_to_metres
from scene_r1_cli.errors import InputError
from scene_r1_cli.types import Camera

_COLOR_CODECS = {0: "raw", 1: "png", 2: "jpeg"}
_DEPTH_CODECS = {0: "raw_ushort", 1: "zlib_ushort", 2: "occi_ushort"}
_MAX_NAME_BYTES = 4096
_MAX_SIDE_PX = 16384
_MAX_FRAMES = 1_000_000
"""Nine hours at 30 Hz; a file that holds more headers than this is no capture."""

_FRAME_HEADER = np.dtype([("scan_from_camera", "<f4", (4, 4)), ("times_us", "<u8", 2), ("lengths", "<u8", 2)])
_PAYLOAD_LENGTHS = struct.Struct("<80x2Q")


@dataclass(frozen=True)
class SensHeader:
    """What stands before the frames."""

    sensor_name: str
    color_camera: Camera
    depth_camera: Camera
    color_codec: str
    depth_codec: str
    depth_shift: float
    num_frames_declared: int
    num_bytes: int


@dataclass(frozen=True)
class SensIndex:
    """Where each whole frame lies; row ``i`` is source frame ``i``.

    Attributes:
        path: The file.
        header: Its header.
        scan_from_camera: (N, 4, 4) float64 as stored; rows of untracked frames are not finite.
        color_us: (N,) int64 microseconds.
        depth_us: (N,) int64 microseconds.
        color_range: (N, 2) int64 offset and length of the encoded colour image.
        depth_range: (N, 2) int64 offset and length of the encoded depth image.
    """

    path: Path
    header: SensHeader
    scan_from_camera: np.ndarray
    color_us: np.ndarray
    depth_us: np.ndarray
    color_range: np.ndarray
    depth_range: np.ndarray

    @property
    def num_missing(self) -> int:
        """Frames the header declares but the file does not hold whole."""
        return self.header.num_frames_declared - len(self.color_us)


def index_sens(path: Path) -> SensIndex:
    """Index a ``.sens`` file; reads its header and 96 bytes a frame.

    Raises:
        InputError: It is no ``.sens`` of version 4, a header field is impossible, or no frame is whole.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}.") from error
    with file:
        file_size = os.fstat(file.fileno()).st_size
        header = _read_header(path, os.pread(file.fileno(), 16384, 0))
        frames, color_offsets = _read_frame_headers(path, file.fileno(), header, file_size)
    if not len(frames):
        raise InputError(
            f"{path} holds no whole frame: its header declares {header.num_frames_declared}, "
            f"the file ends after {file_size} bytes.",
            "The file is cut; copy or download it again.",
        )
    lengths = frames["lengths"].astype(np.int64)
    # Clocks are u64; a damaged one must not wrap to negative, and no real clock is that large.
    times_us = np.minimum(frames["times_us"], np.uint64(2**62)).astype(np.int64)
    return SensIndex(
        path=path,
        header=header,
        scan_from_camera=frames["scan_from_camera"].astype(np.float64),
        color_us=times_us[:, 0],
        depth_us=times_us[:, 1],
        color_range=np.stack([color_offsets, lengths[:, 0]], axis=1),
        depth_range=np.stack([color_offsets + lengths[:, 0], lengths[:, 1]], axis=1),
    )


def read_sens_header(path: Path) -> SensHeader:
    """The header alone. Raises InputError as ``index_sens`` does."""
    try:
        with path.open("rb", buffering=0) as file:
            return _read_header(path, os.pread(file.fileno(), 16384, 0))
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}.") from error


class SensReader:
    """Decodes frames of an indexed file; safe to use from several threads (positional reads)."""

    def __init__(self, index: SensIndex) -> None:
        self._index = index
        self._file = index.path.open("rb", buffering=0)

    def color_bytes(self, frame_index: int) -> bytes:
        """The encoded colour image as it lies in the file."""
        return self._read(*self._index.color_range[frame_index])

    def depth_bytes(self, frame_index: int) -> bytes:
        """The encoded depth image as it lies in the file."""
        return self._read(*self._index.depth_range[frame_index])

    @property
    def index(self) -> SensIndex:
        """Where the frames lie."""
        return self._index

    @property
    def depth_units_per_metre(self) -> float:
        """See EncodedFrames."""
        return self._index.header.depth_shift

    def color_num_bytes(self, frame_index: int) -> int:
        """See EncodedFrames; nothing is read."""
        return int(self._index.color_range[frame_index, 1])

    def color_file(self, frame_index: int) -> tuple[bytes, str]:
        """See EncodedFrames; JPEG and PNG as they lie in the file."""
        codec = self._index.header.color_codec
        if codec == "raw":
            return encode_jpeg(self.read_color(frame_index)), ".jpg"
        return self.color_bytes(frame_index), ".jpg" if codec == "jpeg" else ".png"

    def depth_z16(self, frame_index: int) -> bytes:
        """See EncodedFrames; zlib streams as they lie in the file."""
        data = self.depth_bytes(frame_index)
        return data if self._index.header.depth_codec == "zlib_ushort" else zlib.compress(data, 1)

    def read_color(self, frame_index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises InputError when unreadable."""
        header = self._index.header
        data = self.color_bytes(frame_index)
        name = f"Colour image {frame_index} of {self._index.path.name}"
        if header.color_codec != "raw":
            return decode_color(data, header.color_camera.size_wh, name)
        width, height = header.color_camera.size_wh
        if len(data) != 3 * width * height:
            raise InputError(f"{name} has {len(data)} bytes, not {3 * width * height}.")
        return np.frombuffer(data, dtype=np.uint8).reshape(height, width, 3)

    def read_depth(self, frame_index: int) -> np.ndarray:
        """(h, w) float32 metres, 0 = no reading. Raises InputError when unreadable."""
        header = self._index.header
        name = f"Depth image {frame_index} of {self._index.path.name}"
        compressed = header.depth_codec == "zlib_ushort"
        raw = decode_depth_raw(self.depth_bytes(frame_index), header.depth_camera.size_wh, compressed, name)
        return depth_to_metres(raw, header.depth_shift)

    def _read(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), int(length), int(offset))
        except OSError as error:
            raise InputError(f"{self._index.path} cannot be read: {error.strerror}.") from error


def _read_header(path: Path, data: bytes) -> SensHeader:
    fields = _Fields(path, data)
    (version,) = fields.read("<I", "version")
    if version != 4:
        raise InputError(f"{path} is no .sens file of version 4 (its version field is {version}).")
    (name_length,) = fields.read("<Q", "sensor name length")
    if name_length > _MAX_NAME_BYTES:
        raise fields.impossible("sensor name length", name_length, f"at most {_MAX_NAME_BYTES}")
    (name,) = fields.read(f"<{name_length}s", "sensor name")
    intrinsic_color = np.array(fields.read("<16f", "intrinsic_color")).reshape(4, 4)
    fields.read("<16f", "extrinsic_color")
    intrinsic_depth = np.array(fields.read("<16f", "intrinsic_depth")).reshape(4, 4)
    fields.read("<16f", "extrinsic_depth")
    color_codec, depth_codec = fields.read("<ii", "codecs")
    if color_codec not in _COLOR_CODECS:
        raise fields.impossible("colour codec", color_codec, "0 raw, 1 png or 2 jpeg")
    if depth_codec not in (0, 1):
        known = _DEPTH_CODECS.get(depth_codec, "unknown")
        raise fields.impossible("depth codec", f"{depth_codec} ({known})", "0 raw or 1 zlib")
    color_wh = fields.read("<II", "colour size")
    depth_wh = fields.read("<II", "depth size")
    (depth_shift,) = fields.read("<f", "depth_shift")
    if not 1 <= depth_shift <= 1e6:
        raise fields.impossible("depth_shift", depth_shift, "1 to 1000000 units per metre, e.g. 1000")
    (num_frames,) = fields.read("<Q", "frame count")
    return SensHeader(
        sensor_name=name.decode("utf-8", errors="replace"),
        color_camera=fields.camera("intrinsic_color", intrinsic_color, color_wh),
        depth_camera=fields.camera("intrinsic_depth", intrinsic_depth, depth_wh),
        color_codec=_COLOR_CODECS[color_codec],
        depth_codec=_DEPTH_CODECS[depth_codec],
        depth_shift=float(depth_shift),
        num_frames_declared=num_frames,
        num_bytes=fields.offset,
    )


class _Fields:
    """Reads header fields one after the other; an error names the file and the field."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path, self._data, self.offset = path, data, 0

    def read(self, layout: str, field: str) -> tuple:
        size = struct.calcsize(layout)
        if self.offset + size > len(self._data):
            raise InputError(
                f"{self._path} ends inside its header, at field {field!r} (byte {self.offset}).",
                "The file is cut or is no .sens file; copy or download it again.",
            )
        values = struct.unpack_from(layout, self._data, self.offset)
        self.offset += size
        return values

    def impossible(self, field: str, value: object, accepted: str) -> InputError:
        return InputError(f"{self._path} has {field} {value} in its header; accepted is {accepted}.")

    def camera(self, field: str, intrinsic: np.ndarray, size_wh: tuple[int, int]) -> Camera:
        if not all(1 <= side <= _MAX_SIDE_PX for side in size_wh):
            size_field = field.replace("intrinsic_", "") + " size"
            raise self.impossible(size_field, f"{size_wh[0]}×{size_wh[1]}", f"1 to {_MAX_SIDE_PX} a side")
        fx, fy = float(intrinsic[0, 0]), float(intrinsic[1, 1])
        cx, cy = float(intrinsic[0, 2]), float(intrinsic[1, 2])
        if not (np.isfinite([fx, fy, cx, cy]).all() and fx > 0 and fy > 0):
            raise self.impossible(field, f"fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}", "finite, fx, fy > 0")
        return Camera(fx, fy, cx, cy, (int(size_wh[0]), int(size_wh[1])))


def _read_frame_headers(
    path: Path, descriptor: int, header: SensHeader, file_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) headers of the whole frames, and (N,) int64 offsets of their colour images.

    Reads 96 bytes a frame. The file's size bounds time and memory however large the declared count is:
    each turn passes the 96 bytes it keeps.
    """
    headers, color_offsets = bytearray(), array("q")
    offset = header.num_bytes
    while len(color_offsets) < header.num_frames_declared and offset + _FRAME_HEADER.itemsize <= file_size:
        frame_header = os.pread(descriptor, _FRAME_HEADER.itemsize, offset)
        color_length, depth_length = _PAYLOAD_LENGTHS.unpack(frame_header)
        color_offset = offset + _FRAME_HEADER.itemsize
        offset = color_offset + color_length + depth_length
        if offset > file_size:
            break
        if len(color_offsets) == _MAX_FRAMES:
            raise InputError(f"{path} has more than {_MAX_FRAMES} frames; that is no capture.")
        headers += frame_header
        color_offsets.append(color_offset)
    return np.frombuffer(headers, dtype=_FRAME_HEADER), np.frombuffer(color_offsets, dtype=np.int64)
