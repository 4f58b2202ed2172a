"""What real sensors do to exact images: noisy depth with holes, noisy colour, and drifting cameras.

The depth sensor is a structured-light one as ScanNet's: it measures disparity between a projector and a
camera 75 mm apart, in eighths of a pixel, so errors grow with the square of distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtri

from scene_r1_cli.data.rooms.render import DepthView
from scene_r1_cli.data.rooms.solids import TEXTURES
from scene_r1_cli.types import Camera

NEAR_M, FAR_M = 0.4, 5.0
BASELINE_M = 0.075
SENSOR_FOCAL_PX = 577.0
STEPS_PER_PX = 8.0
"""The sensor's own resolution, whatever size its images are written in."""

LOSS_QUANTILES = np.clip(ndtri(1 - np.arange(256) / 255), -4.0, 2.8).astype(np.float32)
"""Threshold on unit noise that loses each share of pixels, in 255ths; a few are lost everywhere."""

TILE = 2048
"""Side of the tiles of noise that frames take pieces of."""


class DepthSensor:
    """Turns exact depth into what the sensor would read.

    Args:
        camera: The depth camera.
        face_rgb: (F, 3) colour of every face, since dark surfaces return little light.
        face_texture: (F,) index into ``TEXTURES``; glass and screens return little light too.
        rng: Source of all noise.
    """

    def __init__(
        self, camera: Camera, face_rgb: np.ndarray, face_texture: np.ndarray, rng: np.random.Generator
    ) -> None:
        self._camera = camera
        self._rng = rng
        width = camera.size_wh[0]
        self._white = _tile(rng, 0.0)
        self._blotches = _tile(rng, max(2.0, 0.012 * width))
        loss = 0.35 * np.clip(0.25 - face_rgb.max(axis=1), 0, 1) / 0.25
        loss = np.where(face_texture == TEXTURES.index("glass"), 0.75, loss)
        loss = np.where(face_texture == TEXTURES.index("screen"), 0.45, loss)
        # Share of a surface that is lost, as a threshold on unit noise.
        self._face_loss = np.append(loss, 1.0).astype(np.float32)
        self._column = np.arange(width, dtype=np.float32)
        self._focal_px = camera.fx
        # An edge is a pixel or two of the sensor, less of a pixel of a smaller image.
        self._edge_loss = 0.55 * min(1.0, camera.fx / SENSOR_FOCAL_PX)

    def read(self, view: DepthView) -> np.ndarray:
        """(h, w) uint16 millimetres, 0 = no reading."""
        z = np.where(np.isfinite(view.depth_m), view.depth_m, 0).astype(np.float32)
        noise = 0.75 * self._piece(self._white) + 0.65 * self._piece(self._blotches)
        z = self._jitter(z)
        valid = z > 0
        noisy = z + noise * (0.0012 + 0.0019 * (z - 0.4) ** 2)
        scale = np.float32(SENSOR_FOCAL_PX * BASELINE_M * STEPS_PER_PX)
        steps = np.rint(scale / np.maximum(noisy, 0.05))
        measured = scale / np.maximum(steps, 1)
        hole = ~valid | (measured < NEAR_M) | (measured > FAR_M)
        hole |= self._shadow(z) | self._unlucky(view, z)
        return np.where(hole, 0, np.rint(measured * 1000)).astype(np.uint16)

    def _piece(self, tile: np.ndarray) -> np.ndarray:
        width, height = self._camera.size_wh
        x, y = self._rng.integers(0, TILE - width + 1), self._rng.integers(0, TILE - height + 1)
        return tile[y : y + height, x : x + width]

    def _jitter(self, z: np.ndarray) -> np.ndarray:
        """Outlines shake by a pixel: each pixel reads itself or a neighbour."""
        shift_x = np.clip(np.rint(0.55 * self._piece(self._white)), -1, 1).astype(np.int64)
        shift_y = np.clip(np.rint(0.55 * self._piece(self._white)), -1, 1).astype(np.int64)
        height, width = z.shape
        rows = np.clip(np.arange(height)[:, None] + shift_y, 0, height - 1)
        columns = np.clip(np.arange(width) + shift_x, 0, width - 1)
        return z.ravel()[rows * width + columns]

    def _shadow(self, z: np.ndarray) -> np.ndarray:
        """Pixels that the projector cannot reach, beside whatever stands before them."""
        disparity = np.where(z > 0, self._focal_px * BASELINE_M / np.maximum(z, 0.05), 0)
        reach = disparity - self._column
        nearer = np.maximum.accumulate(reach[:, ::-1], axis=1)[:, ::-1]
        return nearer > reach + 0.75

    def _unlucky(self, view: DepthView, z: np.ndarray) -> np.ndarray:
        """Surfaces met at a flat angle, depth edges, dark and shiny surfaces: lost in blotches."""
        blotch = self._piece(self._blotches) * 0.8 + self._piece(self._white) * 0.6
        grazing = np.clip((0.22 - view.cos_incidence) / 0.16, 0, 1)
        loss = np.maximum(self._face_loss[view.face], grazing)
        loss += 0.05 * (z > 3.5)
        spread = cv2.dilate(z, np.ones((3, 3), np.uint8)) - cv2.erode(z, np.ones((3, 3), np.uint8))
        at_edge = (spread > 0.08 + 0.03 * z) & (view.cos_incidence > 0.25)
        loss = np.where(at_edge, np.maximum(loss, self._edge_loss), loss)
        return blotch > np.take(LOSS_QUANTILES, np.clip(loss * 255, 0, 255).astype(np.uint8))


def _tile(rng: np.random.Generator, sigma_px: float) -> np.ndarray:
    """(TILE, TILE) float32 noise of deviation 1, white or smooth."""
    tile = rng.standard_normal((TILE, TILE), dtype=np.float32)
    if sigma_px > 0:
        tile = cv2.GaussianBlur(tile, (0, 0), sigma_px)
        tile /= tile.std()
    return tile


@dataclass(frozen=True)
class ColorSensor:
    """Lens and electronics of the colour camera.

    Attributes:
        tile: (TILE, TILE, 3) int8 noise.
        gain_per_s: (S,) slow changes of exposure, one value a second.
        tint: (3,) white balance.
    """

    tile: np.ndarray
    gain_per_s: np.ndarray
    tint: np.ndarray

    @classmethod
    def draw(cls, duration_s: float, rng: np.random.Generator) -> ColorSensor:
        """A camera with its own noise, exposure and white balance."""
        tile = (rng.standard_normal((TILE, TILE, 3), dtype=np.float32) * 2.6).astype(np.int8)
        gain = gaussian_filter1d(rng.standard_normal(int(duration_s) + 12), 2.5, mode="nearest")
        return cls(tile, 1 + 0.10 * gain, 1 + rng.uniform(-0.04, 0.04, 3))

    def expose(self, rgb: np.ndarray, time_s: float, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) uint8 image as the camera gives it."""
        height, width = rgb.shape[:2]
        gain = np.interp(time_s, np.arange(len(self.gain_per_s)), self.gain_per_s)
        soft = cv2.GaussianBlur(rgb, (3, 3), 0.55)
        scaled = cv2.multiply(soft, np.array([*(gain * self.tint), 0.0]))
        y, x = rng.integers(0, TILE - height + 1), rng.integers(0, TILE - width + 1)
        return cv2.add(scaled, self.tile[y : y + height, x : x + width], dtype=cv2.CV_8U)


def drift(num_frames: int, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Errors of a camera tracker: slow, a centimetre and a third of a degree.

    Returns:
        (N, 4, 4) float64 ``tracked_from_true`` in the camera's own frame, to be multiplied on the right of
        ``a_from_camera``; small and rigid.
    """
    count = int(num_frames / fps * 2) + 8
    slow = gaussian_filter1d(rng.standard_normal((count, 6)), 5.0, axis=0, mode="nearest")
    slow /= slow.std(axis=0)
    at = np.arange(num_frames) / fps * 2
    values = np.stack([np.interp(at, np.arange(count), slow[:, i]) for i in range(6)], axis=1)
    shift_m, angle_rad = values[:, :3] * 0.007, values[:, 3:] * np.deg2rad(0.22)
    result = np.tile(np.eye(4), (num_frames, 1, 1))
    for frame in range(num_frames):
        result[frame, :3, :3] = cv2.Rodrigues(angle_rad[frame])[0]
        result[frame, :3, 3] = shift_m[frame]
    return result
