"""Materials that furniture shares: what legs, handles, soil and glass are made of."""

from __future__ import annotations

import numpy as np

from scene_r1_cli.data.rooms.solids import Material

STEEL = Material((0.62, 0.63, 0.65))
DARK_METAL = Material((0.16, 0.16, 0.17))
DARK_WOOD = Material((0.30, 0.18, 0.10), "wood")
LIGHT_WOOD = Material((0.72, 0.55, 0.36), "wood")
GLASS = Material((0.66, 0.78, 0.90), "glass")
SCREEN = Material((0.05, 0.06, 0.09), "screen")
LINEN = Material((0.90, 0.89, 0.86), "fabric")
SOIL = Material((0.16, 0.11, 0.08))


def leg_material(rng: np.random.Generator) -> Material:
    """One of the usual materials of legs."""
    return (STEEL, DARK_METAL, DARK_WOOD, LIGHT_WOOD)[int(rng.integers(4))]


def darker(material: Material, factor: float) -> Material:
    """The same material with its colour scaled; above 1 it is lighter."""
    r, g, b = (float(min(1.0, channel * factor)) for channel in material.rgb)
    return Material((r, g, b), material.texture)
