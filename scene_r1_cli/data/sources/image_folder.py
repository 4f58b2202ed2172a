"""Frames as image files: what the folder formats share."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scene_r1_cli.data.sources.assemble import FrameRow, camera_from_matrix, read_matrix
from scene_r1_cli.data.sources.images import decode_color, decode_depth_image, depth_to_metres, encoded_size
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.transforms import is_rigid
from scene_r1_cli.types import Camera

COLOR_INTRINSICS_FILE = "color-intrinsics.txt"
DEPTH_FROM_COLOR_FILE = "depth-from-color.txt"
MILLIMETRES_PER_METRE = 1000.0


@dataclass(frozen=True)
class FrameFiles:
    """The files of one frame; a missing one is None."""

    color: Path | None
    depth: Path | None
    transform: Path | None


class ImageFolderReader:
    """Decodes frames from image files; safe to use from several threads.

    Args:
        files: Source frame index to its files, all present.
        color_size_wh: Size every colour image must have.
        depth_size_wh: Size every depth image must have.
        depth_units_per_metre: 1000 for millimetres.
        confidence: Source frame index to a grey picture of depth's size: how sure the sensor was.
        min_confidence: Depth with less is no reading.
    """

    def __init__(
        self,
        files: dict[int, FrameFiles],
        color_size_wh: tuple[int, int],
        depth_size_wh: tuple[int, int],
        depth_units_per_metre: float = MILLIMETRES_PER_METRE,
        *,
        confidence: Mapping[int, Path] | None = None,
        min_confidence: int = 0,
    ) -> None:
        self._files, self._color_size_wh, self._depth_size_wh = files, color_size_wh, depth_size_wh
        self.depth_units_per_metre = depth_units_per_metre
        self._confidence, self._min_confidence = confidence or {}, min_confidence

    def color_num_bytes(self, frame_index: int) -> int:
        """See EncodedFrames; 0 if the file is gone."""
        path = self._files[frame_index].color
        return path.stat().st_size if path is not None and path.is_file() else 0

    def color_file(self, frame_index: int) -> tuple[bytes, str]:
        """See EncodedFrames; the file as it is."""
        path = self._files[frame_index].color
        return read_bytes(path), ".png" if path is not None and path.suffix.lower() == ".png" else ".jpg"

    def depth_z16(self, frame_index: int) -> bytes:
        """See EncodedFrames."""
        raw = self._read_depth_raw(frame_index).astype("<u2")
        return zlib.compress(np.where(raw == 65535, 0, raw).astype("<u2").tobytes(), 1)

    def read_color(self, frame_index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB. Raises InputError when unreadable."""
        path = self._files[frame_index].color
        return decode_color(read_bytes(path), self._color_size_wh, str(path))

    def read_depth(self, frame_index: int) -> np.ndarray:
        """(h, w) float32 metres, 0 = no reading. Raises InputError when unreadable."""
        return depth_to_metres(self._read_depth_raw(frame_index), self.depth_units_per_metre)

    def _read_depth_raw(self, frame_index: int) -> np.ndarray:
        path = self._files[frame_index].depth
        raw = decode_depth_image(read_bytes(path), self._depth_size_wh, str(path))
        sure_path = self._confidence.get(frame_index)
        if sure_path is None:
            return raw
        import cv2

        sure = cv2.imdecode(np.frombuffer(read_bytes(sure_path), np.uint8), cv2.IMREAD_GRAYSCALE)
        if sure is None or sure.shape != raw.shape:
            raise InputError(f"{sure_path} is no confidence picture of depth's size.")
        return np.where(sure < self._min_confidence, 0, raw).astype(raw.dtype)


def read_bytes(path: Path | None) -> bytes:
    """A file's bytes. Raises InputError when it cannot be read."""
    if path is None:
        raise InputError("The frame has no such image.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def frame_rows(files: dict[int, FrameFiles]) -> Iterable[FrameRow]:
    """Per frame its camera transform, or the reason why it cannot be used."""
    for frame_index in sorted(files):
        item = files[frame_index]
        if item.color is None:
            yield frame_index, "no colour image"
        elif item.depth is None:
            yield frame_index, "no depth image"
        elif item.transform is None:
            yield frame_index, "no camera transform file"
        else:
            try:
                yield frame_index, read_matrix(item.transform, (4, 4))
            except InputError:
                yield frame_index, "camera transform file is not a 4×4 matrix"


def image_sizes(path: Path, files: dict[int, FrameFiles]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Colour and depth (width, height), from the first frame whose images can be opened.

    Raises:
        InputError: No frame has both.
    """
    last_error = None
    for frame_index in sorted(files):
        item = files[frame_index]
        if item.color is None or item.depth is None:
            continue
        try:
            color_wh = encoded_size(read_bytes(item.color), str(item.color))
            return color_wh, encoded_size(read_bytes(item.depth), str(item.depth))
        except InputError as error:
            last_error = error
    raise last_error or InputError(f"{path} has no frame with both a colour and a depth image.")


def optional_color_calibration(
    folder: Path, color_size_wh: tuple[int, int]
) -> tuple[Camera | None, np.ndarray | None]:
    """What a person may lay beside a capture: colour intrinsics (3×3) and ``depth_from_color`` (4×4).

    Raises:
        InputError: A file is there but holds no such matrix.
    """
    intrinsics, extrinsics = folder / COLOR_INTRINSICS_FILE, folder / DEPTH_FROM_COLOR_FILE
    camera = depth_from_color = None
    if intrinsics.is_file():
        camera = camera_from_matrix(intrinsics, read_matrix(intrinsics, (3, 3)), color_size_wh)
    if extrinsics.is_file():
        depth_from_color = read_matrix(extrinsics, (4, 4))
        if not is_rigid(depth_from_color):
            raise InputError(f"{extrinsics} is not a rotation with translation.")
    return camera, depth_from_color
