"""A model that says what it is told to, and captures made of plain frames, for tests of the VLM stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scene_r1_cli.config import SamplingConfig
from scene_r1_cli.errors import InputError
from scene_r1_cli.models.families import FAMILIES, Family, size_on_grid
from scene_r1_cli.models.vlm import Asked, AsksOne, Reply, VideoPrefix
from scene_r1_cli.types import Camera, Frame, Scene


class ScriptedVLM(AsksOne):
    """Gives prepared replies in turn and keeps what it was asked as (prefix, suffix), and how to decode."""

    def __init__(self, *replies: str, family: str = "qwen2.5-vl") -> None:
        self.name = "scripted"
        self.family: Family = FAMILIES[family]
        self.replies = list(replies)
        self.asked: list[tuple[VideoPrefix, str]] = []
        self.samplings: list[SamplingConfig | None] = []

    def model_size_wh(self, original_wh: tuple[int, int], max_side_px: int) -> tuple[int, int]:
        return size_on_grid(original_wh, max_side_px, self.family.grid)

    def generate_each(
        self, asked: Sequence[Asked], *, max_new_tokens: int, sampling: SamplingConfig | None = None
    ) -> list[list[Reply]]:
        questions = [(prefix, suffix) for prefix, suffixes in asked for suffix in suffixes]
        self.asked += questions
        self.samplings.append(sampling)
        said = iter([Reply(self.replies.pop(0), "stop", 100, 10) for _ in questions])
        return [[next(said) for _ in suffixes] for _, suffixes in asked]


class PlainReader:
    """Frames of one grey level each; ``sharp`` frames have a pattern, ``broken`` ones cannot be decoded."""

    def __init__(self, size_wh: tuple[int, int], broken: Sequence[int], sharp: Sequence[int]) -> None:
        self.size_wh, self.broken, self.sharp = size_wh, set(broken), set(sharp)
        self.num_reads = 0

    def read_color(self, frame_index: int) -> np.ndarray:
        self.num_reads += 1
        if frame_index in self.broken:
            raise InputError(f"frame {frame_index} cannot be decoded")
        width, height = self.size_wh
        image_rgb = np.full((height, width, 3), frame_index % 256, dtype=np.uint8)
        if frame_index in self.sharp:
            image_rgb[::16, ::16] = 255
        return image_rgb

    def read_depth(self, frame_index: int) -> np.ndarray:
        raise AssertionError("the VLM stages read no depth")


def plain_scene(
    timestamps_s: Sequence[float] | np.ndarray,
    *,
    size_wh: tuple[int, int] = (640, 480),
    first_index: int = 0,
    broken: Sequence[int] = (),
    sharp: Sequence[int] = (),
) -> Scene:
    """A capture with a frame at each time; source indices count from ``first_index``."""
    camera = Camera(500.0, 500.0, size_wh[0] / 2, size_wh[1] / 2, size_wh)
    return Scene(
        scene_id="plain",
        source="test",
        path=Path("plain"),
        color_camera=camera,
        depth_camera=camera,
        depth_from_color=np.eye(4),
        world_from_scan=np.eye(4),
        gravity="axis_alignment",
        frames=tuple(
            Frame(first_index + i, float(time_s), np.eye(4)) for i, time_s in enumerate(timestamps_s)
        ),
        skipped=(),
        clock="timestamps",
        reader=PlainReader(size_wh, broken, sharp),
    )
