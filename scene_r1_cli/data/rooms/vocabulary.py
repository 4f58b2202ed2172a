"""The words of rooms: ten colours, the classes of objects, and what people call them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.74, 0.12, 0.12),
    "orange": (0.93, 0.50, 0.10),
    "yellow": (0.92, 0.80, 0.20),
    "green": (0.18, 0.52, 0.23),
    "blue": (0.16, 0.30, 0.66),
    "purple": (0.45, 0.20, 0.55),
    "brown": (0.42, 0.26, 0.14),
    "black": (0.12, 0.12, 0.13),
    "white": (0.91, 0.91, 0.89),
    "gray": (0.50, 0.51, 0.52),
}
"""Name to sRGB in [0, 1]."""


@dataclass(frozen=True)
class ObjectClass:
    """One class of object.

    Attributes:
        label: ScanNet's raw category, as written in aggregation files.
        nyu40_id: Its class among NYU's 40.
        nyu40_class: Name of that class; ScanRefer's "unique" and "multiple" are counted by it.
        nouns: What people call it, the usual word first.
    """

    label: str
    nyu40_id: int
    nyu40_class: str
    nouns: tuple[str, ...]


_CLASSES = (
    ObjectClass("wall", 1, "wall", ("wall",)),
    ObjectClass("floor", 2, "floor", ("floor",)),
    ObjectClass("ceiling", 22, "ceiling", ("ceiling",)),
    ObjectClass("door", 8, "door", ("door",)),
    ObjectClass("window", 9, "window", ("window",)),
    ObjectClass("curtain", 16, "curtain", ("curtain", "drape")),
    ObjectClass("picture", 11, "picture", ("picture", "painting")),
    ObjectClass("whiteboard", 30, "whiteboard", ("whiteboard",)),
    ObjectClass("rug", 20, "floor mat", ("rug", "carpet")),
    ObjectClass("chair", 5, "chair", ("chair",)),
    ObjectClass("office chair", 5, "chair", ("office chair", "swivel chair", "chair")),
    ObjectClass("armchair", 5, "chair", ("armchair", "chair")),
    ObjectClass("stool", 40, "otherprop", ("stool",)),
    ObjectClass("table", 7, "table", ("table",)),
    ObjectClass("coffee table", 7, "table", ("coffee table", "table")),
    ObjectClass("desk", 14, "desk", ("desk",)),
    ObjectClass("couch", 6, "sofa", ("sofa", "couch")),
    ObjectClass("bed", 4, "bed", ("bed",)),
    ObjectClass("nightstand", 32, "night stand", ("nightstand", "bedside table")),
    ObjectClass("cabinet", 3, "cabinet", ("cabinet", "cupboard")),
    ObjectClass("bookshelf", 10, "bookshelf", ("bookshelf", "bookcase", "shelf")),
    ObjectClass("refrigerator", 24, "refrigerator", ("refrigerator", "fridge")),
    ObjectClass("lamp", 35, "lamp", ("lamp",)),
    ObjectClass("trash can", 39, "otherfurniture", ("trash can", "garbage bin", "trash bin")),
    ObjectClass("box", 29, "box", ("box", "cardboard box")),
    ObjectClass("plant", 40, "otherprop", ("plant", "potted plant")),
    ObjectClass("monitor", 40, "otherprop", ("monitor", "computer screen")),
    ObjectClass("tv", 25, "television", ("tv", "television")),
    ObjectClass("pillow", 18, "pillow", ("pillow", "cushion")),
)

CLASSES: dict[str, ObjectClass] = {entry.label: entry for entry in _CLASSES}
"""Every class by its label."""

STRUCTURE = ("wall", "floor", "ceiling")
"""Labels that nobody is asked to find."""

_CALLED_BY: dict[str, tuple[str, ...]] = {
    "table": ("table", "coffee table", "desk", "nightstand"),
    "desk": ("desk", "table"),
    "cabinet": ("cabinet", "nightstand"),
    "cupboard": ("cabinet", "nightstand"),
    "sofa": ("couch", "armchair"),
    "couch": ("couch", "armchair"),
    "chair": ("chair", "office chair", "armchair", "stool"),
    "office chair": ("office chair", "chair"),
    "swivel chair": ("office chair",),
    "nightstand": ("nightstand", "cabinet"),
    "computer screen": ("monitor", "tv"),
    "tv": ("tv", "monitor"),
    "television": ("tv", "monitor"),
    "monitor": ("monitor", "tv"),
    "picture": ("picture", "whiteboard"),
}
"""Labels a noun may be taken for, where that is more than its own class."""

_COLORLESS = ("plant", "monitor", "tv", "window", "whiteboard")
"""Classes whose colour nobody would name."""

_ALIKE = ({"brown", "orange"}, {"white", "gray"}, {"gray", "black"}, {"blue", "purple"}, {"black", "brown"})
"""Pairs of colours that light and shadow may make alike."""

_TRAIT_PHRASES = {
    "round": "round {}",
    "rectangular": "rectangular {}",
    "tall": "tall {}",
    "low": "low {}",
    "small": "small {}",
    "double": "double {}",
    "single": "single {}",
    "open": "open {}",
    "floor": "floor {}",
    "table": "table {}",
    "slatted": "{} with a slatted back",
}

_OPPOSITES = {
    "round": "rectangular",
    "rectangular": "round",
    "tall": "low small",
    "low": "tall",
    "small": "tall",
    "double": "single",
    "single": "double",
    "floor": "table",
    "table": "floor",
}


@cache
def may_be_called(label: str, noun: str) -> bool:
    """True if a person could call an object of this class ``noun``."""
    return noun in CLASSES[label].nouns or label in _CALLED_BY.get(noun, ())


def plural(noun: str) -> str:
    """More than one of it."""
    if noun.endswith(("x", "s", "ch", "sh")):
        return noun + "es"
    return noun[:-1] + "ves" if noun.endswith("lf") else noun + "s"


def shows_color(label: str) -> bool:
    """True if people name the colour of such an object."""
    return label not in _COLORLESS


def may_look(label: str, color: str, named: str) -> bool:
    """True if an object of this class and colour might be taken for one of the colour ``named``."""
    return not shows_color(label) or color == named or {color, named} in _ALIKE


def trait_phrase(trait: str, noun: str) -> str | None:
    """The noun with the trait said of it, or None if it goes without saying."""
    if noun in ("computer screen", "double bed"):
        return None
    return _TRAIT_PHRASES[trait].format(noun)


def trait_fits(trait: str, traits: tuple[str, ...]) -> bool:
    """True if an object with these traits might be said to have ``trait``."""
    opposite = _OPPOSITES.get(trait)
    if opposite is None:
        return trait in traits
    return not any(other in opposite.split() for other in traits)


def shade(color: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """A natural variation of a named colour, never near enough to another name to be taken for it."""
    base = np.array(COLORS[color])
    lightness = rng.uniform(0.85, 1.12)
    varied = np.clip(base * lightness + rng.uniform(-0.02, 0.02, 3), 0.03, 0.97)
    return float(varied[0]), float(varied[1]), float(varied[2])
