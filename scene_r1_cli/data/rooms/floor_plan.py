"""The shape of a room, and a grid of what is free on its floor and along its walls."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

CELL_M = 0.05
"""Edge of a cell of the floor grid."""

MARGIN_M = 0.5
"""Rooms start this far from the origin, so that the grid has cells outside on every side."""

BODY_RADIUS_M = 0.24
"""Half the width a person with a camera needs."""


@dataclass(frozen=True)
class Wall:
    """One straight wall, seen from inside.

    Attributes:
        start_m: (2,) its right end when one looks at it from inside.
        along: (2,) unit vector from there to its other end.
        inward: (2,) unit vector into the room.
        length_m: Its length.
    """

    start_m: np.ndarray
    along: np.ndarray
    inward: np.ndarray
    length_m: float

    @property
    def facing_yaw_rad(self) -> float:
        """Yaw that turns a piece's front (+y) into the room."""
        return float(np.arctan2(self.inward[1], self.inward[0]) - np.pi / 2)

    def point(self, along_m: float, out_m: float) -> np.ndarray:
        """(2,) point ``along_m`` from the start and ``out_m`` from the wall."""
        return self.start_m + self.along * along_m + self.inward * out_m


@dataclass
class FloorPlan:
    """Walls of a room and what is taken already; grows as furniture is placed.

    The masks are (rows, columns) uint8 with cells of ``CELL_M``: row is y, column is x, from the origin.

    Attributes:
        corners_m: (K, 2) outline, counter-clockwise.
        height_m: Height of the ceiling.
        rectangles_m: Rectangles (x0, y0, x1, y1) that tile the floor.
        walls: One per side of the outline.
        inside: Mask of the floor.
        blocked: Mask of what nobody can walk on.
        kept_clear: Mask of where no furniture may stand.
    """

    corners_m: np.ndarray
    height_m: float
    rectangles_m: tuple[tuple[float, float, float, float], ...]
    walls: tuple[Wall, ...] = ()
    inside: np.ndarray = field(init=False)
    blocked: np.ndarray = field(init=False)
    kept_clear: np.ndarray = field(init=False)
    _on_walls: list[tuple[int, float, float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        nexts = np.roll(self.corners_m, -1, axis=0)
        walls = []
        for start, end in zip(self.corners_m, nexts, strict=True):
            length = float(np.linalg.norm(end - start))
            along = (end - start) / length
            walls.append(Wall(start, along, np.array([-along[1], along[0]]), length))
        self.walls = tuple(walls)
        size = np.ceil((self.corners_m.max(axis=0) + MARGIN_M) / CELL_M).astype(int)
        self.inside = np.zeros((size[1], size[0]), dtype=np.uint8)
        for x0, y0, x1, y1 in self.rectangles_m:
            self.inside[round(y0 / CELL_M) : round(y1 / CELL_M), round(x0 / CELL_M) : round(x1 / CELL_M)] = 1
        self.blocked = 1 - self.inside
        self.kept_clear = np.zeros_like(self.inside)

    @property
    def area_m2(self) -> float:
        """Area of the floor."""
        return float(sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in self.rectangles_m))

    def footprint(self, corners_m: np.ndarray) -> np.ndarray:
        """uint8 mask of the cells under a convex outline of (N, 2) corners."""
        mask = np.zeros_like(self.inside)
        # Eight fractional bits, so that thin pieces keep their place; a cell's centre is at half a cell.
        pixels = np.rint((corners_m / CELL_M - 0.5) * 256).astype(np.int32)
        cv2.fillConvexPoly(mask, pixels, 1, shift=8)
        return mask

    def is_free(self, corners_m: np.ndarray) -> bool:
        """True if an outline lies inside the room and on nothing that is there already."""
        return not (self.footprint(corners_m) & (self.blocked | self.kept_clear)).any()

    def block(self, corners_m: np.ndarray) -> None:
        """Take the floor under an outline."""
        self.blocked |= self.footprint(corners_m)

    def keep_clear(self, corners_m: np.ndarray) -> None:
        """Let nobody put furniture on an outline, though one can walk there: the swing of a door."""
        self.kept_clear |= self.footprint(corners_m)

    def walkable(self, blocked: np.ndarray | None = None, clearance_m: float = BODY_RADIUS_M) -> np.ndarray:
        """(rows, columns) bool: where a person can stand."""
        blocked = self.blocked if blocked is None else blocked
        distance = cv2.distanceTransform(1 - blocked, cv2.DIST_L2, 5) * CELL_M
        return distance > clearance_m

    def stays_walkable(self, corners_m: np.ndarray, min_area_m2: float = 2.0) -> bool:
        """True if the floor that is left after taking an outline is one piece, and large enough."""
        free = self.walkable(self.blocked | self.footprint(corners_m)).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
        areas = stats[1:, cv2.CC_STAT_AREA] * CELL_M**2
        return len(areas) > 0 and areas.max() > min_area_m2 and areas.sum() - areas.max() < 0.15

    def wall_is_free(self, wall: int, along_m: tuple[float, float], z_m: tuple[float, float]) -> bool:
        """True if a rectangle on a wall meets nothing that hangs or stands there."""
        return not any(
            other == wall and low < along_m[1] and along_m[0] < high and bottom < z_m[1] and z_m[0] < top
            for other, low, high, bottom, top in self._on_walls
        )

    def block_wall(self, wall: int, along_m: tuple[float, float], z_m: tuple[float, float]) -> None:
        """Take a rectangle on a wall."""
        self._on_walls.append((wall, *along_m, *z_m))


def draw_floor_plan(rng: np.random.Generator, area_m2: tuple[float, float]) -> FloorPlan:
    """A rectangular or L-shaped room, 3 to 7 m on a side.

    Args:
        rng: Source of its shape.
        area_m2: Least and greatest area wanted.
    """
    least, most = area_m2
    while True:
        width, depth = np.round(rng.uniform(3.2, 7.0, 2) / CELL_M) * CELL_M
        notch = np.round(rng.uniform(0.28, 0.45, 2) * (width, depth) / CELL_M) * CELL_M
        has_notch = rng.random() < 0.3 and min(width, depth) > 4.5
        area = width * depth - (notch.prod() if has_notch else 0)
        if least <= area <= most and max(width, depth) < 2 * min(width, depth):
            break
    height = float(rng.uniform(2.4, 2.9))
    low, right, top = MARGIN_M, MARGIN_M + float(width), MARGIN_M + float(depth)
    if not has_notch:
        corners = np.array([[low, low], [right, low], [right, top], [low, top]])
        return FloorPlan(corners, height, ((low, low, right, top),))
    x, y = right - notch[0], top - notch[1]
    corners = np.array([[low, low], [right, low], [right, y], [x, y], [x, top], [low, top]])
    return FloorPlan(corners, height, ((low, low, right, y), (low, y, x, top)))
