"""Furnishing: what stands where in a room, as a person would put it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scene_r1_cli.data.rooms.arrangements import arrange
from scene_r1_cli.data.rooms.floor_plan import FloorPlan, draw_floor_plan
from scene_r1_cli.data.rooms.placing import Placer
from scene_r1_cli.data.rooms.solids import Faces, Material, SolidBuilder
from scene_r1_cli.data.rooms.vocabulary import STRUCTURE

MAX_OBJECTS = 25
MIN_OBJECTS = 8


@dataclass(frozen=True)
class RoomObject:
    """One object of a room.

    Attributes:
        object_id: Its number in ScanNet's files, from 0.
        label: Its class.
        color: Name of its main colour; empty for walls, floor and ceiling.
        traits: What else can be said of it.
        faces: Its surface in the world frame.
        world_from_object: (4, 4) from its own frame: front towards +y, base at z = 0.
        size_m: (3,) extent in its own frame.
        standing_on: ``object_id`` of what carries it; None for the floor and for what hangs on a wall.
    """

    object_id: int
    label: str
    color: str
    traits: tuple[str, ...]
    faces: Faces
    world_from_object: np.ndarray
    size_m: np.ndarray
    standing_on: int | None

    @property
    def is_structure(self) -> bool:
        """True for walls, floor and ceiling."""
        return self.label in STRUCTURE


@dataclass(frozen=True)
class Room:
    """A furnished room; ``world`` has its floor at z = 0.

    Attributes:
        seed: What it was made from.
        theme: Kind of room, a key of ``THEMES``.
        plan: Outline and the grid of its floor.
        objects: Furniture first, then ceiling, floor and walls; ``objects[i].object_id == i``.
    """

    seed: int
    theme: str
    plan: FloorPlan
    objects: tuple[RoomObject, ...]

    @cached_property
    def furniture(self) -> tuple[RoomObject, ...]:
        """Everything but walls, floor and ceiling."""
        return tuple(item for item in self.objects if not item.is_structure)


@dataclass(frozen=True)
class _Step:
    """One line of a theme: how to place a kind, and how many of it."""

    how: str
    kind: str
    count: tuple[int, int]


THEMES: dict[str, tuple[tuple[float, float], tuple[_Step, ...]]] = {
    "bedroom": (
        (11, 22),
        (
            _Step("bed", "bed", (1, 2)),
            _Step("wall", "cabinet", (1, 2)),
            _Step("desk", "desk", (0, 1)),
            _Step("wall", "bookshelf", (0, 1)),
            _Step("wall", "armchair", (0, 1)),
            _Step("rug", "rug", (0, 1)),
            _Step("edge", "lamp", (0, 1)),
            _Step("edge", "plant", (0, 2)),
            _Step("edge", "trash can", (0, 1)),
            _Step("edge", "box", (0, 3)),
            _Step("hang", "picture", (1, 3)),
        ),
    ),
    "living room": (
        (15, 34),
        (
            _Step("lounge", "couch", (1, 2)),
            _Step("wall", "armchair", (0, 2)),
            _Step("tv", "cabinet", (0, 1)),
            _Step("wall", "bookshelf", (1, 2)),
            _Step("wall", "cabinet", (0, 1)),
            _Step("dining", "table", (0, 1)),
            _Step("edge", "lamp", (1, 2)),
            _Step("edge", "plant", (1, 3)),
            _Step("edge", "stool", (0, 2)),
            _Step("edge", "box", (0, 2)),
            _Step("rug", "rug", (0, 1)),
            _Step("hang", "picture", (1, 3)),
        ),
    ),
    "office": (
        (13, 30),
        (
            _Step("desk", "desk", (2, 4)),
            _Step("wall", "bookshelf", (1, 2)),
            _Step("wall", "cabinet", (1, 2)),
            _Step("hang", "whiteboard", (0, 1)),
            _Step("edge", "trash can", (1, 3)),
            _Step("edge", "box", (1, 3)),
            _Step("edge", "plant", (0, 2)),
            _Step("edge", "chair", (0, 2)),
            _Step("hang", "picture", (0, 2)),
        ),
    ),
    "dining room": (
        (13, 28),
        (
            _Step("dining", "table", (1, 1)),
            _Step("wall", "refrigerator", (0, 1)),
            _Step("wall", "cabinet", (1, 3)),
            _Step("wall", "bookshelf", (0, 1)),
            _Step("edge", "stool", (0, 3)),
            _Step("edge", "trash can", (1, 2)),
            _Step("edge", "plant", (1, 2)),
            _Step("edge", "lamp", (0, 1)),
            _Step("edge", "box", (0, 2)),
            _Step("rug", "rug", (0, 1)),
            _Step("hang", "picture", (1, 3)),
        ),
    ),
    "studio": (
        (20, 36),
        (
            _Step("bed", "bed", (1, 1)),
            _Step("lounge", "couch", (1, 1)),
            _Step("desk", "desk", (1, 1)),
            _Step("wall", "refrigerator", (0, 1)),
            _Step("wall", "cabinet", (1, 2)),
            _Step("wall", "bookshelf", (0, 1)),
            _Step("dining", "table", (0, 1)),
            _Step("edge", "lamp", (0, 2)),
            _Step("edge", "trash can", (1, 2)),
            _Step("edge", "plant", (0, 2)),
            _Step("edge", "box", (0, 2)),
            _Step("hang", "picture", (0, 2)),
        ),
    ),
}
"""Room kind to its area in m² and what stands in it, large things first."""


def lay_out_room(seed: int) -> Room:
    """Furnish a room.

    Args:
        seed: The room follows from it alone.

    Returns:
        A room with 8 to 25 objects beside its walls, floor and ceiling, and room to walk.
    """
    rng = np.random.default_rng([seed, 1])
    while True:
        theme = str(rng.choice(sorted(THEMES)))
        area_m2, steps = THEMES[theme]
        plan = draw_floor_plan(rng, area_m2)
        placer = Placer(plan, rng, MAX_OBJECTS)
        placer.open_walls()
        for step in steps:
            for _ in range(int(rng.integers(step.count[0], step.count[1] + 1))):
                arrange(placer, step.how, step.kind)
        if len(placer.placed) >= MIN_OBJECTS:
            break
    order = rng.permutation(len(placer.placed))
    new_id = np.argsort(order)
    objects = [
        RoomObject(
            object_id=number,
            label=placed.piece.label,
            color=placed.piece.color,
            traits=placed.piece.traits,
            faces=placed.piece.faces.moved(placed.world_from_object),
            world_from_object=placed.world_from_object,
            size_m=placed.piece.size_m,
            standing_on=None if placed.standing_on is None else int(new_id[placed.standing_on]),
        )
        for number, placed in enumerate(placer.placed[old] for old in order)
    ]
    objects += _structure(plan, rng, len(objects))
    return Room(seed, theme, plan, tuple(objects))


def _structure(plan: FloorPlan, rng: np.random.Generator, first_id: int) -> list[RoomObject]:
    """Ceiling, floor and one object per wall."""
    floors = (
        Material((0.55, 0.40, 0.26), "planks"),
        Material((0.66, 0.52, 0.37), "planks"),
        Material((0.60, 0.59, 0.57), "tiles"),
        Material((0.45, 0.44, 0.46), "fabric"),
    )
    floor = floors[int(rng.integers(len(floors)))]
    tint = 0.74 + 0.14 * rng.random() + rng.uniform(-0.05, 0.05, 3)
    wall = Material((float(tint[0]), float(tint[1]), float(tint[2])))
    surfaces = [("ceiling", SolidBuilder()), ("floor", SolidBuilder())]
    for x0, y0, x1, y1 in plan.rectangles_m:
        corners = np.array([[x0, y0, 0], [x1, y0, 0], [x1, y1, 0], [x0, y1, 0]])
        surfaces[0][1].panel(corners[::-1] + np.array([0, 0, plan.height_m]), Material((0.88, 0.88, 0.86)))
        surfaces[1][1].panel(corners, floor)
    for side in plan.walls:
        builder = SolidBuilder()
        start, end = side.point(0, 0), side.point(side.length_m, 0)
        corners = [(*end, 0), (*start, 0), (*start, plan.height_m), (*end, plan.height_m)]
        builder.panel(np.array(corners), wall)
        surfaces.append(("wall", builder))
    objects = []
    for number, (label, builder) in enumerate(surfaces):
        faces = builder.build()
        low, high = faces.bounds_m
        world_from_object = np.eye(4)
        world_from_object[:3, 3] = [*(low + high)[:2] / 2, low[2]]
        item = RoomObject(first_id + number, label, "", (), faces, world_from_object, high - low, None)
        objects.append(item)
    return objects
