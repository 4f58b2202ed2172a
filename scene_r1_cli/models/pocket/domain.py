"""What pocket was made for: rooms of this project, and the objects that stand in them."""

from __future__ import annotations

import re

from scene_r1_cli.data.room_marker import is_room
from scene_r1_cli.data.rooms.vocabulary import CLASSES, STRUCTURE, plural
from scene_r1_cli.errors import SetupError, UsageError
from scene_r1_cli.types import Scene

_OTHERS = (
    "Name a large model, e.g. --preset qwen2.5-vl-7b, or give a box yourself: --frame N --box X1,Y1,X2,Y2."
)


def check_scene(scene: Scene) -> None:
    """Refuse a capture that is not a room of ours: pocket has never seen a photograph.

    Raises:
        SetupError: The capture was not made by ``scener1 rooms``.
    """
    if not is_room(scene):
        raise SetupError(
            f"pocket, the small model that is used when no other is named, knows only rooms made by "
            f"`scener1 rooms`, and {scene.scene_id} is not one.",
            f"{_OTHERS} To see what it makes of the capture all the same: --preset pocket.",
        )


def check_query(text: str) -> None:
    """Refuse a description that names nothing pocket knows.

    Raises:
        UsageError: No noun of the description is one that rooms use.
    """
    nouns = [noun for noun, item in _nouns() if item not in STRUCTURE]
    if not any(
        re.search(rf"\b({re.escape(noun)}|{re.escape(plural(noun))})\b", text, re.I) for noun in nouns
    ):
        raise UsageError(
            f"pocket knows no object that {text!r} names.", f"It knows: {', '.join(nouns)}. {_OTHERS}"
        )


def _nouns() -> list[tuple[str, str]]:
    """Every noun once, with a class it stands for."""
    return list({noun: item.label for item in CLASSES.values() for noun in item.nouns}.items())
