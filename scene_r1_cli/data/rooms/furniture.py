"""Furniture from parameters: each class is a function that draws sizes at random and builds solids.

A piece stands on z = 0 around the origin, x to its right, its front towards +y, so that its back goes
against a wall. Sizes are those of real furniture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.data.rooms import fittings, seating, storage, tables
from scene_r1_cli.data.rooms.solids import Faces, Material, SolidBuilder
from scene_r1_cli.data.rooms.vocabulary import shade

Maker = Callable[[SolidBuilder, Material, np.random.Generator], tuple[str, ...]]


@dataclass(frozen=True)
class Furniture:
    """One piece in its own frame.

    Attributes:
        label: Its class.
        color: Name of its main colour.
        faces: Its surface.
        size_m: (3,) extent along x, y, z; it is centred on the origin in x and y.
        traits: What else can be said of it, for example ``round``.
    """

    label: str
    color: str
    faces: Faces
    size_m: np.ndarray
    traits: tuple[str, ...]


MAKERS: dict[str, Maker] = {
    "chair": seating.chair,
    "office chair": seating.office_chair,
    "armchair": seating.armchair,
    "stool": seating.stool,
    "couch": seating.couch,
    "bed": seating.bed,
    "pillow": seating.pillow,
    "table": tables.table,
    "coffee table": tables.coffee_table,
    "desk": tables.desk,
    "nightstand": tables.nightstand,
    "cabinet": storage.cabinet,
    "bookshelf": storage.bookshelf,
    "refrigerator": storage.refrigerator,
    "trash can": storage.trash_can,
    "box": storage.cardboard_box,
    "lamp": fittings.lamp,
    "table lamp": fittings.table_lamp,
    "plant": fittings.plant,
    "monitor": fittings.monitor,
    "tv": fittings.tv,
    "picture": fittings.picture,
    "whiteboard": fittings.whiteboard,
    "rug": fittings.rug,
    "door": fittings.door,
    "window": fittings.window,
    "curtain": fittings.curtain,
}

PALETTES: dict[str, tuple[str, ...]] = {
    "bed": ("red", "green", "blue", "purple", "white", "gray", "yellow"),
    "table": ("brown", "white", "black", "orange", "gray", "green"),
    "coffee table": ("brown", "white", "black", "gray", "blue"),
    "desk": ("brown", "white", "black", "gray"),
    "nightstand": ("brown", "white", "black", "red", "blue", "gray"),
    "cabinet": ("brown", "white", "gray", "blue", "green", "red", "yellow", "black"),
    "bookshelf": ("brown", "white", "black", "gray", "blue"),
    "refrigerator": ("white", "gray", "black", "red"),
    "box": ("brown", "white", "blue", "red", "orange", "green"),
    "plant": ("green",),
    "monitor": ("black", "gray", "white"),
    "tv": ("black", "gray"),
    "whiteboard": ("white",),
    "picture": ("red", "orange", "yellow", "green", "blue", "purple", "brown", "black"),
    "door": ("brown", "white", "gray", "green", "blue"),
    "window": ("white", "brown", "black"),
}
"""Colours a class comes in; any colour where a class is not named."""

ANY_COLOR = ("red", "orange", "yellow", "green", "blue", "purple", "brown", "black", "white", "gray")

WOODEN = ("table", "coffee table", "desk", "nightstand", "cabinet", "bookshelf", "stool", "chair", "door")
SOFT = ("couch", "armchair", "bed", "pillow", "curtain", "rug", "office chair")


def make_furniture(kind: str, rng: np.random.Generator, color: str | None = None) -> Furniture:
    """Make one piece of a class.

    Args:
        kind: A key of ``MAKERS``: a class, or ``table lamp``.
        rng: Source of its sizes, style and exact shade.
        color: Name of its main colour; drawn from the class's palette if None.

    Returns:
        The piece, centred on the origin.
    """
    drawn = str(rng.choice(PALETTES.get(kind, ANY_COLOR)))
    color = color or drawn
    texture = "fabric" if kind in SOFT else "plain"
    if kind in WOODEN and color in ("brown", "orange", "gray"):
        texture = "wood"
    builder = SolidBuilder()
    traits = MAKERS[kind](builder, Material(shade(color, rng), texture), rng)
    faces = builder.build()
    low, high = faces.bounds_m
    shift = np.eye(4)
    shift[:2, 3] = -(low + high)[:2] / 2
    label = "lamp" if kind == "table lamp" else kind
    return Furniture(label, color, faces.moved(shift), high - low, traits)
