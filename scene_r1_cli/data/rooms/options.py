"""How large and how real a room's capture is, and which seeds belong to which split."""

from __future__ import annotations

from dataclasses import dataclass

from scene_r1_cli.errors import UsageError
from scene_r1_cli.types import Camera

SPLITS = ("train", "val", "test")

_SEEDS = {"train": range(1000, 8000), "val": range(8000, 9000), "test": range(9000, 10000)}
"""Four digits as ScanNet's names have, above ScanNet's own 0000 to 0806."""


@dataclass(frozen=True)
class RoomOptions:
    """What a capture of a room is like; the room itself follows from its seed.

    Attributes:
        duration_s: Length of the video.
        fps: Frames per second.
        color_size_wh: Size of the colour images.
        depth_size_wh: Size of the depth images.
        jpeg_quality: 1 to 100.
        noise: False gives exact depth, colour and camera transforms.
    """

    duration_s: float = 60.0
    fps: float = 30.0
    color_size_wh: tuple[int, int] = (1296, 968)
    depth_size_wh: tuple[int, int] = (640, 480)
    jpeg_quality: int = 90
    noise: bool = True

    def __post_init__(self) -> None:
        sides = (*self.color_size_wh, *self.depth_size_wh)
        if self.duration_s <= 0 or self.fps <= 0 or self.duration_s * self.fps < 1:
            raise UsageError(
                f"A room of {self.duration_s} s at {self.fps} frames per second was asked for; "
                "both must be positive and give at least one frame."
            )
        if min(sides) < 16 or max(sides) > 2000:
            raise UsageError(f"Image sides of 16 to 2000 pixels are possible, not {sides}.")
        if not 1 <= self.jpeg_quality <= 100:
            raise UsageError(f"JPEG quality is 1 to 100, not {self.jpeg_quality}.")

    @property
    def num_frames(self) -> int:
        """Frames of the video."""
        return int(self.duration_s * self.fps)

    @property
    def color_camera(self) -> Camera:
        """ScanNet's usual colour camera, scaled to the size."""
        return _scaled(Camera(1169.621, 1167.105, 646.295, 489.927, (1296, 968)), self.color_size_wh)

    @property
    def depth_camera(self) -> Camera:
        """ScanNet's usual depth camera, scaled to the size."""
        return _scaled(Camera(577.871, 577.871, 319.5, 239.5, (640, 480)), self.depth_size_wh)


DEMO_OPTIONS = RoomOptions(fps=3.0, color_size_wh=(480, 360), depth_size_wh=(320, 240))
"""A room that is made while a person waits."""


def _scaled(camera: Camera, size_wh: tuple[int, int]) -> Camera:
    """The camera with images of another size; one scale for both axes, so pixels stay square."""
    scale = size_wh[0] / camera.size_wh[0]
    return Camera(
        fx=camera.fx * scale,
        fy=camera.fy * scale,
        cx=(camera.cx + 0.5) * scale - 0.5,
        cy=(camera.cy + 0.5 - camera.size_wh[1] / 2) * scale + size_wh[1] / 2 - 0.5,
        size_wh=size_wh,
    )


def split_seeds(split: str) -> range:
    """Seeds of a split; no seed is in two splits.

    Raises:
        UsageError: There is no such split.
    """
    if split not in _SEEDS:
        raise UsageError(f"There are the splits {', '.join(SPLITS)}, not {split!r}.")
    return _SEEDS[split]


def scene_id_of(seed: int) -> str:
    """Name of the room of a seed, as ScanNet names scenes.

    Raises:
        UsageError: The seed is in no split.
    """
    if not any(seed in seeds for seeds in _SEEDS.values()):
        raise UsageError(f"Room seeds go from 1000 to 9999, not {seed}.")
    return f"scene{seed:04d}_00"
