"""Sentences that point at one object of a room, each checked to fit no other.

A sentence is a head ("the brown chair") and perhaps a relation ("next to the desk"). Every object that a
person might call by the head is a rival; the relation must hold for the target and clearly not for a rival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from scene_r1_cli.data.rooms.layout import Room, RoomObject
from scene_r1_cli.data.rooms.relations import CORNER_M, NOT_CORNER_M, Relations
from scene_r1_cli.data.rooms.vocabulary import (
    CLASSES,
    may_be_called,
    may_look,
    shows_color,
    trait_fits,
    trait_phrase,
)

PER_OBJECT = 3
"""Sentences per object at most."""

RELATION_KINDS = ("next_to", "closest", "farthest", "between", "on", "above", "side", "corner", "size")
FRONTED = (
    "bed", "couch", "armchair", "desk", "cabinet", "bookshelf", "refrigerator", "door", "window", "tv",
    "whiteboard", "picture",
)  # fmt: skip
"""Classes with a front that one can face."""

Rivals = list[int]


@dataclass(frozen=True)
class Expression:
    """A sentence and the one object it means.

    Attributes:
        object_id: The object.
        text: The sentence.
        kind: What singles the object out: ``class``, ``color``, ``trait`` or one of ``RELATION_KINDS``.
        anchors: ``object_id`` of the objects it is related to.
    """

    object_id: int
    text: str
    kind: str
    anchors: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Head:
    """A noun with an adjective, and who else could be called so."""

    text: str
    kind: str
    rivals: tuple[int, ...]


@dataclass(frozen=True)
class _Clause:
    """What follows a head: ``text`` after it, or ``adjective`` before it."""

    kind: str
    text: str
    anchors: tuple[int, ...]
    adjective: str = ""


class Describer:
    """Finds sentences for the objects of one room."""

    def __init__(self, room: Room, rng: np.random.Generator) -> None:
        self._room = room
        self._rng = rng
        self._relations = Relations(room)

    def sentences(self, item: RoomObject) -> list[Expression]:
        """Up to ``PER_OBJECT`` sentences, the plain ones first."""
        heads = self._heads(item)
        plain = [head for head in heads if not head.rivals]
        chosen = [Expression(item.object_id, self._say(head.text), head.kind) for head in plain[:1]]
        related: list[Expression] = []
        # A head that many share makes the relation count; one that nobody shares is a redundant, easy one.
        for head in sorted(heads, key=lambda head: (not head.rivals, head.kind != "class")):
            for clause in self._clauses(item, head):
                related.append(
                    Expression(item.object_id, self._say(head.text, clause), clause.kind, clause.anchors)
                )
        kinds: set[str] = set()
        for expression in related:
            if len(chosen) < PER_OBJECT and expression.kind not in kinds:
                chosen.append(expression)
                kinds.add(expression.kind)
        return chosen

    def name(self, object_id: int) -> str | None:
        """The shortest phrase that means this object alone ("the blue sofa"), or None."""
        heads = self._heads(self._room.objects[object_id])
        plain = [head for head in heads if not head.rivals]
        return f"the {plain[0].text}" if plain else None

    def name_without_color(self, object_id: int) -> str | None:
        """A phrase that means this object alone and does not say its colour, or None."""
        item = self._room.objects[object_id]
        for head in self._heads(item):
            if head.kind == "color":
                continue
            if not head.rivals:
                return f"the {head.text}"
            for clause in self._clauses(item, head):
                return (
                    f"the {clause.adjective} {head.text}"
                    if clause.adjective
                    else f"the {head.text} {clause.text}"
                )
        return None

    def place(self, object_id: int) -> tuple[str, ...] | None:
        """Where an object is, in a few words ("on the desk", "next to the bed"); None if not easily said."""
        anchor = self._room.objects[object_id].standing_on
        relations = self._relations
        if anchor is not None:
            name = self.name(anchor)
            return None if name is None else (f"on {name}", f"on top of {name}")
        nobody = _Head("", "class", ())
        for other, name in self._anchors(object_id, nobody):
            if relations.next_to(object_id, other):
                return (f"next to {name}", f"beside {name}", f"by {name}")
            if relations.above(object_id, other):
                return (f"above {name}", f"over {name}")
        return None

    def _heads(self, item: RoomObject) -> list[_Head]:
        """The noun alone, with its colour, and with a trait."""
        nouns = CLASSES[item.label].nouns
        # The usual word half of the time, any other word otherwise.
        noun = nouns[0] if self._rng.random() < 0.6 else str(self._rng.choice(nouns))
        others = [o for o in self._room.furniture if o is not item and may_be_called(o.label, noun)]
        heads = [_Head(noun, "class", tuple(o.object_id for o in others))]
        if shows_color(item.label):
            alike = tuple(o.object_id for o in others if may_look(o.label, o.color, item.color))
            heads.append(_Head(f"{item.color} {noun}", "color", alike))
        for trait in item.traits:
            phrase = trait_phrase(trait, noun)
            if phrase is not None:
                alike = tuple(o.object_id for o in others if trait_fits(trait, o.traits))
                heads.append(_Head(phrase, "trait", alike))
        return heads

    def _say(self, head: str, clause: _Clause | None = None) -> str:
        """One of a few ways to say the same."""
        if clause is not None and clause.adjective:
            return f"the {clause.adjective} {head}"
        if clause is None:
            lead = self._pick("the {}", "the {}", "the {}", "find the {}")
            return lead.format(head)
        ways = (
            "the {h} {c}",
            "the {h} {c}",
            "the {h} that is {c}",
            "find the {h} {c}",
            "this is {a} {h}. it is {c}.",
        )
        article = "an" if head[0] in "aeiou" else "a"
        return self._pick(*ways).format(h=head, c=clause.text, a=article)

    def _pick(self, *ways: str) -> str:
        return ways[int(self._rng.integers(len(ways)))]

    def _clauses(self, item: RoomObject, head: _Head) -> Iterator[_Clause]:
        """Relations that single the target out of a head's rivals, in random order, one of each kind."""
        finders: list[Callable[[int, _Head], _Clause | None]] = [
            self._next_to, self._between, self._on, self._above, self._side, self._corner, self._size,
            partial(self._extreme, near=True), partial(self._extreme, near=False),
        ]  # fmt: skip
        self._rng.shuffle(finders)  # type: ignore[arg-type]
        for find in finders:
            clause = find(item.object_id, head)
            if clause is not None:
                yield clause

    def _anchors(self, target: int, head: _Head) -> list[tuple[int, str]]:
        """Objects with a name of their own that are no rivals, in random order."""
        order = self._rng.permutation(len(self._room.furniture))
        named = ((int(i), self.name(int(i))) for i in order if i != target and int(i) not in head.rivals)
        return [(i, name) for i, name in named if name is not None]

    def _next_to(self, target: int, head: _Head) -> _Clause | None:
        relations = self._relations
        for anchor, name in self._anchors(target, head):
            if relations.next_to(target, anchor) and not any(
                relations.maybe_next_to(rival, anchor) for rival in head.rivals
            ):
                word = self._pick("next to", "next to", "beside", "by")
                return _Clause("next_to", f"{word} {name}", (anchor,))
        return None

    def _extreme(self, target: int, head: _Head, near: bool) -> _Clause | None:
        relations = self._relations
        if not head.rivals:
            return None
        for anchor, name in self._anchors(target, head):
            pairs = ((target, rival) if near else (rival, target) for rival in head.rivals)
            if relations.on(target, anchor) or not all(relations.closer(a, b, anchor) for a, b in pairs):
                continue
            word = self._pick("closest to", "nearest to") if near else self._pick("farthest from", "far from")
            if word == "far from" and len(head.rivals) > 1:
                word = "farthest from"
            return _Clause("closest" if near else "farthest", f"{word} {name}", (anchor,))
        return None

    def _between(self, target: int, head: _Head) -> _Clause | None:
        relations = self._relations
        anchors = self._anchors(target, head)
        for number, (first, first_name) in enumerate(anchors):
            for second, second_name in anchors[number + 1 :]:
                if relations.between(target, first, second) and not any(
                    relations.maybe_between(rival, first, second) for rival in head.rivals
                ):
                    return _Clause("between", f"between {first_name} and {second_name}", (first, second))
        return None

    def _on(self, target: int, head: _Head) -> _Clause | None:
        anchor = self._room.objects[target].standing_on
        if anchor is None or anchor in head.rivals or any(self._relations.on(r, anchor) for r in head.rivals):
            return None
        name = self.name(anchor)
        if name is None:
            return None
        return _Clause("on", f"{self._pick('on', 'on', 'on top of')} {name}", (anchor,))

    def _above(self, target: int, head: _Head) -> _Clause | None:
        relations = self._relations
        for anchor, name in self._anchors(target, head):
            if relations.on(target, anchor) or not relations.above(target, anchor):
                continue
            if not any(relations.maybe_above(rival, anchor) for rival in head.rivals):
                return _Clause("above", f"above {name}", (anchor,))
        return None

    def _side(self, target: int, head: _Head) -> _Clause | None:
        """Left or right of one object for someone who faces it, or who faces another one."""
        relations, objects = self._relations, self._room.objects
        anchors = self._anchors(target, head)
        faced_ones = [(i, name) for i, name in anchors if objects[i].label in FRONTED]
        pairs = [(one, one) for one in faced_ones]
        pairs += [(anchor, one) for anchor in anchors[:4] for one in faced_ones[:3] if anchor[0] != one[0]]
        for (anchor, name), (faced, faced_name) in pairs:
            right = relations.side_of(target, anchor, faced) > 0
            if not relations.beside(target, anchor, faced, right):
                continue
            if any(relations.maybe_beside(rival, anchor, faced, right) for rival in head.rivals):
                continue
            side = "right" if right else "left"
            facing = "it" if faced == anchor else faced_name
            word = self._pick(f"to the {side} of", f"on the {side} side of")
            return _Clause("side", f"{word} {name} when facing {facing}", (anchor, faced))
        return None

    def _corner(self, target: int, head: _Head) -> _Clause | None:
        relations = self._relations
        if not head.rivals or relations.corner_distance(target) > CORNER_M:
            return None
        if self._room.objects[target].label in ("door", "window", "picture", "curtain", "rug", "whiteboard"):
            return None
        if any(relations.corner_distance(rival) < NOT_CORNER_M for rival in head.rivals):
            return None
        return _Clause("corner", self._pick("in the corner", "in the corner of the room"), ())

    def _size(self, target: int, head: _Head) -> _Clause | None:
        """The largest, smallest or tallest of those called alike."""
        objects = self._room.objects
        labels = {objects[rival].label for rival in head.rivals}
        if labels != {objects[target].label}:
            return None
        own = _bulk(objects[target])
        bulks = [_bulk(objects[rival]) for rival in head.rivals]
        more = len(bulks) > 1
        if own > 1.35 * max(bulks):
            return _Clause("size", "", (), self._pick("largest", "biggest") if more else "larger")
        if own * 1.35 < min(bulks):
            return _Clause("size", "", (), "smallest" if more else "smaller")
        heights = [objects[rival].size_m[2] for rival in head.rivals]
        if objects[target].size_m[2] > 1.25 * max(heights):
            return _Clause("size", "", (), "tallest" if more else "taller")
        return None


def _bulk(item: RoomObject) -> float:
    """What "large" means: the product of the two longest sides."""
    sides = np.sort(item.size_m)
    return float(sides[1] * sides[2])


def describe_objects(room: Room) -> list[Expression]:
    """Unambiguous sentences about a room's objects, by ``object_id``; the same room gives the same ones."""
    describer = Describer(room, np.random.default_rng([room.seed, 7]))
    expressions = [expression for item in room.furniture for expression in describer.sentences(item)]
    seen: set[str] = set()
    return [e for e in expressions if not (e.text in seen or seen.add(e.text))]
