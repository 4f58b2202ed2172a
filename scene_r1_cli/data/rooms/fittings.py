"""Lamps, plants, screens, and what hangs on or opens in a wall."""

from __future__ import annotations

import numpy as np

from scene_r1_cli.data.rooms.materials import DARK_METAL, GLASS, SCREEN, SOIL, STEEL, darker, leg_material
from scene_r1_cli.data.rooms.solids import Material, SolidBuilder, rotation


def lamp(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A floor lamp: foot, pole and a shade of the main colour."""
    height, radius = rng.uniform(1.35, 1.70), rng.uniform(0.16, 0.23)
    metal = DARK_METAL if rng.random() < 0.5 else STEEL
    builder.cylinder((0, 0, 0), 0.14, 0.03, metal, sides=14)
    builder.cylinder((0, 0, 0.03), 0.016, height - 0.15, metal, sides=8)
    _shade(builder, main, height, radius, rng.uniform(0.24, 0.32))
    return ("floor",)


def table_lamp(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A small lamp to put on furniture."""
    height, radius = rng.uniform(0.40, 0.55), rng.uniform(0.11, 0.15)
    builder.cylinder((0, 0, 0), 0.07, 0.02, DARK_METAL, sides=12)
    builder.cylinder((0, 0, 0.02), 0.03, height - 0.20, leg_material(rng), top_radius_m=0.02, sides=8)
    _shade(builder, main, height, radius, rng.uniform(0.17, 0.22))
    return ("table",)


def _shade(builder: SolidBuilder, main: Material, top_z: float, radius: float, drop: float) -> None:
    builder.cylinder(
        (0, 0, top_z - drop), radius, drop, main, top_radius_m=radius * 0.68, sides=16, open_ends=True
    )


def plant(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """Leaves on bent stems in a pot."""
    pot_colors = ((0.66, 0.33, 0.20), (0.88, 0.87, 0.84), (0.30, 0.31, 0.33))
    pot = Material(pot_colors[int(rng.integers(3))])
    pot_z, radius = rng.uniform(0.22, 0.32), rng.uniform(0.12, 0.17)
    builder.cylinder((0, 0, 0), radius * 0.75, pot_z, pot, top_radius_m=radius, sides=14)
    builder.cylinder((0, 0, pot_z), radius * 0.9, 0.01, SOIL, sides=14)
    tall = rng.random() < 0.5
    height = rng.uniform(0.55, 1.0) if tall else rng.uniform(0.28, 0.45)
    stems = int(rng.integers(5, 8))
    for stem in range(stems):
        yaw = stem * 2 * np.pi / stems + rng.uniform(-0.3, 0.3)
        outward = np.array([np.cos(yaw), np.sin(yaw), 0])
        for share in (0.35, 0.6, 0.8, 1.0):
            spread = (0.05 + 0.20 * share) * rng.uniform(0.7, 1.2)
            center = outward * spread + np.array([0, 0, pot_z + height * share * rng.uniform(0.85, 1.0)])
            turn = rotation(tilt_y_rad=rng.uniform(-0.2, 0.7), yaw_rad=yaw + rng.uniform(-0.5, 0.5))
            size = (rng.uniform(0.09, 0.14), rng.uniform(0.035, 0.06), 0.012)
            leaf = darker(main, rng.uniform(0.75, 1.25))
            builder.ellipsoid((center[0], center[1], center[2]), size, leaf, turn=turn, sides=6, rings=2)
        builder.box(
            (outward[0] * 0.06, outward[1] * 0.06, pot_z + height / 2), (0.012, 0.012, height * 0.95),
            darker(main, 0.7), rotation(tilt_y_rad=0.12, yaw_rad=yaw),
        )  # fmt: skip
    return ("tall",) if tall else ("small",)


def monitor(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A computer screen on a stand."""
    width = rng.uniform(0.48, 0.64)
    height = width * 0.6
    builder.box((0, 0, 0.008), (0.24, 0.18, 0.016), main)
    builder.box((0, -0.03, 0.10), (0.05, 0.02, 0.18), main)
    _screen(builder, main, width, height, bottom_z=0.10)
    return ()


def tv(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A television on two feet."""
    width = rng.uniform(0.85, 1.2)
    for x in (-width / 3, width / 3):
        builder.box((x, 0, 0.03), (0.03, 0.22, 0.06), main)
    _screen(builder, main, width, width * 0.57, bottom_z=0.06)
    return ()


def _screen(builder: SolidBuilder, main: Material, width: float, height: float, bottom_z: float) -> None:
    builder.box((0, 0, bottom_z + height / 2), (width, 0.035, height), main)
    edge = 0.02
    y = 0.0185
    left, right, low, high = -width / 2 + edge, width / 2 - edge, bottom_z + edge, bottom_z + height - edge
    builder.panel(np.array([[right, y, low], [left, y, low], [left, y, high], [right, y, high]]), SCREEN)


def picture(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A framed picture; the frame and most of the picture have the main colour."""
    width, height = rng.uniform(0.40, 0.95), rng.uniform(0.40, 0.75)
    _framed(builder, main, Material(main.rgb, "art"), width, height, rim=0.035)
    return ()


def whiteboard(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A wide board with a metal rim and some writing."""
    _framed(
        builder, STEEL, Material(main.rgb, "text"), rng.uniform(1.2, 1.8), rng.uniform(0.85, 1.05), rim=0.02
    )
    return ()


def _framed(
    builder: SolidBuilder, frame: Material, inner: Material, width: float, height: float, rim: float
) -> None:
    builder.box((0, 0, height / 2), (width, 0.03, height), darker(frame, 0.75))
    y = 0.0155
    left, right, low, high = -width / 2 + rim, width / 2 - rim, rim, height - rim
    builder.panel(np.array([[right, y, low], [left, y, low], [left, y, high], [right, y, high]]), inner)


def rug(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A flat rectangle with a border, or a disc."""
    if rng.random() < 0.3:
        radius = rng.uniform(0.6, 0.95)
        builder.cylinder((0, 0, 0), radius, 0.012, darker(main, 0.8), sides=28)
        builder.cylinder((0, 0, 0.012), radius * 0.85, 0.002, main, sides=28)
        return ("round",)
    width, depth = rng.uniform(1.3, 2.2), rng.uniform(0.9, 1.5)
    builder.block((-width / 2, width / 2), (-depth / 2, depth / 2), (0, 0.012), darker(main, 0.75))
    rim = 0.09
    builder.block(
        (-width / 2 + rim, width / 2 - rim), (-depth / 2 + rim, depth / 2 - rim), (0.012, 0.014), main
    )
    return ("rectangular",)


def door(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A door leaf with two panels and a handle, in its frame."""
    width, height = rng.uniform(0.78, 0.92), rng.uniform(1.98, 2.08)
    frame = Material((0.85, 0.84, 0.81)) if rng.random() < 0.6 else darker(main, 0.7)
    for x in (-width / 2 - 0.035, width / 2 + 0.035):
        builder.box((x, 0, height / 2), (0.07, 0.07, height), frame)
    builder.box((0, 0, height + 0.035), (width + 0.14, 0.07, 0.07), frame)
    builder.box((0, -0.01, height / 2), (width, 0.04, height), main)
    raised = darker(main, 0.85)
    for low, high in ((0.15, 0.85), (1.0, height - 0.15)):
        builder.block((-width / 2 + 0.12, width / 2 - 0.12), (0.01, 0.02), (low, high), raised)
    builder.box((width / 2 - 0.08, 0.05, 1.0), (0.12, 0.02, 0.025), STEEL)
    builder.box((width / 2 - 0.04, 0.03, 1.0), (0.025, 0.04, 0.025), STEEL)
    return ()


def window(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """Glass in a frame with a cross bar, over a sill."""
    width, height = rng.uniform(1.0, 1.6), rng.uniform(1.05, 1.35)
    builder.box((0, -0.015, height / 2), (width - 0.08, 0.02, height - 0.08), GLASS)
    for x in (-width / 2 + 0.035, 0.0, width / 2 - 0.035):
        builder.box((x, 0, height / 2), (0.07 if x else 0.05, 0.06, height), main)
    for z in (0.035, height - 0.035):
        builder.box((0, 0, z), (width - 0.14, 0.06, 0.07), main)
    builder.box((0, 0.03, -0.015), (width + 0.10, 0.14, 0.03), darker(main, 0.95))
    return ()


def curtain(builder: SolidBuilder, main: Material, rng: np.random.Generator) -> tuple[str, ...]:
    """A hanging cloth in folds."""
    width, height, fold = rng.uniform(0.42, 0.60), rng.uniform(1.95, 2.15), rng.uniform(0.035, 0.05)
    folds = 8
    x = np.linspace(-width / 2, width / 2, folds + 1)
    y = np.where(np.arange(folds + 1) % 2 == 0, -fold, fold)
    bottom = np.stack([x, y, np.zeros(folds + 1)], axis=1)
    top = bottom + np.array([0, 0, height])
    front = np.stack([bottom[1:], bottom[:-1], top[:-1], top[1:]], axis=1)
    builder.add(front, main, np.zeros(folds, dtype=np.int32))
    builder.add(front[:, ::-1] - [0, 0.006, 0], main, np.zeros(folds, dtype=np.int32))
    builder.box((0, 0, height + 0.01), (width + 0.06, 0.025, 0.025), DARK_METAL)
    return ()
