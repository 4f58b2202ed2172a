"""What a depth image says about a point: seen, hidden, or that nothing is there."""

from __future__ import annotations

import numpy as np

from scene_r1_cli.geometry.camera import project
from scene_r1_cli.geometry.masks import dilate
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.types import Camera

UNKNOWN = np.int8(0)
"""Outside the image, behind the camera, or no depth reading there."""
SEEN = np.int8(1)
"""The depth reading agrees with the point within the sensor's noise."""
HIDDEN = np.int8(2)
"""Something nearer covers the point."""
EMPTY = np.int8(3)
"""The camera looks through the point at something farther: nothing is there."""


def depth_noise_m(depth_m: np.ndarray) -> np.ndarray:
    """Axial standard deviation of a structured-light sensor at a depth, in metres.

    Nguyen et al., "Modeling Kinect Sensor Noise" (3DIMPVT 2012): 1.2 mm + 1.9 mm/m² (z - 0.4 m)²,
    which at range is near the quantisation step of ScanNet's and 7-Scenes' sensors.
    """
    return 0.0012 + 0.0019 * (depth_m - 0.4) ** 2


def agreement_tolerance_m(depth_m: np.ndarray, slack_m: float = 0.02) -> np.ndarray:
    """How far a reading may be from a point and still be that point: 3 sigma plus camera drift."""
    return slack_m + 3 * depth_noise_m(depth_m)


def depth_edges(depth_m: np.ndarray, radius_px: int = 1) -> np.ndarray:
    """Pixels at a jump in depth, where a sensor mixes two surfaces into points that lie on neither.

    A slanted plane is no jump: the second difference along rows and columns is tested, not the first.

    Args:
        depth_m: (H, W) float32, 0 = no reading.
        radius_px: How far from the jump a pixel still counts.

    Returns:
        (H, W) bool; also True where there is no reading.
    """
    missing = depth_m <= 0
    # Inverse depth is linear in pixels on a plane, so its second difference vanishes there.
    inverse = np.where(missing, 0, 1 / np.maximum(depth_m, 1e-3)).astype(np.float32)
    limit = 0.5 * (agreement_tolerance_m(depth_m) + 0.01) * inverse * inverse
    bend_x = np.zeros_like(inverse)
    bend_y = np.zeros_like(inverse)
    bend_x[:, 1:-1] = np.abs(inverse[:, 2:] + inverse[:, :-2] - 2 * inverse[:, 1:-1])
    bend_y[1:-1] = np.abs(inverse[2:] + inverse[:-2] - 2 * inverse[1:-1])
    jump = (bend_x > 2 * limit) | (bend_y > 2 * limit)
    # A hole is no jump: its rim bends because its pixels read as zero.
    jump &= ~dilate(missing)
    return dilate(jump, radius_px - 1) | missing


def classify_points(
    points_world_m: np.ndarray,
    world_from_camera: np.ndarray,
    camera: Camera,
    depth_m: np.ndarray,
    slack_m: float = 0.02,
    offset_xy: tuple[int, int] = (0, 0),
) -> tuple[np.ndarray, np.ndarray]:
    """Compare points with one depth image.

    Args:
        points_world_m: (N, 3).
        world_from_camera: (4, 4) of the depth camera.
        camera: The depth camera.
        depth_m: (h, w) float32, the whole image or a crop of it; what is not finite or not > 0 is no reading.
        slack_m: Part of the tolerance that does not grow with depth.
        offset_xy: Pixel of the image at the crop's corner.

    Returns:
        (N,) int8 of UNKNOWN, SEEN, HIDDEN, EMPTY, and (N, 2) pixel coordinates in the whole image (NaN
        behind the camera).
    """
    pixels_xy, z = project(camera, transform_points(invert(world_from_camera), points_world_m))
    column, row = np.rint(pixels_xy[:, 0]), np.rint(pixels_xy[:, 1])
    x0, y0 = offset_xy
    height, width = depth_m.shape
    state = np.full(len(z), UNKNOWN, dtype=np.int8)
    with np.errstate(invalid="ignore"):
        inside = (column >= x0) & (column < x0 + width) & (row >= y0) & (row < y0 + height)
        at = np.flatnonzero(inside)
        reading = depth_m[row[at].astype(np.int64) - y0, column[at].astype(np.int64) - x0]
        usable = (reading > 0) & (reading < np.inf)
    at, reading = at[usable], reading[usable]
    behind = reading - z[at]
    tolerance = agreement_tolerance_m(z[at], slack_m)
    state[at] = np.where(behind < -tolerance, HIDDEN, np.where(behind > tolerance, EMPTY, SEEN))
    return state, pixels_xy


def pixels_in_image(
    camera: Camera, camera_from_world: np.ndarray, along_axes_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of those points that fall into the image; for many views of many points.

    Args:
        camera: The camera.
        camera_from_world: (4, 4).
        along_axes_m: (3, N) float32 world coordinates, axis by axis.

    Returns:
        Of M points: (M,) index, (M,) column, (M,) row, all int64, and (M,) float32 depth in metres.
    """
    to_pixels = camera.matrix @ camera_from_world[:3]
    x, y, z = to_pixels[:, :3].astype(np.float32) @ along_axes_m + to_pixels[:, 3:].astype(np.float32)
    width, height = camera.size_wh
    with np.errstate(divide="ignore", invalid="ignore"):
        # Half a pixel on, so that cutting off the fraction rounds.
        column, row = x / z + np.float32(0.5), y / z + np.float32(0.5)
        at = np.flatnonzero((z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height))
    return at, column[at].astype(np.int64), row[at].astype(np.int64), z[at]
