"""Decodes one colour or depth image from bytes, after checking that it is what the capture says it is."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from scene_r1_cli.errors import InputError

SizeWh = tuple[int, int]


def decode_color(data: bytes, size_wh: SizeWh, name: str) -> np.ndarray:
    """A JPEG or PNG as (H, W, 3) uint8 RGB.

    Args:
        data: The encoded image.
        size_wh: The size it must have; checked before any pixel is allocated.
        name: What to call it in an error.

    Raises:
        InputError: It is no image, is cut, or has another size.
    """
    found = encoded_size(data, name)
    if found != size_wh:
        raise InputError(
            f"{name} is {_size(found)}, but the capture's colour images are {_size(size_wh)}.",
            "Colour and depth may differ from each other in size, but not from frame to frame.",
        )
    # Here and in the other readers: a .sens is copied without it, and it takes long to load.
    import cv2

    # Intrinsics belong to the pixels as stored: an EXIF orientation must not turn them.
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    if decoded is None:
        raise InputError(f"{name} cannot be decoded.")
    return decoded


def decode_depth_image(data: bytes, size_wh: SizeWh, name: str) -> np.ndarray:
    """A 16-bit PNG or PGM as (h, w) uint16, as stored. Raises InputError as decode_color does."""
    found = encoded_size(data, name)
    if found != size_wh:
        raise InputError(f"{name} is {_size(found)}, but the capture's depth images are {_size(size_wh)}.")
    import cv2

    decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.ndim != 2 or decoded.dtype != np.uint16:
        raise InputError(f"{name} is not a 16-bit grey image; depth is read from 16-bit PNG or PGM.")
    return decoded


def decode_depth_raw(data: bytes, size_wh: SizeWh, compressed: bool, name: str) -> np.ndarray:
    """Raw or zlib-compressed little-endian uint16 as (h, w). Raises InputError when it is not that size."""
    width, height = size_wh
    expected = 2 * width * height
    if compressed:
        decompressor = zlib.decompressobj()
        try:
            # One byte more than expected tells a longer stream without inflating all of it.
            data = decompressor.decompress(data, expected + 1)
        except zlib.error as error:
            raise InputError(f"{name} is no zlib stream ({error}).") from error
    if len(data) != expected:
        raise InputError(
            f"{name} does not hold {_size(size_wh)} 16-bit depth values as the header says "
            f"({len(data)} bytes, {expected} expected)."
        )
    return np.frombuffer(data, dtype="<u2").reshape(height, width)


def depth_to_metres(depth_raw: np.ndarray, units_per_metre: float) -> np.ndarray:
    """(h, w) uint16 to float32 metres; 0 and 65535 (7-Scenes' "invalid") become 0."""
    depth_m = depth_raw.astype(np.float32) * np.float32(1 / units_per_metre)
    depth_m[depth_raw == 65535] = 0
    return depth_m


def encoded_size(data: bytes, name: str) -> SizeWh:
    """(width, height) of an encoded image, from its header alone. Raises InputError when it is none."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{name} is not a readable image ({type(error).__name__}).") from error


def _size(size_wh: SizeWh) -> str:
    return f"{size_wh[0]}×{size_wh[1]}"
