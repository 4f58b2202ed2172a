"""Sentences that point at one object of a room, each checked to fit no other.

A sentence is a head ("the brown chair") and perhaps a relation ("next to the desk"). Every object that a
person might call by the head is a rival; the relation must hold for the target and clearly not for a rival.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scene_r1_cli.data.rooms.clauses import Clause, ClauseFinder
from scene_r1_cli.data.rooms.layout import Room, RoomObject
from scene_r1_cli.data.rooms.naming import Namer

PER_OBJECT = 3
"""Sentences per object at most."""

SUPERLATIVES = ("closest", "farthest", "size")
"""Kinds whose meaning depends on the head: "a brown lamp; it is closest" could mean of all lamps."""


@dataclass(frozen=True)
class Expression:
    """A sentence and the one object it means.

    Attributes:
        object_id: The object.
        text: The sentence.
        kind: What singles the object out: ``class``, ``color``, ``trait``, or a relation: ``next_to``,
            ``closest``, ``farthest``, ``between``, ``on``, ``above``, ``side``, ``corner``, ``size``.
        anchors: ``object_id`` of the objects it is related to.
    """

    object_id: int
    text: str
    kind: str
    anchors: tuple[int, ...] = ()


class Describer:
    """Finds sentences and phrases for the objects of one room."""

    def __init__(self, room: Room, rng: np.random.Generator) -> None:
        self._room = room
        self._namer = Namer(room, rng)
        self._clauses = ClauseFinder(self._namer)

    def sentences(self, item: RoomObject) -> list[Expression]:
        """Up to ``PER_OBJECT`` sentences, the plain ones first."""
        heads = self._namer.heads(item)
        plain = [head for head in heads if not head.rivals]
        chosen = [Expression(item.object_id, self._say(head.text), head.kind) for head in plain[:1]]
        kinds: set[str] = set()
        # A head that many share makes the relation count; one that nobody shares is a redundant, easy one.
        for head in sorted(heads, key=lambda head: (not head.rivals, head.kind != "class")):
            for clause in self._clauses.find(item, head):
                if len(chosen) < PER_OBJECT and clause.kind not in kinds:
                    text = self._say(head.text, clause)
                    chosen.append(Expression(item.object_id, text, clause.kind, clause.anchors))
                    kinds.add(clause.kind)
        return chosen

    def name(self, object_id: int) -> str | None:
        """The shortest phrase that means this object alone ("the blue sofa"), or None."""
        return self._namer.name(object_id)

    def place(self, object_id: int) -> tuple[str, ...] | None:
        """Where an object is, in a few words, and other ways to say it; None if not easily said."""
        return self._clauses.place(object_id)

    def name_without_color(self, object_id: int) -> str | None:
        """A phrase that means this object alone and does not say its colour, or None."""
        item = self._room.objects[object_id]
        for head in self._namer.heads(item):
            if head.kind == "color":
                continue
            if not head.rivals:
                return f"the {head.text}"
            for clause in self._clauses.find(item, head):
                return _phrase(head.text, clause)
        return None

    def _say(self, head: str, clause: Clause | None = None) -> str:
        """One of a few ways to say the same."""
        if clause is None:
            return self._namer.pick("the {}", "the {}", "the {}", "find the {}").format(head)
        if clause.adjective:
            return _phrase(head, clause)
        ways = ["the {h} {c}", "the {h} {c}", "the {h} that is {c}", "find the {h} {c}"]
        if clause.kind not in SUPERLATIVES:
            ways.append("this is {a} {h}. it is {c}.")
        article = "an" if head[0] in "aeiou" else "a"
        return self._namer.pick(*ways).format(h=head, c=clause.text, a=article)


def describe_objects(room: Room) -> list[Expression]:
    """Unambiguous sentences about a room's objects, by ``object_id``; the same room gives the same ones."""
    describer = Describer(room, np.random.default_rng([room.seed, 7]))
    expressions = [expression for item in room.furniture for expression in describer.sentences(item)]
    return list({expression.text: expression for expression in reversed(expressions)}.values())[::-1]


def _phrase(head: str, clause: Clause) -> str:
    return f"the {clause.adjective} {head}" if clause.adjective else f"the {head} {clause.text}"
