"""Frames as bytes: as they lie in the source where it holds them encoded, else encoded here."""

from __future__ import annotations

import zlib
from typing import Protocol, runtime_checkable

import numpy as np

from scene_r1_cli.data.sources.image_folder import MILLIMETRES_PER_METRE
from scene_r1_cli.data.sources.images import decode_depth_raw
from scene_r1_cli.errors import InputError
from scene_r1_cli.types import FrameReader

JPEG_QUALITY = 95
DEPTH_COMPRESSION = 1
PNG_COMPRESSION = 1
MAX_RAW = 65534
"""65535 means "invalid" in 7-Scenes, so it is never written as a reading."""


@runtime_checkable
class EncodedFrames(Protocol):
    """Encoded pixels of one capture; raises InputError for what cannot be read."""

    @property
    def depth_units_per_metre(self) -> float:
        """Raw depth units in one metre."""
        ...

    def color_num_bytes(self, frame_index: int) -> int:
        """Size of the encoded colour image; a sharper picture takes more."""
        ...

    def color_file(self, frame_index: int) -> tuple[bytes, str]:
        """The encoded colour image and the suffix of its file, ``.jpg`` or ``.png``."""
        ...

    def depth_z16(self, frame_index: int) -> bytes:
        """zlib-compressed little-endian uint16, row by row."""
        ...


def encoded_frames(reader: FrameReader) -> EncodedFrames:
    """The reader itself if it has encoded images, else one that encodes what it reads."""
    return reader if isinstance(reader, EncodedFrames) else PixelEncoder(reader)


class PixelEncoder:
    """Encodes decoded frames: colour to JPEG, depth to millimetres."""

    depth_units_per_metre = MILLIMETRES_PER_METRE

    def __init__(self, reader: FrameReader) -> None:
        self._reader = reader

    def color_num_bytes(self, frame_index: int) -> int:
        """See EncodedFrames."""
        return len(self.color_file(frame_index)[0])

    def color_file(self, frame_index: int) -> tuple[bytes, str]:
        """See EncodedFrames."""
        return encode_jpeg(self._reader.read_color(frame_index)), ".jpg"

    def depth_z16(self, frame_index: int) -> bytes:
        """See EncodedFrames; what no 16 bits hold (above 65.5 m) becomes "no reading"."""
        depth_m = self._reader.read_depth(frame_index)
        raw = np.round(
            np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, 0) * self.depth_units_per_metre
        )
        return encode_z16(np.where(raw <= MAX_RAW, raw, 0).astype(np.uint16))


def encode_jpeg(image_rgb: np.ndarray) -> bytes:
    """(H, W, 3) uint8 to JPEG."""
    import cv2

    ok, data = cv2.imencode(".jpg", image_rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert ok
    return data.tobytes()


def encode_z16(depth_raw: np.ndarray) -> bytes:
    """(h, w) uint16 to zlib."""
    return zlib.compress(np.ascontiguousarray(depth_raw, dtype="<u2").tobytes(), DEPTH_COMPRESSION)


def png_of_z16(data: bytes, size_wh: tuple[int, int], name: str) -> bytes:
    """16-bit PNG of a zlib-compressed depth image. Raises InputError when it is damaged."""
    import cv2

    raw = decode_depth_raw(data, size_wh, True, name)
    options = [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION]
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # since OpenCV 4.11
        # Depth is steps and holes: unfiltered it takes less time by half, and less space.
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    ok, png = cv2.imencode(".png", raw, options)
    if not ok:
        raise InputError(f"{name} cannot be written as PNG.")
    return png.tobytes()
