"""Groups of furniture as people arrange them: nightstands by a bed, chairs around a table, things on top."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scene_r1_cli.data.rooms.furniture import ANY_COLOR, make_furniture
from scene_r1_cli.data.rooms.placing import TRIES, Placer, pose_at
from scene_r1_cli.data.rooms.solids import rotation

ON_TOP: dict[str, tuple[tuple[str, float], ...]] = {
    "desk": (("monitor", 0.85), ("table lamp", 0.4), ("box", 0.15)),
    "nightstand": (("table lamp", 0.7),),
    "cabinet": (("plant", 0.3), ("box", 0.3), ("table lamp", 0.2)),
    "bookshelf": (("plant", 0.3), ("box", 0.25)),
    "table": (("plant", 0.3), ("box", 0.2)),
    "coffee table": (("plant", 0.25), ("box", 0.2)),
    "box": (("box", 0.2),),
}
"""What may stand on a class of furniture, and how often it does."""

TALLEST_ON_TOP_M = 1.0
POT_M = 0.30
"""Room a plant needs on a table: its pot's, not its leaves'."""


def arrange(placer: Placer, how: str, kind: str) -> None:
    """Place one piece, and what belongs to it, if there is room.

    Args:
        placer: The room so far.
        how: A key of ``_WAYS``.
        kind: What to place; a key of ``furniture.MAKERS``.
    """
    _WAYS[how](placer, kind)


def _against_wall(placer: Placer, kind: str) -> None:
    index = placer.against_wall(kind)
    if index is not None:
        _furnish_top(placer, index)


def _along_edge(placer: Placer, kind: str) -> None:
    index = placer.along_edge(kind)
    if index is not None:
        _furnish_top(placer, index)


def _bed(placer: Placer, kind: str) -> None:
    """A bed, its pillows, and often nightstands."""
    index, rng = placer.against_wall(kind), placer.rng
    if index is None:
        return
    bed = placer.placed[index]
    width, length, _ = bed.piece.size_m
    spots = (-0.24, 0.24) if "double" in bed.piece.traits else (0.0,)
    color = str(rng.choice(ANY_COLOR))
    # The highest thing in the front half is the folded sheet; the mattress lies a little lower.
    corners = bed.piece.faces.corners_m.reshape(-1, 3)
    top = float(corners[corners[:, 1] > 0, 2].max()) - 0.05
    for spot in spots:
        pillow = make_furniture("pillow", rng, color if rng.random() < 0.6 else None)
        y = -length / 2 + 0.12 + pillow.size_m[1] / 2
        placer.put(index, pillow, np.array([spot * width, y]), top, rng.normal(0, 0.12))
    for side in (-1, 1):
        if rng.random() < 0.6:
            stand = make_furniture("nightstand", rng)
            x = side * (width / 2 + stand.size_m[0] / 2 + 0.06)
            local = pose_at(np.array([x, -length / 2 + 0.05 + stand.size_m[1] / 2]), 0.0)
            standing = placer.stand(stand, bed.world_from_object @ local)
            if standing is not None:
                _furnish_top(placer, standing)


def _desk(placer: Placer, kind: str) -> None:
    """A desk with a chair before it; screens and lamps stand on it."""
    index, rng = placer.against_wall(kind), placer.rng
    if index is None:
        return
    desk = placer.placed[index]
    chair = make_furniture("office chair" if rng.random() < 0.7 else "chair", rng)
    y = desk.piece.size_m[1] / 2 + chair.size_m[1] / 2 + rng.uniform(0.03, 0.25)
    local = pose_at(np.array([-0.2 * rng.random(), y]), np.pi + rng.normal(0, 0.35))
    placer.stand(chair, desk.world_from_object @ local)
    _furnish_top(placer, index)


def _lounge(placer: Placer, kind: str) -> None:
    """A sofa with pillows, and a coffee table before it."""
    index, rng = placer.against_wall(kind), placer.rng
    if index is None:
        return
    sofa = placer.placed[index]
    width, depth, _ = sofa.piece.size_m
    for spot in (-0.30, 0.30):
        if rng.random() < 0.55:
            pillow = make_furniture("pillow", rng)
            # It leans on the back rest, standing on its long edge.
            lean = np.eye(4)
            lean[:3, :3] = rotation(tilt_x_rad=-1.15, yaw_rad=rng.normal(0, 0.15))
            lean[:3, 3] = [spot * width, -depth / 2 + 0.42, 0.45 + pillow.size_m[1] * 0.40]
            placer.add(pillow, sofa.world_from_object @ lean, index)
    if rng.random() < 0.75:
        table = make_furniture("coffee table", rng)
        gap = rng.uniform(0.35, 0.5)
        local = pose_at(np.array([0, depth / 2 + gap + table.size_m[1] / 2]), rng.normal(0, 0.05))
        standing = placer.stand(table, sofa.world_from_object @ local)
        if standing is not None:
            _furnish_top(placer, standing)


def _cabinet_with_tv(placer: Placer, kind: str) -> None:
    """A low cabinet that carries a television."""
    index, rng = placer.against_wall(kind), placer.rng
    if index is None:
        return
    support = placer.placed[index].piece
    screen = make_furniture("tv", rng)
    if "low" in support.traits and screen.size_m[0] < support.size_m[0] + 0.15:
        placer.put(index, screen, np.zeros(2), float(support.size_m[2]), rng.normal(0, 0.05))
    else:
        _furnish_top(placer, index)


def _dining(placer: Placer, kind: str) -> None:
    """A table in the open with chairs around it, some of another colour."""
    table, rng = make_furniture(kind, placer.rng), placer.rng
    open_m = placer.open_floor(clearance_m=0.9)
    if not len(open_m):
        return
    for _ in range(TRIES):
        yaw = float(rng.choice([0, np.pi / 2])) + rng.normal(0, 0.06)
        index = placer.stand(table, pose_at(open_m[int(rng.integers(len(open_m)))], yaw))
        if index is not None:
            _seat_around(placer, index)
            _furnish_top(placer, index)
            return


def _seat_around(placer: Placer, index: int) -> None:
    table, rng = placer.placed[index], placer.rng
    half_x, half_y = table.piece.size_m[:2] / 2
    colors = [str(rng.choice(ANY_COLOR)) for _ in range(2)]
    if "round" in table.piece.traits:
        angles = np.arange(4) * np.pi / 2 + rng.uniform(0, np.pi / 2)
        slots = [(half_x * np.cos(a), half_x * np.sin(a), a) for a in angles]
    else:
        slots = [(side * half_x * 0.5, half_y, np.pi / 2) for side in (-1, 1)]
        slots += [(side * half_x * 0.5, -half_y, -np.pi / 2) for side in (-1, 1)]
        slots += [(half_x, 0.0, 0.0), (-half_x, 0.0, np.pi)]
    for x, y, outward in slots:
        if rng.random() < 0.25:
            continue
        chair = make_furniture("chair", rng, colors[int(rng.random() < 0.3)])
        away = chair.size_m[1] / 2 + rng.uniform(0.03, 0.22)
        at = np.array([x + away * np.cos(outward), y + away * np.sin(outward)])
        # A chair's front is +y and must look back at the table.
        local = pose_at(at, outward + np.pi / 2 + rng.normal(0, 0.12))
        placer.stand(chair, table.world_from_object @ local)


def _furnish_top(placer: Placer, index: int) -> None:
    """Put things on a piece, side by side; tall pieces carry boxes only."""
    support, rng = placer.placed[index].piece, placer.rng
    width, depth, height = support.size_m
    taken: list[tuple[float, float]] = []
    for kind, chance in ON_TOP.get(support.label, ()):
        piece = make_furniture(kind, rng)
        wanted = rng.random() < chance and ("tall" not in support.traits or kind == "box")
        base = np.array([POT_M, POT_M]) if kind == "plant" else piece.size_m[:2]
        room_m = np.array([width, depth]) - base
        rises = float(height + piece.size_m[2])
        if not wanted or room_m.min() < -0.02 or piece.size_m[2] > TALLEST_ON_TOP_M:
            continue
        if rises > placer.plan.height_m - 0.3:
            continue
        x = _free_stretch(taken, width, float(base[0]), rng)
        if x is None:
            continue
        taken.append((x - base[0] / 2, x + base[0] / 2))
        # A screen stands at the back; other things anywhere.
        y = 0.06 - room_m[1] / 2 if kind == "monitor" else rng.uniform(-0.5, 0.5) * max(room_m[1], 0)
        placer.put(index, piece, np.array([x, y]), float(height), rng.normal(0, 0.12))


def _free_stretch(
    taken: list[tuple[float, float]], width_m: float, need_m: float, rng: np.random.Generator
) -> float | None:
    """Middle of a stretch of a top that nothing stands on yet, or None."""
    for _ in range(8):
        x = rng.uniform(-0.5, 0.5) * max(width_m - need_m, 0)
        if all(x + need_m / 2 < low or x - need_m / 2 > high for low, high in taken):
            return float(x)
    return None


def _single(way: Callable[[Placer, str], int | None]) -> Callable[[Placer, str], None]:
    """A way that places one piece and nothing with it."""

    def place(placer: Placer, kind: str) -> None:
        way(placer, kind)

    return place


_WAYS: dict[str, Callable[[Placer, str], None]] = {
    "wall": _against_wall,
    "edge": _along_edge,
    "hang": _single(Placer.hang),
    "rug": _single(Placer.lay_rug),
    "bed": _bed,
    "desk": _desk,
    "lounge": _lounge,
    "tv": _cabinet_with_tv,
    "dining": _dining,
}
