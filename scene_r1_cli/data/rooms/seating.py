"""Furniture to sit or lie on, and its pillows."""

from __future__ import annotations

import numpy as np

from scene_r1_cli.data.rooms.materials import DARK_METAL, LINEN, STEEL, darker, leg_material
from scene_r1_cli.data.rooms.solids import Material, SolidBuilder, rotation


def chair(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """Four legs, a seat, and a back that is a panel or slats."""
    width, depth = rng.uniform(0.40, 0.48), rng.uniform(0.40, 0.47)
    seat_z, back_z = rng.uniform(0.43, 0.48), rng.uniform(0.80, 1.0)
    leg = rng.uniform(0.032, 0.045)
    legs = main if rng.random() < 0.5 else leg_material(rng)
    # Legs stand in a little: faces in one plane would fight for the same pixels.
    x, y = width / 2 - leg / 2 - 0.004, depth / 2 - leg / 2 - 0.004
    for side in (-x, x):
        builder.box((side, y, seat_z / 2 - 0.01), (leg, leg, seat_z - 0.02), legs)
        builder.box((side, -y, back_z / 2), (leg, leg, back_z), legs)
    builder.block((-width / 2, width / 2), (-depth / 2, depth / 2), (seat_z - 0.045, seat_z), main)
    lean = rotation(tilt_x_rad=-0.08)
    height = back_z - seat_z - 0.10
    center_z = back_z - height / 2
    if rng.random() < 0.6:
        builder.box((0, -y - 0.005, center_z), (width - leg, 0.03, height), main, lean)
        return ()
    for level in np.linspace(seat_z + 0.16, back_z - 0.04, 3):
        builder.box((0, -y - 0.005, level), (width - leg, 0.025, 0.075), main, lean)
    return ("slatted",)


def office_chair(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A swivel chair: star base with castors, gas spring, padded seat and back, often arm rests."""
    seat_z, width = rng.uniform(0.45, 0.54), rng.uniform(0.46, 0.52)
    reach = rng.uniform(0.26, 0.31)
    for angle in np.arange(5) * (2 * np.pi / 5) + 0.3:
        turn = rotation(yaw_rad=angle)
        middle = turn @ np.array([reach / 2, 0, 0])
        end = turn @ np.array([reach, 0, 0])
        builder.box((middle[0], middle[1], 0.085), (reach, 0.045, 0.03), DARK_METAL, turn)
        builder.cylinder((end[0], end[1], 0.0), 0.03, 0.06, DARK_METAL, sides=8)
    builder.cylinder((0, 0, 0.08), 0.03, seat_z - 0.14, STEEL, sides=8)
    builder.box((0, 0, seat_z - 0.03), (width, width, 0.08), main)
    back = rng.uniform(0.45, 0.60)
    lean = rotation(tilt_x_rad=-0.12)
    builder.box((0, -width / 2, seat_z + 0.10), (0.06, 0.03, 0.30), DARK_METAL)
    builder.box((0, -width / 2 - 0.02, seat_z + 0.12 + back / 2), (width - 0.04, 0.06, back), main, lean)
    if rng.random() < 0.6:
        for side in (-1, 1):
            x = side * (width / 2 + 0.02)
            builder.block((x - 0.02, x + 0.02), (-0.05, 0.02), (seat_z - 0.04, seat_z + 0.20), DARK_METAL)
            builder.block((x - 0.03, x + 0.03), (-0.15, 0.14), (seat_z + 0.20, seat_z + 0.23), DARK_METAL)
    return ()


def stool(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A round seat on four slanted legs, without a back."""
    height, radius = rng.uniform(0.44, 0.66), rng.uniform(0.16, 0.20)
    legs = leg_material(rng)
    builder.cylinder((0, 0, height - 0.05), radius, 0.05, main, sides=16)
    for angle in np.arange(4) * (np.pi / 2) + np.pi / 4:
        out = 0.8 * radius * np.array([np.cos(angle), np.sin(angle)])
        turn = rotation(tilt_y_rad=-0.10, yaw_rad=angle)
        builder.box((out[0], out[1], (height - 0.05) / 2), (0.03, 0.03, height - 0.05), legs, turn)
    return ("tall",) if height > 0.56 else ("low",)


def armchair(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A one-seat sofa."""
    _upholstered(builder, main, rng, width=rng.uniform(0.75, 0.95), seats=1)
    return ()


def couch(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A sofa with two or three seats."""
    seats = int(rng.integers(2, 4))
    _upholstered(builder, main, rng, width=0.38 + seats * rng.uniform(0.56, 0.66), seats=seats)
    return ()


def _upholstered(
    builder: SolidBuilder, main: Material, rng: np.random.Generator, width: float, seats: int
) -> None:
    depth, arm_z = rng.uniform(0.80, 0.95), rng.uniform(0.54, 0.64)
    back_z, seat_z, arm = rng.uniform(0.76, 0.92), rng.uniform(0.40, 0.45), rng.uniform(0.14, 0.20)
    feet = leg_material(rng)
    front, rear = depth / 2, -depth / 2
    for x in (-width / 2 + 0.08, width / 2 - 0.08):
        for y in (rear + 0.08, front - 0.08):
            builder.box((x, y, 0.04), (0.05, 0.05, 0.08), feet)
    base = darker(main, 0.9)
    builder.block((-width / 2 + arm, width / 2 - arm), (rear, front - 0.03), (0.08, seat_z - 0.13), base)
    builder.block((-width / 2, -width / 2 + arm), (rear, front), (0.08, arm_z), main)
    builder.block((width / 2 - arm, width / 2), (rear, front), (0.08, arm_z), main)
    builder.block((-width / 2 + arm, width / 2 - arm), (rear, rear + 0.20), (seat_z - 0.13, back_z), main)
    cushion = (width - 2 * arm) / seats
    light = darker(main, 1.06)
    lean = rotation(tilt_x_rad=-0.15)
    for seat in range(seats):
        left = -width / 2 + arm + seat * cushion
        builder.block(
            (left + 0.008, left + cushion - 0.008), (rear + 0.20, front), (seat_z - 0.13, seat_z), light
        )
        center = (left + cushion / 2, rear + 0.27, seat_z + 0.19)
        builder.box(center, (cushion - 0.02, 0.13, 0.38), light, lean)


def bed(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """Frame with head board, mattress, and a blanket of the main colour; single or double."""
    double = rng.random() < 0.5
    width = rng.uniform(1.4, 1.7) if double else rng.uniform(0.90, 1.10)
    length, top_z = rng.uniform(1.95, 2.08), rng.uniform(0.46, 0.56)
    frame = leg_material(rng)
    rear, front = -length / 2, length / 2
    for x in (-width / 2 + 0.05, width / 2 - 0.05):
        for y in (rear + 0.06, front - 0.06):
            builder.box((x, y, 0.08), (0.07, 0.07, 0.16), frame)
    builder.block((-width / 2, width / 2), (rear, front), (0.14, 0.30), frame)
    builder.block((-width / 2, width / 2), (rear - 0.05, rear), (0.0, rng.uniform(0.80, 1.10)), frame)
    builder.block((-width / 2 + 0.02, width / 2 - 0.02), (rear, front - 0.02), (0.30, top_z - 0.02), LINEN)
    # The blanket hangs over both sides and the foot end; the head end shows the sheet.
    edge = rear + length * rng.uniform(0.26, 0.34)
    builder.block((-width / 2 - 0.02, width / 2 + 0.02), (edge, front + 0.01), (top_z - 0.22, top_z), main)
    builder.block((-width / 2 - 0.02, width / 2 + 0.02), (edge, edge + 0.24), (top_z, top_z + 0.025), LINEN)
    return ("double",) if double else ("single",)


def pillow(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A cushion lying flat, thick in the middle."""
    width, depth, height = rng.uniform(0.40, 0.62), rng.uniform(0.32, 0.42), rng.uniform(0.11, 0.15)
    builder.ellipsoid(
        (0, 0, height / 2), (width / 2, depth / 2, height / 2), main, sides=12, rings=6, squareness=2.6
    )
    return ()
