"""Sentences that point at one object of a room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scene_r1_cli.data.rooms.layout import Room
from scene_r1_cli.data.rooms.vocabulary import CLASSES, labels_called


@dataclass(frozen=True)
class Expression:
    """A sentence and the one object it means."""

    object_id: int
    text: str
    kind: str


def describe_objects(room: Room) -> list[Expression]:
    """Unambiguous sentences about a room's objects."""
    rng = np.random.default_rng([room.seed, 7])
    result = []
    for item in room.furniture:
        nouns = CLASSES[item.label].nouns
        noun = str(rng.choice(nouns))
        rivals = [
            other for other in room.furniture if other is not item and other.label in labels_called(noun)
        ]
        if not rivals:
            result.append(Expression(item.object_id, f"the {noun}", "class"))
        if all(other.color != item.color for other in rivals):
            result.append(Expression(item.object_id, f"the {item.color} {noun}", "color"))
    return result
