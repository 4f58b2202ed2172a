"""Tables, desks and nightstands."""

from __future__ import annotations

import numpy as np

from scene_r1_cli.data.rooms.materials import STEEL, darker, leg_material
from scene_r1_cli.data.rooms.solids import Material, SolidBuilder


def table(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A dining table, rectangular on four legs or round on a column."""
    height = rng.uniform(0.71, 0.77)
    if rng.random() < 0.35:
        _round_table(builder, main, rng, radius=rng.uniform(0.45, 0.60), height=height)
        return ("round",)
    _four_legs(builder, main, rng, (rng.uniform(1.1, 1.7), rng.uniform(0.70, 0.90), height))
    return ("rectangular",)


def coffee_table(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A low table."""
    height = rng.uniform(0.38, 0.46)
    if rng.random() < 0.4:
        _round_table(builder, main, rng, radius=rng.uniform(0.32, 0.45), height=height)
        return ("round",)
    width, depth = rng.uniform(0.80, 1.15), rng.uniform(0.48, 0.62)
    _four_legs(builder, main, rng, (width, depth, height))
    if rng.random() < 0.5:
        builder.box((0, 0, 0.14), (width - 0.10, depth - 0.10, 0.02), darker(main, 0.9))
    return ("rectangular",)


def desk(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A desk top between a drawer block and a side panel, with a modesty panel at the back."""
    width, depth, height = rng.uniform(1.1, 1.6), rng.uniform(0.60, 0.75), rng.uniform(0.72, 0.76)
    builder.box((0, 0, height - 0.015), (width, depth, 0.03), main)
    side = darker(main, 0.92)
    builder.box((-width / 2 + 0.02, 0, (height - 0.03) / 2), (0.03, depth - 0.06, height - 0.03), side)
    left, right = width / 2 - rng.uniform(0.38, 0.45), width / 2 - 0.01
    front = depth / 2 - 0.04
    builder.block((left, right), (-depth / 2 + 0.02, front), (0.05, height - 0.03), side)
    drawers = int(rng.integers(2, 4))
    rise = (height - 0.10) / drawers
    for level in range(drawers):
        low = 0.06 + level * rise
        builder.block((left + 0.015, right - 0.015), (front, front + 0.015), (low, low + rise - 0.015), main)
        middle, handle_z = (left + right) / 2, low + rise * 0.7
        builder.box((middle, front + 0.025, handle_z), (0.12, 0.015, 0.015), STEEL)
    back = -depth / 2 + 0.04
    builder.block((-width / 2 + 0.02, left), (back, back + 0.02), (height - 0.40, height - 0.03), side)
    return ()


def nightstand(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A small chest with one drawer above an open compartment, on short legs."""
    width, depth, height = rng.uniform(0.40, 0.52), rng.uniform(0.35, 0.45), rng.uniform(0.46, 0.60)
    legs = leg_material(rng)
    for x in (-width / 2 + 0.03, width / 2 - 0.03):
        for y in (-depth / 2 + 0.03, depth / 2 - 0.03):
            builder.box((x, y, 0.05), (0.04, 0.04, 0.10), legs)
    split = height * 0.58
    builder.block((-width / 2, width / 2), (-depth / 2, depth / 2), (split, height), main)
    builder.block((-width / 2, width / 2), (-depth / 2, depth / 2), (0.10, 0.13), main)
    for x in (-width / 2, width / 2 - 0.02):
        builder.block((x, x + 0.02), (-depth / 2, depth / 2), (0.13, split), main)
    builder.block((-width / 2, width / 2), (-depth / 2, -depth / 2 + 0.02), (0.13, split), main)
    front = depth / 2
    low, high = split + 0.02, height - 0.03
    builder.block(
        (-width / 2 + 0.02, width / 2 - 0.02), (front, front + 0.015), (low, high), darker(main, 1.1)
    )
    builder.box((0, front + 0.025, (low + high) / 2), (0.10, 0.02, 0.02), STEEL)
    return ()


def _round_table(
    builder: SolidBuilder, main: Material, rng: np.random.Generator, radius: float, height: float
) -> None:
    legs = leg_material(rng)
    builder.cylinder((0, 0, height - 0.03), radius, 0.03, main, sides=24)
    builder.cylinder((0, 0, 0.03), 0.04, height - 0.06, legs, sides=10)
    builder.cylinder((0, 0, 0.0), radius * 0.55, 0.03, legs, sides=16)


def _four_legs(
    builder: SolidBuilder, main: Material, rng: np.random.Generator, size_m: tuple[float, float, float]
) -> None:
    width, depth, height = size_m
    legs = main if rng.random() < 0.5 else leg_material(rng)
    thick = rng.uniform(0.045, 0.07)
    builder.box((0, 0, height - 0.02), (width, depth, 0.04), main)
    for x in (-width / 2 + thick, width / 2 - thick):
        for y in (-depth / 2 + thick, depth / 2 - thick):
            builder.box((x, y, (height - 0.04) / 2), (thick, thick, height - 0.04), legs)
    rail_z = height - 0.08
    for y in (-depth / 2 + thick, depth / 2 - thick):
        builder.box((0, y, rail_z), (width - 3 * thick, 0.02, 0.08), legs)
