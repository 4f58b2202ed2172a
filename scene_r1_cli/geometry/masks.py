"""Binary masks: growing, shrinking, crops of run-length masks, and colour grid to depth grid and back."""

from __future__ import annotations

import cv2
import numpy as np

from scene_r1_cli.geometry.camera import project
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.types import Camera, RleMask

Crop = tuple[int, int, int, int]
"""Pixel columns and rows ``(x0, y0, x1, y1)``, the last ones excluded."""


def dilate(mask: np.ndarray, radius_px: int = 1) -> np.ndarray:
    """Grow an (H, W) bool mask by a square of side ``2 * radius_px + 1``; radius 0 is the mask itself."""
    if radius_px == 0 or not mask.size:
        return mask
    side = 2 * radius_px + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)


def erode(mask: np.ndarray, radius_px: int = 1) -> np.ndarray:
    """Shrink an (H, W) bool mask; beyond the image counts as set, so a cut object keeps its cut side."""
    return mask if radius_px == 0 else ~dilate(~mask, radius_px)


def close(mask: np.ndarray, radius_px: int) -> np.ndarray:
    """Fill gaps narrower than ``2 * radius_px`` pixels."""
    if radius_px == 0:
        return mask
    padded = np.pad(mask, radius_px)
    return erode(dilate(padded, radius_px), radius_px)[radius_px:-radius_px, radius_px:-radius_px]


def mask_bounds(mask: np.ndarray) -> Crop | None:
    """Smallest crop that holds every set pixel; None if there is none."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def rle_bounds(mask: RleMask) -> Crop | None:
    """Bounds of a run-length mask without decoding it; None if it is empty."""
    ends = np.cumsum(mask.counts)
    start, end = (ends - mask.counts)[1::2], ends[1::2]
    start, end = start[end > start], end[end > start]
    if not len(start):
        return None
    height = mask.size_hw[0]
    first_column, last_column = start // height, (end - 1) // height
    spans = last_column > first_column
    first_row = np.where(spans, 0, start % height)
    last_row = np.where(spans, height - 1, (end - 1) % height)
    return (
        int(first_column[0]),
        int(first_row.min()),
        int(last_column[-1]) + 1,
        int(last_row.max()) + 1,
    )


def decode_crop(mask: RleMask, crop: Crop) -> np.ndarray:
    """Part of a run-length mask; its cost is that of the crop's columns, not of the image.

    Args:
        mask: The mask.
        crop: Inside the image.

    Returns:
        (y1 - y0, x1 - x0) bool.
    """
    x0, y0, x1, y1 = crop
    height = mask.size_hw[0]
    ends = np.clip(np.cumsum(mask.counts), x0 * height, x1 * height)
    counts = np.diff(ends, prepend=x0 * height)
    columns = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return columns.reshape(x1 - x0, height).T[y0:y1]


def encode_crop(mask_crop: np.ndarray, crop: Crop, size_wh: tuple[int, int]) -> RleMask:
    """Run-length mask of a whole image that is set only inside a crop."""
    full = np.zeros((size_wh[1], size_wh[0]), dtype=bool)
    full[crop[1] : crop[3], crop[0] : crop[2]] = mask_crop
    return RleMask.encode(full)


def clip_crop(low_xy: np.ndarray, high_xy: np.ndarray, size_wh: tuple[int, int]) -> Crop | None:
    """Crop that covers real-valued pixel bounds, cut to the image; None if nothing is left."""
    x0, y0 = (max(0, int(np.floor(v))) for v in low_xy)
    x1, y1 = (min(size, int(np.ceil(v)) + 1) for v, size in zip(high_xy, size_wh, strict=True))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def depth_crop_of_color(
    crop: Crop, color_camera: Camera, depth_camera: Camera, depth_from_color: np.ndarray, near_m: float
) -> Crop | None:
    """Where a crop of the colour image can lie in the depth image, for anything farther than ``near_m``.

    Returns:
        A crop of the depth image, or None if it lies outside.
    """
    corners = np.array([[x, y] for x in (crop[0], crop[2]) for y in (crop[1], crop[3])], dtype=np.float64)
    rays = np.ones((4, 3))
    rays[:, 0] = (corners[:, 0] - color_camera.cx) / color_camera.fx
    rays[:, 1] = (corners[:, 1] - color_camera.cy) / color_camera.fy
    points = np.concatenate([rays * near_m, rays * 1e3])
    pixels, _ = project(depth_camera, transform_points(depth_from_color, points))
    if np.isnan(pixels).any():
        return 0, 0, *depth_camera.size_wh
    return clip_crop(pixels.min(axis=0) - 1, pixels.max(axis=0) + 1, depth_camera.size_wh)


def color_pixels_of_depth(
    points_depth_camera_m: np.ndarray, color_camera: Camera, depth_from_color: np.ndarray
) -> np.ndarray:
    """(..., 2) pixel in the colour image of each (..., 3) point of the depth camera; NaN behind it."""
    if np.array_equal(depth_from_color, np.eye(4)):
        return project(color_camera, points_depth_camera_m)[0]
    return project(color_camera, transform_points(invert(depth_from_color), points_depth_camera_m))[0]


def look_up(mask_crop: np.ndarray, crop: Crop, pixels_xy: np.ndarray) -> np.ndarray:
    """Value of a cropped mask at real-valued pixels of the whole image; False outside the crop.

    Args:
        mask_crop: (h, w) bool.
        crop: Where it lies.
        pixels_xy: (..., 2), NaN allowed.

    Returns:
        (...) bool.
    """
    column, row = np.rint(pixels_xy[..., 0]), np.rint(pixels_xy[..., 1])
    with np.errstate(invalid="ignore"):
        found = (column >= crop[0]) & (column < crop[2]) & (row >= crop[1]) & (row < crop[3])
    found[found] = mask_crop[row[found].astype(np.int64) - crop[1], column[found].astype(np.int64) - crop[0]]
    return found


def colors_at(image_rgb: np.ndarray, pixels_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours of an image at real-valued pixels.

    Args:
        image_rgb: (H, W, 3).
        pixels_xy: (N, 2), NaN allowed.

    Returns:
        (N,) bool, whether the pixel is in the image, and the (M, 3) colours of those that are.
    """
    height, width = image_rgb.shape[:2]
    column, row = np.rint(pixels_xy[:, 0]), np.rint(pixels_xy[:, 1])
    with np.errstate(invalid="ignore"):
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return inside, image_rgb[row[inside].astype(np.int64), column[inside].astype(np.int64)]


def splat_to_color(
    pixels_xy: np.ndarray, size_wh: tuple[int, int], footprint_px: float
) -> tuple[np.ndarray, Crop] | None:
    """Paint points into the colour grid; each covers ``footprint_px`` pixels, and small gaps are closed.

    Args:
        pixels_xy: (N, 2) real-valued pixels, NaN allowed.
        size_wh: Size of the colour image.
        footprint_px: Colour pixels between neighbouring points (colour focal / depth focal x stride).

    Returns:
        A bool crop and where it lies, or None if no point falls inside the image.
    """
    width, height = size_wh
    finite = pixels_xy[np.isfinite(pixels_xy).all(axis=1)]
    rounded = np.rint(finite).astype(np.int64)
    inside = (rounded >= 0).all(axis=1) & (rounded[:, 0] < width) & (rounded[:, 1] < height)
    rounded = rounded[inside]
    if not len(rounded):
        return None
    margin = int(np.ceil(footprint_px)) + 1
    crop = clip_crop(rounded.min(axis=0) - margin, rounded.max(axis=0) + margin, size_wh)
    if crop is None:
        return None
    painted = np.zeros((crop[3] - crop[1], crop[2] - crop[0]), dtype=bool)
    painted[rounded[:, 1] - crop[1], rounded[:, 0] - crop[0]] = True
    return close(painted, int(np.ceil(footprint_px / 2 + 0.5))), crop
