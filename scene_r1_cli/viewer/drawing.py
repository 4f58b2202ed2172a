"""Draws boxes and masks on colour images."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from scene_r1_cli.geometry.boxes import BOX_EDGES, box3d_corners
from scene_r1_cli.geometry.camera import project
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.types import Box3D, Camera

# Okabe-Ito colours, told apart by colour-blind readers too.
PREDICTED_RGB = (230, 97, 0)
TRUTH_RGB = (0, 158, 115)
BOX2D_RGB = (86, 180, 233)
MASK_RGB = (240, 228, 66)

_NEAR_M = 0.05
_SUBPIXEL_BITS = 4


def draw_mask(image_rgb: np.ndarray, mask: np.ndarray, color_rgb: Sequence[int] = MASK_RGB) -> np.ndarray:
    """A copy of (H, W, 3) uint8 ``image_rgb`` with a (H, W) bool mask tinted and outlined."""
    drawn = image_rgb.copy()
    tint = np.asarray(color_rgb, dtype=np.float32)
    drawn[mask] = (0.55 * drawn[mask] + 0.45 * tint).astype(np.uint8)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, outlines, -1, tuple(color_rgb), 1)
    return drawn


def draw_box2d(
    image_rgb: np.ndarray, xyxy_px: Sequence[float], color_rgb: Sequence[int] = BOX2D_RGB
) -> np.ndarray:
    """A copy of the image with a box (x1, y1, x2, y2) in its pixels."""
    drawn = image_rgb.copy()
    corners = np.round(np.asarray(xyxy_px)).astype(int)
    cv2.rectangle(
        drawn, tuple(corners[:2]), tuple(corners[2:]), tuple(color_rgb), _line_width(drawn), cv2.LINE_AA
    )
    return drawn


def draw_box3d(
    image_rgb: np.ndarray,
    camera: Camera,
    world_from_camera: np.ndarray,
    box: Box3D,
    color_rgb: Sequence[int] = PREDICTED_RGB,
) -> np.ndarray:
    """A copy of the image with the wire frame of a 3D box.

    Args:
        image_rgb: (H, W, 3) uint8 at ``camera.size_wh``.
        camera: The colour camera.
        world_from_camera: (4, 4), of the colour camera.
        box: Box in the world frame.
        color_rgb: Line colour.
    """
    drawn = image_rgb.copy()
    corners_camera = transform_points(invert(world_from_camera), box3d_corners(box))
    for first, second in BOX_EDGES:
        edge = _clip_to_near(corners_camera[first], corners_camera[second])
        if edge is None:
            continue
        pixels, _ = project(camera, edge)
        _draw_line(drawn, pixels, color_rgb)
    return drawn


def _clip_to_near(start_m: np.ndarray, end_m: np.ndarray) -> np.ndarray | None:
    """The (2, 3) part of a segment in front of the near plane, or None."""
    if start_m[2] < _NEAR_M and end_m[2] < _NEAR_M:
        return None
    if start_m[2] < _NEAR_M or end_m[2] < _NEAR_M:
        share = (_NEAR_M - start_m[2]) / (end_m[2] - start_m[2])
        crossing = start_m + share * (end_m - start_m)
        start_m, end_m = (crossing, end_m) if start_m[2] < _NEAR_M else (start_m, crossing)
    return np.stack([start_m, end_m])


def _draw_line(image_rgb: np.ndarray, pixels_xy: np.ndarray, color_rgb: Sequence[int]) -> None:
    # Far outside the image OpenCV's fixed-point coordinates overflow; clip in floating point first.
    limit = 16.0 * max(image_rgb.shape[:2])
    if np.abs(pixels_xy).max() > limit:
        clipped = _clip_to_square(pixels_xy, limit)
        if clipped is None:
            return
        pixels_xy = clipped
    fixed = np.round(pixels_xy * 2**_SUBPIXEL_BITS).astype(int)
    cv2.line(
        image_rgb,
        tuple(fixed[0]),
        tuple(fixed[1]),
        tuple(color_rgb),
        _line_width(image_rgb),
        cv2.LINE_AA,
        _SUBPIXEL_BITS,
    )


def _clip_to_square(pixels_xy: np.ndarray, limit: float) -> np.ndarray | None:
    """Liang-Barsky clipping of a (2, 2) segment to the square [-limit, limit]²."""
    start, step = pixels_xy[0], pixels_xy[1] - pixels_xy[0]
    low, high = 0.0, 1.0
    for axis in range(2):
        for sign in (-1.0, 1.0):
            speed, distance = sign * step[axis], limit - sign * start[axis]
            if speed == 0 and distance < 0:
                return None
            if speed > 0:
                high = min(high, distance / speed)
            elif speed < 0:
                low = max(low, distance / speed)
    return np.stack([start + low * step, start + high * step]) if low < high else None


def _line_width(image_rgb: np.ndarray) -> int:
    return max(1, round(max(image_rgb.shape[:2]) / 480))
