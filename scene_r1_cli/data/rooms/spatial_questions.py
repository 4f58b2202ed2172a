"""Questions of spatial intelligence, of the ten types of VSI-Bench, with truths from a room's geometry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np

from scene_r1_cli.data.rooms.layout import Room, RoomObject
from scene_r1_cli.data.rooms.questions import direction_of
from scene_r1_cli.data.rooms.relations import Relations
from scene_r1_cli.data.rooms.vocabulary import CLASSES, may_be_called
from scene_r1_cli.types import Box3D

PER_TYPE = 3
LETTERS = "ABCD"


@dataclass(frozen=True)
class SpatialQuestion:
    """One row of VSI-Bench.

    Attributes:
        question_type: Its name there.
        question: The text, without options.
        truth: The answer: a letter where there are options, a number otherwise.
        options: ``A. chair`` and so on; None for a number.
    """

    question_type: str
    question: str
    truth: str
    options: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Facts:
    """What questions are asked about: classes of which the room has, and the video shows, exactly one."""

    room: Room
    relations: Relations
    boxes: Mapping[int, Box3D]
    first_seen_s: Mapping[int, float]
    single: list[RoomObject]
    rng: np.random.Generator

    def gap_m(self, a: int, b: int) -> float:
        """Distance between the nearest points of two boxes."""
        apart = np.abs(self.boxes[a].center_m - self.boxes[b].center_m)
        return float(np.linalg.norm(np.maximum(apart - (self.boxes[a].size_m + self.boxes[b].size_m) / 2, 0)))

    def draw(self, count: int) -> list[RoomObject]:
        """Some of the single objects, in random order."""
        return [self.single[i] for i in self.rng.permutation(len(self.single))[:count]]


def ask_spatial(
    room: Room, boxes: Mapping[int, Box3D], first_seen_s: Mapping[int, float]
) -> list[SpatialQuestion]:
    """Questions of all ten types, as far as the room allows.

    Args:
        room: The room.
        boxes: True boxes of its objects in the world frame.
        first_seen_s: When each object that the video shows is visible for the first time.
    """
    rng = np.random.default_rng([room.seed, 10])
    seen = [item for item in room.furniture if item.object_id in first_seen_s and item.object_id in boxes]
    single = [item for item in seen if _is_single(item, room)]
    facts = _Facts(room, Relations(room), boxes, first_seen_s, single, rng)
    questions = [*_count(facts), *_room_size(facts)]
    for ask in (
        _distance,
        _size,
        _nearest,
        _direction_easy,
        _direction_medium,
        _direction_hard,
        _route,
        _order,
    ):
        texts: set[str] = set()
        for _ in range(6 * PER_TYPE):
            if len(texts) < PER_TYPE:
                new = [question for question in ask(facts) if question.question not in texts]
                questions += new
                texts.update(question.question for question in new)
    return questions


def _is_single(item: RoomObject, room: Room) -> bool:
    """True if nothing else in the room could be called by the name of its class."""
    noun = CLASSES[item.label].nouns[0]
    return not any(other is not item and may_be_called(other.label, noun) for other in room.furniture)


def _choose(kind: str, text: str, answer: str, wrong: list[str], rng: np.random.Generator) -> SpatialQuestion:
    """A question with options in random order."""
    choices = [answer, *wrong]
    choices = [choices[i] for i in rng.permutation(len(choices))]
    options = tuple(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    return SpatialQuestion(kind, text, LETTERS[choices.index(answer)], options)


def _count(facts: _Facts) -> Iterator[SpatialQuestion]:
    labels = [item.label for item in facts.room.furniture]
    for label in [label for label in dict.fromkeys(labels) if labels.count(label) > 1][:PER_TYPE]:
        members = [item.object_id for item in facts.room.furniture if item.label == label]
        if all(i in facts.first_seen_s for i in members):
            text = f"How many {label}(s) are in this room?"
            yield SpatialQuestion("object_counting", text, str(len(members)))


def _room_size(facts: _Facts) -> Iterator[SpatialQuestion]:
    text = "What is the size of this room (in square meters)?"
    yield SpatialQuestion("room_size_estimation", text, f"{facts.room.plan.area_m2:.1f}")


def _distance(facts: _Facts) -> Iterator[SpatialQuestion]:
    pair = facts.draw(2)
    if len(pair) == 2 and (gap := facts.gap_m(pair[0].object_id, pair[1].object_id)) > 0.3:
        text = (
            "Measuring from the closest point of each object, what is the distance between the "
            f"{pair[0].label} and the {pair[1].label} (in meters)?"
        )
        yield SpatialQuestion("object_abs_distance", text, f"{gap:.1f}")


def _size(facts: _Facts) -> Iterator[SpatialQuestion]:
    for item in facts.draw(1):
        text = (
            "What is the length of the longest dimension (length, width, or height) of the "
            f"{item.label}, measured in centimeters?"
        )
        longest = float(facts.boxes[item.object_id].size_m.max())
        yield SpatialQuestion("object_size_estimation", text, str(round(longest * 100)))


def _nearest(facts: _Facts) -> Iterator[SpatialQuestion]:
    drawn = facts.draw(5)
    if len(drawn) < 5:
        return
    gaps = sorted((facts.gap_m(drawn[0].object_id, other.object_id), other.label) for other in drawn[1:])
    if gaps[1][0] > gaps[0][0] + 0.3:
        names = [other.label for other in drawn[1:]]
        text = (
            f"Measuring from the closest point of each object, which of these objects ({', '.join(names)}) "
            f"is the closest to the {drawn[0].label}?"
        )
        wrong = [label for _, label in gaps[1:]]
        yield _choose("object_rel_distance", text, gaps[0][1], wrong, facts.rng)


def _turn(facts: _Facts) -> tuple[list[RoomObject], float] | None:
    """Three objects, and the degrees to turn from the second to the third when standing by the first."""
    drawn = facts.draw(3)
    if len(drawn) < 3:
        return None
    stand, faced, asked = (facts.boxes[item.object_id].center_m for item in drawn)
    if min(np.linalg.norm((faced - stand)[:2]), np.linalg.norm((asked - stand)[:2])) < 0.8:
        return None
    yaw = float(np.arctan2(*(faced - stand)[1::-1]))
    return drawn, direction_of(stand, yaw, asked)


def _standing(drawn: list[RoomObject]) -> str:
    return (
        f"If I am standing by the {drawn[0].label} and facing the {drawn[1].label}, is the {drawn[2].label} "
    )


def _direction_easy(facts: _Facts) -> Iterator[SpatialQuestion]:
    found = _turn(facts)
    if found and 20 < abs(found[1]) < 160:
        drawn, degrees = found
        text = _standing(drawn) + f"to the left or the right of the {drawn[1].label}?"
        sides = ("left", "right") if degrees > 0 else ("right", "left")
        yield _choose("object_rel_direction_easy", text, sides[0], [sides[1]], facts.rng)


def _direction_medium(facts: _Facts) -> Iterator[SpatialQuestion]:
    found = _turn(facts)
    if found and (20 < abs(found[1]) < 120 or abs(found[1]) > 150):
        drawn, degrees = found
        text = (
            _standing(drawn) + "to my left, right, or back? An object is to my back if I would have to turn "
            "at least 135 degrees in order to face it."
        )
        answer = "back" if abs(degrees) > 135 else "left" if degrees > 0 else "right"
        wrong = [side for side in ("left", "right", "back") if side != answer]
        yield _choose("object_rel_direction_medium", text, answer, wrong, facts.rng)


def _direction_hard(facts: _Facts) -> Iterator[SpatialQuestion]:
    found = _turn(facts)
    if found and all(abs(abs(found[1]) - edge) > 15 for edge in (0, 90, 180)):
        drawn, degrees = found
        text = (
            _standing(drawn)
            + "to my front-left, front-right, back-left, or back-right? The directions refer "
            "to the quadrants of a Cartesian plane (if I am standing at the origin and facing along the "
            "positive y-axis)."
        )
        answer = f"{'front' if abs(degrees) < 90 else 'back'}-{'left' if degrees > 0 else 'right'}"
        wrong = [f"{a}-{b}" for a in ("front", "back") for b in ("left", "right") if f"{a}-{b}" != answer]
        yield _choose("object_rel_direction_hard", text, answer, wrong, facts.rng)


def _route(facts: _Facts) -> Iterator[SpatialQuestion]:
    """Two legs: from one object to a second, then a turn towards a third."""
    drawn = facts.draw(3)
    if len(drawn) < 3:
        return
    start, corner, end = (facts.boxes[item.object_id].center_m for item in drawn)
    if min(np.linalg.norm((corner - start)[:2]), np.linalg.norm((end - corner)[:2])) < 1.0:
        return
    degrees = direction_of(corner, float(np.arctan2(*(corner - start)[1::-1])), end)
    turns = {"Turn Left": 90.0, "Turn Right": -90.0, "Turn Back": 180.0}
    off = {name: abs(180 - np.mod(180 - (degrees - middle), 360)) for name, middle in turns.items()}
    answer = min(off, key=lambda name: off[name])
    if off[answer] > 30:
        return
    text = (
        f"You are a robot beginning at the {drawn[0].label} facing the {drawn[1].label}. "
        f"You want to navigate to the {drawn[2].label}. You will perform the following actions (Note: for "
        "each [please fill in], choose either 'turn back,' 'turn left,' or 'turn right.'): "
        f"1. Go forward until the {drawn[1].label} 2. [please fill in] "
        f"3. Go forward until the {drawn[2].label}. You have reached the final destination."
    )
    yield _choose("route_planning", text, answer, [name for name in turns if name != answer], facts.rng)


def _order(facts: _Facts) -> Iterator[SpatialQuestion]:
    drawn = facts.draw(4)
    times = sorted((facts.first_seen_s[item.object_id], item.label) for item in drawn)
    if len(drawn) < 4 or any(b[0] - a[0] < 1.0 for a, b in pairwise(times)):
        return
    answer = ", ".join(label for _, label in times)
    orders = [", ".join(order) for order in permutations(label for _, label in times)]
    wrong = [order for order in orders if order != answer]
    picked = [wrong[int(i)] for i in facts.rng.choice(len(wrong), 3, replace=False)]
    names = ", ".join(item.label for item in drawn)
    text = f"What will be the first-time appearance order of the following categories in the video: {names}?"
    yield _choose("obj_appearance_order", text, answer, picked, facts.rng)
