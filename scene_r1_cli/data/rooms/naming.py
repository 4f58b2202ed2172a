"""What an object can be called: nouns with adjectives, and which other objects fit them too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scene_r1_cli.data.rooms.layout import Room, RoomObject
from scene_r1_cli.data.rooms.vocabulary import (
    CLASSES,
    may_be_called,
    may_look,
    shows_color,
    trait_fits,
    trait_phrase,
)


@dataclass(frozen=True)
class Head:
    """A noun with an adjective, and who else could be called so.

    Attributes:
        text: For example ``brown chair``.
        kind: ``class``, ``color`` or ``trait``: what it says.
        rivals: ``object_id`` of all other objects that fit it.
    """

    text: str
    kind: str
    rivals: tuple[int, ...]


class Namer:
    """Calls the objects of one room by names, not always the same ones."""

    def __init__(self, room: Room, rng: np.random.Generator) -> None:
        self.room = room
        self._rng = rng

    def name(self, object_id: int) -> str | None:
        """The shortest phrase that means this object alone ("the blue sofa"), or None."""
        heads = self.heads(self.room.objects[object_id])
        plain = [head for head in heads if not head.rivals]
        return f"the {plain[0].text}" if plain else None

    def heads(self, item: RoomObject) -> list[Head]:
        """The noun alone, with its colour, and with a trait."""
        nouns = CLASSES[item.label].nouns
        # The usual word half of the time, any other word otherwise.
        noun = nouns[0] if self._rng.random() < 0.6 else str(self._rng.choice(nouns))
        others = [o for o in self.room.furniture if o is not item and may_be_called(o.label, noun)]
        heads = [Head(noun, "class", tuple(o.object_id for o in others))]
        if shows_color(item.label):
            alike = tuple(o.object_id for o in others if may_look(o.label, o.color, item.color))
            heads.append(Head(f"{item.color} {noun}", "color", alike))
        for trait in item.traits:
            phrase = trait_phrase(trait, noun)
            if phrase is not None:
                alike = tuple(o.object_id for o in others if trait_fits(trait, o.traits))
                heads.append(Head(phrase, "trait", alike))
        return heads

    def pick(self, *ways: str) -> str:
        """One of several ways to say the same."""
        return ways[int(self._rng.integers(len(ways)))]

    def shuffled(self, count: int) -> list[int]:
        """The numbers below ``count`` in random order."""
        return [int(i) for i in self._rng.permutation(count)]
