from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_r1_cli.data.rooms import RoomOptions, make_room
from scene_r1_cli.data.rooms.floor_plan import FloorPlan
from scene_r1_cli.data.rooms.furniture import make_furniture
from scene_r1_cli.data.rooms.layout import Room, RoomObject
from scene_r1_cli.data.rooms.placing import pose_at

TINY = RoomOptions(duration_s=12, fps=1, color_size_wh=(96, 72), depth_size_wh=(64, 48))
TINY_SEED = 9003


@pytest.fixture(scope="session")
def tiny_room(tmp_path_factory) -> Path:
    """Folder of a tiny room, made once."""
    return make_room(TINY_SEED, tmp_path_factory.mktemp("rooms"), TINY).path


@pytest.fixture(scope="session")
def furnish() -> Callable[..., Room]:
    """Makes a room of 6 m x 6 m from rows (kind, colour, x, y, yaw, z, standing_on)."""

    def make(*rows: tuple[str, str, float, float, float, float, int | None]) -> Room:
        corners = np.array([[0.5, 0.5], [6.5, 0.5], [6.5, 6.5], [0.5, 6.5]])
        objects = []
        for number, (kind, color, x, y, yaw, z, standing_on) in enumerate(rows):
            piece = make_furniture(kind, np.random.default_rng(3), color)
            pose = pose_at(np.array([x, y]), yaw, z)
            objects.append(
                RoomObject(
                    number, piece.label, color, (), piece.faces.moved(pose), pose, piece.size_m, standing_on
                )
            )
        return Room(0, "studio", FloorPlan(corners, 2.6, ((0.5, 0.5, 6.5, 6.5),)), tuple(objects))

    return make
