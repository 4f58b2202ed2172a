"""A capture of coloured blocks on a floor before walls, ray cast in numpy: exact truth for geometry tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.transforms import invert
from scene_r1_cli.types import Camera, Frame, Scene

ROOM = ((-3.0, -3.0, 0.0), (3.0, 3.0, 3.0))
FLOOR_RGB, WALL_RGB = (150, 140, 130), (210, 210, 200)

COLOR_CAMERA = Camera(190.0, 190.0, 119.5, 89.5, (240, 180))
DEPTH_CAMERA = Camera(130.0, 130.0, 79.5, 59.5, (160, 120))


@dataclass(frozen=True)
class Block:
    """An axis-aligned solid in the world frame."""

    low_m: tuple[float, float, float]
    high_m: tuple[float, float, float]
    rgb: tuple[int, int, int]


class BlockReader:
    """Renders frames when asked; ``broken_depth`` replaces the depth of a frame, None makes it unreadable."""

    def __init__(
        self, blocks: Sequence[Block], cameras, broken_depth: Mapping[int, np.ndarray | None]
    ) -> None:
        self.blocks, self.cameras, self.broken_depth = blocks, cameras, broken_depth

    def read_color(self, frame_index: int) -> np.ndarray:
        return self.render(frame_index, "color")[1]

    def read_depth(self, frame_index: int) -> np.ndarray:
        if frame_index in self.broken_depth:
            depth = self.broken_depth[frame_index]
            if depth is None:
                raise InputError(f"frame {frame_index} cannot be read")
            return depth
        return self.render(frame_index, "depth")[0]

    def block_ids(self, frame_index: int) -> np.ndarray:
        """(H, W) int: block seen at each colour pixel, -1 for the room."""
        return self.render(frame_index, "color")[2]

    def render(self, frame_index: int, sensor: str):
        camera, world_from_camera = self.cameras[sensor](frame_index)
        rays = pixel_rays(camera).astype(np.float64) @ world_from_camera[:3, :3].T
        origin = world_from_camera[:3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / np.where(np.abs(rays) < 1e-12, 1e-12, rays)
            room = np.maximum((np.array(ROOM[0]) - origin) * inverse, (np.array(ROOM[1]) - origin) * inverse)
        depth = room.min(axis=-1)
        is_floor = (room.argmin(axis=-1) == 2) & (rays[..., 2] < 0)
        color = np.where(is_floor[..., None], FLOOR_RGB, WALL_RGB).astype(np.uint8)
        block_id = np.full(depth.shape, -1)
        for number, block in enumerate(self.blocks):
            a = (np.array(block.low_m) - origin) * inverse
            b = (np.array(block.high_m) - origin) * inverse
            enter = np.minimum(a, b)
            near, far = enter.max(axis=-1), np.maximum(a, b).min(axis=-1)
            hit = (near < far) & (near > 0.05) & (near < depth)
            depth = np.where(hit, near, depth)
            shade = np.array([0.8, 0.9, 1.0])[enter.argmax(axis=-1)]
            color[hit] = (np.array(block.rgb) * shade[hit][:, None]).astype(np.uint8)
            block_id[hit] = number
        return depth.astype(np.float32), color, block_id


def look_at(eye_m: Sequence[float], target_m: Sequence[float]) -> np.ndarray:
    """(4, 4) world_from_camera, OpenCV axes, upright."""
    forward = np.subtract(target_m, eye_m) / np.linalg.norm(np.subtract(target_m, eye_m))
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    matrix[:3, 3] = eye_m
    return matrix


def circle(
    target_m: Sequence[float], radius_m: float, height_m: float, degrees: Sequence[float] | np.ndarray
) -> list[np.ndarray]:
    """Camera transforms on a circle around a target."""
    angles = np.radians(degrees)
    return [
        look_at((target_m[0] + radius_m * np.cos(a), target_m[1] + radius_m * np.sin(a), height_m), target_m)
        for a in angles
    ]


def make_scene(
    blocks: Sequence[Block],
    world_from_cameras: Sequence[np.ndarray],
    *,
    color_camera: Camera = COLOR_CAMERA,
    depth_camera: Camera = DEPTH_CAMERA,
    baseline_m: float = 0.0,
    world_from_scan: np.ndarray | None = None,
    broken_depth: Mapping[int, np.ndarray | None] | None = None,
) -> Scene:
    """A capture of the blocks; frame i has the i-th depth-camera transform and time i / 10 s."""
    world_from_scan = np.eye(4) if world_from_scan is None else world_from_scan
    depth_from_color = np.eye(4)
    depth_from_color[0, 3] = baseline_m
    cameras = {
        "depth": lambda i: (depth_camera, world_from_cameras[i]),
        "color": lambda i: (color_camera, world_from_cameras[i] @ depth_from_color),
    }
    frames = tuple(
        Frame(i, i / 10, invert(world_from_scan) @ world_from_camera)
        for i, world_from_camera in enumerate(world_from_cameras)
    )
    return Scene(
        scene_id="blocks",
        source="test",
        path=Path("blocks"),
        color_camera=color_camera,
        depth_camera=depth_camera,
        depth_from_color=depth_from_color,
        world_from_scan=world_from_scan,
        gravity="axis_alignment",
        frames=frames,
        skipped=(),
        clock="fps",
        reader=BlockReader(blocks, cameras, broken_depth or {}),
    )


def block_mask(scene: Scene, frame_index: int, block: int = 0) -> np.ndarray:
    """(H, W) bool at the colour image's size."""
    assert isinstance(scene.reader, BlockReader)
    return scene.reader.block_ids(frame_index) == block


def block_box(scene: Scene, frame_index: int, block: int = 0) -> tuple[float, float, float, float]:
    """The tight box of a block's visible pixels."""
    rows, columns = np.nonzero(block_mask(scene, frame_index, block))
    return columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5
