"""Tells a synthetic room from a real capture, without loading what makes rooms."""

from __future__ import annotations

from scene_r1_cli.types import Scene

RECIPE = "room.json"
"""What a room was made from; it tells a finished room from anything else."""


def is_room(scene: Scene) -> bool:
    """True for a capture that ``make_room`` made, opened as a folder or by its ``.sens``."""
    folder = scene.path if scene.path.is_dir() else scene.path.parent
    return (folder / RECIPE).is_file()
