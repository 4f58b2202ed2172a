"""Furniture and containers that things are put in."""

from __future__ import annotations

import numpy as np

from scene_r1_cli.data.rooms.materials import DARK_METAL, STEEL, darker
from scene_r1_cli.data.rooms.solids import Material, SolidBuilder, rotation
from scene_r1_cli.data.rooms.vocabulary import COLORS


def cabinet(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """Doors with handles, or drawers; tall like a wardrobe or low like a sideboard."""
    tall = rng.random() < 0.4
    width, depth = rng.uniform(0.75, 1.3), rng.uniform(0.38, 0.55)
    height = rng.uniform(1.5, 2.0) if tall else rng.uniform(0.72, 1.0)
    front = depth / 2 - 0.02
    dark, light = darker(main, 0.55), darker(main, 1.08)
    builder.block((-width / 2 + 0.02, width / 2 - 0.02), (-depth / 2, front - 0.03), (0.0, 0.07), dark)
    builder.block((-width / 2, width / 2), (-depth / 2, front), (0.07, height), main)
    if tall or rng.random() < 0.5:
        doors = 2 if width < 1.05 else 3
        step = width / doors
        for door in range(doors):
            left = -width / 2 + door * step
            builder.block(
                (left + 0.008, left + step - 0.008), (front, front + 0.02), (0.09, height - 0.02), light
            )
            x = left + (step - 0.05 if door % 2 == 0 else 0.05)
            builder.box((x, front + 0.03, height * 0.55), (0.02, 0.025, 0.16), STEEL)
    else:
        rows = int(rng.integers(3, 5))
        rise = (height - 0.10) / rows
        for row in range(rows):
            low = 0.09 + row * rise
            builder.block(
                (-width / 2 + 0.01, width / 2 - 0.01), (front, front + 0.02), (low, low + rise - 0.015), light
            )
            for x in (-width / 4, width / 4):
                builder.box((x, front + 0.03, low + rise / 2), (0.10, 0.02, 0.02), STEEL)
    return ("tall",) if tall else ("low",)


def bookshelf(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """Open shelves with rows of books of many colours."""
    width, depth = rng.uniform(0.65, 1.05), rng.uniform(0.26, 0.33)
    tall = rng.random() < 0.65
    levels = int(rng.integers(4, 6)) if tall else int(rng.integers(2, 4))
    rise = rng.uniform(0.32, 0.37)
    height = levels * rise + 0.03
    rear, front = -depth / 2, depth / 2
    builder.block((-width / 2, width / 2), (rear, rear + 0.012), (0.0, height), darker(main, 0.8))
    for x in (-width / 2, width / 2 - 0.022):
        builder.block((x, x + 0.022), (rear, front), (0.0, height), main)
    for level in range(levels + 1):
        z = level * rise
        builder.block((-width / 2 + 0.022, width / 2 - 0.022), (rear, front), (z, z + 0.025), main)
    palette = list(COLORS.values())
    for level in range(levels):
        x, end = -width / 2 + 0.03, width / 2 - 0.03 - rng.uniform(0.0, 0.35)
        while x < end - 0.09:
            # A block of books of one colour: single books would be too fine for the mesh.
            thick = rng.uniform(0.04, 0.14)
            red, green, blue = palette[int(rng.integers(len(palette)))]
            top = level * rise + 0.025 + rng.uniform(0.20, rise - 0.05)
            book = Material((0.25 + 0.6 * red, 0.25 + 0.6 * green, 0.25 + 0.6 * blue), "stripes")
            builder.block(
                (x, x + thick),
                (rear + 0.02, front - rng.uniform(0.02, 0.09)),
                (level * rise + 0.025, top),
                book,
            )
            x += thick + (0.003 if rng.random() < 0.8 else rng.uniform(0.05, 0.15))
    return ("tall",) if tall else ("low",)


def refrigerator(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A tall body with a freezer door above the main door."""
    width, depth, height = rng.uniform(0.56, 0.75), rng.uniform(0.58, 0.70), rng.uniform(1.45, 1.85)
    front = depth / 2 - 0.05
    builder.block((-width / 2, width / 2), (-depth / 2, front), (0.03, height), main)
    builder.block((-width / 2 + 0.03, width / 2 - 0.03), (-depth / 2, front - 0.02), (0.0, 0.03), DARK_METAL)
    split = height * rng.uniform(0.62, 0.72)
    light = darker(main, 1.05)
    builder.block((-width / 2, width / 2), (front + 0.005, front + 0.05), (0.06, split - 0.006), light)
    builder.block((-width / 2, width / 2), (front + 0.005, front + 0.05), (split + 0.006, height), light)
    x = -width / 2 + 0.06
    builder.block((x, x + 0.025), (front + 0.06, front + 0.09), (split - 0.55, split - 0.08), STEEL)
    builder.block((x, x + 0.025), (front + 0.06, front + 0.09), (split + 0.06, split + 0.30), STEEL)
    return ()


def trash_can(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A round bucket, open at the top, or a box with a lid."""
    height, radius = rng.uniform(0.28, 0.45), rng.uniform(0.12, 0.17)
    if rng.random() < 0.6:
        builder.cylinder(
            (0, 0, 0), radius * 0.82, height, main, top_radius_m=radius, sides=14, open_ends=True
        )
        builder.cylinder((0, 0, 0.0), radius * 0.80, 0.01, darker(main, 0.6), sides=14)
        return ("round",)
    height += 0.12
    builder.block((-radius, radius), (-radius * 0.8, radius * 0.8), (0, height - 0.06), main)
    builder.block(
        (-radius - 0.01, radius + 0.01), (-radius * 0.8 - 0.01, radius * 0.8 + 0.01),
        (height - 0.06, height), darker(main, 0.75),
    )  # fmt: skip
    return ()


def cardboard_box(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A carton, closed with a strip of tape or with its flaps open."""
    width, depth, height = rng.uniform(0.32, 0.60), rng.uniform(0.28, 0.45), rng.uniform(0.22, 0.42)
    builder.block((-width / 2, width / 2), (-depth / 2, depth / 2), (0, height), main)
    tape = darker(main, 0.72)
    if rng.random() < 0.6:
        builder.block(
            (-0.03, 0.03), (-depth / 2 - 0.002, depth / 2 + 0.002), (height - 0.1, height + 0.002), tape
        )
        return ()
    lean = 0.6
    inside = darker(main, 0.5)
    builder.block(
        (-width / 2 + 0.02, width / 2 - 0.02), (-depth / 2 + 0.02, depth / 2 - 0.02),
        (height, height + 0.002), inside,
    )  # fmt: skip
    flap = depth * 0.4
    for side in (-1, 1):
        y = side * (depth / 2 + flap / 2 * np.cos(lean))
        z = height + flap / 2 * np.sin(lean)
        builder.box((0, y, z), (width, flap, 0.008), main, rotation(tilt_x_rad=side * lean))
    return ("open",)
