"""How furniture is put in a room: against walls, around tables, on top of things, on the walls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scene_r1_cli.data.rooms.floor_plan import BODY_RADIUS_M, CELL_M, FloorPlan
from scene_r1_cli.data.rooms.furniture import ANY_COLOR, Furniture, make_furniture
from scene_r1_cli.geometry.transforms import rotation_about_z

TRIES = 24


@dataclass(frozen=True)
class Placed:
    """A piece and where it is; ``standing_on`` is an index into ``Placer.placed``."""

    piece: Furniture
    world_from_object: np.ndarray
    standing_on: int | None = None


def pose_at(xy_m: np.ndarray, yaw_rad: float, z_m: float = 0.0) -> np.ndarray:
    """(4, 4) world_from_object of an upright piece."""
    world_from_object = rotation_about_z(yaw_rad)
    world_from_object[:3, 3] = [xy_m[0], xy_m[1], z_m]
    return world_from_object


def outline(world_from_object: np.ndarray, size_m: np.ndarray, margin_m: float = 0.0) -> np.ndarray:
    """(4, 2) outline of a piece on the floor."""
    half = np.asarray(size_m[:2]) / 2 + margin_m
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    return corners @ world_from_object[:2, :2].T + world_from_object[:2, 3]


class Placer:
    """Puts pieces into a floor plan, one after the other; what does not fit is left out.

    Attributes:
        placed: Everything placed so far.
    """

    def __init__(self, plan: FloorPlan, rng: np.random.Generator, max_objects: int) -> None:
        self.plan = plan
        self.rng = rng
        self.max_objects = max_objects
        self.placed: list[Placed] = []

    def open_walls(self) -> None:
        """One or two doors, and one to three windows with curtains."""
        for _ in range(int(self.rng.integers(1, 3))):
            self._open_wall("door", 0.0)
        for _ in range(int(self.rng.integers(1, 4))):
            self._open_wall("window", 0.92)

    def add(self, piece: Furniture, pose: np.ndarray, standing_on: int | None = None) -> int | None:
        """Take a piece as placed, unless the room has enough; returns its index in ``placed``."""
        if len(self.placed) >= self.max_objects:
            return None
        self.placed.append(Placed(piece, pose, standing_on))
        return len(self.placed) - 1

    def _random_wall(self) -> int:
        lengths = np.array([wall.length_m for wall in self.plan.walls])
        return int(self.rng.choice(len(lengths), p=lengths / lengths.sum()))

    def stand(self, piece: Furniture, pose: np.ndarray, margin_m: float = 0.0) -> int | None:
        """Put a piece on the floor if it fits and leaves room to walk."""
        ground = outline(pose, piece.size_m, margin_m)
        if len(self.placed) >= self.max_objects or not self.plan.is_free(ground):
            return None
        if not self.plan.stays_walkable(ground):
            return None
        self.plan.block(ground)
        return self.add(piece, pose)

    def _open_wall(self, kind: str, bottom_z: float) -> None:
        piece = make_furniture(kind, self.rng)
        width, thick, height = piece.size_m
        for _ in range(TRIES):
            number = self._random_wall()
            wall = self.plan.walls[number]
            if wall.length_m < width + 0.5:
                continue
            along = float(self.rng.uniform(width / 2 + 0.2, wall.length_m - width / 2 - 0.2))
            reach = (along - width / 2 - 0.1, along + width / 2 + 0.1)
            if not self.plan.wall_is_free(number, reach, (bottom_z, bottom_z + height)):
                continue
            pose = pose_at(wall.point(along, thick / 2 - 0.02), wall.facing_yaw_rad, bottom_z)
            self.add(piece, pose)
            self.plan.block_wall(number, reach, (bottom_z, bottom_z + height))
            if kind == "door":
                swing = pose_at(wall.point(along, 0.4), wall.facing_yaw_rad)
                self.plan.keep_clear(outline(swing, np.array([width, 0.8])))
            elif self.rng.random() < 0.6:
                self._hang_curtains(number, along, width)
            return

    def _hang_curtains(self, number: int, along_m: float, window_width_m: float) -> None:
        wall = self.plan.walls[number]
        color = str(self.rng.choice(ANY_COLOR))
        for side in (-1, 1) if self.rng.random() < 0.7 else (int(self.rng.choice([-1, 1])),):
            piece = make_furniture("curtain", self.rng, color)
            width, thick, height = piece.size_m
            at = along_m + side * (window_width_m / 2 + 0.05)
            reach = (at - width / 2, at + width / 2)
            bottom = max(0.06, 2.28 - height)
            if reach[0] < 0.05 or reach[1] > wall.length_m - 0.05:
                continue
            ground = outline(pose_at(wall.point(at, 0.12), wall.facing_yaw_rad), np.array([width, 0.24]))
            if not self.plan.is_free(ground):
                continue
            self.add(piece, pose_at(wall.point(at, thick / 2 + 0.15), wall.facing_yaw_rad, bottom))
            self.plan.block_wall(number, reach, (0.0, bottom + height))
            self.plan.block(ground)

    def against_wall(self, kind: str, color: str | None = None) -> int | None:
        """Stand a piece with its back to a wall."""
        piece = make_furniture(kind, self.rng, color)
        width, depth, height = piece.size_m
        for _ in range(TRIES):
            number = self._random_wall()
            wall = self.plan.walls[number]
            if wall.length_m < width + 0.1:
                continue
            along = float(self.rng.uniform(width / 2 + 0.03, wall.length_m - width / 2 - 0.03))
            reach = (along - width / 2, along + width / 2)
            if not self.plan.wall_is_free(number, reach, (0.0, height)):
                continue
            yaw = wall.facing_yaw_rad + self.rng.normal(0, 0.01)
            pose = pose_at(wall.point(along, depth / 2 + self.rng.uniform(0.02, 0.07)), yaw)
            index = self.stand(piece, pose)
            if index is not None:
                self.plan.block_wall(number, reach, (0.0, height))
                return index
        return None

    def along_edge(self, kind: str) -> int | None:
        """Stand a small piece near a wall or another piece, turned at random."""
        piece = make_furniture(kind, self.rng)
        reach = float(piece.size_m[:2].max()) / 2
        for _ in range(TRIES):
            wall = self.plan.walls[self._random_wall()]
            along = self.rng.uniform(reach, max(reach + 0.01, wall.length_m - reach))
            out = reach + self.rng.uniform(0.04, 0.5 if self.rng.random() < 0.3 else 0.12)
            yaw = wall.facing_yaw_rad + self.rng.normal(0, 0.35)
            index = self.stand(piece, pose_at(wall.point(float(along), float(out)), float(yaw)))
            if index is not None:
                return index
        return None

    def hang(self, kind: str) -> int | None:
        """Hang a flat piece on a wall at eye height."""
        piece = make_furniture(kind, self.rng)
        width, thick, height = piece.size_m
        for _ in range(TRIES):
            number = self._random_wall()
            wall = self.plan.walls[number]
            if wall.length_m < width + 0.3:
                continue
            along = float(self.rng.uniform(width / 2 + 0.1, wall.length_m - width / 2 - 0.1))
            bottom = float(self.rng.uniform(1.1, 1.45 if height < 0.8 else 1.2))
            reach, rise = (
                (along - width / 2 - 0.08, along + width / 2 + 0.08),
                (bottom - 0.1, bottom + height),
            )
            if self.plan.wall_is_free(number, reach, rise):
                self.plan.block_wall(number, reach, rise)
                return self.add(piece, pose_at(wall.point(along, thick / 2), wall.facing_yaw_rad, bottom))
        return None

    def lay_rug(self, kind: str) -> int | None:
        """Lay a rug somewhere in the open; people walk on it, furniture may stand on it."""
        piece = make_furniture(kind, self.rng)
        open_m = self.open_floor(clearance_m=BODY_RADIUS_M)
        for _ in range(TRIES):
            xy = open_m[int(self.rng.integers(len(open_m)))]
            pose = pose_at(xy, float(self.rng.choice([0, np.pi / 2])) + self.rng.normal(0, 0.08))
            if self.plan.is_free(outline(pose, piece.size_m)):
                return self.add(piece, pose)
        return None

    def open_floor(self, clearance_m: float) -> np.ndarray:
        """(N, 2) points that keep a distance from walls and furniture."""
        rows, columns = np.nonzero(self.plan.walkable(clearance_m=clearance_m))
        return (np.stack([columns, rows], axis=1) + 0.5) * CELL_M

    def put(self, index: int, piece: Furniture, xy_m: np.ndarray, z_m: float, yaw_rad: float) -> int | None:
        """Put a piece on another one, at a point of its frame."""
        pose = self.placed[index].world_from_object @ pose_at(xy_m, yaw_rad, z_m)
        return self.add(piece, pose, index)
