"""Relations that single an object out of those that are called alike, as people say them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from scene_r1_cli.data.rooms.layout import RoomObject
from scene_r1_cli.data.rooms.naming import Head, Namer
from scene_r1_cli.data.rooms.relations import CORNER_M, NOT_CORNER_M, Relations

FRONTED = (
    "bed", "couch", "armchair", "desk", "cabinet", "bookshelf", "refrigerator", "door", "window", "tv",
    "whiteboard", "picture",
)  # fmt: skip
"""Classes with a front that one can face."""


@dataclass(frozen=True)
class Clause:
    """What follows a head, or an adjective before it.

    Attributes:
        kind: Which relation it is.
        text: What follows the head; empty if there is an adjective.
        anchors: ``object_id`` of the objects it names.
        adjective: What comes before the head.
    """

    kind: str
    text: str
    anchors: tuple[int, ...]
    adjective: str = ""


class ClauseFinder:
    """Finds clauses for the objects of one room."""

    def __init__(self, namer: Namer) -> None:
        self._namer = namer
        self._objects = namer.room.objects
        self._count = len(namer.room.furniture)
        self._relations = Relations(namer.room)

    def find(self, item: RoomObject, head: Head) -> Iterator[Clause]:
        """Relations that single the target out of a head's rivals, one of each kind.

        What people say first, and what seldom applies, comes first; the rest in random order.
        """
        usual: list[Callable[[int, Head], Clause | None]] = [self._on, self._above, self._corner]
        others: list[Callable[[int, Head], Clause | None]] = [
            self._next_to, self._between, self._side, self._size,
            partial(self._extreme, near=True), partial(self._extreme, near=False),
        ]  # fmt: skip
        for finder in usual + [others[number] for number in self._namer.shuffled(len(others))]:
            clause = finder(item.object_id, head)
            if clause is not None:
                yield clause

    def _anchors(self, target: int, head: Head) -> list[tuple[int, str]]:
        """Objects with a name of their own that are no rivals, in random order."""
        others = [i for i in self._namer.shuffled(self._count) if i != target and i not in head.rivals]
        named = ((i, self._namer.name(i)) for i in others)
        return [(i, name) for i, name in named if name is not None]

    def _next_to(self, target: int, head: Head) -> Clause | None:
        relations = self._relations
        for anchor, name in self._anchors(target, head):
            if relations.next_to(target, anchor) and not any(
                relations.maybe_next_to(rival, anchor) for rival in head.rivals
            ):
                word = self._namer.pick("next to", "next to", "beside", "by")
                return Clause("next_to", f"{word} {name}", (anchor,))
        return None

    def _extreme(self, target: int, head: Head, near: bool) -> Clause | None:
        relations = self._relations
        if not head.rivals:
            return None
        for anchor, name in self._anchors(target, head):
            pairs = ((target, rival) if near else (rival, target) for rival in head.rivals)
            if relations.on(target, anchor) or not all(relations.closer(a, b, anchor) for a, b in pairs):
                continue
            word = self._namer.pick("closest to", "nearest to") if near else "farthest from"
            return Clause("closest" if near else "farthest", f"{word} {name}", (anchor,))
        return None

    def _between(self, target: int, head: Head) -> Clause | None:
        relations = self._relations
        anchors = self._anchors(target, head)
        for number, (first, first_name) in enumerate(anchors):
            for second, second_name in anchors[number + 1 :]:
                if relations.between(target, first, second) and not any(
                    relations.maybe_between(rival, first, second) for rival in head.rivals
                ):
                    return Clause("between", f"between {first_name} and {second_name}", (first, second))
        return None

    def _on(self, target: int, head: Head) -> Clause | None:
        anchor = self._objects[target].standing_on
        if anchor is None or anchor in head.rivals or any(self._relations.on(r, anchor) for r in head.rivals):
            return None
        name = self._namer.name(anchor)
        if name is None:
            return None
        return Clause("on", f"{self._namer.pick('on', 'on', 'on top of')} {name}", (anchor,))

    def _above(self, target: int, head: Head) -> Clause | None:
        relations = self._relations
        for anchor, name in self._anchors(target, head):
            if relations.on(target, anchor) or not relations.above(target, anchor):
                continue
            if not any(relations.maybe_above(rival, anchor) for rival in head.rivals):
                return Clause("above", f"above {name}", (anchor,))
        return None

    def _side(self, target: int, head: Head) -> Clause | None:
        """Left or right of one object for someone who faces it, or who faces another one."""
        relations, objects = self._relations, self._objects
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
            word = self._namer.pick(f"to the {side} of", f"on the {side} side of")
            return Clause("side", f"{word} {name} when facing {facing}", (anchor, faced))
        return None

    def _corner(self, target: int, head: Head) -> Clause | None:
        relations = self._relations
        if not head.rivals or relations.corner_distance(target) > CORNER_M:
            return None
        if self._objects[target].label in ("door", "window", "picture", "curtain", "rug", "whiteboard"):
            return None
        if any(relations.corner_distance(rival) < NOT_CORNER_M for rival in head.rivals):
            return None
        return Clause("corner", self._namer.pick("in the corner", "in the corner of the room"), ())

    def _size(self, target: int, head: Head) -> Clause | None:
        """The largest, smallest or tallest of those called alike."""
        objects = self._objects
        labels = {objects[rival].label for rival in head.rivals}
        if labels != {objects[target].label}:
            return None
        own = _bulk(objects[target])
        bulks = [_bulk(objects[rival]) for rival in head.rivals]
        more = len(bulks) > 1
        if own > 1.35 * max(bulks):
            return Clause("size", "", (), self._namer.pick("largest", "biggest") if more else "larger")
        if own * 1.35 < min(bulks):
            return Clause("size", "", (), "smallest" if more else "smaller")
        heights = [objects[rival].size_m[2] for rival in head.rivals]
        if objects[target].size_m[2] > 1.25 * max(heights):
            return Clause("size", "", (), "tallest" if more else "taller")
        return None

    def place(self, object_id: int) -> tuple[str, ...] | None:
        """Where an object is, in a few words ("on the desk", "next to the bed"); None if not easily said."""
        anchor = self._objects[object_id].standing_on
        relations = self._relations
        if anchor is not None:
            name = self._namer.name(anchor)
            return None if name is None else (f"on {name}", f"on top of {name}")
        nobody = Head("", "class", ())
        for other, name in self._anchors(object_id, nobody):
            if relations.next_to(object_id, other):
                return (f"next to {name}", f"beside {name}", f"by {name}")
            if relations.above(object_id, other):
                return (f"above {name}", f"over {name}")
        return None


def _bulk(item: RoomObject) -> float:
    """What "large" means: the product of the two longest sides."""
    sides = np.sort(item.size_m)
    return float(sides[1] * sides[2])
