"""Rooms: our own ScanNet. Furnished rooms from a seed, filmed, written in ScanNet's layout with labels."""

from scene_r1_cli.data.rooms.options import DEMO_OPTIONS, SPLITS, RoomOptions, scene_id_of, split_seeds
from scene_r1_cli.data.rooms.write import RoomSummary, make_room, make_rooms

__all__ = [
    "DEMO_OPTIONS",
    "SPLITS",
    "RoomOptions",
    "RoomSummary",
    "make_room",
    "make_rooms",
    "scene_id_of",
    "split_seeds",
]
