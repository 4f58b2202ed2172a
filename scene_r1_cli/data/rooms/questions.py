"""Questions about a room with answers from its geometry, of the kinds that ScanQA and SQA3D ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.data.rooms.expressions import Describer
from scene_r1_cli.data.rooms.layout import Room, RoomObject
from scene_r1_cli.data.rooms.relations import Relations
from scene_r1_cli.data.rooms.vocabulary import CLASSES, may_be_called, plural, shows_color

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PER_KIND = 3
SITUATIONS = 3

SECTOR_DEG = 35.0
"""Half the width of "in front", "left", "right" and "behind": directions in between are not asked about."""


@dataclass(frozen=True)
class Question:
    """A question and its accepted answers.

    Attributes:
        text: The question.
        answers: Accepted answers, the usual one first.
        kind: ``color``, ``number``, ``place``, ``object`` or ``shape``.
        object_ids: The objects it is about.
    """

    text: str
    answers: tuple[str, ...]
    kind: str
    object_ids: tuple[int, ...]


@dataclass(frozen=True)
class Situation:
    """Where somebody is in the room.

    Attributes:
        text: What they would say.
        position_m: (3,) in the world frame, on the floor.
        yaw_rad: Direction they face, about +z from +x.
        questions: What they ask; ``kind`` is SQA3D's question type.
    """

    text: str
    position_m: np.ndarray
    yaw_rad: float
    questions: tuple[Question, ...]


def ask_about_room(room: Room, visible: frozenset[int]) -> list[Question]:
    """Free-form questions that can be answered from the video.

    Args:
        room: The room.
        visible: ``object_id`` of what the video shows; other objects are not asked about.
    """
    rng = np.random.default_rng([room.seed, 8])
    describer, relations = Describer(room, rng), Relations(room)
    shown = [item for item in room.furniture if item.object_id in visible]
    order = [shown[i] for i in rng.permutation(len(shown))]
    questions: list[Question] = []
    for kind in (
        _ask_color(order, describer),
        _ask_number(room, order, visible, rng),
        _ask_place(order, describer),
        _ask_carried(room, order, describer, relations, visible),
        _ask_shape(order, describer),
    ):
        questions += [question for question, _ in zip(kind, range(PER_KIND), strict=False)]
    return questions


def _ask_color(order: list[RoomObject], describer: Describer) -> Iterator[Question]:
    for item in order:
        if shows_color(item.label):
            phrase = describer.name_without_color(item.object_id)
            if phrase is not None:
                answers = (item.color, "grey") if item.color == "gray" else (item.color,)
                yield Question(f"What color is {phrase}?", answers, "color", (item.object_id,))


def _ask_number(
    room: Room, order: list[RoomObject], visible: frozenset[int], rng: np.random.Generator
) -> Iterator[Question]:
    for label in dict.fromkeys(item.label for item in order):
        noun = CLASSES[label].nouns[0]
        counted = [item for item in room.furniture if may_be_called(item.label, noun)]
        if all(item.label == label and item.object_id in visible for item in counted):
            ids = tuple(item.object_id for item in counted)
            text = f"How many {plural(noun)} are {'in the room' if rng.random() < 0.5 else 'there'}?"
            yield Question(text, (str(len(ids)), NUMBER_WORDS[len(ids)]), "number", ids)


def _ask_place(order: list[RoomObject], describer: Describer) -> Iterator[Question]:
    for item in order:
        name, place = describer.name(item.object_id), describer.place(item.object_id)
        if name is not None and place is not None:
            yield Question(f"Where is {name}?", place, "place", (item.object_id,))


def _ask_carried(
    room: Room,
    order: list[RoomObject],
    describer: Describer,
    relations: Relations,
    visible: frozenset[int],
) -> Iterator[Question]:
    for item in order:
        carried = [other for other in room.furniture if relations.on(other.object_id, item.object_id)]
        name = describer.name(item.object_id)
        if len(carried) == 1 and carried[0].object_id in visible and name is not None:
            nouns = CLASSES[carried[0].label].nouns
            yield Question(f"What is on {name}?", nouns, "object", (item.object_id, carried[0].object_id))


def _ask_shape(order: list[RoomObject], describer: Describer) -> Iterator[Question]:
    for item in order:
        shape = next((trait for trait in item.traits if trait in ("round", "rectangular")), None)
        name = describer.name(item.object_id)
        if shape is not None and name is not None and shape not in name and item.label != "trash can":
            yield Question(f"What shape is {name}?", (shape,), "shape", (item.object_id,))


def imagine_situations(room: Room, visible: frozenset[int]) -> list[Situation]:
    """Places in the room, and questions that depend on being there."""
    rng = np.random.default_rng([room.seed, 9])
    describer, relations = Describer(room, rng), Relations(room)
    situations: list[Situation] = []
    named = {i: describer.name(i) for i in visible}
    ids = [i for i in sorted(visible) if named[i] is not None]
    rng.shuffle(ids)
    for stand in ids:
        item = room.objects[stand]
        sits = item.label in ("chair", "office chair", "armchair", "couch", "stool")
        for faced in ids:
            if faced == stand or len(situations) >= SITUATIONS:
                continue
            away = relations.centers_m[faced, :2] - relations.centers_m[stand, :2]
            if not 1.0 < np.linalg.norm(away) < 4.0:
                continue
            yaw = float(np.arctan2(away[1], away[0]))
            verb = "sitting on" if sits else "standing by"
            text = f"I am {verb} {named[stand]} and facing {named[faced]}."
            position = np.array([*relations.centers_m[stand, :2], 0.0])
            questions = _ask_from(room, describer, relations, (stand, faced), position, yaw, visible)
            if len(questions) >= 3:
                situations.append(Situation(text, position, yaw, tuple(questions)))
                break
    return situations


def direction_of(position_m: np.ndarray, yaw_rad: float, point_m: np.ndarray) -> float:
    """Degrees to the left (+) or right (-) that someone turns to face a point, in (-180, 180]."""
    away = point_m[:2] - position_m[:2]
    turn = np.degrees(np.arctan2(away[1], away[0]) - yaw_rad)
    return float(180 - np.mod(180 - turn, 360))


def _sector(degrees: float) -> str | None:
    for name, middle in (("in front", 0.0), ("left", 90.0), ("right", -90.0), ("behind", 180.0)):
        if abs(180 - np.mod(180 - (degrees - middle), 360)) < SECTOR_DEG:
            return name
    return None


def _ask_from(
    room: Room,
    describer: Describer,
    relations: Relations,
    here: tuple[int, int],
    position_m: np.ndarray,
    yaw_rad: float,
    visible: frozenset[int],
) -> list[Question]:
    """What, is, how, can, which and other: one question of each kind that has a clear answer."""
    others = [item for item in room.furniture if item.object_id not in here]
    sector = {
        item.object_id: _sector(direction_of(position_m, yaw_rad, relations.centers_m[item.object_id]))
        for item in others
    }
    ids = [item.object_id for item in others if item.object_id in visible]
    questions = [*_what(room, relations, here[0], sector, visible), *_how(room, sector, visible)]
    placed = [(i, sector[i], describer.name(i)) for i in ids]
    clear = [(i, where, name) for i, where, name in placed if where is not None and name is not None]
    if clear:
        i, where, name = clear[0]
        asked = "left" if where in ("left", "behind") else "right"
        answer = "yes" if where == asked else "no"
        questions.append(Question(f"Is {name} on my {asked}?", (answer,), "is", (i,)))
        way = {"in front": ("forward", "straight"), "behind": ("backward", "back")}.get(where, (where,))
        text = f"Which direction should I go if I want to reach {name}?"
        questions.append(Question(text, way, "which", (i,)))
    if len(clear) > 1:
        i, where, name = clear[1]
        sees = "yes" if where == "in front" else "no"
        questions.append(Question(f"Can I see {name} without turning?", (sees,), "can", (i,)))
    far = [(float(relations.gaps_m[here[0], i]), i, name) for i, _, name in clear[2:4]]
    if len(far) == 2 and abs(far[0][0] - far[1][0]) > 0.5:
        nearer = room.objects[min(far)[1]]
        if len({room.objects[i].label for _, i, _ in far}) == 2:
            text = f"Am I closer to {far[0][2]} or {far[1][2]}?"
            questions.append(Question(text, CLASSES[nearer.label].nouns, "other", (far[0][1], far[1][1])))
    return questions


def _what(
    room: Room, relations: Relations, here: int, sector: dict[int, str | None], visible: frozenset[int]
) -> list[Question]:
    """What is in one direction: the one thing there that is clearly the nearest."""
    for where, phrase in (
        ("left", "on my left"),
        ("right", "on my right"),
        ("behind", "behind me"),
    ):
        near = sorted(
            (float(relations.gaps_m[here, i]), i)
            for i, direction in sector.items()
            if direction in (where, None) and room.objects[i].label not in ("rug", "curtain")
        )
        near = [(gap, i) for gap, i in near if gap < 2.5]
        if near and sector[near[0][1]] == where and near[0][1] in visible:
            alone = len(near) == 1 or near[1][0] > near[0][0] + 0.5
            if alone:
                nouns = CLASSES[room.objects[near[0][1]].label].nouns
                return [Question(f"What is {phrase}?", nouns, "what", (near[0][1],))]
    return []


def _how(room: Room, sector: dict[int, str | None], visible: frozenset[int]) -> list[Question]:
    """How many of one class are in one direction, where all of the class lie in clear directions."""
    for label in dict.fromkeys(item.label for item in room.furniture):
        noun = CLASSES[label].nouns[0]
        members = [item.object_id for item in room.furniture if may_be_called(item.label, noun)]
        if len(members) < 2 or not all(i in sector and i in visible for i in members):
            continue
        if any(sector[i] is None for i in members):
            continue
        behind = tuple(i for i in members if sector[i] == "behind")
        if behind:
            answers = (str(len(behind)), NUMBER_WORDS[len(behind)])
            return [Question(f"How many {plural(noun)} are behind me?", answers, "how", behind)]
    return []
