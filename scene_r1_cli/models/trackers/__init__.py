"""Trackers: from a box or mask on a few frames to masks on many.

``geometric`` needs no weights; ``sam2`` runs SAM 2.1. Both are opened on a scene and a list of frames,
given prompts, and iterated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from scene_r1_cli.config import TrackerConfig
from scene_r1_cli.types import RleMask, Scene

TrackedFrame = tuple[int, dict[int, tuple[RleMask, float]]]
"""``(frame_index, {obj_id: (mask of the colour image, score in [0, 1])})``; absent objects left out."""


class TrackerSession(Protocol):
    """One pass over some frames of a scene."""

    def add(
        self,
        obj_id: int,
        frame_index: int,
        *,
        box_xyxy_px: Sequence[float] | None = None,
        mask: np.ndarray | None = None,
    ) -> None:
        """Say where an object is on one frame; may be called for several frames and objects.

        Args:
            obj_id: Name of the object in this session.
            frame_index: Source index, one of the session's frames.
            box_xyxy_px: Box in the original colour image; exactly one of box and mask is given.
            mask: (H, W) bool at the colour image's size.

        Raises:
            ValueError: The frame is not of this session, or not exactly one prompt is given.
        """
        ...

    def __iter__(self) -> Iterator[TrackedFrame]:
        """Masks of every frame that shows an object, by rising ``frame_index``."""
        ...


class Tracker(Protocol):
    """Makes sessions; holds what they share (weights)."""

    def open(self, scene: Scene, frame_indices: Sequence[int]) -> TrackerSession:
        """Start a session on these usable frames of a scene."""
        ...


def load_tracker(config: TrackerConfig) -> Tracker:
    """The tracker a configuration names.

    Raises:
        SetupError: Its weights, package or device are missing.
    """
    if config.name == "sam2":
        from scene_r1_cli.models.trackers.sam2 import load_sam2

        return load_sam2(config)
    from scene_r1_cli.models.trackers.geometric import GeometricTracker

    return GeometricTracker(config)


def check_prompt(
    frame_indices: Sequence[int],
    frame_index: int,
    box_xyxy_px: Sequence[float] | None,
    mask: np.ndarray | None,
) -> None:
    """The checks every session makes in ``add``."""
    if frame_index not in frame_indices:
        raise ValueError(f"frame {frame_index} is not one of the session's {len(frame_indices)} frames")
    if (box_xyxy_px is None) == (mask is None):
        raise ValueError("give either a box or a mask")
